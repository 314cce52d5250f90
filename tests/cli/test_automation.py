"""`stembridge remix --automation`: rides from CSV and MIDI files; errors are one line."""

import json
import os

import mido
import numpy as np
import pytest
import soundfile
from stembridge.control import Automation, map_names
from stembridge.control.midifile import write
from stembridge.engine import remix

CSV = "seconds,stem,gain_db,shape\n0,vocals,-80,step\n0.1,drums,-6,step\n0.3,vocals,0,db\n"
RIDE = Automation([(0, "vocals", -80), (0.1, "drums", -6), (0.3, "vocals", 0, "db")])


@pytest.fixture
def stage(desk):
    """Make a desk with a song, and `ride.csv`, `ride.mid` and `bend.mid` that move its faders."""
    desk.make_song()
    (desk.folder / "ride.csv").write_text(CSV)
    fader = mido.Message("control_change", control=16, value=0)
    ride = [(0, fader), (4410, fader.copy(control=17, value=50)), (13230, fader.copy(value=100))]
    write(desk.folder / "ride.mid", ride, 44100)
    write(desk.folder / "bend.mid", [(4410, mido.Message("pitchwheel", channel=1, pitch=-8192))], 44100)
    return desk


def heard(desk, ride, **gains_db):
    """Return whether `out.wav` is the song with this ride."""
    song, out = (soundfile.read(desk.folder / name, always_2d=True)[0].T for name in ("song.wav", "out.wav"))
    expected = remix(song, 44100, gains_db, desk.model, automation=ride)
    np.testing.assert_allclose(out, expected, rtol=0, atol=2**-15)
    return np.abs(out - remix(song, 44100, gains_db, desk.model)).max() > 0.01


def ride_song(desk, *options):
    return desk.call("remix", "song.wav", "-o", "out.wav", "--model", desk.model, "--automation", *options)


def test_a_ride_from_a_csv_file(stage):
    result = stage.run("remix", "song.wav", "-o", "out.wav", "--model", stage.model, "--automation", "ride.csv")
    assert (result.returncode, result.stderr) == (0, "")
    assert heard(stage, RIDE)


def test_a_ride_from_a_midi_file(stage):
    result = ride_song(stage, "ride.mid")
    assert (result.returncode, result.stderr) == (0, "")
    assert heard(stage, Automation([(0, "vocals", -80), (0.1, "drums", -40), (0.3, "vocals", 0)]))


def test_a_map_by_name_and_by_path(stage):
    result = ride_song(stage, "bend.mid", "--map", "mackie")
    assert (result.returncode, result.stderr) == (0, "")
    assert heard(stage, Automation([(0.1, "drums", -80)]))
    binding = {"control": {"type": "pitchbend", "channel": 2}, "action": "gain", "stem": "bass", "range_db": [-20, 20]}
    (stage.folder / "mine.json").write_text(json.dumps({"name": "mine", "description": "", "bindings": [binding]}))
    assert ride_song(stage, "bend.mid", "--map", "mine.json", "--force").returncode == 0
    assert heard(stage, Automation([(0.1, "bass", -20)]))


@pytest.mark.parametrize("name", ["ride", "ride.smf", "ride.CSV", "ride.MIDI", "ride.txt"])
def test_a_file_without_a_known_suffix_is_recognised_by_its_content(stage, name):
    midi = name in ("ride", "ride.smf", "ride.MIDI")
    (stage.folder / ("ride.mid" if midi else "ride.csv")).rename(stage.folder / name)
    assert ride_song(stage, name).returncode == 0
    assert heard(stage, Automation.from_midi(stage.folder / name) if midi else RIDE)


def test_automation_overrides_faders_and_faders_override_presets(stage):
    options = ["--vocals", "3", "--bass", "-80", "--preset", "acapella"]
    assert ride_song(stage, "ride.csv", *options).returncode == 0
    assert heard(stage, RIDE, vocals=3, bass=-80, drums=-80, other=-80)


def test_after_a_mute_in_a_midi_file_the_given_fader_returns(stage):
    button = mido.Message("control_change", control=48, value=127)
    write(stage.folder / "mute.mid", [(4410, button), (13230, button)], 44100)
    assert ride_song(stage, "mute.mid", "--map", "nanokontrol2", "--vocals", "-6").returncode == 0
    assert heard(stage, Automation([(0.1, "vocals", -80), (0.3, "vocals", -6)]), vocals=-6)


def refused(stage, *options, here=True):
    arguments = ["remix", "song.wav", "-o", "out.wav", "--model", stage.model, *options]
    return stage.refused(*arguments, here=here)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0,vocals,nan,step\n", "ride.csv, line 2: vocals: gain nan dB is out of range"),
        ("0,vocals,-6,step\n0,drums,30,step\n", "ride.csv, line 3: drums: gain 30 dB is out of range"),
        ("1,vocals,-6,step\n0,vocals,0,step\n", "ride.csv, line 3: 0 seconds come after 1"),
        ("1,piano,-6,step\n", "ride.csv, line 2: unknown stem 'piano'; the stems are vocals, drums, bass, other"),
        ("1,self,-6,step\n", "unknown stem 'self'"),
        ("1,vocals\n", "ride.csv, line 2: 2 columns, but the header has 4"),
    ],
)
def test_a_wrong_csv_file(stage, text, says):
    (stage.folder / "ride.csv").write_text("seconds,stem,gain_db,shape\n" + text)
    assert says in refused(stage, "--automation", "ride.csv", here="30" not in text)


def test_a_truncated_midi_file_and_a_file_that_is_not_midi(stage):
    path = stage.folder / "ride.mid"
    path.write_bytes(path.read_bytes()[:16])
    assert "ride.mid has no track; save or download it again" in refused(stage, "--automation", "ride.mid")
    path.write_text(CSV)
    assert "ride.mid is not a MIDI file" in refused(stage, "--automation", "ride.mid")
    path.write_bytes(b"")
    assert "ride.mid is not a MIDI file" in refused(stage, "--automation", "ride.mid")


@pytest.mark.parametrize("name", ["nosuch.csv", "nosuch.mid", "nosuch"])
def test_a_missing_file(stage, name):
    assert f"{name}" in refused(stage, "--automation", name)


def test_a_device_or_pipe_is_refused(stage, tmp_path_factory):
    line = refused(stage, "--automation", "/dev/null")
    assert "/dev/null is not a regular file; save the automation to disk first" in line
    pipe = tmp_path_factory.mktemp("pipes") / "ride.csv"
    os.mkfifo(pipe)
    assert "ride.csv is not a regular file" in refused(stage, "--automation", str(pipe))


def test_a_map_without_a_midi_file_is_refused_in_a_recipe_too(stage):
    recipe = stage.folder / "night.toml"
    recipe.write_text('songs = ["song.wav"]\noutput = "out"\n[gains_db]\nvocals = -6\n')
    run = "remix", "--recipe", "night.toml", "--dry-run", "--model", stage.model
    assert "--map is for a MIDI file" in stage.refused(*run, "--map", "nosuch")
    assert stage.call(*run, "--map", "mackie", "--automation", "bend.mid").returncode == 0
    settings = recipe.read_text()
    recipe.write_text('map = "mackie"\n' + settings)
    assert "recipe night.toml: map 'mackie' is for a MIDI file" in stage.refused(*run)
    recipe.write_text('map = "mackie"\n' + settings + '[[song]]\nmatch = "song.wav"\nautomation = "bend.mid"\n')
    assert stage.call(*run).returncode == 0


def test_a_wrong_map_and_a_map_without_a_midi_file(stage):
    line = refused(stage, "--automation", "ride.mid", "--map", "nosuch")
    assert all(name in line for name in map_names())
    (stage.folder / "mine.json").write_text("{")
    assert "mine.json" in refused(stage, "--automation", "ride.mid", "--map", "mine.json")
    assert "--map" in refused(stage, "--automation", "ride.csv", "--map", "general")
    assert "--map" in refused(stage, "--map", "general")


def test_automation_without_moves_is_refused_unless_forced(stage):
    write(
        stage.folder / "nano.mid", [(n, mido.Message("control_change", control=n, value=64)) for n in range(8)], 44100
    )
    why = (
        "stembridge: warning: nothing in nano.mid moves a fader with map general; "
        "it has controllers 0 to 7; try map nanokontrol2\n"
    )
    before = stage.files()
    result = ride_song(stage, "nano.mid")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"{why}stembridge: all faders stay at 0 dB; move one, ")
    assert stage.files() == before
    arguments = "--model", stage.model, "--automation", "nano.mid", "--force"
    result = stage.run("remix", "song.wav", "-o", "out.wav", *arguments)
    assert (result.returncode, result.stderr) == (0, why)
    assert result.stdout.endswith("; all faders stay at 0 dB, so no stem was changed\n")
    song, out = (soundfile.read(stage.folder / name)[0] for name in ("song.wav", "out.wav"))
    np.testing.assert_array_equal(out, song)
    result = ride_song(stage, "nano.mid", "--preset", "karaoke", "--force")
    assert (result.returncode, result.stderr.count("nothing in nano.mid")) == (0, 1)
    assert "0 dB" not in result.stdout


def test_automation_whose_moves_all_come_after_the_songs_end_is_reported(stage):
    (stage.folder / "late.csv").write_text("seconds,stem,gain_db\n22050,vocals,-80\n")
    why = "nothing in late.csv moves a fader: its first move is at 22050 seconds, but the song ends at 0.5; "
    assert why in ride_song(stage, "late.csv").stderr
    stage.make_song("more.wav")
    options = "--model", stage.model, "--automation", "late.csv"
    result = stage.call("remix", "song.wav", "more.wav", "-o", "out/", *options)
    assert (result.returncode, result.stdout.count(why)) == (0, 2)


def test_automation_without_moves_is_reported_once_for_many_songs(stage):
    (stage.folder / "still.csv").write_text("seconds\tstem\tgain_db\n1\tvocals\t0,0\n")
    stage.make_song("more.wav")
    options = "--model", stage.model, "--automation", "still.csv"
    result = stage.call("remix", "song.wav", "more.wav", "-o", "out/", *options)
    assert (result.returncode, result.stderr) == (0, (
        "stembridge: warning: still.csv has tabs instead of commas between its columns; it was read anyway\n"
        "stembridge: warning: nothing in still.csv moves a fader; its gains are the same as those of the faders\n"
    ))  # fmt: skip
    assert result.stdout.count("all faders stay at 0 dB") == 2
    for name in ("song", "more"):
        before, after = f"{name}.wav", f"out/{name} (still).wav"
        np.testing.assert_array_equal(*(soundfile.read(stage.folder / path)[0] for path in (before, after)))


def test_a_damaged_midi_file_is_read_with_one_warning(stage):
    path = stage.folder / "ride.mid"
    whole = path.read_bytes()
    path.write_bytes(whole[:10] + b"\0\3" + whole[12:])
    result = ride_song(stage, "ride.mid")
    fault = "ride.mid is damaged: its header says 3 tracks, but it has 1; the rest was read"
    assert (result.returncode, result.stderr) == (0, f"stembridge: warning: {fault}\n")
    assert heard(stage, Automation([(0, "vocals", -80), (0.1, "drums", -40), (0.3, "vocals", 0)]))
