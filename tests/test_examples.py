"""The examples run, and do what they say."""

import contextlib
import os
import runpy
import subprocess
import sys
import threading
import time
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from pedalboard import Compressor, Pedalboard, Reverb
from pedalboard.io import AudioFile
from stembridge import StemMix, StemProcessor, remix

EXAMPLES = Path(__file__).parents[1] / "examples"
TOLERANCE = 2 / 32768  # of 16-bit files


@pytest.fixture
def run(tmp_path):
    """Return a function that runs an example on audio, (channels, n), in a file, and gives the audio and the result."""

    def run(name, audio, rate=44100, said=""):
        with AudioFile(str(tmp_path / "in.wav"), "w", rate, len(audio)) as file:
            file.write(audio)
        command = [sys.executable, EXAMPLES / name, tmp_path / "in.wav", tmp_path / "out.wav"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout == ""
        assert all(said in line for line in done.stderr.splitlines()) if said else not done.stderr
        with AudioFile(str(tmp_path / "in.wav")) as before, AudioFile(str(tmp_path / "out.wav")) as after:
            assert after.samplerate == rate
            return before.read(before.frames), after.read(after.frames)

    return run


@pytest.mark.parametrize("channels", [1, 2])
def test_tremolo(run, noise, channels):
    audio, out = run("tremolo.py", noise(channels, 20000))
    tremolo = runpy.run_path(str(EXAMPLES / "tremolo.py"))["Tremolo"](44100)
    tremolo.depth, tremolo.rate_hz = 0.8, 4.0
    tremolo.reset()
    expected = Reverb(room_size=0.2)(tremolo.process(audio).astype(np.float32), 44100)
    np.testing.assert_allclose(out, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(("rate", "channels", "length"), [(44100, 2, 100000), (22050, 1, 30000), (48000, 2, 100)])
def test_board(run, noise, rate, channels, length):
    audio, out = run("board.py", noise(channels, length), rate)
    board = Pedalboard([Compressor(), StemMix(vocals_db=-80, drums_db=3), Reverb(room_size=0.2)])
    np.testing.assert_allclose(out, np.clip(board(audio, rate), -1, 1), rtol=0, atol=TOLERANCE)


def remixed(audio, rate, gains_db, moves=()):
    """Return the output of StemProcessor without its latency."""
    processor = StemProcessor("mix", rate, len(audio), gains_db)
    late = processor.latency_samples
    return processor.process(np.pad(audio, [(0, 0), (0, late)]), moves)[:, late:]


@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (22050, 1)])
def test_chunks(run, noise, rate, channels):
    audio, out = run("chunks.py", noise(channels, 30000), rate)
    moves = [(k, "vocals", -8 * k / rate) for k in range(rate // 10, 30000, rate // 10)]
    np.testing.assert_allclose(out, remixed(audio, rate, {}, moves), rtol=0, atol=1e-4)  # gains in steps of 0.001 dB


@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (22050, 1)])
def test_rack(run, noise, rate, channels):
    audio, out = run("rack.py", noise(channels, 30000), rate)
    rack = runpy.run_path(str(EXAMPLES / "rack.py"))["rack"]()
    rack.prepare(rate, channels)
    late = rack.latency_samples
    expected = rack.process(np.pad(audio, [(0, 0), (0, late)]))[:, late:]
    np.testing.assert_allclose(out, np.clip(expected, -1, 1), rtol=0, atol=TOLERANCE)
    assert abs(out - audio).max() > 0.01


@pytest.mark.parametrize("rate", [44100, 48000])
def test_pyo_graph(run, noise, rate):
    pytest.importorskip("pyo")
    audio, out = run("pyo_graph.py", noise(2, 30000), rate)
    length = audio.shape[1]
    mix = StemProcessor("live", rate, gains_db={"drums": -12}, realtime_block=256)  # a buffer of pyo's
    dry = mix.process(audio)
    # The hall, an effect of pyo, adds reverb of the vocals. Before it begins, all is dry.
    late = mix.latency_samples
    np.testing.assert_allclose(out[:, : late + 200], dry[:, : late + 200], rtol=0, atol=0.02)
    hall = out[:, :length] - dry
    assert 0.001 < abs(hall).max() < 1
    similar = np.corrcoef(out[:, :length].ravel(), dry.ravel())[0, 1]
    assert similar > 0.9


@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (22050, 1)])
def test_dawdreamer_graph(run, noise, rate, channels):
    pytest.importorskip("dawdreamer", exc_type=ImportError)  # some Linux has no libGL
    # Before it renders, DawDreamer plays something in real time, for which a busy machine may be too slow.
    audio, out = run("dawdreamer_graph.py", noise(channels, 40000), rate, "did not answer in time")
    audio = np.resize(audio, (2, audio.shape[1]))
    moves = [(k, "vocals", -20 * k / rate) for k in range(0, audio.shape[1], 128)]
    expected = 0.75 * remixed(audio, rate, {"drums": 3}, moves) + 0.25 * audio
    np.testing.assert_allclose(out, expected, rtol=0, atol=2e-4)


@pytest.mark.skipif(sys.platform != "linux", reason="ALSA is Linux's")
def test_stream(noise, alsa):
    """Through two devices on ALSA's null device."""
    sound = noise(2, 4096).T.astype("<f4").tobytes()
    environment = os.environ | alsa.settings
    command = [sys.executable, EXAMPLES / "stream.py"]
    listed = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert "Recorder" in listed.stdout, listed
    assert "Player" in listed.stdout
    ended = threading.Event()

    def sing():
        while not ended.wait(0.01):
            with contextlib.suppress(BlockingIOError):
                os.write(alsa.microphone, sound)

    singer = threading.Thread(target=sing)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    host = subprocess.Popen([*command, "Recorder", "Player"], env=environment, **pipes)
    try:
        singer.start()
        assert host.stdout.readline() == "playing\n"
        host.stdin.write("vocals -80\n")
        host.stdin.flush()
        assert host.stdout.readline() == "vocals -80 dB\n"
        for wrong in "", "vocals", "vocal -12", "vocals loud", "vocals 21":
            host.stdin.write(f"{wrong}\n")
            host.stdin.flush()
            assert host.stdout.readline().startswith(f"{wrong!r} does not work; give a stem and a gain in dB")
        stop = time.monotonic() + 60
        while not np.fromfile(alsa.folder / "played", "<f4").any():
            assert time.monotonic() < stop
            time.sleep(0.01)
        host.stdin.close()
        assert host.stdout.readline().endswith(" dropouts\n")
        assert host.wait(60) == 0
    finally:
        host.kill()
        host.wait()
        ended.set()
        singer.join()
        host.stdout.close()


def test_the_song_is_small_and_equals_the_output_of_its_program(tmp_path):
    command = [sys.executable, EXAMPLES / "make_song.py", "song.wav"]
    subprocess.run(command, cwd=tmp_path, check=True)
    with AudioFile(str(tmp_path / "song.wav")) as file:
        made = file.read(file.frames)
    with AudioFile(str(EXAMPLES / "song.ogg")) as file:
        shipped = file.read(file.frames)
    assert (EXAMPLES / "song.ogg").stat().st_size < 500_000
    assert made.shape == shipped.shape
    assert np.corrcoef(made.ravel(), shipped.ravel())[0, 1] > 0.99


def test_the_vocals_of_the_song_can_be_turned_down():
    with AudioFile(str(EXAMPLES / "song.ogg")) as file:
        song = file.read(10 * 44100)
    tracks = runpy.run_path(str(EXAMPLES / "make_song.py"))["make_tracks"]()
    mix = sum(tracks.values())
    band = (mix - tracks["vocals"])[:, : song.shape[1]] * 0.8 / abs(mix).max()
    karaoke = remix(song, 44100, {"vocals": -80})
    assert abs(karaoke - band).std() < 0.7 * abs(song - band).std()


def test_the_notebook_runs_and_has_audio(tmp_path, monkeypatch):
    """Run all cells on a shorter song: audio players exist for the song, stems, remix, ride and boards."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    notebook = nbformat.read(EXAMPLES / "quickstart.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "outputs would make it large"
    for cell in notebook.cells:
        cell.source = cell.source.replace("20 * rate", "9 * rate")
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(EXAMPLES)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert sum("<audio" in output.get("data", {}).get("text/html", "") for output in outputs) == 9
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 1
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]


def test_every_example_is_run_here():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {
        "board.py", "chunks.py", "dawdreamer_graph.py", "make_song.py", "pyo_graph.py", "rack.py", "stream.py",
        "tremolo.py",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["tremolo.py", "dawdreamer_graph.py"])
def test_a_song_without_sound_is_refused(tmp_path, name):
    if name == "dawdreamer_graph.py":
        pytest.importorskip("dawdreamer", exc_type=ImportError)  # some Linux has no libGL
    with AudioFile(str(tmp_path / "in.wav"), "w", 44100, 2):
        pass
    command = [sys.executable, EXAMPLES / name, "in.wav", "out.wav"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("in.wav has no sound; choose another file")


@pytest.mark.parametrize("name", ["board.py", "rack.py", "tremolo.py", "chunks.py"])
def test_without_arguments_an_example_shows_its_usage(name):
    done = subprocess.run([sys.executable, EXAMPLES / name], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"usage: {name} [-h] source target\n")
    assert "Traceback" not in done.stderr
