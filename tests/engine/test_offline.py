"""Whole songs in one call: aligned to the sample, of the same length, with progress."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stembridge import StemProcessor, remix, separate
from stembridge.control import Automation
from stembridge.engine import compensate_latency, with_automation
from stembridge.engine.network import ChunkedNetwork, StreamingNetwork
from stembridge.models import load_model

STEMS = ("vocals", "drums", "bass", "other")
MIXED = {"vocals": -6.0, "drums": 3.0, "bass": -80.0}


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000, 96000, 192000])
@pytest.mark.parametrize("shape", [(9000,), (1, 9000), (2, 9000)], ids=str)
def test_a_remix_is_aligned_with_the_song(tiny_model, ready, noise, rate, shape):
    audio = noise(1 if len(shape) == 1 else shape[0], 9000).reshape(shape)
    assert (remix(audio, rate, {}, tiny_model) == audio).all(), "unity is bit for bit"
    out = remix(audio, rate, MIXED, tiny_model)
    assert out.shape == shape
    assert out.dtype == np.float32
    processor = ready(tiny_model, rate, 1 if len(shape) == 1 else shape[0], **MIXED)
    late = processor.process(np.pad(audio, [(0, 0)] * (len(shape) - 1) + [(0, processor.latency_samples)]))
    np.testing.assert_allclose(out, late[..., processor.latency_samples :], rtol=0, atol=1e-5)


@pytest.mark.parametrize("rate", [8000, 44100, 192000])
@pytest.mark.parametrize("shape", [(9000,), (1, 9000), (2, 9000)], ids=str)
def test_stems_are_aligned_with_the_song_and_sum_to_it(tiny_model, noise, rate, shape):
    audio = noise(2, 9000)[: 1 if len(shape) == 1 else shape[0]].reshape(shape)
    stems = separate(audio, rate, tiny_model)
    assert tuple(stems) == STEMS
    for stem in stems.values():
        assert stem.shape == shape
        assert stem.dtype == np.float32
        assert np.abs(stem).max() > 0.01
    np.testing.assert_allclose(sum(stems.values()), audio, rtol=0, atol=1e-5)
    mix = sum(10 ** (gain / 20) * stems[stem] for stem, gain in (MIXED | {"bass": -300, "other": 0}).items())
    np.testing.assert_allclose(remix(audio, rate, MIXED, tiny_model), mix, rtol=0, atol=1e-5)


@pytest.mark.parametrize("n", [0, 1, 511, 512, 513, 32767, 32768, 32769, 28672, 70000])
def test_any_length_comes_back_whole(tiny_model, noise, n):
    audio = noise(2, n)
    out = remix(audio, 44100, {}, tiny_model)
    assert out.shape == (2, n)
    assert (out == audio).all()
    stems = separate(audio[0], 44100, tiny_model)
    assert all(stem.shape == (n,) for stem in stems.values())
    np.testing.assert_allclose(sum(stems.values()), audio[0], rtol=0, atol=1e-5)


def test_a_transient_keeps_its_place_in_every_stem(tiny_model):
    for at in (0, 7, 40000, 49999):
        audio = np.zeros((1, 50000), np.float32)
        audio[:, at] = 1
        stems = separate(audio, 44100, tiny_model)
        assert all(np.abs(stem).argmax() == at for stem in stems.values() if np.abs(stem).max() > 0.01)
        assert np.abs(stems["vocals"]).max() > 0.01


@pytest.mark.parametrize("n", [1, 30000, 32768, 100000])
@pytest.mark.parametrize("step", ["remix", "separate"])
def test_progress_goes_up_to_one(tiny_model, n, step):
    told = []
    audio = np.zeros((1, n), np.float32)
    if step == "remix":
        remix(audio, 44100, MIXED, tiny_model, progress=told.append)
    else:
        separate(audio, 44100, tiny_model, progress=told.append)
    assert told == sorted(told)
    assert told[0] >= 0
    assert told[-1] == 1.0
    assert len(set(told)) >= n / 50000


@pytest.mark.parametrize("dtype", ["int16", "float64"])
def test_other_types_are_accepted_and_never_modified(tiny_model, noise, dtype):
    audio = (noise(2, 9000) * 1000).astype(dtype)
    audio.setflags(write=False)
    wanted = audio.astype(np.float32) / np.float32(32768 if dtype == "int16" else 1)
    out = remix(audio, 44100, {}, tiny_model)
    assert (out == wanted).all()
    assert not np.shares_memory(out, audio)


def test_a_loaded_model_works_too(tiny_live_model, noise):
    audio = noise(1, 5000)
    out = remix(audio, 44100, MIXED, load_model(tiny_live_model), threads=2)
    np.testing.assert_allclose(out, remix(audio, 44100, MIXED, str(tiny_live_model)), rtol=0, atol=1e-5)
    assert StemProcessor(load_model(tiny_live_model)).stems == STEMS


@pytest.mark.parametrize("shape", [(44100, 2), (44100, 1), (3, 2)])
def test_samples_first_raises_and_says_how_to_turn_it(tiny_model, shape):
    for call in (lambda audio: remix(audio, 44100, {}, tiny_model), lambda audio: separate(audio, 44100, tiny_model)):
        with pytest.raises(ValueError, match=r"audio\.T") as error:
            call(np.zeros(shape))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("audio", "rate", "gains_db", "says"),
    [
        (np.zeros(()), 44100, {}, r"shape \(\)"),
        (np.zeros((1, 2, 9)), 44100, {}, r"shape \(1, 2, 9\)"),
        (np.zeros((6, 900)), 44100, {}, "6 channels"),
        (np.zeros((0, 900)), 44100, {}, "0 channels"),
        (np.zeros((2, 900)), 4000, {}, "4000 Hz"),
        (np.zeros((2, 900)), 44100, {"voice": 0}, "unknown stem 'voice'"),
        (np.zeros((2, 900)), 44100, {"vocals": 21}, "21 dB"),
        (np.zeros((2, 900), int), 44100, {}, "type int64"),
    ],
)
def test_audio_that_cannot_be_remixed_is_refused_in_one_line(tiny_model, audio, rate, gains_db, says):
    with pytest.raises(ValueError, match=says) as error:
        remix(audio, rate, gains_db, tiny_model)
    assert "\n" not in str(error.value)


# --- automation


class Moves:
    """Moves (sample, stem, gain in dB) in the form that remix takes; those at sample 0 set the start."""

    def __init__(self, *moves):
        self._moves = sorted(moves, key=lambda move: move[0])
        self._start = {}
        self.asked = []

    def starting(self, gains_db):
        if unknown := {stem for _, stem, _ in self._moves} - set(gains_db):
            raise ValueError(f"ride.csv: unknown stem {unknown}")
        self._start = gains_db
        return self

    def initial(self):
        return {**self._start, **{stem: gain for at, stem, gain in self._moves if at == 0}}

    def moves(self, start, stop, sample_rate):
        self.asked.append((start, stop, sample_rate))
        return [(at - start, stem, gain) for at, stem, gain in self._moves if start <= at < stop and at]


@pytest.mark.parametrize("k", [1, 511, 512, 20_000, 32_767, 32_768, 32_769, 39_999])
@pytest.mark.parametrize("rate", [8000, 44100])
@pytest.mark.parametrize("num_channels", [1, 2])
def test_a_step_is_heard_from_its_sample_on_and_never_before(tiny_model, noise, k, rate, num_channels):
    audio = noise(num_channels, 40_000)
    still = remix(audio, rate, {"drums": 3}, tiny_model)
    moved = remix(audio, rate, {"drums": 3}, tiny_model, automation=Moves((k, "other", -80.0)))
    assert np.flatnonzero((moved != still).any(axis=0))[0] == k
    settled = k + rate // 50
    silent = remix(audio, rate, {"drums": 3, "other": -80}, tiny_model)
    np.testing.assert_allclose(moved[:, settled:], silent[:, settled:], rtol=0, atol=1e-5)


def test_moves_are_asked_for_once_and_in_order(tiny_model, noise):
    moves = Moves((5, "vocals", -6.0))
    remix(noise(1, 70_000), 44100, {}, tiny_model, automation=moves)
    ends = [0]
    for start, stop, rate in moves.asked:
        assert start == ends[-1]
        assert rate == 44100
        ends.append(stop)
    assert ends[-1] >= 70_000


@settings(max_examples=30)
@given(
    cuts=st.lists(st.integers(0, 900), max_size=20),
    moves=st.lists(
        st.tuples(st.integers(0, 6500), st.sampled_from(STEMS), st.floats(-100, 20)), max_size=10
    ),
)  # fmt: skip
def test_moves_do_not_depend_on_the_block_lengths(tiny_live_model, ready, noise, cuts, moves):
    audio, ride = noise(1, 6000), Moves(*moves)
    processor = ready(tiny_live_model, 16000, 1)
    blocks = np.split(audio, np.minimum(np.cumsum(cuts, dtype=int), 6000), axis=-1)
    out = np.concatenate(
        list(compensate_latency(blocks, with_automation(processor, ride), processor.latency_samples)), axis=-1
    )
    whole = remix(audio, 16000, {}, tiny_live_model, automation=ride)
    np.testing.assert_allclose(out, whole, rtol=0, atol=1e-5)


def test_the_automations_start_overrides_the_faders_and_does_not_glide(tiny_model, noise):
    audio = noise(2, 9000)
    out = remix(audio, 44100, MIXED, tiny_model, automation=Moves((0, "vocals", 6.0), (10**9, "other", -80.0)))
    assert (out == remix(audio, 44100, MIXED | {"vocals": 6}, tiny_model)).all()
    out = remix(audio, 44100, MIXED, tiny_model, automation=Moves((10**9, "vocals", 6.0)))
    assert (out == remix(audio, 44100, MIXED, tiny_model)).all(), "a stem that moves later starts at its fader"
    assert (remix(audio, 44100, MIXED, tiny_model, automation=Moves()) == out).all()


@pytest.mark.parametrize("at", [0, 5, 10**9])
def test_automation_of_a_stem_that_the_model_lacks_is_refused_at_once(tiny_model, at):
    moves = Moves((at, "piano", -6.0))
    with pytest.raises(ValueError, match=r"^ride\.csv: unknown stem {'piano'}"):
        remix(np.zeros((2, 900)), 44100, {}, tiny_model, automation=moves)
    assert not moves.asked


@pytest.mark.parametrize("wrong", ["ride.csv", 3, {"vocals": -6}])
def test_an_object_that_is_not_an_automation_is_refused_in_one_line(tiny_model, wrong):
    said = r"must be an Automation, not .*; read a file with Automation\.from_csv or from_midi$"
    with pytest.raises(ValueError, match=said):
        remix(np.zeros((2, 900)), 44100, {}, tiny_model, automation=wrong)


# --- all faders at unity


@pytest.fixture
def no_network(monkeypatch):
    """Make any run of a network fail the test."""

    def run(self, spectra):
        raise AssertionError("the network ran")

    for network in (StreamingNetwork, ChunkedNetwork):
        monkeypatch.setattr(network, "push", run)


@pytest.mark.parametrize(
    ("ride", "is_late"),
    [
        (Automation([(2, "vocals", -6)]), True),
        (Automation([(0.5, "vocals", 0), (2, "vocals", -6)]), True),
        (Automation([(44100, "vocals", -6)], "samples"), True),
        (Automation([(44099, "vocals", -6)], "samples"), False),
        (Automation([(2, "vocals", -6, "db")]), False),  # a ramp that begins with the song
        (Automation([(0, "vocals", -6), (2, "vocals", 0)]), False),
    ],
)
def test_moves_that_all_come_after_the_songs_end_give_a_warning(tiny_live_model, noise, ride, is_late):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        remix(noise(2, 44_100), 44100, {}, tiny_live_model, automation=ride)
    assert ["its first move is at" in str(warning.message) for warning in caught] == [True] * is_late


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
@pytest.mark.parametrize("shape", [(2, 70_001), (1, 5), (3000,), (2, 0)])
def test_faders_that_stay_at_unity_run_no_network_and_change_no_bit(tiny_model, no_network, noise, shape, dtype):
    audio = noise(2, 70_001)[: shape[0] if len(shape) > 1 else 1, : shape[-1]].reshape(shape)
    audio = (32768 * audio).astype(dtype) if dtype == np.int16 else audio.astype(dtype)
    before = audio.copy()
    told = []
    ride = Automation([(0, "vocals", 0), (0.2, "vocals", 0, "db")])
    with pytest.warns(UserWarning, match="nothing in this automation moves a fader"):
        ride_out = remix(audio, 44100, {"drums": 0}, tiny_model, automation=ride)
    for out in (remix(audio, 44100, {}, tiny_model, progress=told.append), ride_out):
        assert out.dtype == np.float32
        np.testing.assert_array_equal(out, audio / np.float32(32768) if dtype == np.int16 else audio.astype(np.float32))
        out += 1
    np.testing.assert_array_equal(audio, before)
    assert not told or told[-1] == 1


def test_the_shortcut_at_unity_equals_the_engine_at_unity(tiny_live_model, ready, noise):
    audio = noise(2, 5000)
    audio[0, 5], audio[1, 6], audio[0, 7], audio[1, 8] = np.nan, np.inf, -0.0, 1e30
    processor = ready(tiny_live_model, 44100, 2)
    late = processor.latency_samples
    through = processor.process(np.pad(audio, [(0, 0), (0, late)]))[:, late:]
    assert through.tobytes() == processor.pass_through(audio).tobytes()


@pytest.mark.parametrize("gains_db", [{"vocals": -1e-9}, {"vocals": 3}, dict.fromkeys(STEMS, -6)])
def test_an_automation_that_brings_the_faders_to_unity_runs_no_network_either(tiny_model, no_network, noise, gains_db):
    audio = noise(1, 900)
    home = Automation([(0, stem, 0) for stem in STEMS])
    np.testing.assert_array_equal(remix(audio, 44100, gains_db, tiny_model, automation=home), audio)
    with pytest.raises(AssertionError, match="the network ran"):
        remix(audio, 44100, gains_db, tiny_model)
    with pytest.raises(AssertionError, match="the network ran"):
        remix(audio, 44100, {}, tiny_model, automation=Automation().step("bass", 1e6, -80))


def test_audio_that_cannot_be_remixed_is_refused_at_unity_too(tiny_model, no_network):
    for audio, rate, gains_db in (np.zeros((2, 9)), 4000, {}), (np.zeros((2, 9)), 44100, {"voice": 0}):
        with pytest.raises(ValueError, match=r"4000|voice"):
            remix(audio, rate, gains_db, tiny_model)
