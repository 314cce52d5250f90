"""A song that begins in silence sounds as it would without that silence: no network runs before the first sound."""

import numpy as np
import pytest
from stembridge import StemProcessor, remix

GAINS = {"vocals": -80.0, "drums": 3.0}


def in_blocks(processor, audio, block):
    return np.concatenate([processor.process(audio[:, i : i + block]) for i in range(0, audio.shape[1], block)], axis=1)


def decibels(audio):
    return 10 * np.log10(np.mean(audio.astype(float) ** 2) + 1e-24)


@pytest.mark.parametrize(("rate", "block"), [(44100, 64), (44100, 65536), (48000, 1000), (96000, 4096), (8000, 333)])
@pytest.mark.parametrize("seconds", [0.5, 10])
def test_live_after_silence(noise, rate, block, seconds):
    processor = StemProcessor("live", rate, 2, GAINS)
    silence = round(seconds * rate / processor.hop_samples) * processor.hop_samples
    song = noise(2, rate // 2)
    expected = processor.process(song)
    processor.reset()
    out = in_blocks(processor, np.pad(song, [(0, 0), (silence, 0)]), block)
    assert decibels(out[:, silence:] - expected) - decibels(expected) < -90
    assert not out[:, :silence].any()


@pytest.mark.parametrize("hops", [1, 2, 7])
@pytest.mark.parametrize("block", [100, 5000, 40000])
@pytest.mark.parametrize("realtime_block", [None, 512])
def test_any_network_after_silence(tiny_model, noise, block, hops, realtime_block):
    processor = StemProcessor(tiny_model, 44100, 2, GAINS, realtime_block=realtime_block)
    silence, song = hops * processor.hop_samples, noise(2, 30000)
    expected = processor.process(song)
    processor.reset()
    out = in_blocks(processor, np.pad(song, [(0, 0), (silence, 0)]), block)
    np.testing.assert_allclose(out[:, silence:], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("lookahead", [0, 3])
@pytest.mark.parametrize("block", [100, 5000])
def test_a_network_that_counts_frames_counts_from_the_first_sound(make_model, noise, lookahead, block):
    """Its mask grows with each frame, so that one frame more or less is heard."""
    counting = """
        step = Constant <value_float = 0.001> ()
        frames = Shape <start = 0, end = 1> (spectrum)
        one = Constant <value_int = 1> ()
        steps = Expand (step, frames)
        zero_axis = Constant <value_int = 0> ()
        counted = CumSum (steps, zero_axis)
        numbers = Add (counted, state)
        final = Gather <axis = 0> (numbers, last)
        next_state = Identity (final)
        shape = Constant <value_ints = [-1, 1, 1, 1]> ()
        column = Reshape (numbers, shape)
        masks = Add (silent, column)
    """
    path = make_model(counting, stems=["speech", "noise"], lookahead=lookahead)
    processor = StemProcessor(path, 44100, 2, {"speech": -80})
    silence, song = 9 * processor.hop_samples, noise(2, 10000)
    expected = processor.process(song)
    processor.reset()
    out = in_blocks(processor, np.pad(song, [(0, 0), (silence, 0)]), block)
    np.testing.assert_allclose(out[:, silence:], expected, rtol=0, atol=1e-6)
    assert np.abs(expected[:, processor.latency_samples + 5000 :]).max() < np.abs(song).max() - 0.005


def test_studio_after_silence(noise):
    processor = StemProcessor("studio", 44100, 2, GAINS)
    silence, song = processor.hop_samples, noise(2, 44100)
    expected = remix(song, 44100, GAINS)
    out = remix(np.pad(song, [(0, 0), (silence, 0)]), 44100, GAINS)
    np.testing.assert_allclose(out[:, silence:], expected, rtol=0, atol=1e-5)


def test_silence_alone_is_silent(tiny_model):
    processor = StemProcessor(tiny_model, 44100, 2, GAINS)
    assert not in_blocks(processor, np.zeros((2, 60000), np.float32), 700).any()
