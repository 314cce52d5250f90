"""Blocks in real time: the network runs in its own thread, and no sample depends on its timing."""

import gc
import os
import subprocess
import sys
import textwrap
import threading
from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stembridge import StemProcessor
from stembridge.engine.network import StreamingNetwork
from stembridge.engine.separator import extra_latency

GAINS = {"vocals": -6.0, "drums": 3.0, "bass": -80.0}
rates = pytest.mark.parametrize("rate", [8000, 44100, 48000, 192000])
blocks = pytest.mark.parametrize("block", [16, 64, 100, 128, 256, 512, 4096])


@rates
@blocks
@pytest.mark.parametrize("num_channels", [1, 2])
def test_it_sounds_the_same_with_the_reported_latency(
    tiny_live_model, noise, stream, delayed, rate, num_channels, block
):
    plain = StemProcessor(tiny_live_model, rate, num_channels, GAINS)
    processor = StemProcessor(tiny_live_model, rate, num_channels, GAINS, realtime_block=block)
    later = processor.latency_samples - plain.latency_samples
    audio = noise(num_channels, processor.latency_samples + 3 * max(block, processor.hop_samples) + 37)
    for _ in range(2):  # and again from the start, whatever work was unfinished
        out = stream(processor, audio, [block] * (audio.shape[1] // block))
        np.testing.assert_allclose(out, delayed(plain.process(audio), later), rtol=0, atol=1e-5)
        processor.reset()
        plain.reset()
    stems = stream(processor, audio, [block] * (audio.shape[1] // block), separate=True)
    np.testing.assert_allclose(stems, delayed(plain.separate(audio), later), rtol=0, atol=1e-5)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 700), min_size=1, max_size=6).filter(any), st.sampled_from([16, 64, 256, 500]))
def test_blocks_may_be_of_any_other_size(tiny_live_model, noise, stream, delayed, lengths, block):
    plain = StemProcessor(tiny_live_model, 44100, 2, GAINS)
    processor = StemProcessor(tiny_live_model, 44100, 2, GAINS, realtime_block=block)
    audio = noise(2, 5000)
    out = stream(processor, audio, lengths * (5000 // sum(lengths)))
    wanted = delayed(plain.process(audio), processor.latency_samples - plain.latency_samples)
    np.testing.assert_allclose(out, wanted, rtol=0, atol=1e-5)


def test_a_model_that_looks_ahead_works_too(tiny_studio_model, noise, stream, delayed):
    plain = StemProcessor(tiny_studio_model, 44100, 2, GAINS)
    processor = StemProcessor(tiny_studio_model, 44100, 2, GAINS, realtime_block=512)
    audio = noise(2, 20000)
    later = processor.latency_samples - plain.latency_samples
    assert later > 0, "a chunk is longer than a block"
    out = stream(processor, audio, [512] * 39)
    np.testing.assert_allclose(out, delayed(plain.process(audio), later), rtol=0, atol=1e-5)


@given(st.integers(1, 600), st.integers(1, 1500))
def test_the_latency_is_the_least_that_gives_the_network_enough_time(hop, block):
    def room(later):
        """Return the least time from a block that completes hops to the deadline of the block that needs the first."""
        ends = [hop * k for k in range(1, block + 1)]
        return min((((end + later) // block + 2) - ceil(Fraction(end, block))) * block for end in ends)

    at_once = max((end * block // hop) - ((end - 1) * block // hop) for end in range(1, hop + 1))
    assert at_once == ceil(block / hop)
    enough, later = max(Fraction(5, 3), 1 + Fraction(at_once, 3)) * hop, extra_latency(hop, block)
    assert room(later) >= enough
    assert later == 0 or room(later - 1) < enough


@pytest.mark.parametrize(
    ("rate", "block", "calls"), [(44100, 64, 6), (44100, 128, 3), (44100, 256, 1), (48000, 128, 3), (48000, 256, 1)]
)
def test_a_slow_network_holds_up_no_call_that_does_not_need_it(
    tiny_live_model, noise, delayed, monkeypatch, rate, block, calls
):
    processor = StemProcessor(tiny_live_model, rate, realtime_block=block)
    audio = noise(2, 8192)
    before = ceil(processor.hop_samples / block)  # the last of these completes a hop
    ones, plain = np.split(audio, range(block, 8192, block), axis=1), StemProcessor(tiny_live_model, rate)
    wanted = delayed(plain.process(audio), processor.latency_samples - plain.latency_samples)
    go, push = threading.Event(), StreamingNetwork.push

    def slow(network, spectra):
        assert go.wait(30)
        return push(network, spectra)

    monkeypatch.setattr(StreamingNetwork, "push", slow)
    out = [processor.process(one) for one in ones[: before + calls - 1]]  # would hang here
    go.set()
    out += [processor.process(one) for one in ones[before + calls - 1 :]]
    np.testing.assert_allclose(np.concatenate(out, axis=1), wanted, rtol=0, atol=1e-5)


def test_a_call_waits_for_the_result_that_it_returns(tiny_live_model, noise, monkeypatch):
    processor = StemProcessor(tiny_live_model, realtime_block=256)
    audio, go, push, out = noise(2, 1024), threading.Event(), StreamingNetwork.push, []
    monkeypatch.setattr(StreamingNetwork, "push", lambda *it: push(*it) if go.wait(30) else None)
    out.append(processor.process(audio[:, :256]))
    thread = threading.Thread(target=lambda: out.append(processor.process(audio[:, 256:])))
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    go.set()
    thread.join(30)
    wanted = StemProcessor(tiny_live_model).process(audio)
    np.testing.assert_allclose(np.concatenate(out, axis=1), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"realtime_block": 64}, {"realtime_block": 256}])
def test_after_an_error_of_the_network_the_stream_starts_again(
    tiny_live_model, noise, stream, delayed, monkeypatch, options
):
    processor, audio, raised = StemProcessor(tiny_live_model, gains_db=GAINS, **options), noise(2, 4096), 0
    with monkeypatch.context() as patch:
        patch.setattr(StreamingNetwork, "push", lambda network, spectra: spectra.nothing)
        for one in np.split(audio, 64, axis=1):
            try:
                processor.process(one)
            except AttributeError:
                raised += 1
    assert raised >= 4
    processor.reset()
    later = processor.latency_samples - 512
    out = stream(processor, audio, [64] * 63)
    wanted = delayed(StemProcessor(tiny_live_model, gains_db=GAINS).process(audio), later)
    np.testing.assert_allclose(out, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("options", [{}, {"realtime_block": 256}])
def test_after_any_error_the_stream_stays_aligned(tiny_live_model, noise, stream, delayed, monkeypatch, options, error):
    processor, audio, push = StemProcessor(tiny_live_model, **options), noise(2, 16384), StreamingNetwork.push
    at = 4096 + 100
    out = [stream(processor, audio[:, :at], [100] * 41)]
    interrupted = threading.Event()

    def interrupt(network, spectra):
        if not interrupted.is_set():
            interrupted.set()
            raise error
        return push(network, spectra)

    monkeypatch.setattr(StreamingNetwork, "push", interrupt)
    began = 0
    for k in range(at, 16384 - 100, 100):
        try:
            out.append(processor.process(audio[:, k : k + 100]))
        except error:
            out, began = [], k + 100
    assert began
    after = np.concatenate(out, axis=1)
    assert np.array_equal(after, delayed(audio[:, began:], processor.latency_samples)[:, : after.shape[1]])


def test_the_thread_ends_with_its_processor(tiny_live_model, noise):
    before = set(threading.enumerate())
    processor = StemProcessor(tiny_live_model, realtime_block=64)
    processor.process(noise(2, 1024))
    (thread,) = set(threading.enumerate()) - before
    del processor
    gc.collect()
    thread.join(30)
    assert not thread.is_alive()


def run(code, model):
    """Run a program in a separate process; return its exit code and output."""
    code = f"import numpy as np, os, threading, atexit\nfrom stembridge import StemProcessor\n{textwrap.dedent(code)}"
    done = subprocess.run(
        [sys.executable, "-c", code, str(model)], capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_a_program_ends_even_with_work_left_to_do(tiny_live_model):
    """An audio thread that outlives the main thread gets an error and does not hang."""
    code = """
    import sys
    processor = StemProcessor(sys.argv[1], realtime_block=64)
    @atexit.register
    def flush():
        try:
            processor.process(np.zeros((2, 4096), "f"))
        except RuntimeError as error:
            print(error)
    def play():
        threading.main_thread().join()
        for _ in range(50):
            processor.process(np.zeros((2, 64), "f"))
        print("played")
    threading.Thread(target=play).start()
    """
    status, text = run(code, tiny_live_model)
    assert (status, text.split("\n")[0]) == (0, "played")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_process_must_make_its_own_processor(tiny_live_model):
    code = """
    import sys
    processor = StemProcessor(sys.argv[1], realtime_block=64)
    processor.process(np.zeros((2, 300), "f"))
    if not os.fork():
        try:
            processor.process(np.zeros((2, 4096), "f"))
        except RuntimeError as error:
            print(error)
        StemProcessor(sys.argv[1], realtime_block=64).process(np.zeros((2, 4096), "f"))
        print("made", flush=True)
        os._exit(0)
    print(os.wait()[1])
    """
    status, text = run(code, tiny_live_model)
    assert status == 0
    assert "this process was forked; " in text
    assert "made\n0\n" in text


@pytest.mark.parametrize("block", [0, -1, False, 256.5, "256", np.float32(256), float("nan"), [256]])
def test_a_wrong_block_size_is_refused_in_one_line(tiny_live_model, block):
    with pytest.raises(ValueError, match="does not work; give a whole number of samples from 1 on") as caught:
        StemProcessor(tiny_live_model, realtime_block=block)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("block", [np.uint8(200), np.int64(256), 10**30])
def test_any_whole_number_is_a_block_size(tiny_live_model, noise, block):
    processor = StemProcessor(tiny_live_model, realtime_block=block)
    assert processor.latency_samples == StemProcessor(tiny_live_model, realtime_block=int(block)).latency_samples
    processor.process(noise(2, 3000))
