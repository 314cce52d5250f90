"""`stembridge presets`: list, show, save and delete presets; `remix` uses them like shipped ones."""

import json

import numpy as np
import pytest
import soundfile
from stembridge.engine import remix
from stembridge.presets import load_preset, preset_names, read_preset, save_preset


def listed(result):
    """Return the listed presets: name -> line."""
    assert (result.returncode, result.stderr) == (0, "")
    head, _, *lines = result.stdout.splitlines()
    assert head.split() == ["name", "gains", "in", "dB", "description"]
    return {next(name for name in preset_names() if line.startswith(f"{name}  ")): line for line in lines}


def test_save_list_show_remix_delete(desk, own_folder):
    """Run in separate processes, as users do."""
    result = desk.run("presets", "save", "my duet", "--vocals", "-6", "--drums=+3", "--description", "Größer [bold]")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"wrote {own_folder / 'my duet.json'}; use it with --preset 'my duet'\n"
    lines = listed(desk.run("presets"))
    assert sorted(lines) == preset_names()
    assert lines["my duet"].split() == ["my", "duet", "vocals", "-6", "drums", "+3", "Größer", "[bold]", "(yours)"]
    assert lines["karaoke"].endswith("The band without the singer")
    result = desk.run("presets", "show", "my duet")
    assert (result.returncode, result.stderr) == (0, "")
    gains_db = {"vocals": -6, "drums": 3}
    assert json.loads(result.stdout) == {"name": "my duet", "description": "Größer [bold]", "gains_db": gains_db}
    song = desk.make_song()
    arguments = ["remix", song, "-o", "out.wav", "--preset", "my duet", "--drums", "1", "--model", desk.model]
    assert desk.run(*arguments).returncode == 0
    audio = soundfile.read(song, dtype="float32")[0].T
    expected = remix(audio, 44100, gains_db | {"drums": 1}, desk.model)
    heard = soundfile.read(desk.folder / "out.wav", dtype="float32")[0].T
    np.testing.assert_allclose(heard, expected, rtol=0, atol=2**-15)
    result = desk.run("presets", "delete", "my duet")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"deleted {own_folder / 'my duet.json'}\n"
    assert "my duet" not in listed(desk.run("presets"))


@pytest.mark.parametrize("name", ["karaoke", "vocal-boost"])
def test_show_prints_a_preset_file(desk, name):
    result = desk.call("presets", "show", name)
    (desk.folder / "copy.json").write_text(result.stdout)
    assert read_preset(desk.folder / "copy.json") == read_preset(name)


@pytest.mark.parametrize("silence", ["-80", "-inf", "-1000"])
def test_stems_of_any_name(desk, silence):
    result = desk.call("presets", "save", "band", "--gain", f"piano={silence}", "--gain", "a=b=1.5", "--other", silence)
    assert (result.returncode, result.stderr) == (0, "")
    assert load_preset("band") == {"other": -80.0, "piano": -80.0, "a=b": 1.5}


def test_from_another_preset(desk):
    assert desk.call("presets", "save", "soft", "--from", "vocal-boost", "--drums", "-20").returncode == 0
    soft, shipped = read_preset("soft"), read_preset("vocal-boost")
    assert soft.gains_db == shipped.gains_db | {"drums": -20}
    assert soft.description == shipped.description
    assert desk.call("presets", "save", "soft", "--from", "soft", "--description", "", "--force").returncode == 0
    assert read_preset("soft").gains_db == soft.gains_db
    assert read_preset("soft").description == ""
    (desk.folder / "mine.json").write_text('{"name": "m", "description": "", "gains_db": {"piano": 1}}')
    assert desk.call("presets", "save", "soft", "--from", "mine.json", "--force").returncode == 0
    assert load_preset("soft") == {"piano": 1.0}


def test_a_broken_file_hides_no_other(desk, own_folder):
    save_preset("duet", {"vocals": -6})
    (own_folder / "broken.json").write_text("{")
    lines = listed(desk.call("presets"))
    assert "not valid JSON" in lines["broken"]
    assert "-6" in lines["duet"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["save", "karaoke", "--vocals", "-6", "--force"], "comes with StemBridge"),
        (["save", "duet", "--vocals", "-6"], "'duet' exists already"),
        (["save", "../duet", "--vocals", "-6"], "cannot be a preset's name"),
        (["save", "solo"], "nothing to save; give a gain"),
        (["save", "solo", "--vocals", "21"], "--vocals: gain 21 dB is out of range"),
        (["save", "solo", "--vocals", "nan"], "--vocals: gain nan dB is out of range"),
        (["save", "solo", "--gain", "piano=loud"], "--gain piano: gain 'loud' is not a number"),
        (["save", "solo", "--gain", "piano"], "--gain piano: give it as STEM=DB"),
        (["save", "solo", "--gain", "=3"], "--gain =3: give it as STEM=DB"),
        (["save", "solo", "--from", "nosuch"], "unknown preset 'nosuch'"),
        (["save", "solo", "--piano", "3"], "No such option"),
        (["save"], "Missing argument"),
        (["delete", "karaoke"], "comes with StemBridge"),
        (["delete", "nosuch"], "choose from duet"),
        (["delete", "../presets/duet"], "choose from duet"),
        (["show", "nosuch"], "duet"),
        (["nosuch"], "No such command"),
    ],
)
def test_impossible_requests_are_one_line(desk, arguments, says):
    save_preset("duet", {"vocals": -6})
    assert says in desk.refused("presets", *arguments, here=True)


def test_control_characters_in_a_description_are_escaped(desk, own_folder):
    save_preset("mine", {"vocals": -6}, "two\nlines \x1b[31m red")
    assert r"two\nlines \x1b[31m red" in listed(desk.call("presets"))["mine"]
