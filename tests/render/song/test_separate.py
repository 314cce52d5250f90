"""Separated files are the engine's stems, and sum to the song within one step per stem."""

import itertools

import numpy as np
import pytest
import soundfile
from stembridge.audio import read_audio
from stembridge.core.stems import stem_parts
from stembridge.engine import separate
from stembridge.render import separate_file

STEMS = ("vocals", "drums", "bass", "other")
LSB = {"PCM_16": 2**-15, "PCM_24": 2**-23, "FLOAT": 2**-22}


def read(path):
    return soundfile.read(path, always_2d=True)[0].T


def files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("num_channels", [1, 2])
@pytest.mark.parametrize("sample_rate", [8000, 44100, 96000])
@pytest.mark.parametrize("subtype", LSB)
def test_the_stems_sum_to_the_song(make_song, tmp_path, tiny_live_model, subtype, sample_rate, num_channels):
    song = make_song(sample_rate=sample_rate, num_channels=num_channels, subtype=subtype, peak=0.5)
    rendered = separate_file(song, tmp_path / "stems", model=tiny_live_model)
    assert rendered.paths == tuple(tmp_path / "stems" / f"{stem}.wav" for stem in STEMS)
    assert files(tmp_path / "stems") == sorted(f"{stem}.wav" for stem in STEMS)
    assert {soundfile.info(path).subtype for path in rendered.paths} == {subtype}
    assert {soundfile.info(path).samplerate for path in rendered.paths} == {sample_rate}
    total = sum(read(path) for path in rendered.paths)
    np.testing.assert_allclose(total, read(song), rtol=0, atol=len(STEMS) * LSB[subtype])


def test_each_file_is_the_engines_stem(make_song, tmp_path, tiny_model):
    song = make_song(frames=70_001, subtype="PCM_24", peak=0.5)
    separate_file(song, tmp_path / "stems", model=tiny_model)
    audio, rate = read_audio(song)
    for stem, expected in separate(audio, rate, tiny_model).items():
        np.testing.assert_allclose(read(tmp_path / "stems" / f"{stem}.wav"), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("stem", STEMS)
def test_a_stem_and_the_song_without_it_sum_to_the_song(make_song, tmp_path, tiny_live_model, stem):
    song = make_song(peak=0.5)
    separate_file(song, tmp_path, [stem, f"no_{stem}"], tiny_live_model)
    assert files(tmp_path) == sorted([f"{stem}.wav", f"no_{stem}.wav", "song.wav"])
    total = read(tmp_path / f"{stem}.wav") + read(tmp_path / f"no_{stem}.wav")
    np.testing.assert_allclose(total, read(song), rtol=0, atol=2 * 2**-15)


def test_only_the_stems_asked_for_are_written_and_once(make_song, tmp_path, tiny_live_model):
    rendered = separate_file(make_song(), tmp_path / "stems", ["bass", "no_drums", "bass"], tiny_live_model)
    assert [path.name for path in rendered.paths] == ["bass.wav", "no_drums.wav"]
    assert files(tmp_path / "stems") == ["bass.wav", "no_drums.wav"]


@pytest.mark.parametrize("suffix", [".flac", ".aiff", ".mp3", ".ogg", ".opus", ".m4a"])
def test_other_containers(make_song, tmp_path, tiny_live_model, suffix):
    song = make_song(frames=44_100, sample_rate=48000, peak=0.5)
    rendered = separate_file(song, tmp_path / "stems", model=tiny_live_model, suffix=suffix)
    assert rendered.warnings == ()
    assert files(tmp_path / "stems") == sorted(f"{stem}{suffix}" for stem in STEMS)
    total = sum(read_audio(path)[0] for path in rendered.paths)
    assert total.shape == (2, 44_100)
    assert np.sum((total - read(song)) ** 2) < 0.4 * np.sum(read(song) ** 2)


def test_the_instrumental_is_the_song_without_vocals(make_song, tmp_path, tiny_live_model):
    rendered = separate_file(make_song(), tmp_path / "stems", ["instrumental", "no_vocals"], tiny_live_model)
    assert [path.name for path in rendered.paths] == ["instrumental.wav", "no_vocals.wav"]
    np.testing.assert_array_equal(*map(read, rendered.paths))


def test_a_model_without_vocals_has_no_instrumental_unless_it_is_a_stem():
    assert stem_parts(("vocals", "instrumental"), ["instrumental"]) == {"instrumental": [1]}
    assert stem_parts(("vocals", "drums"), iter(["drums", "vocals"])) == {"drums": [1], "vocals": [0]}
    with pytest.raises(
        ValueError, match=r"unknown stem 'instrumental'; the stems are drums, other, no_drums, no_other$"
    ):
        stem_parts(("drums", "other"), ["instrumental"])


def test_bitrate_and_quality_set_the_size(make_song, tmp_path, tiny_live_model):
    song = make_song(frames=88_200)
    sizes = []
    for number, coding in enumerate(
        [{"bitrate": 64}, {"bitrate": 192}, {"encoding_quality": 0}, {"encoding_quality": 9}]
    ):
        stems = separate_file(song, tmp_path / str(number), ["vocals"], tiny_live_model, suffix=".m4a", **coding)
        sizes.append(stems.paths[0].stat().st_size)
    assert 10_000 < sizes[0] < 25_000
    assert 40_000 < sizes[1] < 60_000
    assert sizes[2] < 25_000 < 60_000 < sizes[3]


def test_one_factor_for_all_files_and_only_if_one_would_clip(make_song, tmp_path, tiny_live_model):
    song = make_song(subtype="FLOAT", peak=5.0)
    free = separate_file(song, tmp_path / "float", model=tiny_live_model)
    assert free.factor == 1
    peak = max(np.abs(read(path)).max() for path in free.paths)
    assert peak > 1

    rendered = separate_file(song, tmp_path / "stems", model=tiny_live_model, sample_format="int16")
    assert len(rendered.warnings) == 1
    assert 0.99 / peak < rendered.factor < 1 / peak
    for stem in STEMS:
        expected = rendered.factor * read(tmp_path / "float" / f"{stem}.wav")
        np.testing.assert_allclose(read(tmp_path / "stems" / f"{stem}.wav"), expected, rtol=0, atol=2**-15)
    total = sum(read(path) for path in rendered.paths)
    np.testing.assert_allclose(total, rendered.factor * read(song), rtol=0, atol=4 * 2**-15)


def test_normalize_is_one_factor_too(make_song, tmp_path, tiny_live_model):
    song = make_song(peak=0.05)
    rendered = separate_file(song, tmp_path / "stems", model=tiny_live_model, normalize=True)
    peaks = [np.abs(read(path)).max() for path in rendered.paths]
    assert max(peaks) == pytest.approx(10 ** (-1 / 20), abs=1e-4)
    assert min(peaks) < 0.8
    total = sum(read(path) for path in rendered.paths)
    np.testing.assert_allclose(total, rendered.factor * read(song), rtol=0, atol=4 * 2**-15)


@pytest.mark.parametrize("names", [["voice"], ["no_voice"], ["vocals", "no_"], [""], [], ["../vocals"]])
def test_an_unknown_stem_is_refused_with_the_known_names(make_song, tmp_path, tiny_live_model, names):
    song = make_song()
    with pytest.raises(ValueError, match="vocals, drums, bass, other, no_vocals"):
        separate_file(song, tmp_path / "stems", names, tiny_live_model)
    assert files(tmp_path) == ["song.wav"]


def test_no_stem_overwrites_the_song(make_song, tmp_path, tiny_live_model):
    for name, overwrite in itertools.product(["vocals.wav", "no_bass.wav"], [False, True]):
        song = make_song(name)
        before = song.read_bytes()
        with pytest.raises(FileExistsError, match="is the song itself"):
            separate_file(song, tmp_path, ["vocals", "no_bass"], tiny_live_model, overwrite=overwrite)
        assert song.read_bytes() == before
        assert files(tmp_path) == [name]
        song.unlink()
