"""If the worker or host fails, sound stays aligned, dry sound is reported, and nothing remains."""

import gc
import os
import signal
import subprocess
import sys
import time
import warnings
from threading import Thread, Timer

import numpy as np
import psutil
import pytest
from pedalboard import Pedalboard
from stembridge import StemMix, StemProcessor, load_processor
from stembridge.core.errors import BridgeError

RATE, BLOCK = 44100, 8192
FADE = 222  # samples from dry to wet or back
LATE = 100  # samples of latency of the processors below
GONE = 15.0  # seconds for a process to end, even on a busy machine
PROCESSORS = """
import os, signal, time
import numpy as np
from half import Half

class Trouble(Half):
    "Something happens whenever a sample is louder than 1. Leaves a file in `marks` for each life and each trouble."
    def __init__(self, kind, marks="", seconds=0.0):
        self._kind, self._marks, self._seconds = kind, marks, seconds
        self._mark("life")

    def _mark(self, what):
        if self._marks:
            open(f"{self._marks}/{what} {os.getpid()} {time.monotonic_ns()}", "w").close()

    def process(self, block):
        out = super().process(block)
        if np.abs(block).max() > 1:
            self._mark("trouble")
            return getattr(self, self._kind)(out)
        return out

    def kill(self, out):
        os.kill(os.getpid(), signal.SIGKILL)

    def leave(self, out):
        os._exit(3)

    def fail(self, out):
        raise RuntimeError("the spring\\nis broken")

    def leave_politely(self, out):
        raise SystemExit(3)

    def interrupt(self, out):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)

    def lose_a_connection(self, out):
        raise ConnectionResetError("no route to the moon")

    def fail_without_words(self, out):
        class Silent(Exception):
            def __str__(self):
                raise RuntimeError("no words")
        raise Silent

    def fail_in_strange_words(self, out):
        raise ValueError((chr(0xDCFF) + chr(0x2603)) * 400)

    def shorten(self, out):
        return out[:, :-1]

    def narrow(self, out):
        return out[:1]

    def spoil(self, out):
        return out * np.float32("nan")

    def sleep(self, out):
        time.sleep(self._seconds)
        return out

    def meet(self, out):
        for _ in range(3000):
            if len([name for name in os.listdir(self._marks) if name.startswith("trouble")]) > 1:
                return out
            time.sleep(0.01)
        raise TimeoutError("the other one did not come")

def raising():
    raise RuntimeError("no oil")

def leaving():
    os._exit(4)

def naming():
    raise OSError("b\\udcffse.wav: no such file")

raising.parameters = leaving.parameters = naming.parameters = {"gain": (0.0, 2.0, 0.5)}
"""


@pytest.fixture
def module(write_module):
    return write_module(PROCESSORS)


@pytest.fixture
def marks(tmp_path):
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


@pytest.fixture
def troubled(module, marks):
    """(kind of trouble) -> a plugin whose processor makes this trouble."""
    return lambda kind, **kwargs: load_processor(f"{module}:Trouble", kind=kind, marks=str(marks), **kwargs)


@pytest.fixture
def told():
    """Record all warnings, in order."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


def count(marks, what):
    return sum(path.name.startswith(what) for path in marks.iterdir())


def loud(noise, *blocks, seconds=2.0):
    """Make noise with a sample above 1 at the end of given blocks."""
    audio = noise(2, int(seconds * RATE))
    for block in blocks:
        audio[:, min((block + 1) * BLOCK, audio.shape[1]) - 1] = 1.5
    return audio


@pytest.fixture
def worker_of(new_children):
    """(function that makes a plugin) -> the plugin, and its process."""

    def worker_of(make):
        plugin = make()
        (worker,) = new_children()
        return plugin, worker

    return worker_of


def is_gone(pid, within=GONE):
    """Return whether a process ends in time; a zombie has ended."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False


def expect_dry_once(out, audio, block):
    """Check that the output is half of the audio, except for one dry block."""
    start, stop = block * BLOCK - LATE, (block + 1) * BLOCK  # a new worker needs its latency's worth of input
    wet = 0.5 * audio
    np.testing.assert_allclose(out[:, :start], wet[:, :start], rtol=0, atol=1e-6)
    assert (out[:, start + FADE : stop] == audio[:, start + FADE : stop]).all()
    np.testing.assert_allclose(out[:, stop + FADE :], wet[:, stop + FADE :], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("kill", "was killed by signal 9"),
        ("leave", "ended with exit code 3"),
        ("fail", "RuntimeError: the spring is broken ("),
        ("leave_politely", "SystemExit: 3"),
        ("interrupt", "KeyboardInterrupt"),
        ("lose_a_connection", "ConnectionResetError: no route to the moon"),
        ("fail_without_words", "because Silent"),
        ("fail_in_strange_words", "ValueError: "),
        ("shorten", "StemBridgeError: "),
        ("narrow", "StemBridgeError: "),
    ],
)
def test_one_failure_makes_one_block_dry_and_is_reported_once(troubled, noise, marks, told, capfd, kind, why):
    mix, audio = troubled(kind), loud(noise, 4)
    expect_dry_once(mix(audio, RATE), audio, 4)
    assert [warning.category for warning in told] == [RuntimeWarning]
    assert "2 blocks went out dry (2 in all)" in str(told[0].message)
    assert told[0].filename == __file__
    assert mix.dropouts == 2, "the block, and the next until the new worker has seen its latency's worth"
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"stembridge: Trouble: dry from {4 * BLOCK / RATE:.3f} s on, because ")
    assert why in line
    np.testing.assert_allclose(mix(audio[:, : 4 * BLOCK], RATE), 0.5 * audio[:, : 4 * BLOCK], rtol=0, atol=1e-6)
    assert len(told) == 1
    assert (count(marks, "life"), count(marks, "trouble")) == (2, 1)


def test_in_a_board_the_next_use_of_the_plugin_reports_a_failure(troubled, noise, told):
    mix, audio = troubled("kill"), loud(noise, 4)
    expect_dry_once(Pedalboard([mix])(audio, RATE), audio, 4)
    assert not told
    assert mix.gain == 0.5
    assert len(told) == 1
    assert mix.dropouts == 2
    assert repr(mix)
    assert len(told) == 1


def test_a_killed_stem_mix_is_dry_and_then_sounds_as_before(tiny_live_model, noise, told, worker_of, kill):
    audio, cut = noise(2, 12 * BLOCK), 6 * BLOCK
    mix, worker = worker_of(lambda: StemMix(tiny_live_model, vocals_db=-80))
    latency = StemProcessor(tiny_live_model).latency_samples

    def stream(between=lambda: None):
        mix.reset()
        head = mix.process(audio[:, :cut], RATE, reset=False)
        between()
        return np.concatenate([head, mix.process(audio[:, cut:], RATE, reset=False)], axis=-1)

    whole = stream()
    assert not told
    out = stream(lambda: kill(worker))
    assert len(told) == 1
    assert out.shape == whole.shape == (2, 12 * BLOCK - latency)
    start = cut - latency
    np.testing.assert_allclose(out[:, :start], whole[:, :start], rtol=0, atol=1e-6)
    dry = slice(start + FADE, cut + BLOCK)
    assert (out[:, dry] == audio[:, dry]).all()
    assert np.abs(whole - audio[:, : whole.shape[1]])[:, dry].max() > 0.1
    again = cut + BLOCK + 2048 + 256 + FADE  # the network needs a window and has one frame of memory
    np.testing.assert_allclose(out[:, again:], whole[:, again:], rtol=0, atol=1e-6)


def test_a_worker_killed_between_renders_is_replaced(module, noise, told, worker_of, kill):
    mix, worker = worker_of(lambda: load_processor(f"{module}:Half"))
    kill(worker)
    audio = noise(2, 8 * BLOCK)
    out = mix(audio, RATE)
    after = slice(BLOCK + FADE, None)
    np.testing.assert_allclose(out[:, after], 0.5 * audio[:, after], rtol=0, atol=1e-6)
    assert (mix.dropouts > 0) == bool(told)
    assert (out[:, 0] == 0.5 * audio[:, 0]).all() or told, "dry sound is reported"


def test_a_worker_stopped_for_a_while_is_waited_for(tiny_live_model, noise, told, worker_of):
    audio = noise(2, 4 * BLOCK)
    mix, worker = worker_of(lambda: StemMix(tiny_live_model, vocals_db=-80))
    expected = mix(audio, RATE)
    worker.suspend()
    start = time.monotonic()
    timer = Timer(1.0, worker.resume)
    timer.start()
    out = mix(audio, RATE)
    assert time.monotonic() - start > 0.9
    assert (out == expected).all()
    assert mix.dropouts == 0
    assert not told
    timer.join()


def test_a_worker_stopped_for_good_is_replaced(module, noise, told, capfd, worker_of):
    audio = noise(2, 4 * BLOCK)
    mix, worker = worker_of(lambda: load_processor(f"{module}:Half"))
    mix.reset()
    head = mix.process(audio[:, :BLOCK], RATE, reset=False)
    worker.suspend()
    start = time.monotonic()
    out = np.concatenate([head, mix.process(audio[:, BLOCK:], RATE, reset=False)], axis=-1)
    assert 4.5 < time.monotonic() - start < 30
    expect_dry_once(out, audio[:, : out.shape[1]], 1)
    assert len(told) == 1
    assert "stopped answering" in capfd.readouterr().err
    assert is_gone(worker.pid)


@pytest.mark.parametrize("seconds", [0.05, 6.0])
def test_a_slow_processor_is_waited_for(troubled, noise, told, seconds):
    """It may take any time, as long as its heartbeat goes on."""
    mix = troubled("sleep", seconds=seconds)
    audio = loud(noise, *(range(6) if seconds < 1 else [2]), seconds=1.0)
    np.testing.assert_allclose(mix(audio, RATE), 0.5 * audio, rtol=0, atol=1e-6)
    assert mix.dropouts == 0
    assert not told


@pytest.mark.parametrize("kind", ["kill", "fail"])
def test_a_crash_loop_is_broken(troubled, noise, marks, told, capfd, kind):
    mix, audio = troubled(kind), noise(2, 10 * RATE)
    audio[:, ::64] = 1.5
    before = count(marks, "life")
    start = time.monotonic()
    out = mix(audio, RATE, buffer_size=512)  # 862 blocks
    assert time.monotonic() - start < 20
    assert 2 <= count(marks, "life") - before + 1 <= 6
    assert (out[:, FADE:] == audio[:, FADE:]).all()
    assert mix.dropouts == 862
    assert len(told) == 1
    assert len(capfd.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    ("factory", "why"),
    [("raising", "RuntimeError: no oil"), ("leaving", "exit code 4"), ("naming", r"OSError: b\udcffse.wav: no such f")],
)
def test_a_factory_that_fails_leaves_the_sound_dry(module, noise, told, capfd, factory, why):
    mix, audio = load_processor(f"{module}:{factory}"), noise(2, 3 * BLOCK)
    said = capfd.readouterr().err
    assert why in said
    assert said.count("\n") == 1
    assert mix.dropouts == 0, "no sound has been rendered yet"
    assert (mix(audio, RATE) == audio).all()
    assert mix.dropouts == 3
    assert len(told) == 1


def test_a_factory_that_fails_before_it_says_its_parameters_is_refused(module, write_module):
    source = f"from {module} import raising\ndef bare():\n    raising()"
    with pytest.raises(BridgeError, match="RuntimeError: no oil"):
        load_processor(f"{write_module(source)}:bare")


def test_values_that_are_not_numbers_end_with_their_block(troubled, noise, told):
    mix, audio = troubled("spoil"), loud(noise, 4)
    out = mix(audio, RATE)
    spoilt = np.zeros(out.shape[1], bool)
    spoilt[4 * BLOCK - LATE : 5 * BLOCK - LATE] = True
    assert np.isnan(out[:, spoilt]).all(), "the processor's own output"
    np.testing.assert_allclose(out[:, ~spoilt], 0.5 * audio[:, ~spoilt], rtol=0, atol=1e-6)
    mix.bypass = True
    assert (mix(audio, RATE) == audio).all()
    mix.bypass = False
    assert not told


def test_after_values_that_are_not_numbers_dry_sound_is_unchanged(module, write_module, noise, told):
    source = f"""
import os
import numpy as np
from {module} import Half

class Last(Half):
    def process(self, block):
        if np.abs(block).max() > 1:
            os._exit(0) if self.spoilt else None
            self.spoilt = True
        return super().process(block) * np.float32("nan" if self.spoilt else 1)

    def reset(self):
        super().reset()
        self.spoilt = False
"""
    mix, audio = load_processor(f"{write_module(source)}:Last"), loud(noise, 3, 4)
    out = mix(audio, RATE)
    dry = slice(4 * BLOCK - LATE + FADE, 5 * BLOCK)
    assert (out[:, dry] == audio[:, dry]).all()
    assert np.isfinite(out[:, 5 * BLOCK :]).all()
    assert len(told) == 1


def test_values_that_are_not_numbers_do_not_reach_stem_mix(tiny_live_model, noise, told):
    audio = noise(2, 4 * BLOCK)
    audio[:, 5000] = np.nan, np.inf
    processor = StemProcessor(tiny_live_model, gains_db={"vocals": -6})
    late = processor.latency_samples
    with pytest.warns(RuntimeWarning, match="NaN or infinite"):
        expected = processor.process(np.pad(audio, ((0, 0), (0, late))))[:, late:]
    out = StemMix(tiny_live_model, vocals_db=-6)(audio, RATE)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-6)
    assert not told


HOST = """
import os, sys, time
import numpy as np
from stembridge import load_processor

factory, marks, state = sys.argv[1:]
mix = load_processor(factory, kind="sleep", seconds=60.0, marks=marks)
if state == "forked" and os.fork() == 0:
    print(os.getpid(), flush=True)
    time.sleep(60)
    os._exit(0)
mix(np.full((2, 4000), 1.5 if state == "busy" else 0.5, "float32"), 44100)
open(f"{marks}/rendered", "w").close()
time.sleep(60)
"""


@pytest.mark.parametrize("state", ["idle", "busy", "forked"])
def test_no_worker_outlives_a_killed_host(module, marks, state):
    command = [sys.executable, "-c", HOST, f"{module}:Trouble", str(marks), state]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=-1, env=environment) as host:
        fork = int(host.stdout.readline()) if state == "forked" else None
        try:
            while not count(marks, "trouble" if state == "busy" else "rendered"):
                assert host.poll() is None
                time.sleep(0.01)
            workers = [child.pid for child in psutil.Process(host.pid).children() if child.pid != fork]
            assert len(workers) == 1
            host.kill()
            assert is_gone(workers[0])
        finally:
            host.kill()
            if fork:
                os.kill(fork, signal.SIGKILL)


CTRL_C = """
import os, signal, sys, threading, time
import numpy as np
from stembridge import load_processor

signal.signal(signal.SIGINT, lambda *_: None)

def interrupt():
    while True:
        os.killpg(0, signal.SIGINT)
        time.sleep(0.001)

threading.Thread(target=interrupt, daemon=True).start()
mix = load_processor(sys.argv[1])
print((mix(np.ones((1, 4000), "float32"), 44100)[0, 1000:] == 0.5).all(), mix.dropouts)
"""


def test_the_process_never_receives_the_hosts_ctrl_c(module):
    command = [sys.executable, "-c", CTRL_C, f"{module}:Half"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, start_new_session=True, timeout=60)
    assert (run.stdout, run.stderr) == ("True 0\n", "")


def left_over():
    """Child processes, descriptors and StemBridge's shared memory of this process."""
    with open("/proc/self/maps") as maps:
        shared = sum("memfd:stembridge" in line for line in maps)
    return len(psutil.Process().children()), len(os.listdir("/proc/self/fd")), shared


def wait_until_still(look):
    """Return the result of `look` once it is the same for a second; processes of earlier tests may still be ending."""
    seen, since = look(), time.monotonic()
    while time.monotonic() - since < 1.0:
        time.sleep(0.05)
        if (now := look()) != seen:
            seen, since = now, time.monotonic()
    return seen


def test_twenty_instances_leave_nothing_behind(module, noise):
    audio = noise(2, 1000)
    load_processor(f"{module}:Half")(audio, RATE)  # libraries that are loaded once stay loaded
    gc.collect()
    before = wait_until_still(left_over)
    plugins = [load_processor(f"{module}:Half", gain=i / 10) for i in range(20)]
    for i, plugin in enumerate(plugins):
        np.testing.assert_allclose(plugin(audio, RATE), i / 10 * audio, rtol=0, atol=1e-6)
    there = left_over()
    assert (there[0], there[2]) == (before[0] + 20, before[2] + 20)
    del plugin, plugins
    gc.collect()
    assert wait_until_still(left_over) == before


@pytest.fixture
def fork(tmp_path):
    """Return a function that calls another in a fork of this process; it gives a function that returns the array."""

    def fork(function):
        path = tmp_path / "forked.npy"
        pid = os.fork()
        if pid == 0:
            try:
                np.save(path, function())
            finally:
                os._exit(0)

        def result():
            end = time.monotonic() + 60
            while os.waitpid(pid, os.WNOHANG) == (0, 0):
                if time.monotonic() > end:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                    pytest.fail("the fork hangs")
                time.sleep(0.01)
            return np.load(path)

        return result

    return fork


def test_a_fork_renders_with_its_own_worker_while_its_parent_renders(
    tiny_live_model, noise, fork, tmp_path, told, worker_of
):
    audio, other = noise(2, 20 * BLOCK), noise(2, 10 * BLOCK, seed=1)
    mix, worker = worker_of(lambda: StemMix(tiny_live_model, vocals_db=-80))
    expected, theirs = mix(audio, RATE), mix(other, RATE)

    def child():
        out = mix(other, RATE)
        (own,) = psutil.Process().children()
        (tmp_path / "worker").write_text(str(own.pid))
        return out if not told and mix.dropouts == 0 else np.zeros(0)

    result = fork(child)
    for _ in range(3):
        assert (mix(audio, RATE) == expected).all()
    assert (result() == theirs).all()
    own = int((tmp_path / "worker").read_text())
    assert own != worker.pid
    assert is_gone(own)
    assert worker.is_running()
    assert (mix(audio, RATE) == expected).all()
    assert mix.dropouts == 0


def test_a_fork_does_not_disturb_its_parents_stream(tiny_live_model, noise, fork, told, capfd):
    audio, cut = noise(2, 8 * BLOCK), 3 * BLOCK + 256
    mix = StemMix(tiny_live_model, vocals_db=-80)
    late = StemProcessor(tiny_live_model).latency_samples
    expected = mix(audio, RATE)[:, : audio.shape[1] - late]
    mix.reset()
    head = mix.process(audio[:, :cut], RATE, reset=False)
    result = fork(lambda: mix.process(audio[:, cut:], RATE, reset=False))
    theirs = result()
    tail = mix.process(audio[:, cut:], RATE, reset=False)
    np.testing.assert_allclose(np.concatenate([head, tail], axis=-1), expected, rtol=0, atol=1e-6)
    assert mix.dropouts == 0
    assert not told
    # The fork goes on aligned, dry until its own worker has enough input.
    assert (theirs[:, FADE:late] == audio[:, cut - late + FADE : cut]).all()
    again = late + FADE + 2048 + 256
    np.testing.assert_allclose(theirs[:, again:], tail[:, again:], rtol=0, atol=1e-6)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.endswith("because this process is a fork and starts its own worker")


def test_a_fork_that_begins_a_new_stream_says_nothing(tiny_live_model, noise, fork, told, capfd):
    mix, audio = StemMix(tiny_live_model, vocals_db=-80), noise(2, 4 * BLOCK)
    expected = mix(audio, RATE)
    np.testing.assert_array_equal(fork(lambda: mix(audio, RATE))(), expected)
    assert not told
    assert capfd.readouterr().err == ""


def test_a_block_without_samples_is_no_error(tiny_live_model, noise, told, capfd):
    mix, audio = StemMix(tiny_live_model, vocals_db=-80), noise(2, BLOCK)
    expected = mix(audio, RATE)
    mix.reset()
    parts = [mix(part, RATE, reset=False) for part in (audio[:, :0], audio[:, :5000], audio[:, :0], audio[:, 5000:])]
    out = np.concatenate(parts, axis=-1)
    np.testing.assert_allclose(out, expected[:, : out.shape[1]], rtol=0, atol=1e-6)
    assert not told
    assert capfd.readouterr().err == ""


def test_two_boards_on_two_threads_run_at_the_same_time(troubled, noise, told):
    mixes = [troubled("meet", gain=gain) for gain in (0.3, 0.7)]
    boards = [Pedalboard([mix]) for mix in mixes]
    audio, outs = loud(noise, 2), {}

    def run(index):
        outs[index] = boards[index](audio, RATE)

    threads = [Thread(target=run, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, gain in enumerate((0.3, 0.7)):
        assert mixes[index].dropouts == 0
        np.testing.assert_allclose(outs[index], gain * audio, rtol=0, atol=1e-6)
    assert not told


def test_parameters_may_be_written_from_another_thread(troubled, told):
    mix = troubled("sleep", seconds=0.005, gain=0.0)
    audio, outs = np.full((2, 100 * 1024), 1.5, np.float32), []
    thread = Thread(target=lambda: outs.append(mix(audio, RATE, buffer_size=1024)))
    thread.start()
    written = [0.0]
    while thread.is_alive():
        written.append(min(len(written) / 1000, 2.0))
        mix.gain = written[-1]
        time.sleep(0.002)
    thread.join()
    gains = outs[0][0] / 1.5
    assert (np.diff(gains) > -1e-6).all(), "in the order written"
    assert np.abs(gains[:, None] - np.unique(written)).min(axis=1).max() < 1e-5, "only gains that were written"
    assert len(np.unique(gains.round(5))) > 3
    assert mix.gain == written[-1]
    assert not told
