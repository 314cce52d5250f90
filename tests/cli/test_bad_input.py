"""Bad input: one clear line, exit code 2, the input untouched and no file left behind."""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from mutagen.flac import FLAC, Picture
from stembridge.models import load_model, save_model
from stembridge.presets import preset_names


def test_a_missing_file(desk):
    assert "song.wav" in desk.refused("remix", "song.wav", "-o", "out.wav", "--vocals", "-6", "--model", desk.model)


def test_a_folder(desk):
    (desk.folder / "song").mkdir()
    assert "folder" in desk.refused("remix", "song", "-o", "out.wav", "--vocals=-6", "--model", desk.model)


def test_an_empty_file(desk):
    (desk.folder / "song.wav").touch()
    assert "empty" in desk.refused("remix", "song.wav", "-o", "out.wav", "--vocals", "-6", "--model", desk.model)


@pytest.mark.parametrize("name", ["song.wav", "song.mp3", "song.flac", "song.ogg"])
def test_text_with_an_audio_suffix(desk, name):
    (desk.folder / name).write_text("la la la " * 1000)
    arguments = ["remix", name, "-o", "out.wav", "--vocals", "-6", "--model", desk.model]
    assert "not an audio file" in desk.refused(*arguments, here=name != "song.wav")


@pytest.mark.parametrize("name", ["song.wav", "song.flac", "song.aiff", "song.ogg"])
def test_no_samples(desk, name):
    soundfile.write(desk.folder / name, np.zeros((0, 2)), 44100)
    assert name in desk.refused(
        "remix", name, "-o", "out.wav", "--vocals", "-6", "--model", desk.model, here=name != "song.wav"
    )


@pytest.mark.parametrize("command", [["remix", "--vocals", "-6", "-o", "out.wav"], ["separate", "-o", "stems"]])
def test_six_channels(desk, command):
    song = desk.make_song(num_channels=6)
    line = desk.refused(*command, song, "--model", desk.model, here=command[0] == "separate")
    assert "6 channels" in line
    assert "mix it down" in line


def test_an_unknown_preset(desk):
    line = desk.refused("remix", desk.make_song(), "-o", "out.wav", "--preset", "karaoke2", "--model", desk.model)
    assert all(name in line for name in preset_names())


@pytest.mark.parametrize("text", ["{", '{"gains_db": {"vocals": NaN}}', '{"gains_db": {"vocals": 99}}', "[]"])
def test_a_broken_preset(desk, text):
    (desk.folder / "mine.json").write_text(text)
    arguments = ["remix", desk.make_song(), "-o", "out.wav", "--preset", "mine.json", "--model", desk.model]
    assert "mine.json" in desk.refused(*arguments, here=text != "{")


def test_a_preset_for_stems_that_the_model_lacks(desk):
    (desk.folder / "mine.json").write_text('{"name": "m", "description": "", "gains_db": {"piano": -6}}')
    arguments = ["remix", desk.make_song(), "-o", "out.wav", "--preset", "mine.json", "--model", desk.model]
    line = desk.refused(*arguments, here=True)
    assert "piano" in line
    assert "vocals, drums, bass, other" in line


def test_a_fader_that_the_model_lacks(desk):
    tiny = load_model(desk.model)
    values = json.loads(json.dumps(tiny.card.values)) | {"stems": ["vocals", "piano", "bass", "other"]}
    save_model(desk.folder / "piano.onnx", tiny.graph, values)
    line = desk.refused("remix", desk.make_song(), "-o", "out.wav", "--drums", "-6", "--model", "piano.onnx", here=True)
    assert "drums" in line
    assert "vocals, piano, bass, other" in line


@pytest.mark.parametrize("names", ["voice", "vocals,,bass", "", "no_voice", "vocals;bass"])
def test_an_unknown_stem(desk, names):
    arguments = ["separate", desk.make_song(), "-o", "stems", "--stems", names, "--model", desk.model]
    assert "the stems are vocals" in desk.refused(*arguments, here=names != "voice")


@pytest.mark.parametrize("model", ["studio2", "nowhere/net.onnx", "song.wav", ""])
@pytest.mark.parametrize("command", [["remix", "--vocals", "-6", "-o", "out.wav"], ["separate", "-o", "stems"]])
def test_an_unknown_model(desk, command, model):
    desk.refused(*command, desk.make_song(), "--model", model, here=model != "studio2")


def test_a_file_that_is_not_a_model(desk):
    (desk.folder / "net.onnx").write_text("la la la")
    assert "net" in desk.refused("models", "show", "net.onnx", here=True)
    assert "net" in desk.refused("remix", desk.make_song(), "-o", "out.wav", "--vocals", "-6", "--model", "net.onnx")


@pytest.mark.parametrize("gain", ["20.01", "21", "inf", "nan", "-nan", "loud", "", "3dB", "1,5", "--bass"])
def test_a_gain_out_of_range_or_not_a_number(desk, gain):
    arguments = ["remix", desk.make_song(), "-o", "out.wav", "--vocals", gain, "--model", desk.model]
    line = desk.refused(*arguments, here=gain not in ("21", "nan", "loud"))
    assert "--vocals" in line
    assert gain.lstrip("-") in line
    assert "-80 (silence) to +20" in line


def test_a_missing_output_folder(desk):
    line = desk.refused("remix", desk.make_song(), "-o", "no/out.wav", "--vocals=-6", "--model", desk.model)
    assert "the folder no does not exist" in line
    line = desk.refused("separate", desk.make_song(), "-o", "no/stems", "--model", desk.model, here=True)
    assert "the folder no does not exist" in line


@pytest.mark.parametrize("output", ["song.wav/out.wav", "/proc/out.wav", "/proc/self/out.wav"])
def test_an_output_folder_that_takes_no_files(desk, output):
    desk.make_song()
    line = desk.refused(
        "remix", "song.wav", "-o", output, "--vocals=-6", "--model", desk.model, here=output == "/proc/self/out.wav"
    )
    assert os.path.dirname(output) in line
    assert "choose another" in line


@pytest.mark.parametrize("output", ["song.wav", "song.wav/stems", "/proc", "/proc/stems"])
def test_a_folder_of_stems_that_takes_no_files(desk, output):
    desk.make_song()
    assert "another" in desk.refused("separate", "song.wav", "-o", output, "--model", desk.model, here=True)


def test_an_output_that_is_a_folder(desk):
    (desk.folder / "out.wav").mkdir()
    for force in ([], ["--force"]):
        line = desk.refused(
            "remix", desk.make_song(), "-o", "out.wav", *force, "--vocals=-6", "--model", desk.model, here=True
        )
        assert "out.wav is a folder" in line


@pytest.mark.parametrize("output", ["song.wav", "./song.wav", "link.wav", "hard.wav", "here/song.wav"])
def test_the_output_is_the_input(desk, output):
    song = desk.make_song()
    (desk.folder / "link.wav").symlink_to(song)
    (desk.folder / "hard.wav").hardlink_to(song)
    (desk.folder / "here").symlink_to(desk.folder)
    arguments = ["remix", "song.wav", "-o", output, "--vocals=-6", "--model", desk.model]
    line = desk.refused(*arguments, here=output != "song.wav")
    assert "is the song itself; choose another name, or replace the song with --force" in line


def test_a_stem_is_the_input(desk):
    desk.make_song("vocals.wav")
    line = desk.refused("separate", "vocals.wav", "-o", ".", "--force", "--model", desk.model, here=True)
    assert "is the song itself" in line
    result = desk.call("separate", "vocals.wav", "-o", ".", "--model", desk.model)
    assert result.stdout.startswith("wrote vocals/vocals.wav, ")


def test_an_output_that_exists(desk):
    (desk.folder / "out.wav").write_text("old")
    assert "--force" in desk.refused(
        "remix", desk.make_song(), "-o", "out.wav", "--vocals", "-6", "--model", desk.model
    )


@pytest.mark.parametrize("output", ["out", "out.aac", "out.wav.bak", "out."])
def test_an_output_format_that_cannot_be_written(desk, output):
    line = desk.refused("remix", desk.make_song(), "-o", output, "--vocals=-6", "--model", desk.model, here=True)
    assert output in line
    assert ".flac" in line


@pytest.mark.parametrize(
    "arguments",
    [
        ["remix"],
        ["remix", "song.wav"],
        ["remix", "song.wav", "-o"],
        ["remix", "song.wav", "other.wav", "-o", "out.wav"],
        ["remix", "song.wav", "-o", "out.wav", "--threads", "0"],
        ["remix", "song.wav", "-o", "out.wav", "--threads", "many"],
        ["remix", "song.wav", "-o", "out.wav", "--bits", "20"],
        ["remix", "song.wav", "-o", "out.wav", "--bitrate", "192"],
        ["remix", "song.wav", "-o", "out.mp3", "--bitrate", "192", "--encoding-quality", "5"],
        ["remix", "song.wav", "-o", "out.mp3", "--bitrate", "fast"],
        ["remix", "song.wav", "-o", "out.opus", "--bitrate", "4000"],
        ["separate", "song.wav", "-o", "stems", "--encoding-quality", "5"],
        ["separate", "song.wav", "-o", "stems", "--format", "m4a", "--encoding-quality", "11"],
        ["remix", "song.wav", "-o", "out.wav", "--piano", "3"],
        ["separate", "song.wav", "-o", "stems", "--format", "aac"],
        ["separate", "song.wav", "-o", ""],
        ["remix", "song.wav", "-o", ""],
        ["vst3", "install", "--name", ""],
        ["vst3", "list", "--dir", "song.wav"],
        ["seperate", "song.wav"],
        ["--nonsense"],
        ["models", "show", "nonsense"],
    ],
)
def test_wrong_usage(desk, arguments):
    desk.make_song()
    desk.refused(*arguments, here=len(arguments) != 1)


def test_the_quality_of_a_file_given_as_that_of_a_network(desk):
    line = desk.refused("remix", desk.make_song(), "-o", "out.mp3", "--vocals=-6", "--quality", "5", here=True)
    assert "'fast', 'normal', 'best'" in line
    assert "--encoding-quality" in line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["remix", "song.wav", "--automation=", "-o", "out.wav"], "--automation is empty; name a file"),
        (["remix", "song.wav", "--vocals=-6", "-o", ""], "--output is empty; name a file"),
        (["remix", "", "--vocals=-6"], "SONG is empty; name a song"),
        (["remix", "song.wav", "", "--vocals=-6", "-o", "out"], "SONG is empty; name a song"),
        (["separate", "--recipe", ""], "--recipe is empty; name a file"),
        (["remix", ".", "--vocals=-6", "--report", ""], "--report is empty; name a file"),
        (["separate", "song.wav", "--output="], "--output is empty; name a folder"),
        (["inspect", ""], "SONG is empty; name a song"),
        (["live", "song.wav", "--output", "none", "--record-moves", ""], "--record-moves is empty; name a file"),
        (["live", "song.wav", "--output", "none", "--midi", ""], "--midi is empty; name a MIDI port"),
        (["midi", "monitor", ""], "PORT is empty; name a MIDI port"),
        (["evaluate", "--data", ""], "--data is empty; name a folder"),
        (["midi", "learn", "-o", ""], "--output is empty; name a file"),
        (["models", "import", ""], "FILE is empty; name a file"),
        (["karaoke", "-dash.wav"], "No such option: -d; for the file -dash.wav, write ./-dash.wav"),
        (["karaoke", "-dish.wav"], "No such option: -d; see stembridge karaoke --help"),
        (["remix", "dangling.wav", "--vocals=-6"], "dangling.wav cannot be read: it is a link to a file that does not"),
        (["remix", "song.wav", "--automation", "dangling.csv"], "dangling.csv cannot be read: it is a link to a file"),
        (
            ["remix", "song.wav", "--automation", "gone.csv"],
            "gone.csv cannot be read: No such file or directory; check",
        ),
        (["remix", f"{'a' * 300}.wav", "--vocals=-6"], "File name too long; give a shorter name"),
        (["remix", "song.wav", "--vocals=-6", "-o", f"{'a' * 300}.wav"], "File name too long"),
        (["remix", "song.wav", "--vocals=3", "--gain", "vocals=4"], "--gain vocals=4: vocals was given 3 dB already"),
        (["remix", "--recipe", "gone.toml"], "gone.toml cannot be read: No such file or directory; check the name"),
        (
            ["remix", "--recipe", "night.toml", "song.wav"],
            "with recipe night.toml: unknown stem 'piano'; the stems are",
        ),
    ],
)
def test_the_line_names_the_thing_and_a_remedy(desk, arguments, says):
    desk.make_song()
    desk.make_song("-dash.wav")
    for name in "dangling.wav", "dangling.csv":
        (desk.folder / name).symlink_to("nowhere")
    (desk.folder / "night.toml").write_text("gains_db = { piano = -6 }\n")
    assert says in desk.refused(*arguments, here=True)


def test_an_output_folder_that_is_a_link_to_a_missing_one_is_made(desk):
    (desk.folder / "link").symlink_to("made")
    arguments = ["remix", desk.make_song(), "-o", "link/", "--vocals=-6", "--model", desk.model]
    assert desk.call(*arguments).returncode == 0
    assert (desk.folder / "made" / "song (vocals -6 dB).wav").exists()


def limit_file_size(size):
    """Limit the size of files, so that writes fail half-way, as on a full disk."""

    def prepare():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return prepare


@pytest.mark.parametrize(
    ("command", "size"),
    [
        (["remix", "--vocals", "-6", "-o", "out.wav"], 0),
        (["remix", "--vocals", "-6", "-o", "out.wav"], 100),
        (["remix", "--vocals", "-6", "-o", "out.wav"], 200_000),
        (["remix", "--vocals", "-6", "-o", "out.mp3"], 200_000),
        (["separate", "-o", "stems"], 0),
        (["separate", "-o", "stems"], 200_000),
    ],
)
def test_a_disk_that_is_full_half_way(desk, command, size):
    song = desk.make_song(seconds=2)
    line = desk.refused(*command, song, "--model", desk.model, prepare=limit_file_size(size))
    assert "cannot write" in line
    assert "make room" in line


def test_a_disk_that_is_full_at_the_very_end(desk):
    """All samples are written, but the cover art is not."""
    song = desk.make_song("song.flac")
    cover = Picture()
    cover.data, cover.mime, cover.type = b"\xff\xd8" + bytes(400_000), "image/jpeg", 3
    tags = FLAC(song)
    tags.add_picture(cover)
    tags["title"] = "Nachtfalter"
    tags.save()
    samples = 22_050 * 2 * 4
    line = desk.refused(
        "remix",
        song,
        "-o",
        "out.wav",
        "--vocals",
        "-6",
        "--model",
        desk.model,
        prepare=limit_file_size(samples + 50_000),
    )
    assert "cannot write" in line


@pytest.mark.parametrize("name", ["song.wav", "song.aiff", "song.flac", "song.mp3", "song.ogg"])
def test_the_readable_part_of_a_truncated_file_is_rendered_with_one_warning(desk, name):
    song = desk.make_song(name, seconds=4)
    whole = song.read_bytes()
    song.write_bytes(whole[: 6 * len(whole) // 10])
    result = desk.run("remix", name, "-o", "out.wav", "--vocals", "-6", "--model", desk.model)
    assert result.returncode == 0, result.stderr
    assert result.stderr.startswith("stembridge: warning: ")
    assert name in result.stderr
    assert result.stderr.count("\n") == 1
    seconds = soundfile.info(desk.folder / "out.wav").duration
    assert 2 < seconds < 3
    assert set(desk.files()) == {name, "out.wav"}


@pytest.mark.parametrize("command", ["remix", "separate", "inspect"])
@pytest.mark.parametrize("is_truncated", [False, True])
def test_a_file_name_cannot_control_the_terminal(desk, command, is_truncated):
    song = desk.make_song("\x1b[31mred.wav", seconds=2)
    content = song.read_bytes()
    song.write_bytes(content[: len(content) // 2] if is_truncated else b"")
    gains = ["--vocals", "-6"] if command == "remix" else []
    output = "out.wav" if command == "remix" else "out/"
    result = desk.call(command, song.name, *gains, "-o", output, "--model", desk.model)
    assert result.returncode == (0 if is_truncated else 2)
    assert result.stderr.startswith(f"stembridge: {'warning: ' if is_truncated else ''}")
    assert r"\x1b[31mred.wav" in result.stderr
    assert "\x1b" not in result.stderr + result.stdout


@pytest.mark.parametrize(
    "arguments", [["presets", "show"], ["models", "show"], ["remix", "song.wav", "-o", "out.wav", "--automation"]]
)
def test_memory_that_runs_out(desk, arguments):
    desk.make_song()
    name = {"presets": "huge.json", "models": "huge.onnx", "remix": "huge.csv"}[arguments[0]]
    shutil.copy(Path(desk.model).with_suffix(".json"), desk.folder / "huge.json")  # an .onnx has a card
    (desk.folder / name).touch()
    os.truncate(desk.folder / name, 1 << 34)  # takes no room on the disk

    def prepare():
        resource.setrlimit(resource.RLIMIT_AS, (1 << 32, 1 << 32))

    result = desk.run(*arguments, name, prepare=prepare)
    assert (result.returncode, result.stdout) == (2, ""), result.stderr
    assert result.stderr.startswith("stembridge: memory ran out while working on ")
    assert f"{name}; close other programs" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["remix", "song.wav", "-o", "out.wav"],
        ["remix", "a.wav", "-o", "out/", "--vocals=-6"],
        ["remix", ".", "-o", "out/", "--vocals=-6"],
        ["remix", "SONG", "-o", "out.wav"],
        ["separate", "SONG", "-o", "stems"],
        ["train", "--data", "x", "--minutes", "1"],
    ],
)
def test_a_deleted_current_folder(desk, arguments):
    (desk.folder / "gone").mkdir()
    arguments = [str(desk.folder / "song.wav") if argument == "SONG" else argument for argument in arguments]
    call = f"import os, sys; os.rmdir(os.getcwd()); from stembridge.cli import main; sys.exit(main({arguments}))"
    done = subprocess.run([sys.executable, "-c", call], cwd=desk.folder / "gone", capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(" the current folder has been deleted: change to another (cd)\n")
    assert done.stderr.count("\n") == 1
    assert "None" not in done.stderr


@pytest.mark.parametrize(
    ("module", "url", "says"),
    [
        (
            "aiohttp",
            "https://example.org/song.wav",
            "https:// needs aiohttp, which is not installed: pip install aiohttp",
        ),
        ("s3fs", "s3://bucket/song.wav", "s3:// needs s3fs, which is not installed: pip install s3fs"),
        ("gcsfs", "gs://bucket/song.wav", "gs:// needs gcsfs, which is not installed: pip install gcsfs"),
        (None, "foo://bucket/song.wav", "foo:// is unknown to fsspec; give a path, or a URL such as https://"),
    ],
)
def test_a_url_that_cannot_be_opened_here(desk, monkeypatch, module, url, says):
    if module:
        monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
        monkeypatch.delitem(sys.modules, "fsspec.implementations.http", raising=False)
    assert f"{url}: {says}" in desk.refused("remix", url, "-o", "out/", "--vocals=-6", "--model", desk.model, here=True)


def test_stdout_that_is_full(desk):
    with open("/dev/full", "w") as full:
        result = desk.run("presets", stdout=full)
    assert result.returncode == 1
    assert result.stderr.startswith("stembridge: standard output cannot be written: No space left on device; send it")
    assert result.stderr.count("\n") == 1


def test_a_remix_is_whole_if_only_the_line_about_it_cannot_be_written(desk):
    with open("/dev/full", "w") as full:
        arguments = ["remix", desk.make_song(), "-o", "out.wav", "--vocals=-6", "--model", desk.model]
        result = desk.run(*arguments, stdout=full)
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "Files that were written are whole" in result.stderr
    assert soundfile.info(desk.folder / "out.wav").frames == 22_050


def test_stdout_that_is_full_during_a_batch(desk):
    songs = desk.make_song("a.wav"), desk.make_song("b.wav")
    with open("/dev/full", "w") as full:
        result = desk.run("remix", *songs, "-o", "out/", "--vocals=-6", "--model", desk.model, stdout=full)
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "standard output cannot be written: No space left on device; send it somewhere else" in result.stderr


def test_stdout_whose_reader_has_closed(desk):
    process = desk.start("presets")
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) != 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--stream", "x"], "'x' is not a whole number"),
        (["--stream", "0"], "0 is too small; give 1 or more"),
        (["--jobs", "0"], "0 is too small; give 1 or more"),
        (["--threads", "many"], "'many' is not a whole number"),
    ],
)
def test_a_bad_number_is_named_with_what_to_give(desk, arguments, says):
    assert says in desk.refused("remix", desk.make_song(), "--vocals=-6", *arguments, here=True)
