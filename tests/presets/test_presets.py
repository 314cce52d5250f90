"""Presets: shipped ones are valid, a user's file is checked, and every mistake is one line with a remedy."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stembridge.core.documents import schema_of
from stembridge.presets import Preset, PresetError, load_preset, preset_names, read_preset
from stembridge.presets.load import SHIPPED_FOLDER, shipped_presets

STEMS = {"vocals", "drums", "bass", "other"}


def write(folder, text):
    path = folder / "mine.json"
    path.write_text(text, "utf-8")
    return path


def preset(**gains_db):
    return json.dumps({"name": "mine", "description": "", "gains_db": gains_db})


def test_the_presets_that_musicians_ask_for_exist():
    assert {"karaoke", "acapella", "drumless", "bass-boost"} <= set(preset_names())
    assert load_preset("karaoke") == {"vocals": -80.0}
    assert load_preset("acapella") == {"drums": -80.0, "bass": -80.0, "other": -80.0}
    assert load_preset("bass-boost")["bass"] > 0


@pytest.mark.parametrize("name", sorted(shipped_presets()))
def test_each_shipped_preset_is_valid(name):
    shipped = read_preset(name)
    assert shipped.name == name
    assert shipped.description
    assert set(shipped.gains_db) <= STEMS
    assert load_preset(name) == shipped.gains_db


@given(gains_db=st.dictionaries(st.text(min_size=1), st.floats(-80, 20), min_size=1))
def test_a_users_file_gives_its_gains(tmp_path_factory, gains_db):
    path = write(tmp_path_factory.mktemp("preset"), preset(**gains_db))
    assert load_preset(path) == load_preset(str(path)) == gains_db


def test_a_bare_file_name_that_ends_in_json_is_a_file(tmp_path, monkeypatch):
    write(tmp_path, preset(piano=-3))
    monkeypatch.chdir(tmp_path)
    assert load_preset("mine.json") == {"piano": -3.0}


@pytest.mark.parametrize(
    "name", ["nosuch", "", ".", "..", "KARAOKE", "karaoke\n", "preset.schema", "preset.schema.json", "..\\karaoke"]
)
def test_an_unknown_name_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PresetError):
        load_preset(name)


def test_an_unknown_name_lists_the_names():
    with pytest.raises(PresetError, match=r"karaoke.*\.json") as caught:
        load_preset("nosuch")
    assert all(name in str(caught.value) for name in preset_names())


@pytest.mark.parametrize("path", ["../karaoke", "./karaoke", "/karaoke", "presets/karaoke"])
def test_a_path_is_never_looked_up_among_the_shipped_presets(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PresetError, match="No such file"):
        load_preset(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("\0", "not valid JSON"),
        ("[" * 100_000, "nested too deeply"),
        (preset(vocals=float("nan")), "NaN is not a number"),
        (preset(vocals=float("-inf")), "-Infinity is not a number"),
        (preset(vocals=20.01), "gains_db.vocals: 20.01 is greater than 20"),
        (preset(vocals=-80.01), "gains_db.vocals: -80.01 is less than -80"),
        (preset(vocals=0).replace("0}", "1" * 5000 + "}"), "inf is greater than 20"),
        (preset(vocals=0).replace("0}", "1e999}"), "inf is greater than 20"),
        (preset(vocals="-6"), "not of type 'number'"),
        (preset(vocals=True), "not of type 'number'"),
        (preset(vocals=None), "not of type 'number'"),
        (preset(), "non-empty"),
        ("[]", "not of type 'object'"),
        ('{"name": "a", "gains_db": {"vocals": 1}}', "'description' is a required property"),
        ('{"name": "a", "description": "", "gains_db": {"vocals": 1}, "gain": 1}', "'gain' was unexpected"),
        (json.dumps("x" * 10_000), "..."),
    ],
)
def test_a_bad_file_is_one_short_line_that_names_it(tmp_path, text, says):
    path = write(tmp_path, text)
    with pytest.raises(PresetError) as caught:
        load_preset(path)
    line = str(caught.value)
    assert says in line
    assert str(path) in line
    assert "\n" not in line
    assert len(line) < 500 + len(str(path))


def test_bytes_that_are_not_text_are_refused(tmp_path):
    path = tmp_path / "mine.json"
    path.write_bytes(b"\xff\xfe\x80")
    with pytest.raises(PresetError, match="not valid JSON"):
        load_preset(path)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(PresetError, match="directory"):
        load_preset(f"{tmp_path}/")


def test_a_path_with_a_nul_is_refused():
    with pytest.raises(PresetError):
        load_preset("a\0b.json")


def test_the_schema_agrees_with_the_type():
    from jsonschema import Draft202012Validator

    schema = json.loads((SHIPPED_FOLDER / "preset.schema.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    assert schema == schema_of(Preset), "regenerate the schema after the type has changed"
    for path in shipped_presets().values():
        Draft202012Validator(schema).validate(json.loads(path.read_text("utf-8")))
