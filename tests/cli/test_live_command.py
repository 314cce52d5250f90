"""`stembridge live`: from a song or a device to a file, without a screen and in a terminal."""

import fcntl
import os
import pty
import re
import select
import shutil
import signal
import sys
import termios
import time
from pathlib import Path

import mido
import numpy as np
import psutil
import pytest
import soundfile
from stembridge import StemProcessor
from stembridge.control import Automation

OPTION = re.compile(r"--[a-z][a-z-]*").findall
HEADLESS = "--no-ui", "--driver", "null"


def read_until(process, said):
    """Read stdout up to a line that contains the text."""
    for line in process.stdout:
        if said in line:
            return line
    raise AssertionError(process.communicate())


def test_a_song_into_a_file(desk):
    song = desk.make_song(subtype="FLOAT")
    done = desk.run(
        "live", "-i", song, "-o", "out.wav", "--vocals", -80, "--seconds", 0.8, "--model", desk.model, *HEADLESS
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        done.stdout.splitlines()[0] == f"{song} to out.wav: 44100 Hz, latency 512 + 256 samples, 17.4 ms; Ctrl-C ends"
    )
    assert re.fullmatch(r"played 0.8 s, \d+ of 138 blocks late; wrote out.wav", done.stdout.splitlines()[1])
    audio = np.tile(soundfile.read(song, dtype="float32")[0].T, 2)[:, :35280]
    sound = soundfile.read(desk.folder / "out.wav", dtype="float32")[0].T
    expected = StemProcessor(desk.model, gains_db={"vocals": -80}).process(audio)
    assert np.abs(sound - expected).max() <= 1e-6
    assert sorted(desk.files()) == ["out.wav", "song.wav"]


def test_songs_and_playlists_play_one_after_another(desk):
    first = desk.make_song("first.wav", subtype="FLOAT")
    second = desk.make_song("second.wav", subtype="FLOAT")
    (desk.folder / "list.pls").write_text("[playlist]\nFile1=second.wav\nFile2=gone.wav\n")
    audio = [soundfile.read(song, dtype="float32")[0].T for song in (first, second)]
    seconds = (audio[0].shape[1] + audio[1].shape[1] // 2) / 44100
    done = desk.run("live", first, "list.pls", "-o", "out.wav", "--seconds", seconds, "--model", desk.model, *HEADLESS)
    assert done.stderr == "stembridge: list.pls, line 3: gone.wav: no such file\n"
    said = done.stdout.splitlines()
    assert said[0].startswith(f"{first} and 1 more to out.wav: 44100 Hz")
    assert said[1] == "song 2 of 2: second.wav"
    sound = soundfile.read(desk.folder / "out.wav", dtype="float32")[0].T
    expected = StemProcessor(desk.model).process(np.concatenate(audio, axis=1)[:, : sound.shape[1]])
    assert np.abs(sound - expected).max() <= 1e-6


def test_a_signal_ends_it_and_keeps_the_recording(desk):
    process = desk.start(
        *("live", "-i", "none", "-o", "out.wav", "--record-moves", "take.csv", "--drums", -6),
        *("--preset", "karaoke", "--model", desk.model, *HEADLESS),
    )
    read_until(process, "Ctrl-C ends")
    children = psutil.Process(process.pid).children()
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (143, "stembridge: terminated\n")
    assert re.search(r"late; wrote out.wav, take.csv\n$", out)
    assert soundfile.info(desk.folder / "out.wav").frames % 256 == 0
    moves = Automation.from_csv(desk.folder / "take.csv")
    assert {(point.stem, point.gain_db) for point in moves.points if point.gain_db} == {("vocals", -80), ("drums", -6)}
    assert sorted(desk.files()) == ["out.wav", "take.csv"]
    assert not psutil.wait_procs(children, 30)[1]


def test_a_lost_recording_is_reported_even_after_a_signal(desk):
    (desk.folder / "takes").mkdir()
    process = desk.start("live", "-i", "none", "-o", "takes/out.wav", "--model", desk.model, *HEADLESS)
    read_until(process, "Ctrl-C ends")
    shutil.rmtree(desk.folder / "takes")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    lost, ended = err.splitlines()
    assert lost.startswith("stembridge: takes/out.wav cannot be written: No such file or directory; make room")
    assert lost.endswith("the recording was discarded")
    assert (process.returncode, ended) == (143, "stembridge: terminated")
    assert "wrote" not in out


@pytest.mark.parametrize("output", ["takes/out.wav", "out.wav"])
def test_moves_that_cannot_be_kept_hide_nothing(desk, output):
    (desk.folder / "takes").mkdir()
    process = desk.start(
        *("live", "-i", "none", "-o", output, "--record-moves", "takes/take.csv", "--seconds", 1),
        *("--model", desk.model, *HEADLESS),
    )
    read_until(process, "Ctrl-C ends")
    shutil.rmtree(desk.folder / "takes")
    out, err = process.communicate(timeout=60)
    moves, *sound = err.splitlines()
    assert process.returncode == 2
    assert moves.startswith("stembridge: takes/take.csv cannot be written: No such file or directory")
    if output == "out.wav":
        assert (sound, out.endswith("blocks late; wrote out.wav\n")) == ([], True)
    else:
        assert [line.startswith("stembridge: takes/out.wav cannot be written: ") for line in sound] == [True]


def test_a_controller_moves_the_faders_and_its_moves_are_kept(desk, midi_device):
    process = desk.start(
        *("live", "-i", "none", "-o", "none", "--midi", midi_device.name, "--record-moves", "take.mid"),
        *("--drums", -80, "--seconds", 60, "--model", desk.model, *HEADLESS),
    )
    read_until(process, "Ctrl-C ends")
    for value in range(31):  # the first ones may come before the sound starts, and are kept at its start
        midi_device.send(mido.Message("control_change", control=16, value=value))
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "stembridge: interrupted\n")
    moves = [m for m in mido.MidiFile(desk.folder / "take.mid") if m.type == "control_change"]
    at = np.cumsum([m.time for m in moves])
    assert {(m.control, m.value) for m, seconds in zip(moves, at, strict=True) if seconds == 0} >= {(17, 0)}
    later = [(m.control, m.value) for m, seconds in zip(moves, at, strict=True) if seconds > 0]
    assert {control for control, _ in later} == {16}
    assert later[-1][1] == 30


def test_the_devices(desk):
    done = desk.call("live", "--devices", "--driver", "null")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "through Null:"
    assert re.search(r"NULL Capture Device +yes", done.stdout)
    assert re.search(r"NULL Playback Device +yes", done.stdout)


@pytest.mark.parametrize("arguments", [["--devices"], [], ["song.wav"], ["song.wav", "-o", "out.wave"]])
def test_devices_without_miniaudio(desk, monkeypatch, arguments):
    desk.make_song()
    monkeypatch.setitem(sys.modules, "miniaudio", None)
    said = desk.refused("live", *arguments, "--no-ui", "--model", desk.model, here=True)
    assert "devices need miniaudio" in said
    assert "pip install '.[live]'" in said
    assert "`none` or a file (.wav, .flac, .mp3, .ogg)" in said
    without = "live", "song.wav", "-o", "none", "--seconds", 0.1, "--no-ui", "--model", desk.model
    assert desk.call(*without).returncode == 0


def test_a_mixer_needs_a_terminal(desk):
    assert "--no-ui" in desk.refused("live", "-i", "none", "-o", "none")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-i", "nowhere.wav"], "nowhere.wav: no such file"),
        (["-i", "tuba"], "'tuba' is neither an input device nor an existing file"),
        (["-o", "tuba"], "'tuba' is neither an output device nor a file name that ends in .wav, .flac, .mp3, .ogg"),
        (["-o", "song.wav"], "song.wav exists already"),
        (["-i", ""], "the input is empty"),
        (["--seconds", "inf"], "inf seconds cannot be played; give more than 0, or leave it out"),
        (["-o", "nowhere/out.wav"], "the folder nowhere does not exist; make it first"),
        (["--record-moves", "/sys/take.csv"], "cannot write in the folder /sys: "),
        (["--record-moves", "song.wav"], "song.wav: moves are recorded to a .csv or .mid file; rename it"),
        (["--record-moves", "take.txt"], "take.txt: moves are recorded to a .csv or .mid file; rename it"),
        (["--map", "nokia"], "nokia"),
        (["--midi", "localhost:1", "--map", "general"], "localhost:1"),
        (["--vocals", "loud"], "--vocals"),
        (["--model", "studio"], "is for files only"),
        (["--block", "1"], "--block"),
        (["-i", "tuba", "--driver", "tape"], "unknown driver 'tape'"),
        (["-i", "none", "-o", "none", "--driver", "tape"], "unknown driver 'tape'"),
    ],
)
def test_impossible_options_are_refused(desk, arguments, said):
    desk.make_song()
    defaults = {"-i": "none", "-o": "none", "--model": desk.model, "--seconds": 5}
    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    flat = [text for pair in (defaults | given).items() for text in pair]
    driver = [] if "--driver" in given else ["--driver", "null"]
    assert said in desk.refused("live", *flat, *driver, "--no-ui", here=True)


def test_songs_that_cannot_play(desk):
    song = desk.make_song()
    rest = "-o", "none", "--model", desk.model, *HEADLESS
    assert "songs and --input none cannot both play" in desk.refused("live", song, "-i", "none", *rest)
    assert "gone.wav: no such file" in desk.refused("live", song, "gone.wav", *rest)
    assert "gone.m3u: No such file or directory" in desk.refused("live", "gone.m3u", *rest)
    assert "tuba: no such file" in desk.refused("live", "tuba", *rest)
    (desk.folder / "folder").mkdir()
    assert "folder: is a folder; name the songs in it" in desk.refused("live", "folder", *rest)


def test_the_song_is_not_recorded_over_even_by_force(desk):
    song = desk.make_song()
    before = (desk.folder / "song.wav").read_bytes()
    said = desk.refused("live", "-i", song, "-o", "./song.wav", "--force", "--model", desk.model, *HEADLESS)
    assert "song.wav is the song itself" in said
    assert (desk.folder / "song.wav").read_bytes() == before


def test_a_missing_port_loses_no_earlier_take(desk):
    song = desk.make_song()
    (desk.folder / "take.wav").write_bytes(b"precious")
    arguments = "-i", song, "-o", "take.wav", "--force", "--record-moves", "take.csv", "--midi", "localhost:1"
    assert "localhost:1" in desk.refused("live", *arguments, "--model", desk.model, *HEADLESS)
    assert (desk.folder / "take.wav").read_bytes() == b"precious"
    assert not (desk.folder / "take.csv").exists()


class Terminal:
    """A terminal of 80 by 24 that runs the command."""

    def __init__(self, desk, *arguments):
        self.screen = b""
        self._ours, theirs = pty.openpty()
        os.environ.setdefault("TERM", "xterm-256color")
        streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
        self.process = desk.start(*arguments, prepare=self._take_it, start_new_session=True, **streams)
        os.close(theirs)

    @staticmethod
    def _take_it():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def wait_for(self, text):
        """Read until the program has written the text."""
        deadline = time.monotonic() + 60
        while text not in self.screen:
            assert time.monotonic() < deadline, self.screen[-2000:]
            if not self._read():
                raise AssertionError(self.screen[-2000:])

    def type(self, text):
        """Press keys."""
        os.write(self._ours, text)

    def close(self):
        """Close the window."""
        os.close(self._ours)

    def end(self):
        """Read to the end; return the exit code."""
        while self._read():
            pass
        return self.process.wait(60)

    def _read(self):
        if not select.select([self._ours], [], [], 60)[0]:
            return False
        try:
            new = os.read(self._ours, 65536)
        except OSError:  # Linux reports a closed terminal like this
            return False
        self.screen += new
        return bool(new)


LEFT = b"\x1b[?1049l"  # the terminal is back on its own screen


@pytest.mark.parametrize(("how", "code"), [("Ctrl-C", 0), (signal.SIGTERM, 143)])
def test_the_mixer_in_a_terminal(desk, how, code):
    song = desk.make_song()
    terminal = Terminal(desk, "live", "-i", song, "-o", "out.wav", "--seconds", 100, "--model", desk.model)
    terminal.wait_for(b"LATENCY")
    if how == "Ctrl-C":
        terminal.type(b"\x03")
    else:
        terminal.process.send_signal(how)
    assert terminal.end() == code
    assert LEFT in terminal.screen
    assert b"wrote out.wav" in terminal.screen[terminal.screen.index(LEFT) :]
    assert b"Traceback" not in terminal.screen
    assert soundfile.info(desk.folder / "out.wav").frames > 0


def test_the_window_is_closed(desk):
    terminal = Terminal(desk, "live", "-i", "none", "-o", "out.wav", "--record-moves", "t.csv", "--model", desk.model)
    terminal.wait_for(b"LATENCY")
    terminal.close()
    assert terminal.process.wait(60) == 129
    assert sorted(desk.files()) == ["out.wav", "t.csv"]


def test_the_page_names_all_there_is(desk):
    page = (Path(__file__).parents[2] / "docs" / "live.md").read_text("utf-8")
    commands = re.findall(r"^    stembridge live(.*?)(?:#.*)?$", page, re.MULTILINE)
    assert len(commands) >= 5
    named = {
        option for text in [*commands, *re.findall(r"^\| `(-.*?) \|", page, re.MULTILINE)] for option in OPTION(text)
    }
    assert named > {"--record-moves", "--no-ui", "--devices"}
    assert named <= set(OPTION(desk.call("live", "--help").stdout))
    compile(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1], "docs/live.md", "exec")
