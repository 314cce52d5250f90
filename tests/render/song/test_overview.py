"""An overview shows the song at the right times, whatever its length."""

import base64
import json
import tracemalloc
import zlib

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from stembridge.audio import read_audio
from stembridge.control import Automation
from stembridge.engine import separate
from stembridge.render import remix_file, separate_file
from stembridge.render.song.overview import COLUMNS, Envelope, Overview

STEMS = ("vocals", "drums", "bass", "other")
NAMES = ("high", "low")


def two_stems(n, num_channels=2, seed=0):
    """Make noise, (2, channels, n), that comes and goes."""
    audio = 0.08 * np.random.default_rng(seed).standard_normal((2, num_channels, n))
    return (audio * np.abs(np.sin(np.arange(n) / max(1, n) * 20))).astype(np.float32)


def collect(stems, gains, cuts=(), skip=0, factor=1.0):
    envelope = Envelope(NAMES[: len(stems)], skip)
    start = 0
    for length in [*cuts, stems.shape[-1]]:
        here = slice(start, start + length)
        if stems[..., here].shape[-1]:
            envelope.push(stems[..., here], gains[:, here] if gains.shape[1] > 1 else gains)
        start += length
    return envelope.overview(44100, factor)


def decibels(power):
    return np.maximum(10 * np.log10(np.maximum(power, 1e-30)), -80)


@pytest.mark.parametrize("length", [64, 3 * 64, 8 * 64, 16 * 64, 64 * 64])
@pytest.mark.parametrize("num_channels", [1, 2])
def test_columns_hold_the_minimum_maximum_and_power_of_their_samples(length, num_channels):
    stems, gains = two_stems(COLUMNS * length, num_channels), np.array([[0.5], [1.5]], np.float32)
    overview = collect(stems, gains, factor=0.8)
    for wave, levels, heard in (
        (overview.before, overview.stems_before, stems),
        (overview.after, overview.stems_after, 0.8 * gains[:, None] * stems),
    ):
        columns = heard.sum(0).mean(0).reshape(COLUMNS, length)
        np.testing.assert_allclose(wave, np.stack([columns.min(1), columns.max(1)], axis=1), atol=1e-5)
        power = np.square(heard).mean(1).reshape(2, COLUMNS, length).mean(-1)
        np.testing.assert_allclose(levels, decibels(power), atol=0.01)
    assert overview.seconds == COLUMNS * length / 44100
    assert overview.stems == NAMES


@given(n=st.integers(1, 100_000), cuts=st.lists(st.integers(0, 40_000), max_size=8), skip=st.integers(0, 3000))
def test_any_length_has_all_columns_and_loses_no_peak_for_any_block_lengths(n, cuts, skip):
    stems, gains = two_stems(n + skip, 1), np.array([[1], [0.5]], np.float32)
    overview = collect(stems, gains, cuts, skip)
    whole = collect(stems[..., skip:], gains)
    for name in ("before", "after", "stems_before", "stems_after"):
        assert np.isfinite(getattr(overview, name)).all()
        np.testing.assert_allclose(getattr(overview, name), getattr(whole, name), atol=1e-2)
    assert overview.before.shape == overview.after.shape == (COLUMNS, 2)
    assert overview.stems_before.shape == overview.stems_after.shape == (2, COLUMNS)
    mix = stems[..., skip:].sum(0)[0].clip(-1, 1)
    assert overview.before[:, 0].min() == pytest.approx(mix.min(), abs=1e-6)
    assert overview.before[:, 1].max() == pytest.approx(mix.max(), abs=1e-6)
    assert overview.seconds == n / 44100


def test_moving_gains_act_on_their_own_samples():
    n = COLUMNS * 64
    gains = np.ones((2, n), np.float32)
    gains[0, n // 2 :] = 0
    overview = collect(np.full((2, 1, n), 0.25, np.float32), gains, cuts=[1000, 5000])
    half = COLUMNS // 2
    assert (overview.stems_after[0, half:] == -80).all()
    np.testing.assert_allclose(overview.stems_after[0, :half], -12.04, atol=0.01)
    np.testing.assert_allclose(overview.after[:, 0], np.repeat([0.5, 0.25], half), atol=1e-6)
    assert (overview.before == 0.5).all()


def test_clipping_is_shown_at_full_scale_and_silence_at_the_floor():
    loud = collect(np.full((2, 1, 5000), 3, np.float32), np.array([[1], [0]], np.float32))
    assert (loud.before == 1).all()
    assert (loud.stems_after[1] == -80).all()
    silent = collect(np.zeros((2, 2, 5000), np.float32), np.ones((2, 1), np.float32))
    assert not silent.before.any()
    assert (silent.stems_before == -80).all()


def test_memory_does_not_grow_with_the_song():
    envelope, stems, gains = Envelope(NAMES), two_stems(30_000), np.ones((2, 1), np.float32)
    envelope.push(stems, gains)
    tracemalloc.start()
    for _ in range(200):
        envelope.push(stems, gains)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 20_000
    assert envelope.overview(44100).seconds == 201 * 30_000 / 44100


# --- stored


@given(n=st.integers(1, 50_000), seed=st.integers(0, 9), factor=st.floats(0, 2))
def test_storing_is_nearly_exact_and_exact_the_second_time(n, seed, factor):
    overview = collect(two_stems(n, seed=seed), np.array([[0.5], [0]], np.float32), factor=factor)
    stored = overview.to_dict()
    again = Overview.from_dict(json.loads(json.dumps(stored)))
    for name, step in (("before", 1 / 127), ("after", 1 / 127), ("stems_before", 0.5), ("stems_after", 0.5)):
        assert getattr(again, name).dtype == np.float32
        np.testing.assert_allclose(getattr(again, name), getattr(overview, name), atol=step / 2 + 1e-5)
    assert again.stems == overview.stems
    assert again.seconds == pytest.approx(overview.seconds, abs=0.001)
    assert again.to_dict() == stored


def test_it_takes_about_three_kilobytes():
    noise = np.random.default_rng(0).standard_normal((4, 2, 500_000)).astype(np.float32)
    envelope = Envelope(STEMS)
    envelope.push(0.05 * noise, np.float32([[0], [1], [1.4], [1]]))
    assert len(json.dumps(envelope.overview(44100).to_dict())) < 3200


GOOD = Overview.to_dict(Overview(("a",), 1.0, *np.zeros((2, COLUMNS, 2)), *np.zeros((2, 1, COLUMNS))))


def packed(size):
    return base64.b64encode(zlib.compress(bytes(size))).decode()


@pytest.mark.parametrize(
    "values",
    [
        None,
        [],
        "overview",
        {},
        {"stems": ["a"], "seconds": 1.0},
        GOOD | {"stems": []},
        GOOD | {"stems": "a"},
        GOOD | {"stems": [1]},
        GOOD | {"stems": ["a", "b"]},
        GOOD | {"seconds": float("nan")},
        GOOD | {"seconds": -1},
        GOOD | {"seconds": "long"},
        GOOD | {"data": None},
        GOOD | {"data": "!"},
        GOOD | {"data": "AAAA"},
        GOOD | {"data": GOOD["data"][:12]},
        GOOD | {"data": packed(6 * COLUMNS - 1)},
        GOOD | {"data": packed(6 * COLUMNS + 1)},
        GOOD | {"data": packed(100_000_000)},
    ],
    ids=lambda values: str(values)[:60],
)
def test_rubbish_is_refused_in_one_line(values):
    assert Overview.from_dict(GOOD).to_dict() == GOOD
    with pytest.raises(ValueError, match="the overview of a song is damaged") as caught:
        Overview.from_dict(values)
    assert "\n" not in str(caught.value)


@given(data=st.binary(max_size=4000))
def test_any_bytes_are_read_or_refused(data):
    for text in (data, zlib.compress(data)):
        try:
            overview = Overview.from_dict(GOOD | {"data": base64.b64encode(text).decode()})
        except ValueError:
            continue
        assert np.abs(overview.before).max() <= 1
        assert -80 <= overview.stems_before.min() <= overview.stems_before.max() <= 40


# --- of a rendered song


@pytest.mark.parametrize("num_channels", [1, 2])
def test_a_remix_is_shown_at_its_time_in_the_song(tmp_path, tiny_model, num_channels):
    audio = np.zeros((COLUMNS * 512, num_channels))
    audio[100 * 512 : 120 * 512] = 0.5 * np.random.default_rng(0).uniform(-1, 1, (20 * 512, num_channels))
    soundfile.write(tmp_path / "song.wav", audio, 44100, subtype="FLOAT")
    still = {"vocals": 1e-9}  # dB, a factor of 1; but the network has to run
    overview = remix_file(tmp_path / "song.wav", tmp_path / "out.wav", still, tiny_model, measure=True).overview
    columns = audio.mean(axis=1).reshape(COLUMNS, 512)
    waveform = np.stack([columns.min(axis=1), columns.max(axis=1)], axis=1)
    np.testing.assert_allclose(overview.before, waveform, atol=1e-5)
    np.testing.assert_allclose(overview.after, waveform, atol=1e-5)
    np.testing.assert_array_equal(overview.stems_before, overview.stems_after)
    assert overview.stems == STEMS
    assert overview.seconds == COLUMNS * 512 / 44100


def test_without_a_move_the_song_is_shown_as_one_stem(make_song, tmp_path, tiny_model):
    song = make_song(frames=COLUMNS * 512, subtype="FLOAT", peak=0.3)
    overview = remix_file(song, tmp_path / "out.wav", {}, tiny_model, measure=True).overview
    assert overview.stems == ("song",)
    np.testing.assert_array_equal(overview.before, overview.after)
    np.testing.assert_array_equal(overview.stems_before, overview.stems_after)
    audio = read_audio(song)[0]
    columns = audio.mean(axis=0).reshape(COLUMNS, 512)
    np.testing.assert_allclose(overview.after, np.stack([columns.min(1), columns.max(1)], axis=1), atol=1e-6)
    power = np.square(audio).mean(axis=0).reshape(COLUMNS, 512).mean(axis=1)
    np.testing.assert_allclose(overview.stems_after[0], decibels(power), atol=0.1)


@pytest.mark.parametrize("peak", [0.3, 5.0])
def test_after_shows_the_written_file(make_song, tmp_path, tiny_model, peak):
    song = make_song(frames=COLUMNS * 512, subtype="FLOAT", peak=peak)
    ride = Automation(unit="samples").step("drums", 120 * 512, -80)
    gains_db = {"bass": 6.0, "vocals": -80.0}
    rendered = remix_file(
        song, tmp_path / "out.wav", gains_db, tiny_model, automation=ride, sample_format="int24", measure=True
    )
    overview, written = rendered.overview, read_audio(tmp_path / "out.wav")[0]
    assert (rendered.factor < 1) == (peak > 1)
    columns = written.mean(axis=0).reshape(COLUMNS, 512)
    np.testing.assert_allclose(overview.after, np.stack([columns.min(1), columns.max(1)], axis=1), atol=1e-5)
    moved_db = overview.stems_after - overview.stems_before - 20 * np.log10(rendered.factor)
    drums, bass = STEMS.index("drums"), STEMS.index("bass")
    np.testing.assert_allclose(moved_db[bass], 6, atol=0.01)
    np.testing.assert_allclose(moved_db[drums, :120], 0, atol=0.01)
    assert (overview.stems_after[drums, 123:] == -80).all()  # after its glide of 20 ms, under two columns
    assert (overview.stems_after[STEMS.index("vocals")] == -80).all()

    audio, rate = read_audio(song)
    for levels, stem in zip(overview.stems_before, separate(audio, rate, tiny_model).values(), strict=True):
        power = np.square(stem).mean(axis=0).reshape(COLUMNS, 512).mean(axis=1)
        np.testing.assert_allclose(levels, decibels(power), atol=0.1)


def test_after_shows_the_sum_of_separated_stems_each_counted_once(make_song, tmp_path, tiny_live_model):
    song = make_song(frames=COLUMNS * 512, subtype="FLOAT", peak=0.4)
    names = ["drums", "bass", "drums"]
    rendered = separate_file(song, tmp_path / "stems", names, tiny_live_model, measure=True)
    overview = rendered.overview
    columns = sum(read_audio(path)[0] for path in rendered.paths).mean(axis=0).reshape(COLUMNS, 512)
    np.testing.assert_allclose(overview.after, np.stack([columns.min(1), columns.max(1)], axis=1), atol=1e-5)
    written = [stem in names for stem in STEMS]
    np.testing.assert_array_equal(overview.stems_after[written], overview.stems_before[written])
    assert (overview.stems_after[np.logical_not(written)] == -80).all()

    all_stems = separate_file(song, tmp_path / "all", ["drums", "no_drums"], tiny_live_model, measure=True).overview
    np.testing.assert_allclose(all_stems.after, all_stems.before, atol=1e-6)


def test_nothing_is_measured_unless_asked(make_song, tmp_path, tiny_live_model):
    for rendered in (
        remix_file(make_song(), tmp_path / "out.wav", {}, tiny_live_model),
        separate_file(make_song(), tmp_path / "stems", model=tiny_live_model),
    ):
        assert (rendered.before, rendered.after, rendered.overview) == (None, (), None)
