"""A remix has the requested loudness, its true peak is limited, and reported levels agree with other meters."""

import math
import subprocess
import sys

import numpy as np
import pyloudnorm
import pytest
import soundfile
from scipy.signal import resample_poly
from stembridge.render import remix_file, separate_file

MIXED = {"vocals": -80.0, "drums": 3.0}


def lufs(path):
    audio, rate = soundfile.read(path, always_2d=True)
    return pyloudnorm.Meter(rate).integrated_loudness(audio)


def peak_db(path, finer=1):
    audio = soundfile.read(path, always_2d=True)[0]
    return 20 * math.log10(np.abs(resample_poly(audio, finer, 1, axis=0) if finer > 1 else audio).max())


@pytest.fixture
def song(make_song):
    return make_song(frames=200_000, peak=0.5)


@pytest.mark.parametrize("target", ["out.wav", "out.flac"])
@pytest.mark.parametrize("num_channels", [1, 2])
@pytest.mark.parametrize("loudness", [-30, -23.5])
def test_a_loudness_is_set_within_a_tenth(make_song, tmp_path, tiny_model, target, num_channels, loudness):
    song = make_song(frames=200_000, num_channels=num_channels)
    rendered = remix_file(song, tmp_path / target, MIXED, tiny_model, loudness=loudness)
    assert rendered.warnings == ()
    assert lufs(tmp_path / target) == pytest.approx(loudness, abs=0.1)
    assert rendered.overview is None


@pytest.mark.parametrize("factor", [30, 1000])
def test_the_loudness_of_a_song_far_above_full_scale_is_set(tmp_path, tiny_live_model, factor):
    audio = factor * np.random.default_rng(0).uniform(-0.5, 0.5, (200_000, 2))
    soundfile.write(tmp_path / "song.wav", audio, 44100, subtype="FLOAT")
    remix_file(tmp_path / "song.wav", tmp_path / "out.wav", MIXED, tiny_live_model, loudness=-20)
    assert lufs(tmp_path / "out.wav") == pytest.approx(-20, abs=0.1)


@pytest.mark.parametrize("sample_rate", [8000, 44100, 96000])
def test_match_keeps_the_songs_loudness(make_song, tmp_path, tiny_live_model, sample_rate):
    song = make_song(frames=3 * sample_rate, sample_rate=sample_rate, peak=0.5)
    out = tmp_path / "out.wav"
    remix_file(song, out, MIXED, tiny_live_model)
    assert lufs(out) != pytest.approx(lufs(song), abs=0.5)
    rendered = remix_file(song, out, MIXED, tiny_live_model, loudness="match", overwrite=True)
    assert rendered.warnings == ()
    assert lufs(out) == pytest.approx(lufs(song), abs=0.1)


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
@pytest.mark.parametrize("loudness", [0, "match"])
def test_the_true_peak_is_limited_and_a_missed_loudness_is_reported(
    make_song, tmp_path, tiny_live_model, subtype, loudness
):
    song, out = make_song(frames=200_000, peak=0.99, subtype=subtype), tmp_path / "out.wav"
    rendered = remix_file(song, out, {"bass": 3.0}, tiny_live_model, loudness=loudness)
    assert -1.1 < peak_db(out, finer=4) < -0.9
    wanted = lufs(song) if loudness == "match" else loudness
    (warning,) = rendered.warnings
    assert float(warning.split(" LU short")[0].split()[-1]) == pytest.approx(wanted - lufs(out), abs=0.15)


def test_levels_agree_with_other_meters(song, tmp_path, tiny_model):
    rendered = remix_file(song, tmp_path / "out.wav", MIXED, tiny_model, loudness=-25.0, measure=True)
    (after,) = rendered.after
    for level, path in ((rendered.before, song), (after, tmp_path / "out.wav")):
        assert level.lufs == pytest.approx(lufs(path), abs=0.1)
        assert level.peak_db == pytest.approx(peak_db(path), abs=0.01)
    assert after.true_peak_db == pytest.approx(peak_db(tmp_path / "out.wav", finer=4), abs=0.1)
    assert rendered.overview is not None


def test_levels_are_measured_after_turning_down(make_song, tmp_path, tiny_live_model):
    song, out = make_song(frames=100_000), tmp_path / "out.wav"
    (after,) = remix_file(song, out, dict.fromkeys(MIXED, 12.0), tiny_live_model, measure=True).after
    assert after.lufs == pytest.approx(lufs(out), abs=0.1)
    assert after.peak_db == pytest.approx(peak_db(out), abs=0.01)
    assert after.true_peak_db is None


def test_every_stem_has_its_own_level(song, tmp_path, tiny_model):
    rendered = separate_file(song, tmp_path / "stems", ["bass", "no_bass"], tiny_model, measure=True)
    assert rendered.before.lufs == pytest.approx(lufs(song), abs=0.1)
    assert len(rendered.after) == 2
    for path, level in zip(rendered.paths, rendered.after, strict=True):
        assert level.lufs == pytest.approx(lufs(path), abs=0.1)
        assert level.peak_db == pytest.approx(peak_db(path), abs=0.01)


@pytest.mark.parametrize(("frames", "peak"), [(200_000, 0.0), (10_000, 0.5)], ids=["silence", "a moment"])
@pytest.mark.parametrize("loudness", [-14, "match"])
def test_audio_without_a_loudness_keeps_its_level(tmp_path, tiny_live_model, frames, peak, loudness):
    audio = peak * np.random.default_rng(0).uniform(-1, 1, (frames, 2))
    soundfile.write(tmp_path / "song.wav", audio, 44100)
    rendered = remix_file(tmp_path / "song.wav", tmp_path / "out.wav", {}, tiny_live_model, loudness=loudness)
    assert rendered.factor == 1
    assert rendered.before.lufs is None
    assert (rendered.before.peak_db is None) == (peak == 0)
    assert "silence" in rendered.warnings[0]
    np.testing.assert_array_equal(*(soundfile.read(tmp_path / name)[0] for name in ("song.wav", "out.wav")))


def test_a_silent_remix_is_reported(song, tmp_path, tiny_live_model):
    gone = dict.fromkeys(("vocals", "drums", "bass", "other"), -80.0)
    rendered = remix_file(song, tmp_path / "out.wav", gone, tiny_live_model, loudness="match")
    assert rendered.before.lufs is not None
    assert rendered.after[0].lufs is None
    assert rendered.after[0].peak_db is None
    assert len(rendered.warnings) == 1


def test_two_ways_to_set_the_level_exclude_each_other(song, tmp_path, tiny_live_model):
    with pytest.raises(ValueError, match="choose one"):
        remix_file(song, tmp_path / "out.wav", {}, tiny_live_model, loudness=-14, normalize=True)
    with pytest.raises(ValueError, match="LUFS"):
        remix_file(song, tmp_path / "out.wav", {}, tiny_live_model, loudness=3)
    assert not (tmp_path / "out.wav").exists()


HALF_A_MINUTE = """
import sys
from stembridge.render import remix_file

remix_file(sys.argv[1], sys.argv[2], {"vocals": -80.0}, "studio", measure=True)
print(int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024 / 1e6)
"""


def test_the_largest_model_works_in_less_than_350_megabytes(make_song, tmp_path):
    song = make_song(frames=30 * 44100)  # five of the model's chunks; more would change nothing
    done = subprocess.run(
        [sys.executable, "-c", HALF_A_MINUTE, song, tmp_path / "out.wav"], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 350
