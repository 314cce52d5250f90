"""The shell in real time, in a small native host: one hop of latency, never late, aligned whatever happens."""

import contextlib
import os
import shutil
import subprocess
import time
from dataclasses import replace

import numpy as np
import psutil
import pytest
from stembridge import StemProcessor
from stembridge.plugin.bridge.bundle import bundle_library, write_bundle
from stembridge.plugin.bridge.factory import Timing

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="the host is built with g++")

FADE = 0.005  # seconds from dry to wet or back
TINY_CONTEXT = 0.07  # seconds: the tests' networks have a window and one frame of memory
LATE = 100  # samples of latency of the processor below


def sine(seconds, rate):
    """Make a slow sine, in which any jump shows; its two channels differ and begin at 0."""
    wave = np.sin(2 * np.pi * 60 * np.arange(int(seconds * rate)) / rate)
    return (np.array([[0.5], [-0.4]]) * wave).astype(np.float32)


@pytest.fixture
def play_undisturbed(play):
    """Play as `play` does, more slowly if needed, until enough of the output is wet: speed is not tested."""

    def play_undisturbed(descriptor, audio, rate=44100, enough=0.5, **settings):
        for slower in (1, 2, 4, 8, 16):
            played = play(descriptor, audio, rate=rate, slower=slower, **settings)
            if played.undisturbed(rate, TINY_CONTEXT).mean() >= enough:
                return played
        pytest.fail(f"dry: {played.stderr}")

    return play_undisturbed


def largest_jump(audio):
    return np.abs(np.diff(audio)).max()


@pytest.mark.parametrize(
    ("model", "block", "num_channels", "rate"),
    [
        ("live", 256, 2, 48000),
        ("tiny_live", 64, 2, 44100),
        ("tiny_live", 64, 1, 96000),
        ("tiny_live", 100, 2, 96000),
        ("tiny_live", 128, 1, 48000),
        ("tiny_live", 256, 1, 44100),
        ("tiny_live", 512, 2, 44100),
        ("tiny_live", 1000, 1, 48000),
        ("tiny_live", 2048, 2, 96000),
        ("tiny_studio", 64, 1, 44100),
        ("tiny_studio", 512, 2, 96000),
        ("tiny_studio", 1000, 2, 48000),
    ],
)
def test_it_sounds_like_stem_processor_one_hop_later(
    stem_mix, request, noise, delayed, play_undisturbed, model, block, num_channels, rate
):
    model = model if model == "live" else request.getfixturevalue(f"{model}_model")
    processor = StemProcessor(model, rate, num_channels, {"vocals": -80})
    hop, audio = processor.hop_samples, noise(num_channels, int(0.4 * rate))
    enough = 1.0 if model == "live" else 0.5  # it has a longer memory
    played = play_undisturbed(stem_mix(model), audio, rate, enough, block=block, moves=["0:Vocals:0"])
    assert played.latency == processor.latency_samples + hop
    there = played.undisturbed(rate, TINY_CONTEXT)
    wet = delayed(processor.process(audio), hop)
    np.testing.assert_allclose(played.out[:, there], wet[:, there], rtol=0, atol=1e-6)
    assert np.abs(wet - delayed(audio, played.latency)).max() > 0.05, "dry and wet sound differ clearly"


def test_a_processor_without_a_hop_has_a_block_of_extra_latency(half, noise, delayed, play_undisturbed):
    audio = noise(1, 20000)
    played = play_undisturbed(half(hop=0), audio, block=300)
    assert played.latency == LATE + 300
    there = played.undisturbed(44100)
    np.testing.assert_allclose(played.out[:, there], 0.5 * delayed(audio, LATE + 300)[:, there], rtol=0, atol=1e-6)


@pytest.mark.parametrize("realtime", [0, 1])
def test_parameters_move_at_their_sample(stem_mix, tiny_live_model, noise, delayed, play_undisturbed, realtime):
    processor = StemProcessor(tiny_live_model, 44100, 2)
    ahead, audio, end = realtime * processor.hop_samples, noise(2, 20000), 15000
    moves = ["1003:Vocals:0.68", "4000:Drums mute:1", "4001:Bass:0.95", "6007:Drums mute:0", f"{end}:Bypass:1"]
    played = play_undisturbed(stem_mix(tiny_live_model), audio, moves=moves, realtime=realtime, block=500)
    assert played.latency == processor.latency_samples + ahead
    moves = [(1003, "vocals", -12), (4000, "drums", -80), (4001, "bass", 15), (6007, "drums", 0)]
    wet, dry = delayed(processor.process(audio, moves), ahead), delayed(audio, played.latency)
    there = played.undisturbed(44100, TINY_CONTEXT)
    heard, gone = end + played.latency, end + played.latency + int(44100 * FADE) + 2
    before, after = there & (np.arange(20000) < heard), there & (np.arange(20000) >= gone)
    np.testing.assert_allclose(played.out[:, before], wet[:, before], rtol=0, atol=1e-6)
    assert (played.out[:, after] == dry[:, after]).all()
    fade = slice(heard, gone)
    share = (played.out - dry)[:, fade] / (wet - dry)[:, fade]
    assert (there[fade].sum() < 50) or np.median(share[:, there[fade]]) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("modes", [["0:2"], ["0:2", "7000:0", "16000:2"], ["0:1"], ["9000:1", "20000:2"]])
@pytest.mark.parametrize("block", [64, 700])
def test_each_block_has_a_mode_and_the_latency_does_not_change(
    stem_mix, tiny_live_model, noise, delayed, play, block, modes
):
    """This also holds if the host sets up real time and then sends all blocks as fast as it can."""
    processor = StemProcessor(tiny_live_model, 44100, 2, {"vocals": -80})
    hop, audio = processor.hop_samples, noise(2, 30000)
    wet = delayed(processor.process(audio), hop)
    ready = int(modes[0] != "0:2")
    played = play(stem_mix(tiny_live_model), audio, block=block, modes=modes, ready=ready, moves=["0:Vocals:0"])
    assert played.latency == processor.latency_samples + hop
    there = played.undisturbed(44100, TINY_CONTEXT)
    assert modes != ["0:2"] or there.all()
    assert modes != ["0:1"] or there.mean() > 0.5
    np.testing.assert_allclose(played.out[:, there], wet[:, there], rtol=0, atol=1e-6)


def test_a_block_in_real_time_of_a_stream_that_is_set_up_offline(stem_mix, tiny_live_model, noise, play):
    processor = StemProcessor(tiny_live_model, 44100, 2, {"vocals": -80})
    audio = noise(2, 30000)
    modes = ["0:2", "10000:0", "20000:2"]
    played = play(stem_mix(tiny_live_model), audio, realtime=0, block=512, modes=modes, moves=["0:Vocals:0"])
    assert played.latency == processor.latency_samples
    there = played.undisturbed(44100, TINY_CONTEXT)
    assert there[:9000].all()
    np.testing.assert_allclose(played.out[:, there], processor.process(audio)[:, there], rtol=0, atol=1e-6)


def test_a_processor_knows_for_each_block_whether_it_is_offline(half, noise, delayed, play_undisturbed):
    audio = noise(2, 30000)
    played = play_undisturbed(half("Renders"), audio, block=500, modes=["0:2", "10000:0", "20000:2"])
    wanted = delayed(audio, 256 + LATE)  # and set up in real time, so a hop later
    there = played.undisturbed()
    told = np.repeat([1.0, 0.0, 1.0], 10000)  # where the input is; the output is the last hop later
    told = delayed(told[None], 256)[0]
    np.testing.assert_allclose(played.out[:, there], (told * wanted)[:, there], rtol=0, atol=1e-6)


def test_offline_there_is_no_more_latency(stem_mix, tiny_live_model, noise, play):
    processor = StemProcessor(tiny_live_model, 44100, 2, {"vocals": -80})
    audio = noise(2, 30000)
    played = play(stem_mix(tiny_live_model), audio, realtime=0, block=700, moves=["0:Vocals:0"])
    assert (played.latency, played.dry) == (processor.latency_samples, [])
    np.testing.assert_allclose(played.out, processor.process(audio), rtol=0, atol=1e-6)


def hold_up(after, seconds):
    def meanwhile(worker):
        time.sleep(after)
        worker.suspend()
        time.sleep(seconds)
        worker.resume()

    return meanwhile


@pytest.mark.parametrize(
    ("hop", "block", "seconds"), [(256, 256, 0.2), (256, 64, 1.0), (0, 512, 1.0), (256, 2048, 3.0)]
)
def test_a_worker_that_is_held_up_skips_late_blocks(half, delayed, play, hop, block, seconds):
    """The sound is dry while it is held up, and for the worker's latency after that."""
    audio = sine(0.6 + seconds + 0.8, 44100)
    for _ in range(3):  # other processes may hold it up too
        played = play(half(hop=hop), audio, hold_up(0.4, seconds), block=block)
        dry = delayed(audio, played.latency)
        there = played.undisturbed(44100)
        np.testing.assert_allclose(played.out[:, there], 0.5 * dry[:, there], rtol=0, atol=1e-6)
        assert largest_jump(played.out) < 1.3 * largest_jump(dry)
        assert "Half: dry from 0." in played.stderr
        assert "in time" in played.stderr
        first, last = played.dry[0], played.dry[-1]
        if 0 < last[0] + last[1] - first[0] - seconds * 44100 < 0.1 * 44100 + played.latency:
            return
    pytest.fail(f"dry from {first} to {last}")


def test_short_hold_ups_do_not_click(half, delayed, play):
    """The wet sound returns in the middle of a fade to dry."""

    def meanwhile(worker):
        time.sleep(0.2)
        for _ in range(20):
            hold_up(0.02, 0.008)(worker)

    audio = sine(1.2, 44100)
    played = play(half(), audio, meanwhile, block=64)
    dry = delayed(audio, LATE + 256)
    assert played.dry
    assert largest_jump(played.out) < 1.3 * largest_jump(dry)
    there = played.undisturbed(44100)
    np.testing.assert_allclose(played.out[:, there], 0.5 * dry[:, there], rtol=0, atol=1e-6)


def test_until_its_process_is_ready_a_plugin_is_dry_with_its_latency(half, delayed, play, tmp_path):
    (tmp_path / "mark").touch()
    descriptor = replace(half(marks=str(tmp_path), start=1.0), latencies={44100.0: Timing(LATE, 256)})
    audio = sine(4.0, 44100)
    played = play(descriptor, audio, ready=0)
    assert played.latency == LATE + 256
    assert played.longest_ms < 900, "no call waits for the process"
    assert "dry from 0.000 s on, because its process is still starting" in played.stderr
    dry, there = delayed(audio, LATE + 256), played.undisturbed(44100)
    assert there[-10000:].any()
    np.testing.assert_allclose(played.out[:, there], 0.5 * dry[:, there], rtol=0, atol=1e-6)
    assert (played.out[:, 500:40000] == dry[:, 500:40000]).all()


def test_offline_blocks_wait_for_its_process(half, delayed, play, tmp_path):
    (tmp_path / "mark").touch()
    descriptor = replace(half(marks=str(tmp_path), start=1.0), latencies={44100.0: Timing(LATE, 256)})
    audio = sine(0.5, 44100)
    played = play(descriptor, audio, ready=0, modes=["0:2"])
    assert (played.latency, played.dry) == (LATE + 256, [])
    np.testing.assert_allclose(played.out, 0.5 * delayed(audio, LATE + 256), rtol=0, atol=1e-6)


def test_an_interpreter_that_hangs_does_not_hold_up_the_host(half, delayed, play):
    audio = sine(0.5, 44100)
    hanging = replace(half(), arguments=("/bin/sleep", "1000"), latencies={44100.0: Timing(LATE, 256)})
    played = play(hanging, audio, ready=0)
    assert played.longest_ms < 500
    assert (played.out == delayed(audio, LATE + 256)).all()
    assert "its process is still starting" in played.stderr


def test_a_latency_that_differs_from_the_reported_one(half, delayed, play):
    audio = sine(0.5, 44100)
    played = play(replace(half(), latencies={44100.0: Timing(LATE - 1, 256)}), audio, modes=["0:2"])
    assert (played.out == delayed(audio, LATE - 1 + 256)).all()
    assert "its latency is 356 samples, but the host was told 355; install the plugin again" in played.stderr


def test_a_killed_worker_is_replaced_while_blocks_go_on_in_time(half, delayed, play, tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()

    def meanwhile(worker):
        time.sleep(0.5)
        worker.kill()

    audio = sine(4.0, 44100)
    played = play(half(marks=str(marks), start=1.5), audio, meanwhile, block=2048)
    assert len(list(marks.iterdir())) == 2
    assert played.longest_ms < 1200, "no call waits for the new process, which takes longer"
    dry = delayed(audio, LATE + 256)
    there = played.undisturbed(44100)
    assert there[-10000:].any(), "the sound is wet again"
    np.testing.assert_allclose(played.out[:, there], 0.5 * dry[:, there], rtol=0, atol=1e-6)
    assert (np.abs(played.out - dry) < 1e-6).all(axis=0)[~there].sum() > 1.4 * 44100
    assert largest_jump(played.out) < 1.3 * largest_jump(dry)
    assert "was killed by signal 9" in played.stderr


def test_a_kill_while_the_sound_is_dry_is_reported(half, play):
    def meanwhile(worker):
        hold_up(0.3, 0.3)(worker)
        worker.suspend()
        time.sleep(0.2)
        worker.kill()

    played = play(half(), sine(1.5, 44100), meanwhile)
    assert "in time" in played.stderr
    assert "was killed by signal 9" in played.stderr


@pytest.mark.parametrize("end", ["kill", "suspend"])
def test_the_host_survives_many_ends_of_the_process(half, play, end):
    """Kill or suspend one process after another, in every state, in real time and offline."""

    def meanwhile(worker):
        host = worker.parent()
        until = time.monotonic() + 3
        while time.monotonic() < until:
            time.sleep(0.03)
            for child in host.children():
                with contextlib.suppress(psutil.NoSuchProcess):
                    getattr(child, end)()
                    if end == "suspend":
                        time.sleep(0.02)
                        child.resume()

    audio = sine(4.0, 44100)
    played = play(half(), audio, meanwhile, modes=["44100:2", "66150:0"])
    assert np.isfinite(played.out).all()
    assert largest_jump(played.out) < 1.5 * largest_jump(audio)


def policies(process):
    """Return the scheduling policies of its threads; the first thread computes."""
    return [os.sched_getscheduler(thread.id) & ~os.SCHED_RESET_ON_FORK for thread in process.threads()]


def test_a_process_started_by_an_audio_thread_is_scheduled_like_any_other(half, play, tmp_path):
    """It stays so until it is ready; then only its computing thread may ask for priority, and only in real time."""
    if subprocess.run(["chrt", "-f", "1", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no real-time scheduling here")
    marks = tmp_path / "marks"
    marks.mkdir()
    seen = []

    def meanwhile(worker):
        host = worker.parent()
        time.sleep(0.3)
        seen.append(("working", policies(worker)))
        worker.kill()
        until = time.monotonic() + 2
        while time.monotonic() < until:
            for child in host.children():
                with contextlib.suppress(OSError, psutil.Error):
                    ready = len(list(marks.iterdir())) > 1
                    if child.pid != worker.pid and not ready:
                        seen.append(("starting", policies(child)))
            time.sleep(0.02)

    play(half(marks=str(marks), start=1.0), sine(3.0, 44100), meanwhile, fifo=1)
    assert {policy for state, found in seen if state == "starting" for policy in found} == {os.SCHED_OTHER}
    first, *others = next(found for state, found in seen if state == "working")
    assert first == os.SCHED_FIFO
    assert set(others) == {os.SCHED_OTHER}


def test_instances_start_in_parallel(host, half, tmp_path):
    descriptor = replace(half(), latencies={44100.0: Timing(LATE, 256)})
    write_bundle(tmp_path / "it.vst3", descriptor)
    command = [host, bundle_library(tmp_path / "it.vst3"), "load", "8"]
    with subprocess.Popen(command, stdout=-1, text=True) as process:
        assert process.stdout.readline() == "active\n"
        until = time.monotonic() + 5
        while (started := len(psutil.Process(process.pid).children())) < 8 and time.monotonic() < until:
            time.sleep(0.01)
        assert started == 8
        assert process.stdout.read() == "wet 1\n" * 8
    assert process.returncode == 0


def test_after_long_silence_it_rests_and_then_sounds_as_without_the_rest(
    stem_mix, tiny_live_model, noise, delayed, play
):
    processor = StemProcessor(tiny_live_model, 44100, 2, {"vocals": -80})
    hop, audio = processor.hop_samples, noise(2, 90000)
    audio[:, 20000:65003] = 0
    busy = []

    def meanwhile(worker):
        before = worker.cpu_times()
        time.sleep(0.7)  # it has had enough silence by then
        middle = worker.cpu_times()
        time.sleep(0.5)
        after = worker.cpu_times()
        busy.extend((sum(middle[:2]) - sum(before[:2]), sum(after[:2]) - sum(middle[:2])))

    played = play(stem_mix(tiny_live_model), audio, meanwhile, block=300, moves=["0:Vocals:0"])
    wet, there = delayed(processor.process(audio), hop), played.undisturbed(44100, TINY_CONTEXT)
    assert there[70000:].any()
    np.testing.assert_allclose(played.out[:, there], wet[:, there], rtol=0, atol=1e-6)
    silent = [start for start, _ in played.silent if start > 20000]
    tail = played.latency + 2048 + hop
    assert set(range(20100 + (tail // 300 + 1) * 300, 64800, 300)) <= set(silent)
    assert busy[1] <= 0.02, "seconds of processor time"
    with_sound = np.abs(played.out).max(axis=0) > 0
    assert not any(with_sound[start : start + length].any() for start, length in played.silent)


def test_offline_it_never_rests(stem_mix, tiny_live_model, noise, play):
    processor = StemProcessor(tiny_live_model, 44100, 2, {"vocals": -80})
    audio = noise(2, 40000)
    audio[:, 5000:30003] = 0
    played = play(stem_mix(tiny_live_model), audio, realtime=0, block=300, moves=["0:Vocals:0"])
    np.testing.assert_allclose(played.out, processor.process(audio), rtol=0, atol=1e-6)
    assert (6000 + 3 * 2100, 300) in played.silent


@pytest.mark.parametrize("realtime", [0, 1])
@pytest.mark.parametrize(("program", "why"), [("/nowhere/python", "No such file"), ("/bin/false", "exit code 1")])
def test_a_worker_that_cannot_start_leaves_the_sound_dry(half, noise, play, program, why, realtime):
    audio = noise(2, 8000)
    descriptor = replace(half(), arguments=(program,))
    played = play(descriptor, audio, realtime=realtime, ready=0)
    assert played.latency == 0
    assert (played.out == audio).all()
    assert sum(length for _, length in played.dry) == audio.shape[1]
    (line,) = played.stderr.splitlines()
    assert line.startswith("stembridge: Half: dry from 0.000 s on, because")
    assert why in line
