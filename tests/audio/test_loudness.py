"""Loudness follows BS.1770 and agrees with pyloudnorm; the true peak includes the sound between samples."""

import math
import subprocess
import sys

import numpy as np
import pyloudnorm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly
from stembridge.audio.loudness import Loudness

RATES = [8000, 11025, 16000, 22050, 32000, 44100, 47999, 48000, 88200, 96000, 176400, 192000]

rates = pytest.mark.parametrize("rate", RATES)


def pulsing_noise(rate, num_channels, seconds=8):
    """Make independent white noise in each channel, loud for one second and 26 dB quieter for two."""
    n = np.arange(seconds * rate)
    audio = 0.1 * np.random.default_rng(rate).standard_normal((num_channels, len(n)))
    return audio * np.where(n // rate % 3 == 0, 1, 0.05)


def tune(rate, num_channels, seconds=8):
    """Make notes with harmonics up to 16 kHz over a beat and a bass that fade in and out, as in songs."""
    time = np.arange(seconds * rate) / rate
    note = 220 * 2 ** (np.array([0, 3, 7, 12, 10, 5])[(4 * time).astype(int) % 6] / 12)
    phase = 2 * np.pi * np.cumsum(note) / rate
    top = min(16_000, 0.45 * rate)
    notes = sum(np.sin(k * phase) / k for k in range(1, 40) if k * 440 < top)
    bass = np.sin(2 * np.pi * 55 * time)
    beat = np.random.default_rng(0).standard_normal(len(time)) * np.exp(-30 * (time % 0.5))
    fade = np.minimum(1, np.minimum(time, seconds - time) / 2)
    return np.stack([fade * (0.2 * notes + 0.3 * bass + side * beat) for side in (0.3, 0.1)[:num_channels]])


def measured(audio, rate, block=65536, **options):
    meter = Loudness(rate, len(audio), **options)
    for start in range(0, audio.shape[1], block):
        meter.push(audio[:, start : start + block])
    return meter


@rates
@pytest.mark.parametrize("num_channels", [1, 2])
@pytest.mark.parametrize("make", [pulsing_noise, tune])
def test_loudness_is_within_a_tenth_of_pyloudnorms(make, rate, num_channels):
    audio = make(rate, num_channels)
    wanted = pyloudnorm.Meter(rate).integrated_loudness(audio.T)
    assert measured(audio, rate).lufs() == pytest.approx(wanted, abs=0.1)


@pytest.mark.parametrize(
    ("levels_and_seconds", "lufs"),
    [
        ([(-23, 20)], -23),
        ([(-33, 20)], -33),
        ([(-36, 10), (-23, 60), (-36, 10)], -23),
        ([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23),
        ([(-26, 20), (-20, 20.1), (-26, 20)], -23),
    ],
    ids=["loud", "quiet", "relative gate", "absolute gate", "mean"],
)
def test_the_cases_of_ebu_tech_3341(levels_and_seconds, lufs):
    levels = np.concatenate([np.full(round(48_000 * seconds), level) for level, seconds in levels_and_seconds])
    tone = 10 ** (levels / 20) * np.sin(2 * np.pi * 1000 * np.arange(len(levels)) / 48_000)
    assert measured(np.stack([tone, tone]), 48_000).lufs() == pytest.approx(lufs, abs=0.1)


def test_one_channel_counts_once():
    noise = pulsing_noise(44_100, 1)
    twice = np.concatenate([noise, noise])
    assert measured(twice, 44_100).lufs() - measured(noise, 44_100).lufs() == pytest.approx(3.01, abs=0.02)


@settings(max_examples=25)
@given(cuts=st.lists(st.integers(0, 20_000), max_size=20), gain_db=st.floats(-20, 200))
def test_neither_block_lengths_nor_level_change_the_measurement(cuts, gain_db):
    audio = tune(16_000, 2, 3)
    whole = measured(audio, 16_000, true_peak=True)
    meter = Loudness(16_000, 2, true_peak=True)
    start = 0
    for length in [*cuts, audio.shape[1]]:
        meter.push(10 ** (gain_db / 20) * audio[:, start : start + length])
        start += length
    assert meter.lufs() == pytest.approx(whole.lufs() + gain_db, abs=0.02)
    assert meter.peak_db() == pytest.approx(whole.peak_db() + gain_db, abs=1e-4)
    assert meter.true_peak_db() == pytest.approx(whole.true_peak_db() + gain_db, abs=1e-4)


@pytest.mark.parametrize("num_channels", [1, 2])
@pytest.mark.parametrize("seconds", [0, 1e-4, 0.39])
def test_less_than_four_tenths_of_a_second_have_no_loudness_but_a_peak(seconds, num_channels):
    audio = np.full((num_channels, round(seconds * 44_100)), 0.5)
    meter = measured(audio, 44_100)
    assert meter.lufs() is None
    assert meter.peak_db() == (pytest.approx(-6.02, abs=0.01) if seconds else -math.inf)


@pytest.mark.parametrize("level", [0, 1e-5])
def test_silence_has_no_loudness(level):
    audio = level * pulsing_noise(48_000, 2)
    meter = measured(audio, 48_000, true_peak=True)
    assert meter.lufs() is None
    assert (meter.true_peak_db() == -math.inf) == (level == 0)


def test_samples_that_are_not_finite_count_as_silence():
    audio = tune(44_100, 2)
    audio[:, 50_000:60_000] = 0
    spoiled = audio.copy()
    spoiled[0, 50_000:60_000:3], spoiled[1, 50_001:60_000:5] = np.nan, np.inf
    clean, meter = (measured(sound, 44_100, true_peak=True) for sound in (audio, spoiled))
    assert meter.lufs() == clean.lufs()
    assert meter.true_peak_db() == clean.true_peak_db()


@rates
def test_the_true_peak_of_a_tone_is_found_between_its_samples(rate):
    n = np.arange(rate // 2)
    tone = 0.5 * np.sin(np.pi / 2 * n + np.pi / 4)[None]  # at a quarter of the rate, sampled 3 dB below its crests
    ramp = np.minimum(1, np.minimum(n, n[::-1]) / (rate // 8))
    meter = measured(ramp * tone, rate, true_peak=True)
    assert meter.peak_db() == pytest.approx(-9.03, abs=0.01)
    assert meter.true_peak_db() == pytest.approx(-6.02, abs=0.1)


@rates
@pytest.mark.parametrize("num_channels", [1, 2])
def test_true_peaks_equal_those_at_a_higher_sample_rate(rate, num_channels):
    audio = pulsing_noise(rate, num_channels, 2)
    fine = 20 * math.log10(np.abs(resample_poly(audio, 16, 1, axis=1)).max())
    meter = measured(audio, rate, true_peak=True)
    assert meter.true_peak_db() == pytest.approx(fine, abs=0.3)


def test_a_peak_at_the_very_end_counts():
    audio = np.zeros((2, 30_000))
    audio[1, -1] = 0.5
    assert measured(audio, 44_100, true_peak=True).true_peak_db() >= -6.03


HOUR = """
import numpy as np
from stembridge.audio.loudness import Loudness

meter = Loudness(8000, 2, true_peak=True)
audio = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 8000 * 60)).astype(np.float32)

def peak():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])  # KiB

for _ in range(2):
    meter.push(audio)
after_two_minutes = peak()
for _ in range(30):
    meter.push(audio)
print(peak() - after_two_minutes)
"""


def test_half_an_hour_needs_no_more_memory_than_two_minutes():
    done = subprocess.run([sys.executable, "-c", HOUR], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 8000 * 1800 / 1024 / 4  # KiB: a quarter of a byte a sample would show


def test_no_ctrl_c_is_lost_while_loudness_is_measured(ctrl_c_lost):
    audio = tune(44_100, 5)

    def measure():
        meter = Loudness(44_100, 2, true_peak=True)
        yield
        for start in range(0, audio.shape[1], 4096):
            meter.push(audio[:, start : start + 4096])

    assert ctrl_c_lost(measure) == 0
