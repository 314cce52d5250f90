"""Networks with normalised input: by the level of the song, of the stream so far, or of each segment."""

import numpy as np
import pytest
import soundfile
import stembridge
from stembridge import StemProcessor

from .conftest import WAVEFORM

SEGMENT, STRIDE = 8192, 6144
# The stem is the square of the network's input, so that it shows the level of the input.
SQUARE = "square (float[1, 2, n] mix) => (float[1, 2, n] sources) { size = Abs (mix) sources = Mul (mix, size) }"


@pytest.fixture(scope="session")
def square(make_guest):
    """Return a function: (normalize or None) -> a model."""
    about = {"stems": ["vocals"], "outputs": [WAVEFORM | {"name": "sources"}]}
    made = {}

    def square(normalize):
        if normalize not in made:
            fields = {"normalize": normalize} if normalize else {}
            made[normalize] = make_guest((SQUARE, about), stems=["vocals", "other"], **fields)
        return made[normalize]

    return square


@pytest.fixture
def song(noise):
    """Make a song that is quiet, then loud, and has an offset."""
    return noise(2, 60_000) * np.where(np.arange(60_000) < 25_000, 0.1, 1).astype(np.float32) + np.float32(0.05)


def vocals(processor, song):
    late = processor.latency_samples
    return processor.separate(np.pad(song, [(0, 0), (0, late)]))[0, :, late:]


def squared(song, mean, deviation):
    normal = (song - mean) / deviation
    return normal * np.abs(normal) * deviation + mean


def test_by_the_level_of_the_song(square, song):
    mono = song.mean(axis=0, dtype=np.float64)
    wanted = squared(song, mono.mean(), mono.std(ddof=1))
    for blocks in ([song], np.split(song, [7, 30_000], axis=1)):
        processor = StemProcessor(square("song"))
        assert processor.wants_song
        processor.hear_song(blocks)
        np.testing.assert_allclose(vocals(processor, song), wanted, rtol=0, atol=1e-4)
    processor.reset()
    np.testing.assert_allclose(vocals(processor, song), wanted, rtol=0, atol=1e-4)


def test_whole_songs_are_measured_automatically(square, song):
    mono = song.mean(axis=0, dtype=np.float64)
    wanted = squared(song, mono.mean(), mono.std(ddof=1))
    np.testing.assert_allclose(stembridge.separate(song, 44100, square("song"))["vocals"], wanted, rtol=0, atol=1e-4)
    quiet = stembridge.remix(song, 44100, {"vocals": -80}, square("song"))
    np.testing.assert_allclose(quiet, song - wanted, rtol=0, atol=1e-4)


def test_files_are_measured_before_they_are_rendered(square, song, tmp_path):
    soundfile.write(tmp_path / "song.wav", song.T, 44100, "FLOAT")
    mono = song.mean(axis=0, dtype=np.float64)
    wanted = squared(song, mono.mean(), mono.std(ddof=1))
    stembridge.remix_files([tmp_path / "song.wav"], tmp_path / "remix", {"vocals": -80}, model=square("song"))
    out = soundfile.read(next((tmp_path / "remix").iterdir()))[0].T
    scale = min(1, 1 / np.abs(song - wanted).max())
    np.testing.assert_allclose(out, song - wanted, rtol=0, atol=1e-4 / scale)


def test_in_a_stream_by_the_level_so_far(square, song, stream):
    processor = StemProcessor(square("song"))
    out = vocals(processor, song)
    mono = song.mean(axis=0, dtype=np.float64)
    first = mono[:SEGMENT]
    wanted = squared(song[:, :STRIDE], first.mean(), first.std(ddof=1))
    np.testing.assert_allclose(out[:, :STRIDE], wanted, rtol=0, atol=1e-4)
    processor.reset()
    cut = stream(processor, np.pad(song, [(0, 0), (0, SEGMENT)]), [100, 5000, 1, 20_000], separate=True)
    assert (cut[0, :, SEGMENT:] == out).all()


def test_by_the_level_of_each_segment(square, song):
    processor = StemProcessor(square("chunk"))
    assert not processor.wants_song
    mono = song.mean(axis=0, dtype=np.float64)
    first = mono[:SEGMENT]
    wanted = squared(song[:, :STRIDE], first.mean(), first.std(ddof=1))
    np.testing.assert_allclose(vocals(processor, song)[:, :STRIDE], wanted, rtol=0, atol=1e-4)


def test_without_normalisation_the_song_is_not_read_first(square, tiny_live_model):
    for model in (square(None), tiny_live_model):
        processor = StemProcessor(model)
        assert not processor.wants_song
        processor.hear_song(iter([None]))  # would fail


def test_silence_is_not_made_louder(square):
    processor = StemProcessor(square("song"))
    processor.hear_song([np.zeros((2, 1000), np.float32)])
    assert not processor.separate(np.zeros((2, 30_000), np.float32)).any()
    faint = np.full((2, 30_000), 1e-7, np.float32)
    assert np.isfinite(processor.separate(faint)).all()
