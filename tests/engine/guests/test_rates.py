"""A network of one sample rate works at every rate: its stems stay aligned and keep their sound up to 20 kHz."""

import numpy as np
import pytest
from stembridge import StemProcessor

from .conftest import scaling

RATES = [8000, 16000, 22050, 32000, 48000, 88200, 96000, 192000, 44100.5]
rates = pytest.mark.parametrize("rate", RATES)


@pytest.fixture(scope="session")
def half(make_guest):
    """Make a network whose stem is half of the mix."""
    return make_guest(scaling("vocals", 0.5), stems=["vocals", "other"])


def response(audio, stem):
    """Return the gain in dB of a stem at each frequency of the audio, and its delay in samples."""
    one, other = np.fft.rfft(audio), np.fft.rfft(stem)
    heard = np.abs(one) > 0.05 * np.abs(one).max()
    ratio = other[heard] / one[heard]
    turns = np.unwrap(np.angle(ratio)) / (2 * np.pi)
    frequency = np.flatnonzero(heard) / len(audio)
    return 20 * np.log10(np.abs(ratio)), -np.polyfit(frequency, turns, 1)[0]


def band(n, rate, low, high, seed=0):
    """Make noise between two frequencies, faded in and out."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(n) * np.hanning(n))
    hertz = np.fft.rfftfreq(n, 1 / rate)
    audio = np.fft.irfft(np.where((hertz >= low) & (hertz <= high), spectrum, 0), n) * np.hanning(n)
    return (0.5 * audio / np.abs(audio).max()).astype(np.float32)


@rates
def test_the_response_is_flat_without_delay(half, rate):
    processor = StemProcessor(half, rate, 1)
    late, n = processor.latency_samples, 5 * processor.hop_samples
    audio = band(n, rate, 20, 0.45 * min(rate, 44100))
    stem = processor.separate(np.pad(audio, (0, late)))[0, late:]
    gain_db, delay = response(audio, 2 * stem)
    assert np.abs(gain_db).max() < 0.1
    assert abs(delay) < 0.001, "in samples"
    assert np.abs(2 * stem - audio).max() < 2e-3


@pytest.mark.parametrize("rate", [96000, 192000])
def test_sound_above_the_networks_range_stays_in_the_last_stem(half, rate):
    processor = StemProcessor(half, rate, 1)
    late, n = processor.latency_samples, 5 * processor.hop_samples
    audio = band(n, rate, 23_000, 0.45 * rate)
    vocals, other = processor.separate(np.pad(audio, (0, late)))[:, late:]
    assert np.abs(vocals).max() < 1e-4
    np.testing.assert_allclose(other, audio, rtol=0, atol=1e-4)


@rates
def test_segments_join_without_seams(half, rate):
    processor = StemProcessor(half, rate, 1)
    late = processor.latency_samples
    time = np.arange(8 * processor.hop_samples) / rate
    tone = (0.5 * np.sin(2 * np.pi * 1000 * time)).astype(np.float32)
    stem = processor.separate(np.pad(tone, (0, late)))[0, late:]
    inside = slice(processor.hop_samples, -processor.hop_samples)
    assert np.abs(2 * stem - tone)[inside].max() < 1e-5


@rates
def test_the_latency_is_as_long_as_the_card_says_at_every_rate(half, rate):
    processor = StemProcessor(half, rate)
    card_says = processor.model.card.latency_samples * rate / 44100
    assert abs(processor.latency_samples - card_says) < 1
    assert StemProcessor(half, 44100).latency_samples == processor.model.card.latency_samples == 8192
