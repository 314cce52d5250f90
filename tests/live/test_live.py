"""Live audio sounds as StemProcessor does, follows its faders, and survives failures of devices and processes."""

import errno
import math
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.heap import Heap
from types import SimpleNamespace

import av
import miniaudio
import numpy as np
import psutil
import pytest
import soundfile
from stembridge import StemProcessor, remix
from stembridge.audio import AudioError, open_audio, writer
from stembridge.control import MidiControl
from stembridge.core.atomic import hidden_path
from stembridge.live import Live, LiveError, device_names, devices, sources_sinks
from stembridge.live.sources_sinks import NewFile

TOLERANCE = 1e-6
GAINS = {"vocals": -80.0, "drums": 3.0}


@pytest.fixture
def make_song(tmp_path, noise):
    """Return a function that writes a song of noise: (samples, channels, rate) -> its path and audio."""

    def make(n=20000, num_channels=2, rate=44100):
        audio = noise(num_channels, n)
        soundfile.write(tmp_path / "song.wav", audio.T, rate, "FLOAT")
        return tmp_path / "song.wav", audio

    return make


def read(path):
    audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return audio.T, rate


def wait_until(happened):
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize(("num_channels", "rate", "block"), [(2, 44100, 64), (1, 48000, 1000)])
def test_a_looping_song_sounds_as_through_a_stem_processor(
    tiny_live_model, make_song, delayed, tmp_path, num_channels, rate, block
):
    song, audio = make_song(num_channels=num_channels, rate=rate)
    out = tmp_path / "out.wav"
    with Live(
        song, out, model=tiny_live_model, block=block, gains_db=GAINS, seconds=50000 / rate, realtime=False
    ) as live:
        assert live.wait(60)
    processor = StemProcessor(tiny_live_model, rate, num_channels, GAINS)
    expected = processor.process(np.tile(audio, 3)[:, :50000])
    sound, its_rate = read(out)
    assert (sound.shape, its_rate) == ((num_channels, 50000), rate)
    later = live.latency_samples - processor.latency_samples
    assert np.abs(sound - delayed(expected, later)).max() <= TOLERANCE
    assert later == (320 if block == 64 else 0)
    assert (live.blocks, live.misses, live.recorded) == (math.ceil(50000 / block), 0, out)
    assert len(live.block_seconds) == live.blocks
    assert (live.block_seconds > 0).all()


def test_a_click_has_the_reported_latency(tiny_live_model, tmp_path):
    click = np.zeros((2, 30000), np.float32)
    click[:, 12345] = 0.5
    soundfile.write(tmp_path / "click.wav", click.T, 48000, "FLOAT")
    live = Live(tmp_path / "click.wav", tmp_path / "out.wav", model=tiny_live_model, seconds=0.6, realtime=False)
    assert repr(live) == f"Live({str(tmp_path / 'click.wav')!r}, 48000 Hz, not started)"
    with live:
        live.wait()
    sound, _ = read(tmp_path / "out.wav")
    assert np.flatnonzero(sound[0]).tolist() == [12345 + live.latency_samples]


def test_in_real_time_the_recording_equals_the_performance(tiny_live_model, make_song, tmp_path):
    song, audio = make_song(n=120000)
    out = tmp_path / "out.wav"
    nobody = SimpleNamespace(callback=None)
    began = time.monotonic()
    with (
        Live(song, out, model=tiny_live_model, block=8192, seconds=2, gains_db={"bass": -6}) as live,
        MidiControl(live, "general", nobody, position=lambda: live.position) as control,
    ):
        for move in (
            lambda: control.set_gains_db(vocals=-12, other=6),
            lambda: control.mute("drums"),
            lambda: control.load_preset({"bass": 3}),
        ):
            at = live.position
            wait_until(lambda at=at: live.position > at)  # a block has just begun, and the next is far away
            move()
        assert live.wait(60)
    assert time.monotonic() - began >= 2
    assert live.muted == ("drums",)
    sound, _ = read(out)
    take = control.recording.automation()
    late = live.latency_samples
    again = remix(audio[:, : sound.shape[1]], 44100, {}, tiny_live_model, automation=take)
    assert sound.shape[1] == 88200
    assert np.abs(sound[:, late:] - again[:, :-late]).max() <= TOLERANCE


def test_meters_and_faders(tiny_live_model, make_song):
    song, _ = make_song()
    with Live(song, "none", model=tiny_live_model) as live:
        assert live.stems == ("vocals", "drums", "bass", "other")
        wait_until(lambda: all(rms > -35 for _, rms in live.levels.values()))
        assert all(rms < peak <= 0 for peak, rms in live.levels.values())
        assert live.load > 0
        live.solo("bass")
        wait_until(lambda: live.levels["vocals"][1] < -40 < live.levels["bass"][1])
        live.solo("bass", False)
        live.mute("bass")
        wait_until(lambda: live.levels["bass"][1] < -40 < live.levels["vocals"][1])
        assert (live.muted, live.soloed) == (("bass",), ())
        live.set_gains_db(vocals=-100, drums=2.5)
        assert live.gains_db == {"vocals": -80, "drums": 2.5, "bass": 0, "other": 0}
        wait_until(lambda: live.levels["vocals"][1] < -40)
        with pytest.raises(ValueError, match="unknown stem 'piano'"):
            live.set_gains_db(drums=1, piano=0)
        with pytest.raises(ValueError, match="out of range"):
            live.set_gains_db(drums=21)
        assert live.gains_db["drums"] == 2.5


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sample_rate": 4000}, "4000 Hz is out of range"),
        ({"block": 8}, "block of 8 samples"),
        ({"block": 256.5}, "block 256.5 does not work; give a whole number of samples"),
        ({"sample_rate": "44100"}, "sample rate '44100' does not work; give a whole number of Hz"),
        ({"output": ""}, "the output is empty"),
        ({"output": 3}, "the output 3 does not work; name a device or a file, or give `none`"),
        ({"output": "a\0.wav"}, r"the output 'a\\x00.wav' does not work"),
        ({"input": 3}, "the input 3 does not work"),
        ({"input": ["a.wav", None]}, "the input None does not work"),
        ({"input": b"a.wav"}, "the input b'a.wav' does not work"),
        ({"input": "https://example.org/a.wav"}, "live audio plays only files of this machine; download it first"),
        ({"stream": "x"}, "stream 'x' does not work; give its number, from 1"),
        ({"seconds": 0}, "0 seconds"),
        ({"seconds": "x"}, "'x' seconds cannot be played"),
        ({"gains_db": {"piano": 0}}, "unknown stem 'piano'"),
        ({"gains_db": {"vocals": 30}}, "vocals"),
        ({"input": "nowhere.wav"}, "nowhere.wav: no such file"),
        ({"input": "/dev/null"}, "/dev/null is not a regular file; save the audio to disk first"),
        ({"input": None, "realtime": False}, "realtime=False works only without devices"),
    ],
)
def test_impossible_settings_are_refused(tiny_live_model, options, said):
    with pytest.raises(ValueError, match=said):
        Live(**{"input": "none", "output": "none", "model": tiny_live_model} | options)


def test_a_model_for_files(tiny_studio_model):
    with pytest.raises(LiveError, match="is for files only"):
        Live("none", "none", model=tiny_studio_model)


@pytest.mark.parametrize("num_channels", [1, 2])
@pytest.mark.parametrize("rate", [22050, 48000])
def test_a_song_of_another_rate_loops_without_a_seam(tiny_live_model, tmp_path, num_channels, rate):
    """A tone of whole periods, played in a loop, sounds like an endless tone."""
    tone = 0.5 * np.sin(2 * np.pi * 600 * np.arange(3 * rate // 10) / rate)
    soundfile.write(tmp_path / "song.wav", np.stack([tone] * num_channels, axis=1), rate, "FLOAT")
    with Live(
        tmp_path / "song.wav", tmp_path / "out.wav", model=tiny_live_model, sample_rate=44100, seconds=1, realtime=False
    ) as live:
        assert live.wait(60)
    sound, its_rate = read(tmp_path / "out.wav")
    assert (sound.shape, its_rate) == ((num_channels, 44100), 44100)
    wanted = 0.5 * np.sin(2 * np.pi * 600 * np.arange(44100 - live.latency_samples) / 44100)
    assert np.abs(sound[:, live.latency_samples :] - wanted)[:, 2000:].max() < 1e-4


def test_a_recording_never_overwrites_the_song(tiny_live_model, make_song, tmp_path):
    song, _ = make_song()
    before = song.read_bytes()
    (tmp_path / "link.wav").symlink_to(song)
    for out in (song, tmp_path / "link.wav"):
        with pytest.raises(LiveError, match=f"{out.name} is the song itself; choose another name"):
            Live(song, out, model=tiny_live_model)
    assert song.read_bytes() == before


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_appears_meanwhile_is_kept_unless_forced(tmp_path, monkeypatch, links):
    if not links:  # as on a disk without hard links
        monkeypatch.setattr(sources_sinks.os, "link", lambda *_: os.open(tmp_path / "no" / "links", os.O_RDONLY))
    (tmp_path / "out-2.wav").write_bytes(b"another")
    for overwrite, name in ((False, "out-3.wav"), (True, "out.wav")):
        new = NewFile(str(tmp_path / "out.wav"), str(tmp_path / ".part.wav"), 44100, 2, overwrite)
        (tmp_path / "out.wav").write_bytes(b"another")
        new.write(np.full((2, 100), 0.5, np.float32))
        new.close()
        assert new.recorded == tmp_path / name
        assert read(tmp_path / name)[0].shape == (2, 100)
        assert (tmp_path / "out-2.wav").read_bytes() == b"another"
        assert ((tmp_path / "out.wav").read_bytes() == b"another") is not overwrite
    assert set(os.listdir(tmp_path)) - {"config"} == {"out.wav", "out-2.wav", "out-3.wav"}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device; make room, or choose another "),
        (soundfile.LibsndfileError(7), "could not be encoded .*; try .wav"),
        (av.error.InvalidDataError(1, "bad data"), ".*bad data"),
        (ValueError("new.flac: wrong\nshape"), "wrong shape"),
        (MemoryError(), "MemoryError"),
        (SystemExit(), "SystemExit"),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("step", ["write", "close"])
def test_the_readable_part_of_a_recording_is_kept_if_the_encoder_fails(tmp_path, monkeypatch, error, reason, step):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new.flac").write_bytes(b"another")
    new = NewFile("new.flac", ".part.flac", 44100, 2, True)
    encoder, calls = new._writer._encoder, []

    def fail(*arguments):
        calls.append(arguments)
        if step == "close" or len(calls) == 3:
            raise error
        encoder.write(*arguments)

    parts = {"write": encoder.write, "close": encoder.close} | {step: fail}
    monkeypatch.setattr(new._writer, "_encoder", SimpleNamespace(**parts))
    block = np.full((2, 16384), 0.5, np.float32)
    for _ in range(3):
        new.write(block)
    kept = r"the written part is kept in new \(cut short\).flac"
    if step == "write":
        kept += r" \(0.7 s\)"
        wait_until(lambda: not new._thread.is_alive())
        with pytest.raises(OSError, match=f"^new.flac cannot be written: {reason}"):
            new.write(block)
    with pytest.raises(OSError, match=f"^new.flac cannot be written: {reason}.*; {kept}"):
        new.close()
    assert new.recorded is None
    assert (tmp_path / "new.flac").read_bytes() == b"another"
    assert set(os.listdir()) - {"config"} == {"new.flac", "new (cut short).flac"}
    assert read("new (cut short).flac")[0].shape[1] >= 2 * 16384


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "ogg"])
def test_on_a_full_disk_the_recording_so_far_is_kept(tmp_path, noise, suffix):
    """It overwrites no other file, and lies next to a link, although its part file was next to the link's target."""
    (tmp_path / "disk").mkdir()
    link, taken = tmp_path / f"take.{suffix}", tmp_path / f"take (cut short).{suffix}"
    link.symlink_to(f"disk/real.{suffix}")
    taken.write_bytes(b"another")
    new = NewFile(str(link), str(hidden_path(link, f".{suffix}")), 44100, 2, True)
    room = 100_001

    class Full(writer._Sink):
        def write(self, data):
            left = room - self.tell()
            if len(data) <= left:
                return super().write(data)
            super().write(memoryview(data)[: max(0, left)])
            self.error = self.error or OSError(errno.ENOSPC, "No space left on device")
            return max(0, left)

    new._writer._sink.__class__ = Full
    audio = 0.1 * noise(2, 40 * 4096)
    with suppress(OSError):
        for start in range(0, audio.shape[1], 4096):
            new.write(audio[:, start : start + 4096])
            time.sleep(0.01)
    kept = tmp_path / f"take (cut short)-2.{suffix}"
    with pytest.raises(OSError, match=rf"No space left .*; the written part is kept in {re.escape(str(kept))} \(\d"):
        new.close()
    out = read(kept)[0]
    assert 8000 < out.shape[1] < audio.shape[1]
    assert taken.read_bytes() == b"another"
    assert not os.listdir(tmp_path / "disk")
    with open_audio(kept) as opened:
        assert sum(block.shape[1] for block in opened.blocks()) >= out.shape[1]
    if suffix in ("wav", "flac"):
        np.testing.assert_allclose(out, audio[:, : out.shape[1]], atol=1e-6)


def test_a_disk_that_is_slow_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(sources_sinks, "MAX_BUFFERED_S", 0.1)
    new = NewFile(str(tmp_path / "new.wav"), str(tmp_path / ".part.wav"), 44100, 2, True)
    write, busy = new._writer.write, threading.Event()
    monkeypatch.setattr(new._writer, "write", lambda block: (busy.wait(), write(block)))
    sound = threading.Thread(target=lambda: [new.write(np.full((2, 441), 0.5, np.float32)) for _ in range(100)])
    sound.start()
    sound.join(0.3)
    assert sound.is_alive()
    assert new._blocks.qsize() <= 11
    busy.set()
    sound.join()
    new.close()
    assert read(tmp_path / "new.wav")[0].shape == (2, 44100)


def test_a_disk_that_fills_up_ends_a_take(tiny_live_model, tmp_path):
    """The disk has 6 MB; the processes' shared memory takes 4 MB of it, and the take would need 35 MB."""
    script = tmp_path / "script.py"
    script.write_text(
        "import resource, sys\n"
        "from stembridge.live import Live\n"
        "if __name__ == '__main__':\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (6_000_000, 6_000_000))\n"
        "    with Live('none', sys.argv[2], model=sys.argv[1], block=4096, seconds=100, realtime=False) as live:\n"
        "        live.wait()\n"
    )
    done = subprocess.run(
        [sys.executable, script, tiny_live_model, tmp_path / "out.wav"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "LiveError: " in done.stderr
    assert "out.wav cannot be written: File too large; make room, or choose another place; the written" in done.stderr
    assert "out (cut short).wav (17.0 s)" in done.stderr
    assert set(os.listdir(tmp_path)) - {"config"} == {"script.py", "out (cut short).wav"}
    assert read(tmp_path / "out (cut short).wav")[0].shape == (2, (6_000_000 - 94) // 8)


def test_an_error_in_the_report_function_ends_nothing(tiny_live_model, caplog):
    live = Live("none", "none", model=tiny_live_model, report=lambda line: 1 / 0)
    live._pipe, theirs = live._context.Pipe()
    theirs.send(("report", "lost device tuba"))
    theirs.send(("ended", None))
    live._listen()
    assert live.wait(0)
    assert "lost device tuba (ZeroDivisionError in report: division by zero)" in caplog.text


def test_an_output_that_is_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "out.wav"
    link.symlink_to("real/take.wav")
    for overwrite, name in (False, "out.wav"), (True, "out.wav"), (False, "out-2.wav"):
        new = NewFile(link, hidden_path(link, ".wav"), 44100, 2, overwrite)
        new.write(np.full((2, 100), 0.5, np.float32))
        new.close()
        assert new.recorded == tmp_path / name
    assert link.is_symlink()
    assert read(tmp_path / "real" / "take.wav")[0].shape == (2, 100)
    assert os.listdir(tmp_path / "real") == ["take.wav"]


def test_an_output_that_cannot_be_written(tiny_live_model, tmp_path):
    live = Live("none", tmp_path / "nowhere" / "out.wav", model=tiny_live_model)
    with pytest.raises(LiveError, match=r"nowhere/out.wav cannot be written: No such file or directory;"):
        live.start()
    assert os.listdir(tmp_path) in ([], ["config"])


def test_songs_with_more_than_two_channels_are_refused(tiny_live_model, make_song):
    song, _ = make_song(num_channels=6)
    with pytest.raises(AudioError, match=r"song.wav has 6 channels, but .* ffmpeg"):
        Live(song, "none", model=tiny_live_model)


# Devices: miniaudio's own, which are silent and keep time.


def test_the_names_of_devices():
    assert device_names("null") == ("Null", ["NULL Capture Device"], ["NULL Playback Device"])
    with pytest.raises(LiveError, match=r"unknown driver 'tape'; choose from .*null"):
        device_names("tape")


@pytest.mark.parametrize("ends", ["in and out", "in", "out"])
def test_through_devices(tiny_live_model, make_song, tmp_path, ends):
    source = make_song()[0] if ends == "out" else "capture"
    sink = tmp_path / "out.wav" if ends == "in" else None
    with Live(source, sink, model=tiny_live_model, seconds=0.3, driver="null") as live:
        assert live.wait(60)
    assert live.position == 13230
    assert live.blocks > 10
    if ends == "in":
        assert np.array_equal(read(sink)[0], np.zeros((2, 13230)))
    if ends == "out":
        assert live.levels["vocals"][1] > -60


def test_a_missing_device(tiny_live_model):
    with pytest.raises(
        LiveError, match="'tuba' is neither an input device nor an existing file; the devices are NULL Cap"
    ):
        Live("tuba", "none", model=tiny_live_model, driver="null").start()


def test_a_driver_without_a_clock_is_held_back(tiny_live_model):
    """Such as ALSA's null device, which asks for the next block at once."""
    settings = Live(None, "none", model=tiny_live_model).settings
    stream = devices._Stream(settings, None, sources_sinks.Discard(), lambda block: block, threading.Event())
    blocks = stream._blocks()
    next(blocks)
    began = time.monotonic()
    for _ in range(15):
        blocks.send(bytes(4 * 2 * 4410))
    assert stream.error is None
    assert time.monotonic() - began > 0.8, "in 1.5 s, of which half a second may be ahead"


@pytest.mark.parametrize("how", ["it says so", "it is silent"])
def test_a_device_vanishes_and_returns(tiny_live_model, monkeypatch, how):
    """The null device never vanishes, so the test reports that it stopped, or stops it without a report."""
    opened, away = [], threading.Event()

    class Device(miniaudio.DuplexStream):
        def __init__(self, **options):
            super().__init__(**options)
            opened.append(self)

    find = devices.open_devices

    def look(driver):
        if away.is_set():
            raise LiveError("unplugged")
        return find(driver)

    monkeypatch.setattr(miniaudio, "DuplexStream", Device)
    monkeypatch.setattr(devices, "open_devices", look)
    monkeypatch.setattr(devices, "RETRY_INTERVAL_S", 0.05)
    monkeypatch.setattr(devices, "DEVICE_TIMEOUT_S", 0.5)
    settings = Live(None, None, model=tiny_live_model, driver="null").settings
    stopped, said, blocks = threading.Event(), queue.Queue(), []
    ready = threading.Event()

    def work(block):
        blocks.append(block.shape)
        return block

    thread = threading.Thread(
        target=devices.play_through_devices, args=(settings, None, None, work, stopped, said.put, ready.set)
    )
    thread.start()
    try:
        assert ready.wait(30)
        wait_until(lambda: blocks)
        away.set()
        (opened[0].stop_callback if how == "it says so" else opened[0].stop)()
        assert said.get(timeout=30) == "lost the default device; looking for it every second"
        before = len(blocks)
        away.clear()
        assert said.get(timeout=30) == "found the default device again"
        wait_until(lambda: len(blocks) > before)
        assert len(opened) == 2
    finally:
        stopped.set()
        thread.join()


def test_an_error_in_a_devices_thread_ends_the_sound_and_is_raised(tiny_live_model, tmp_path):
    settings = Live(None, tmp_path / "out.wav", model=tiny_live_model, driver="null").settings
    new, blocks = NewFile(settings.output, settings.part, 44100, 2, True), []

    def work(block):
        blocks.append(block.shape[-1])
        if len(blocks) == 20:
            raise MemoryError("too little")
        return block

    with pytest.raises(MemoryError, match="too little"):
        devices.play_through_devices(settings, None, new, work, threading.Event(), print, lambda: None)
    new.close()
    assert read(new.recorded)[0].shape == (2, sum(blocks[:19]))


# Processes.


def test_a_player_that_dies_is_an_error(tiny_live_model, tmp_path, new_children, kill):
    live = Live("none", tmp_path / "out.wav", model=tiny_live_model)
    live.start()
    (player,) = (child for child in new_children() if "spawn_main" in " ".join(child.cmdline()))
    kill(player)
    assert live.wait(30)
    with pytest.raises(LiveError, match="was killed by signal 9, and the recording is lost; play again"):
        live.close()
    assert not live.recorded
    assert set(os.listdir(tmp_path)) <= {"config"}, "no partial file is left"


def test_without_shared_memory_nothing_starts(tiny_live_model, monkeypatch):
    def full(fd, length):
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))

    monkeypatch.setattr(os, "ftruncate", full)
    monkeypatch.setattr("multiprocessing.heap.BufferWrapper._heap", Heap())
    with pytest.raises(LiveError, match=r"shared memory cannot be made: File too large; make room in /dev/shm or"):
        Live("none", "none", model=tiny_live_model)


def test_without_sound_no_file_is_made(tmp_path):
    before = os.listdir(tmp_path)
    NewFile(tmp_path / "out.flac", tmp_path / "part.flac", 44100, 2, True).close()
    assert os.listdir(tmp_path) == before


def test_the_player_ends_with_the_process_that_started_it(tiny_live_model, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from stembridge.live import Live\n"
        "if __name__ == '__main__':\n"
        "    live = Live('none', 'none', model=sys.argv[1])\n"
        "    live.start()\n"
        "    print('playing', flush=True)\n"
        "    live.wait()\n"
    )
    process = subprocess.Popen([sys.executable, script, tiny_live_model], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "playing\n"
    children = psutil.Process(process.pid).children()
    assert children
    process.send_signal(signal.SIGKILL)
    process.communicate()
    _, alive = psutil.wait_procs(children, 30)
    assert not alive


def test_a_live_session_that_is_not_closed_ends_with_the_program(tiny_live_model, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from stembridge.live import Live\n"
        "if __name__ == '__main__':\n"
        "    Live('none', sys.argv[2], model=sys.argv[1]).start()\n"
    )
    done = subprocess.run([sys.executable, script, tiny_live_model, tmp_path / "out.wav"], timeout=60)
    assert done.returncode == 0
    assert read(tmp_path / "out.wav")[0].shape[0] == 2


def test_a_script_without_a_main_guard_gets_a_clear_error(tiny_live_model, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom stembridge.live import Live\n"
        "with Live('none', 'none', model=sys.argv[1], seconds=0.1) as live:\n    live.wait()\n"
    )
    done = subprocess.run([sys.executable, script, tiny_live_model], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert 'under `if __name__ == "__main__":`' in done.stderr
