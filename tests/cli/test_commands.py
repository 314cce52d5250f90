"""The commands with correct input."""

import json
import os
from importlib.metadata import entry_points
from typing import get_args

import av
import numpy as np
import pytest
import soundfile
from stembridge import __version__
from stembridge.audio.containers import CONTAINERS
from stembridge.engine import remix
from stembridge.models import shipped_models
from stembridge.presets import preset_names, read_preset
from stembridge.render.settings import Format

STEMS = ("vocals", "drums", "bass", "other")


def read(path):
    return soundfile.read(path, dtype="float32", always_2d=True)[0].T


def test_remix_moves_the_faders(desk):
    song = desk.make_song()
    result = desk.run("remix", song, "-o", "out.wav", "--vocals", "-80", "--other=+3", "--model", desk.model)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.count("\n") == 1
    assert "out.wav" in result.stdout
    assert "0:00.5" in result.stdout
    assert "times real time" in result.stdout
    expected = remix(read(song), 44100, {"vocals": -80, "other": 3}, desk.model)
    np.testing.assert_allclose(read(desk.folder / "out.wav"), expected, rtol=0, atol=2**-15)


@pytest.mark.parametrize("silence", ["-80", "-inf", "-1000"])
def test_silence_has_many_names(desk, silence):
    faders = [f"--{stem}={silence}" for stem in STEMS]
    assert desk.call("remix", desk.make_song(), "-o", "out.wav", *faders, "--model", desk.model).returncode == 0
    assert not read(desk.folder / "out.wav").any()


def test_a_fader_overrides_the_preset(desk):
    song = desk.make_song()
    (desk.folder / "mine.json").write_text('{"name": "m", "description": "", "gains_db": {"vocals": -6, "bass": -80}}')
    result = desk.call(
        "remix", song, "-o", "out.wav", "--preset", "mine.json", "--vocals", "-12", "--model", desk.model
    )
    assert result.returncode == 0, result.stderr
    expected = remix(read(song), 44100, {"vocals": -12, "bass": -80}, desk.model)
    np.testing.assert_allclose(read(desk.folder / "out.wav"), expected, rtol=0, atol=2**-15)


def test_a_preset_by_name(desk):
    song = desk.make_song()
    assert desk.call("remix", song, "-o", "out.wav", "--preset", "acapella", "--model", desk.model).returncode == 0
    expected = remix(read(song), 44100, read_preset("acapella").gains_db, desk.model)
    np.testing.assert_allclose(read(desk.folder / "out.wav"), expected, rtol=0, atol=2**-15)


def test_bits_normalize_threads_and_force(desk):
    (desk.folder / "out.wav").write_text("old")
    options = ["--bits", "24", "--normalize", "--threads", "2", "--force"]
    result = desk.call("remix", desk.make_song(), "-o", "out.wav", *options, "--model", desk.model)
    assert (result.returncode, result.stderr) == (0, "")
    assert soundfile.info(desk.folder / "out.wav").subtype == "PCM_24"
    assert np.abs(read(desk.folder / "out.wav")).max() == pytest.approx(10 ** (-1 / 20), abs=1e-6)


def test_separate_writes_a_file_per_stem(desk):
    song = desk.make_song()
    result = desk.run("separate", song, "-o", "stems", "--model", desk.model)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.count("\n") == 1
    assert sorted(path.name for path in (desk.folder / "stems").iterdir()) == sorted(f"{stem}.wav" for stem in STEMS)
    total = sum(read(desk.folder / "stems" / f"{stem}.wav") for stem in STEMS)
    np.testing.assert_allclose(total, read(song), rtol=0, atol=4 * 2**-15)


def test_separate_some_stems_in_another_format(desk):
    song = desk.make_song()
    result = desk.call(
        "separate", song, "-o", ".", "--stems", "vocals, no_vocals", "--format", "flac", "--model", desk.model
    )
    assert (result.returncode, result.stderr) == (0, "")
    total = read(desk.folder / "vocals.flac") + read(desk.folder / "no_vocals.flac")
    np.testing.assert_allclose(total, read(song), rtol=0, atol=2 * 2**-15)
    assert len(desk.files()) == 3


def test_the_size_of_lossy_files(desk):
    song = desk.make_song(seconds=2)
    for target, *options in [
        ("small.mp3", "--bitrate", "64"),
        ("large.mp3", "--bitrate", "256"),
        ("poor.ogg", "--encoding-quality", "0"),
        ("fine.ogg", "--encoding-quality", "9.5"),
    ]:
        assert desk.call("remix", song, "-o", target, "--vocals=-6", *options, "--model", desk.model).returncode == 0
    sizes = {path.name: path.stat().st_size for path in desk.folder.iterdir()}
    assert sizes["small.mp3"] == pytest.approx(16000, rel=0.1)
    assert sizes["large.mp3"] == pytest.approx(64000, rel=0.1)
    assert 2 * sizes["poor.ogg"] < sizes["fine.ogg"]


def test_an_instrumental(desk):
    stems = "--stems", "instrumental,vocals", "--format", "opus", "--bitrate", "96"
    result = desk.call("separate", desk.make_song(), "-o", "stems", *stems, "--model", desk.model)
    assert result.returncode == 0
    assert result.stderr.count("\n") == 1
    assert "resampled to 48000 Hz" in result.stderr
    assert sorted(path.name for path in (desk.folder / "stems").iterdir()) == ["instrumental.opus", "vocals.opus"]


def test_format_accepts_exactly_the_formats_that_can_be_written():
    assert [f".{format}" for format in get_args(Format)] == list(CONTAINERS)


def test_a_remix_that_would_clip_gives_one_warning(desk):
    result = desk.run("remix", desk.make_song(), "-o", "out.wav", *(f"--{s}=20" for s in STEMS), "--model", desk.model)
    assert result.returncode == 0
    assert result.stderr.startswith("stembridge: warning: turned down by ")
    assert result.stderr.count("\n") == 1


def test_presets_are_listed(desk):
    result = desk.run("presets")
    assert (result.returncode, result.stderr) == (0, "")
    for name in preset_names():
        (line,) = (line for line in result.stdout.splitlines() if line.startswith(f"{name} "))
        assert read_preset(name).description in line


def test_models_are_listed_and_a_card_is_printed(desk):
    result = desk.call("models")
    assert (result.returncode, result.stderr) == (0, "")
    assert "latency" in result.stdout
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    listed = json.loads(desk.call("models", "--json").stdout)
    shipped = [row for row in listed if row["name"] in shipped_models()]
    assert len(shipped) == 3
    for row in shipped:
        (line,) = (line for line in lines if line.startswith(row["name"]))
        for stem, score in row["sdr_db"].items():
            assert f"{stem} {score:.1f}" in line
        assert "non-commercial" in row["terms"]
    result = desk.call("models", "show", desk.model)
    card = json.loads(result.stdout)
    assert card["name"] == "tiny_live"
    assert card["stems"] == list(STEMS)


def test_version(desk):
    assert desk.run("--version").stdout == f"stembridge {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [[], ["--help"], ["remix", "--help"], ["separate", "--help"], ["models", "--help"]]
)
def test_help(desk, arguments):
    result = desk.run(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert "Usage" in result.stdout


def test_the_installed_command_is_this_one():
    from stembridge.cli import main

    (command,) = entry_points(group="console_scripts", name="stembridge")
    assert command.load() is main


def test_in_a_terminal_a_bar_shows_the_time_left(desk):
    """Use a pseudo-terminal."""
    song = desk.make_song(seconds=20)
    shown, out = desk.in_terminal("remix", song, "-o", "out.wav", "--vocals", "-6", "--model", desk.model)
    assert "out.wav" in out
    assert "rendering" in shown
    assert "%" in shown


def test_names_of_any_kind(desk):
    song = desk.make_song("Beyoncé: “Halo”  (live).wav")
    result = desk.run("remix", song.name, "-o", "-strange [bold] 名前.flac", "--vocals=-6", "--model", desk.model)
    assert (result.returncode, result.stderr) == (0, "")
    assert "-strange [bold] 名前.flac" in result.stdout
    assert (desk.folder / "-strange [bold] 名前.flac").exists()


def test_a_name_that_is_not_text(desk):
    song = desk.make_song()
    broken = os.fsdecode(b"caf\xe9.wav")
    os.rename(song, desk.folder / broken)
    result = desk.run("remix", broken, "-o", os.fsdecode(b"\xe9.wav"), "--vocals=-6", "--model", desk.model)
    assert (result.returncode, result.stderr) == (0, "")
    assert os.path.exists(desk.folder / os.fsdecode(b"\xe9.wav"))


def test_a_stream_of_a_file_is_chosen_by_each_command(desk):
    """The first stream is silent, so the output shows which stream was read."""
    path = desk.folder / "two.mka"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("pcm_s16le", rate=44100, layout="mono") for _ in range(2)]
        for stream, level in zip(streams, (0, 8000), strict=True):
            frame = av.AudioFrame.from_ndarray(np.full((1, 22050), level, np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = 44100, 0
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    one = desk.call("remix", path, "-o", "one.wav", "--vocals=-6", "--model", desk.model)
    assert (one.returncode, "stream 1 is used; choose another with --stream" in one.stderr) == (0, True), one.stderr
    two = desk.call("remix", path, "-o", "two.wav", "--stream", 2, "--vocals=-6", "--model", desk.model)
    assert (two.returncode, two.stderr) == (0, "")
    assert [read(desk.folder / name).any() for name in ("one.wav", "two.wav")] == [False, True]
    assert desk.call("separate", path, "-o", "stems", "--stream", 2, "--model", desk.model).returncode == 0
    assert sum(read(wav) for wav in (desk.folder / "stems").iterdir()).any()
    options = "--stream", 2, "--format=wav", "--vocals=-6", "--jobs=1", "--model", desk.model
    assert desk.call("remix", path, "-o", "many/", *options).returncode == 0
    assert read(desk.folder / "many" / "two (vocals -6 dB).wav").any()
    live = "live", "-i", path, "--no-ui", "--seconds", "0.1", "--model", desk.model
    assert desk.run(*live, "-o", "live.wav", "--stream", 2).returncode == 0
    assert read(desk.folder / "live.wav").any()
    for command in (["remix", path, "-o", "x.wav"], ["inspect", path, "-o", "x.png"], ["live", "-i", path, "--no-ui"]):
        wrong = desk.call(*command, "--stream", 3, "--model", desk.model)
        assert wrong.returncode == 2
        assert "two.mka has no audio stream 3; choose from 1 (pcm_s16le, 1 channel), 2 (" in wrong.stderr
        assert wrong.stderr.count("\n") == 1
