"""Promises of the signal path with networks that give stems, at every rate, channel count and block size."""

import numpy as np
import pytest

RATES = [8000, 22050, 44100, 48000, 192000]
MIXED = {"vocals": -6.0, "drums": 3.0, "bass": -80.0, "other": -1.5}

rates = pytest.mark.parametrize("rate", RATES)
channels = pytest.mark.parametrize("num_channels", [1, 2])


def length(processor):
    """Return a number of samples that covers the latency and some segments."""
    return processor.latency_samples + 3 * processor.hop_samples + 37


def random_cuts(n, seed=0):
    return np.diff(np.sort(np.random.default_rng(seed).integers(0, n, 50)), prepend=0)


@rates
@channels
def test_equal_gains_return_the_scaled_delayed_input_exactly(
    tiny_guest, ready, noise, stream, delayed, rate, num_channels
):
    for gain_db, factor in [(0.0, 1.0), (-6.0, 10 ** (-6 / 20)), (-80.0, 0.0)]:
        processor = ready(tiny_guest, rate, num_channels, **dict.fromkeys(MIXED, gain_db))
        audio = noise(num_channels, length(processor))
        out = stream(processor, audio, random_cuts(audio.shape[-1]))
        assert (out == np.float32(factor) * delayed(audio, processor.latency_samples)).all()


@rates
@channels
def test_block_lengths_change_no_bit(tiny_guest, ready, noise, stream, rate, num_channels):
    processor = ready(tiny_guest, rate, num_channels, **MIXED)
    n = length(processor)
    audio, moves = noise(num_channels, n), [(n // 9, "vocals", 6.0), (n // 7, "other", -80.0)]
    whole = stream(processor, audio, moves=moves)
    assert whole.any()
    for cuts in ([1] * 300, [64] * (n // 64), random_cuts(n)):
        processor = ready(tiny_guest, rate, num_channels, **MIXED)
        assert (stream(processor, audio, cuts, moves) == whole).all()


@rates
@channels
def test_stems_sum_to_the_delayed_input(tiny_guest, ready, noise, stream, delayed, rate, num_channels):
    processor = ready(tiny_guest, rate, num_channels, **MIXED)
    audio = noise(num_channels, length(processor))
    stems = stream(processor, audio, random_cuts(audio.shape[-1]), separate=True)
    np.testing.assert_allclose(stems.sum(axis=0), delayed(audio, processor.latency_samples), rtol=0, atol=1e-6)
    assert all(np.abs(stem).max() > 0.01 for stem in stems)
