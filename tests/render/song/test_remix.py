"""A remix has the song's length, rate, channels, format and tags, and the sound of the engine."""

import math
import tracemalloc

import numpy as np
import pytest
import soundfile
from mutagen.flac import FLAC
from stembridge.audio import open_audio, read_audio
from stembridge.control import Automation
from stembridge.engine import remix
from stembridge.models import load_model
from stembridge.render import remix_file

LSB = {"PCM_16": 2**-15, "PCM_24": 2**-23, "FLOAT": 2**-23}


def read(path):
    audio, rate = soundfile.read(path, always_2d=True)
    return audio.T, rate, soundfile.info(path).subtype


@pytest.mark.parametrize("num_channels", [1, 2])
@pytest.mark.parametrize("sample_rate", [8000, 44100, 96000, 192000])
def test_without_a_move_the_remix_is_the_song_bit_for_bit(
    make_song, tmp_path, tiny_live_model, sample_rate, num_channels
):
    song = make_song(sample_rate=sample_rate, num_channels=num_channels)
    rendered = remix_file(song, tmp_path / "out.wav", {}, tiny_live_model)
    before, after = read(song), read(tmp_path / "out.wav")
    np.testing.assert_array_equal(before[0], after[0])
    assert before[1:] == after[1:]
    assert rendered.paths == (tmp_path / "out.wav",)
    assert rendered.seconds == 30_000 / sample_rate
    assert rendered.factor == 1
    assert rendered.warnings == ()


@pytest.mark.parametrize("frames", [1, 511, 65_535, 65_536, 65_537, 131_072])
def test_any_length_is_kept(make_song, tmp_path, tiny_model, frames):
    song = make_song(frames=frames, sample_rate=8000, num_channels=1)
    remix_file(song, tmp_path / "out.wav", {}, tiny_model)
    np.testing.assert_array_equal(read(song)[0], read(tmp_path / "out.wav")[0])


@pytest.mark.parametrize(
    ("name", "subtype", "target", "expected"),
    [
        ("song.wav", "PCM_16", "out.wav", "PCM_16"),
        ("song.wav", "PCM_24", "out.wav", "PCM_24"),
        ("song.wav", "FLOAT", "out.wav", "FLOAT"),
        ("song.wav", "PCM_24", "out.flac", "PCM_24"),
        ("song.wav", "FLOAT", "out.flac", "PCM_24"),
        ("song.aiff", "PCM_16", "out.wav", "PCM_16"),
        ("song.flac", "PCM_24", "OUT.FLAC", "PCM_24"),
        ("song.flac", "PCM_16", "out.wav", "PCM_16"),
        ("song.ogg", None, "out.wav", "PCM_16"),
        ("song.mp3", None, "out.flac", "PCM_16"),
        ("song.wav", "PCM_24", "out.aiff", "PCM_24"),
        ("song.wav", "FLOAT", "out.aif", "FLOAT"),
        ("song.ogg", None, "out.aiff", "PCM_16"),
    ],
)
def test_the_sample_format_is_that_of_the_song(make_song, tmp_path, tiny_live_model, name, subtype, target, expected):
    song = make_song(name, subtype=subtype, peak=0.4)
    remix_file(song, tmp_path / target, {}, tiny_live_model)
    after, rate, kind = read(tmp_path / target)
    before, _ = read_audio(song)
    assert (rate, kind) == (44100, expected)
    np.testing.assert_allclose(after, before, rtol=0, atol=LSB[expected])


@pytest.mark.parametrize(("bits", "subtype"), [("int16", "PCM_16"), ("int24", "PCM_24"), ("float32", "FLOAT")])
def test_another_sample_format_can_be_asked_for(make_song, tmp_path, tiny_live_model, bits, subtype):
    song = make_song(subtype="PCM_24")
    remix_file(song, tmp_path / "out.wav", {}, tiny_live_model, sample_format=bits)
    assert read(tmp_path / "out.wav")[2] == subtype
    np.testing.assert_allclose(read(tmp_path / "out.wav")[0], read(song)[0], rtol=0, atol=LSB[subtype])


@pytest.mark.parametrize("suffix", [".mp3", ".ogg", ".m4a"])
def test_lossy_outputs_sound_like_the_lossless(make_song, tmp_path, tiny_live_model, suffix):
    song = make_song(frames=44_100, peak=0.5)
    gains_db = {"vocals": -80.0}
    remix_file(song, tmp_path / "out.wav", gains_db, tiny_live_model)
    remix_file(song, tmp_path / f"out{suffix}", gains_db, tiny_live_model)
    lossless, lossy = read_audio(tmp_path / "out.wav")[0], read_audio(tmp_path / f"out{suffix}")[0]
    assert lossy.shape == lossless.shape
    assert np.sum((lossy - lossless) ** 2) < 0.2 * np.sum(lossless**2)


@pytest.mark.parametrize("num_channels", [1, 2])
def test_an_opus_file_has_the_song_at_48_khz_and_a_line_says_so(make_song, tmp_path, tiny_live_model, num_channels):
    song = make_song(num_channels=num_channels, peak=0.5)
    rendered = remix_file(song, tmp_path / "out.opus", {"vocals": -6}, tiny_live_model)
    assert rendered.warnings == (".opus cannot hold sound at 44100 Hz; it was resampled to 48000 Hz",)
    audio, rate = read_audio(tmp_path / "out.opus")
    assert (rate, audio.shape) == (48000, (num_channels, round(30_000 * 48000 / 44100)))


@pytest.mark.parametrize("bits", ["int16", "int24"])
def test_a_lossless_m4a_stays_lossless_unless_a_bitrate_is_given(make_song, tmp_path, tiny_live_model, bits):
    song = make_song(subtype={"int16": "PCM_16", "int24": "PCM_24"}[bits])

    def remixed(source, target, **more):
        remix_file(source, tmp_path / target, {}, tiny_live_model, **more)
        with open_audio(tmp_path / target) as reader:
            return reader.codec, reader.sample_format

    assert remixed(song, "small.m4a") == ("aac", "lossy")
    assert remixed(song, "whole.m4a", sample_format=bits) == ("alac", bits)
    assert remixed(tmp_path / "whole.m4a", "again.m4a") == ("alac", bits)
    np.testing.assert_array_equal(read_audio(tmp_path / "again.m4a")[0], read_audio(song)[0])
    assert remixed(tmp_path / "whole.m4a", "smaller.m4a", bitrate=128) == ("aac", "lossy")


@pytest.mark.parametrize("num_channels", [1, 2])
@pytest.mark.parametrize("sample_rate", [8000, 44100, 48000])
def test_the_sound_is_that_of_the_engine(make_song, tmp_path, tiny_model, sample_rate, num_channels):
    song = make_song(frames=70_001, sample_rate=sample_rate, num_channels=num_channels, subtype="FLOAT", peak=0.3)
    gains_db = {"vocals": -80.0, "drums": 3.0, "other": -6.0}
    remix_file(song, tmp_path / "out.wav", gains_db, tiny_model)
    audio, rate = read_audio(song)
    np.testing.assert_allclose(
        read(tmp_path / "out.wav")[0], remix(audio, rate, gains_db, tiny_model), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("k", [1, 65_535, 65_536, 65_537, 69_999])
def test_a_step_is_heard_from_its_sample_on_and_never_before(make_song, tmp_path, tiny_model, k):
    song = make_song(frames=70_000, subtype="FLOAT", peak=0.3)
    ride = Automation(unit="samples").step("drums", k, -80)
    remix_file(song, tmp_path / "still.wav", {"bass": -6.0}, tiny_model)
    remix_file(song, tmp_path / "moved.wav", {"bass": -6.0}, tiny_model, automation=ride)
    still, moved = read(tmp_path / "still.wav")[0], read(tmp_path / "moved.wav")[0]
    assert np.flatnonzero((still != moved).any(axis=0))[0] == k


def test_an_automated_remix_is_that_of_the_engine(make_song, tmp_path, tiny_model):
    song = make_song(frames=70_001, subtype="FLOAT", peak=0.3)
    ride = Automation().step("vocals", 0, -80).ramp("vocals", 0.3, 1.55, 6).step("other", 1.4861, -20)
    remix_file(song, tmp_path / "out.wav", {"vocals": 3.0, "bass": -6.0}, tiny_model, automation=ride)
    audio, rate = read_audio(song)
    wanted = remix(audio, rate, {"bass": -6.0}, tiny_model, automation=ride)
    np.testing.assert_allclose(read(tmp_path / "out.wav")[0], wanted, rtol=0, atol=1e-6)


def test_an_automation_of_a_stem_that_the_model_lacks_writes_nothing(make_song, tmp_path, tiny_model):
    song = make_song()
    with pytest.raises(ValueError, match="unknown stem 'piano'; the stems are vocals, drums, bass, other"):
        remix_file(song, tmp_path / "out.wav", {}, tiny_model, automation=Automation().step("piano", 1e6, -6))
    assert list(tmp_path.iterdir()) == [song]


def test_a_loaded_model_works_too(make_song, tmp_path, tiny_live_model):
    song = make_song()
    remix_file(song, tmp_path / "by path.wav", {"bass": -80.0}, tiny_live_model)
    remix_file(song, tmp_path / "loaded.wav", {"bass": -80.0}, load_model(tiny_live_model))
    assert (tmp_path / "by path.wav").read_bytes() == (tmp_path / "loaded.wav").read_bytes()


LOUD = {"vocals": 12.0, "drums": 12.0, "bass": 12.0, "other": 12.0}


@pytest.mark.parametrize(("target", "bits"), [("out.wav", "int16"), ("out.wav", "int24"), ("out.flac", None)])
def test_a_remix_that_would_clip_is_turned_down_as_a_whole_with_a_warning(
    make_song, tmp_path, tiny_live_model, target, bits
):
    song = make_song()
    rendered = remix_file(song, tmp_path / target, LOUD, tiny_live_model, sample_format=bits)
    (warning,) = rendered.warnings
    assert f"{-20 * math.log10(rendered.factor):.2f} dB" in warning
    whole = 10 ** (12 / 20) * rendered.factor * read(song)[0]
    np.testing.assert_allclose(read(tmp_path / target)[0], whole, rtol=0, atol=2**-15)
    assert np.abs(whole).max() == pytest.approx(1, abs=0.002)


def test_lossy_outputs_are_turned_down_as_well(make_song, tmp_path, tiny_live_model):
    rendered = remix_file(make_song(), tmp_path / "out.ogg", LOUD, tiny_live_model)
    assert rendered.factor < 0.3
    assert len(rendered.warnings) == 1


def test_float_wav_keeps_samples_above_full_scale(make_song, tmp_path, tiny_live_model):
    song = make_song(subtype="FLOAT")
    rendered = remix_file(song, tmp_path / "out.wav", LOUD, tiny_live_model)
    assert rendered.factor == 1
    assert rendered.warnings == ()
    np.testing.assert_allclose(read(tmp_path / "out.wav")[0], 10 ** (12 / 20) * read(song)[0], rtol=1e-6)


def test_a_song_at_full_scale_is_not_taken_for_clipping(tmp_path, tiny_live_model):
    song = np.zeros((5000, 2), np.int16)
    song[1000], song[3000] = -32768, 32767
    soundfile.write(tmp_path / "song.wav", song, 44100)
    rendered = remix_file(tmp_path / "song.wav", tmp_path / "out.wav", {}, tiny_live_model)
    assert rendered.warnings == ()
    np.testing.assert_array_equal(soundfile.read(tmp_path / "out.wav", dtype="int16")[0], song)


@pytest.mark.parametrize("peak", [0.01, 1.0])
@pytest.mark.parametrize("subtype", ["PCM_24", "FLOAT"])
def test_normalize_brings_the_peak_to_minus_one_decibel(make_song, tmp_path, tiny_live_model, peak, subtype):
    song = make_song(subtype=subtype, peak=peak)
    rendered = remix_file(song, tmp_path / "out.wav", {}, tiny_live_model, normalize=True)
    assert np.abs(read(tmp_path / "out.wav")[0]).max() == pytest.approx(10 ** (-1 / 20), abs=1e-6)
    assert rendered.factor == pytest.approx(10 ** (-1 / 20) / peak, rel=1e-4)
    assert rendered.warnings == ()


def test_silence_stays_silence(make_song, tmp_path, tiny_live_model):
    song = make_song()
    silence = dict.fromkeys(LOUD, -80.0)
    remix_file(song, tmp_path / "out.wav", silence, tiny_live_model, normalize=True)
    np.testing.assert_array_equal(read(tmp_path / "out.wav")[0], np.zeros((2, 30_000)))


@pytest.mark.parametrize("target", ["out.wav", "out.flac", "out.aiff", "out.mp3", "out.ogg", "out.opus", "out.m4a"])
def test_tags_are_copied(make_song, tmp_path, tiny_live_model, target):
    import mutagen

    song = make_song("song.flac")
    tags = FLAC(song)
    tags["title"] = ["Nachtfalter"]
    tags.save()
    remix_file(song, tmp_path / target, {}, tiny_live_model)
    assert "Nachtfalter" in str(mutagen.File(tmp_path / target).tags)


def test_progress_goes_from_start_to_end_of_each_step(make_song, tmp_path, tiny_live_model):
    steps: dict[str, list[float]] = {}
    song = make_song(frames=300_000, sample_rate=8000, num_channels=1)
    remix_file(
        song,
        tmp_path / "out.wav",
        {},
        tiny_live_model,
        progress=lambda step, fraction: steps.setdefault(step, []).append(fraction),
    )
    assert list(steps) == ["rendering", "writing"]
    for fractions in steps.values():
        assert len(fractions) >= 4
        assert fractions == sorted(fractions)
        assert 0 < fractions[0] < 0.5
        assert fractions[-1] == 1


def test_a_long_song_needs_no_more_memory_than_a_short_one(make_song, tmp_path, tiny_live_model):
    peaks = []
    for seconds in (30, 120):
        song = make_song(f"{seconds}.wav", frames=8000 * seconds, sample_rate=8000, num_channels=1)
        tracemalloc.start()
        remix_file(song, tmp_path / f"{seconds} out.wav", {"vocals": -80.0}, tiny_live_model)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 300_000  # 90 s more are 2.9 MB of samples


@pytest.mark.parametrize("options", [{}, {"normalize": True}, {"loudness": -20.0}, {"measure": True}])
def test_without_a_move_no_network_runs(make_song, tmp_path, tiny_model, monkeypatch, options):
    song = make_song(frames=70_001, peak=0.3)
    still = {"vocals": 1e-9}  # dB, a factor of 1; but the network has to run
    there = remix_file(song, tmp_path / "there.wav", still, tiny_model, **options)
    monkeypatch.setattr("stembridge.engine.processor.StemProcessor.process", None)
    rendered = remix_file(song, tmp_path / "out.wav", {"vocals": 0.0}, tiny_model, **options)
    assert (rendered.untouched, there.untouched) == (True, False)
    assert rendered.factor == there.factor
    assert (rendered.before, rendered.after) == (there.before, there.after)
    assert (tmp_path / "out.wav").read_bytes() == (tmp_path / "there.wav").read_bytes()


def test_few_samples_that_would_silence_the_song_are_named(make_song, tmp_path, tiny_live_model):
    song = make_song(name="song.wav", subtype="FLOAT")
    audio, rate = soundfile.read(song, dtype="float32", always_2d=True)
    audio[20_000] = 1e20
    soundfile.write(song, audio, rate, subtype="FLOAT")
    with pytest.raises(ValueError, match=r"song\.wav: 2 samples are far above full scale .* 400 dB; repair the file"):
        remix_file(song, tmp_path / "out.flac", {}, tiny_live_model)
    assert not (tmp_path / "out.flac").exists()
    rendered = remix_file(song, tmp_path / "out.wav", {}, tiny_live_model, measure=True)  # can hold it
    assert "far above full scale" in rendered.warnings[0]


def test_samples_that_are_not_numbers_are_reported(make_song, tmp_path, tiny_live_model):
    song = make_song(name="song.wav", subtype="FLOAT")
    audio, rate = soundfile.read(song, dtype="float32", always_2d=True)
    audio[10_000:] = np.nan
    soundfile.write(song, audio, rate, subtype="FLOAT")
    rendered = remix_file(song, tmp_path / "out.wav", {}, tiny_live_model)
    assert "samples are not finite numbers" in rendered.warnings[0]
    assert f"at {10_000 / rate:.3f} s" in rendered.warnings[0]
