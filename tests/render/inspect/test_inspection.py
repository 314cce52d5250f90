"""An inspection is correct for any length and rate, in bounded memory."""

import tracemalloc

import numpy as np
import pytest
import soundfile
from stembridge.audio.loudness import Loudness
from stembridge.engine import separate
from stembridge.models import load_model
from stembridge.render.inspect.inspection import MIN_COLUMNS, inspect_audio

RATE = 44100


@pytest.fixture
def write(tmp_path):
    """Return a function that writes audio, (channels, n), into a song."""

    def write(audio, rate=RATE):
        soundfile.write(tmp_path / "song.wav", audio.T, rate, subtype="FLOAT")
        return tmp_path / "song.wav"

    return write


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44100, 2), (96000, 2)])
def test_the_numbers_agree_with_the_stems(write, noise, tiny_model, rate, channels):
    audio = 0.3 * noise(channels, rate)
    seen = inspect_audio(write(audio, rate), tiny_model)
    stems = separate(audio, rate, tiny_model)
    energies = {stem: np.square(part).sum() for stem, part in stems.items()}
    for stem, part in {"song": audio, **stems}.items():
        meter = Loudness(rate, channels)
        meter.push(part)
        loud = seen.song if stem == "song" else seen.stems[stem]
        assert loud.lufs == pytest.approx(meter.lufs(), abs=0.01)
        assert loud.peak_db == pytest.approx(meter.peak_db(), abs=0.01)
        if stem != "song":
            assert loud.share == pytest.approx(energies[stem] / sum(energies.values()), abs=1e-4)
    assert seen.song.true_peak_db >= seen.song.peak_db
    assert (seen.seconds, seen.sample_rate, seen.num_channels) == (1.0, rate, channels)
    means = [10 * np.log10(np.square(part).mean()) for part in stems.values()]
    np.testing.assert_allclose(10 * np.log10((10 ** (seen.levels / 10)).mean(axis=1)), means, atol=0.2)


def test_events_are_in_the_columns_of_their_times(write, tiny_live_model):
    """A tone of 1 kHz at half of full scale, from second 2 to 3 of 5, with a click at second 4."""
    audio = np.zeros((2, 5 * RATE), np.float32)
    audio[:, 2 * RATE : 3 * RATE] = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    audio[:, 4 * RATE] = -0.9
    seen = inspect_audio(write(audio), tiny_live_model)
    columns = seen.waveform.shape[1]
    second = columns / seen.seconds
    heard = slice(int(2.2 * second), int(2.8 * second))
    np.testing.assert_allclose(
        seen.waveform[:, heard], [[-0.5], [0.5]] * np.ones((1, heard.stop - heard.start)), atol=0.01
    )
    assert not seen.waveform[:, : int(1.9 * second)].any()
    assert seen.waveform[0, int(4 * second)] == pytest.approx(-0.9, abs=1e-3)
    band = np.searchsorted(seen.edges_hz, 1000) - 1
    loudest = seen.spectrum[:, heard].argmax(axis=0)
    assert (abs(loudest - band) <= 1).all()
    assert seen.spectrum[:, heard].max() == pytest.approx(-6, abs=1.5)
    assert seen.spectrum[:, : int(1.5 * second)].max() == -100
    assert seen.levels[:, : int(1.5 * second)].max() == -100
    assert seen.levels[:, heard].max() > -20


def test_columns_of_long_songs_are_joined(write, tiny_live_model):
    """Each column has the extremes of its own time, however often columns were joined."""
    n = RATE * 40
    ramp = (np.arange(n) / n).astype(np.float32)
    audio = np.stack([ramp, ramp]) * np.where(np.arange(n) % 2, 1, -1)
    seen = inspect_audio(write(0.5 * audio), tiny_live_model)
    columns = seen.waveform.shape[1]
    assert MIN_COLUMNS <= columns < 2 * MIN_COLUMNS
    expected = 0.5 * np.arange(1, columns + 1) / columns
    np.testing.assert_allclose(seen.waveform, [-expected, expected], atol=0.001)
    assert np.isfinite(seen.spectrum).all()
    assert np.isfinite(seen.levels).all()


@pytest.mark.parametrize("frames", [1, 300, 5000])
def test_very_short(write, tiny_live_model, frames):
    seen = inspect_audio(write(np.full((1, frames), 0.5, np.float32)), tiny_live_model)
    assert seen.song.lufs is None
    assert seen.waveform.max() == 0.5
    assert seen.seconds == frames / RATE


def test_silence(write, tiny_live_model):
    seen = inspect_audio(write(np.zeros((2, RATE), np.float32)), tiny_live_model)
    assert [loud.lufs for loud in seen.stems.values()] == [None] * 4
    assert [loud.share for loud in seen.stems.values()] == [0] * 4
    assert seen.levels.max() == seen.spectrum.max() == -100


def test_memory_does_not_grow_with_the_song(write, noise, tiny_live_model):
    model = load_model(tiny_live_model)

    def peak(seconds):
        song = write(noise(2, 8000 * seconds), 8000)
        inspect_audio(song, model)
        tracemalloc.start()
        inspect_audio(song, model)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(80) < 1.2 * peak(20) + 1e6
