"""The user's own presets: saved whole or not at all, found by name, deleted, and never outside their folder."""

import errno
import json
import os
import stat

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stembridge import StemMix, StemProcessor
from stembridge.models import load_model
from stembridge.presets import (
    PresetError,
    delete_preset,
    load_preset,
    own_presets,
    preset_names,
    read_preset,
    save_preset,
)
from stembridge.presets.load import shipped_presets, user_folder

OUTSIDE = [
    "", ".", "..", ".duet", "../duet", "/duet", "a/b", "a\\b", "a\0b", "a\n", "\n", " a", "a ", "-a", "a.b",
    "duet.json", "Duet", "dü", "a" * 65, "~", "c:a", "a\x1b[2J", "\ud800",
]  # fmt: skip


def refused(action, *arguments, **options):
    """Return the one line of the error."""
    with pytest.raises(PresetError) as caught:
        action(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_that_cannot_be_read_does_not_stop_shipped_presets_or_models(monkeypatch):
    for variable in "XDG_CONFIG_HOME", "XDG_DATA_HOME":
        monkeypatch.setenv(variable, "/tmp/" + "a" * 300)
    with pytest.warns(UserWarning, match="your presets in .* cannot be read: File name too long"):
        assert load_preset("karaoke") == {"vocals": -80}
    with pytest.warns(UserWarning, match="your models in .* cannot be read: File name too long"):
        assert load_model("live").card.name == "live"


def test_a_full_disk_is_named_with_its_remedy(duet, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("stembridge.presets.save.write_whole", fail)
    monkeypatch.setattr("pathlib.Path.unlink", fail)
    for line in (refused(save_preset, "trio", {"vocals": -6}), refused(delete_preset, "duet")):
        assert line.endswith(f"{duet.parent}: No space left on device; make room or choose another folder")


@pytest.fixture
def duet(own_folder):
    """Save a preset; return its file."""
    return save_preset("duet", {"vocals": -6, "bass": 0}, "Two voices")


def test_a_saved_preset_is_found_by_its_name(own_folder):
    path = save_preset("my duet-2", {"vocals": -6, "piano": 1.5}, "Zwei Stimmen, größer")
    assert path == own_folder / "my duet-2.json"
    assert user_folder() == own_folder
    assert own_presets() == {"my duet-2": path}
    assert preset_names() == sorted([*shipped_presets(), "my duet-2"])
    assert load_preset("my duet-2") == load_preset(path) == {"vocals": -6.0, "piano": 1.5}
    preset = read_preset("my duet-2")
    assert (preset.name, preset.description) == ("my duet-2", "Zwei Stimmen, größer")
    assert path.read_text("utf-8") == preset.text()
    assert "größer" in preset.text()
    assert os.listdir(own_folder) == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) & 0o444, "others may read it if the umask allows it"


@given(
    name=st.from_regex("[a-z0-9]([a-z0-9 _-]{0,62}[a-z0-9])?", fullmatch=True),
    gains_db=st.dictionaries(st.text(min_size=1), st.floats(-80, 20), min_size=1),
    description=st.text(),
)
def test_a_saved_preset_reads_back_the_same(name, gains_db, description):
    if name in shipped_presets():
        return
    path = save_preset(name, gains_db, description, overwrite=True)
    preset = read_preset(name)
    assert (preset.name, preset.description, preset.gains_db) == (name, description, gains_db)
    assert delete_preset(name) == path
    assert not path.exists()


@pytest.mark.parametrize("silence", [-80, -80.5, -1e9, float("-inf"), np.float32("-inf")])
def test_silent_stems_are_saved_as_minus_80(own_folder, silence):
    save_preset("quiet", {"vocals": silence, "drums": np.float32(-1.5), "bass": np.int16(3)})
    assert load_preset("quiet") == {"vocals": -80.0, "drums": -1.5, "bass": 3.0}


def test_the_faders_of_a_processor_can_be_saved(own_folder, tiny_live_model):
    mix = StemProcessor(tiny_live_model, gains_db={"drums": -3})
    mix.set_gains_db(vocals=float("-inf"))
    save_preset("now", mix.gains_db)
    assert load_preset("now") == {"vocals": -80.0, "drums": -3.0, "bass": 0.0, "other": 0.0}


def test_stem_mix_accepts_a_saved_preset_by_name(duet, tiny_live_model):
    mix = StemMix(tiny_live_model, preset="duet", bass_db=2)
    assert (mix.vocals_db, mix.drums_db, mix.bass_db) == (-6, 0, 2)


def test_an_existing_preset_is_overwritten_by_force_only(duet):
    before = duet.read_bytes()
    assert "'duet' exists already" in refused(save_preset, "duet", {"vocals": 1})
    assert duet.read_bytes() == before
    save_preset("duet", {"vocals": 1}, overwrite=True)
    assert load_preset("duet") == {"vocals": 1.0}


def test_a_link_stays_and_its_target_is_written(duet, tmp_path):
    """This happens if the settings are links into another folder."""
    elsewhere = tmp_path / "elsewhere.json"
    os.rename(duet, elsewhere)
    duet.symlink_to(elsewhere)
    before = elsewhere.read_bytes()
    assert "exists already" in refused(save_preset, "duet", {"vocals": 1})
    assert elsewhere.read_bytes() == before
    save_preset("duet", {"vocals": 1}, overwrite=True)
    assert duet.is_symlink()
    assert load_preset("duet") == {"vocals": 1.0}
    elsewhere.unlink()
    save_preset("duet", {"vocals": 2})
    assert elsewhere.read_bytes() == duet.read_bytes()


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_name_that_could_leave_the_folder_is_refused(tmp_path, monkeypatch, name, overwrite):
    monkeypatch.chdir(tmp_path)
    assert "cannot be a preset's name; use up to 64" in refused(save_preset, name, {"vocals": -6}, overwrite=overwrite)
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_name_deletes_outside_the_folder(duet, tmp_path, monkeypatch, name):
    monkeypatch.chdir(duet.parent)
    (tmp_path / "duet.json").write_bytes(duet.read_bytes())
    before = sorted(tmp_path.rglob("*"))
    assert "choose from duet" in refused(delete_preset, name)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", sorted(shipped_presets()))
def test_shipped_presets_can_neither_be_shadowed_nor_deleted(own_folder, name):
    shipped = read_preset(name)
    assert "comes with StemBridge" in refused(save_preset, name, {"vocals": 1}, overwrite=True)
    assert "comes with StemBridge" in refused(delete_preset, name)
    own_folder.mkdir(parents=True)
    (own_folder / f"{name}.json").write_text('{"name": "x", "description": "by hand", "gains_db": {"vocals": 1}}')
    assert read_preset(name) == shipped
    assert own_presets() == {}
    assert preset_names() == sorted(shipped_presets())


def test_other_files_in_the_folder_are_not_presets(duet):
    for name in ["Duet.json", ".hidden.json", "a.b.json", "notes.txt", "new\nline.json", "preset.schema.json"]:
        (duet.parent / name).write_bytes(duet.read_bytes())
    assert list(own_presets()) == ["duet"]


@pytest.mark.parametrize(
    ("gains_db", "says"),
    [
        ({}, "non-empty"),
        ({"": 1}, "non-empty"),
        ({"vocals": 20.01}, "vocals: gain 20.01"),
        ({"vocals": float("nan")}, "vocals: gain nan"),
        ({"vocals": float("inf")}, "vocals: gain inf"),
        ({"vocals": "-6"}, "vocals: gain '-6'"),
        ({"vocals": True}, "vocals: gain True"),
        ({"vocals": None}, "vocals: gain None"),
        ({"\ud800": 1}, "is not valid Unicode text"),
    ],
)
def test_bad_gains_are_refused_and_nothing_is_written(duet, gains_db, says):
    before = duet.read_bytes()
    assert says in refused(save_preset, "duet", gains_db, overwrite=True)
    assert duet.read_bytes() == before
    assert os.listdir(duet.parent) == [duet.name]


@pytest.mark.parametrize("depth", [200, 400, 600, 900, 100_000])
def test_a_file_that_is_nested_too_deeply_is_refused(tmp_path, depth):
    path = tmp_path / "deep.json"
    path.write_text('{"name": "x", "description": "", "gains_db": ' + '{"a": ' * depth + "1" + "}" * depth + "}")
    says = refused(load_preset, path)
    assert "nested too deeply" in says or "'number'" in says or "gain" in says


@pytest.mark.parametrize("description", [None, 1, "\udce9"])
def test_a_description_that_is_not_text_is_refused(duet, description):
    refused(save_preset, "other one", {"vocals": 1}, description)
    assert os.listdir(duet.parent) == [duet.name]


@pytest.mark.parametrize("failing", ["write_bytes", "replace"])
def test_a_full_disk_keeps_the_old_preset(duet, monkeypatch, failing):
    before = duet.read_bytes()

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*(("pathlib.Path.write_bytes", full) if failing == "write_bytes" else ("os.replace", full)))
    assert "No space left" in refused(save_preset, "duet", {"vocals": 1}, overwrite=True)
    assert duet.read_bytes() == before
    assert os.listdir(duet.parent) == [duet.name]


def test_ctrl_c_keeps_the_old_preset(duet, monkeypatch):
    before = duet.read_bytes()

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_preset("duet", {"vocals": 1}, overwrite=True)
    assert duet.read_bytes() == before
    assert os.listdir(duet.parent) == [duet.name]


def test_a_folder_that_cannot_be_made(own_folder):
    own_folder.parent.parent.write_text("a file where the folder should be")
    assert str(own_folder) in refused(save_preset, "duet", {"vocals": 1})
    assert preset_names() == sorted(shipped_presets())


def test_a_folder_in_the_place_of_a_preset(own_folder):
    (own_folder / "duet.json").mkdir(parents=True)
    assert "directory" in refused(save_preset, "duet", {"vocals": 1}, overwrite=True)
    assert "directory" in refused(load_preset, "duet")
    assert "duet" in refused(delete_preset, "duet")


def test_a_broken_preset_file_is_named_when_it_is_loaded(duet):
    duet.write_text("{")
    assert "'duet' is not valid JSON" in refused(load_preset, "duet")
    assert json.loads(save_preset("duet", {"vocals": 1}, overwrite=True).read_text())["name"] == "duet"
