"""Faders, mutes, solos and moves: when they are heard, how they glide, and which input is refused."""

import math
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stembridge import StemProcessor
from stembridge.core.gains import linear_gain
from stembridge.engine.gains import Faders

STEMS = ("vocals", "drums", "bass", "other")
RATE = 16000
GLIDE = 320  # samples, 20 ms


def first_difference(a, b):
    """Return the first sample at which two outputs differ."""
    return np.flatnonzero((a != b).any(axis=0))[0]


# --- moves through the signal path


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000, 96000, 192000])
@pytest.mark.parametrize("num_channels", [1, 2])
@pytest.mark.parametrize("gain_db", [-80.0, 6.0])
def test_a_move_is_heard_from_its_sample_on_and_never_before(tiny_model, ready, noise, rate, num_channels, gain_db):
    for at, stem in enumerate(STEMS, start=1000):
        processor = ready(tiny_model, rate, num_channels)
        audio = noise(num_channels, 1000 + processor.latency_samples + rate // 25)
        still = processor.process(audio)
        moved = ready(tiny_model, rate, num_channels).process(audio, [(at, stem, gain_db)])
        assert first_difference(moved, still) == at + processor.latency_samples


def test_the_first_and_the_last_sample_of_a_block_may_move(tiny_model, ready, noise, stream):
    audio = noise(2, 9000)
    still = ready(tiny_model, RATE).process(audio)
    for at in (1000, 1999):
        processor = ready(tiny_model, RATE)
        moved = stream(processor, audio, [1000, 1000], [(at, "drums", -80.0)])
        assert first_difference(moved, still) == at + processor.latency_samples


@settings(max_examples=40)
@given(
    cuts=st.lists(st.integers(0, 900), max_size=30),
    moves=st.lists(st.tuples(st.integers(0, 5999), st.sampled_from(STEMS), st.floats(-100, 20)), max_size=12),
)
def test_moves_act_at_their_sample_for_any_block_lengths(tiny_model, ready, noise, stream, cuts, moves):
    audio = noise(1, 6000)
    whole = ready(tiny_model, RATE, 1).process(audio, moves)
    np.testing.assert_allclose(stream(ready(tiny_model, RATE, 1), audio, cuts, moves), whole, rtol=0, atol=1e-5)
    latency = ready(tiny_model, RATE, 1).latency_samples
    if moves:
        still = ready(tiny_model, RATE, 1).process(audio)
        heard = min(at for at, _, _ in moves) + latency
        assert (whole[:, :heard] == still[:, :heard]).all()


def test_the_last_of_several_moves_of_a_stem_at_one_sample_wins(tiny_model, ready, noise):
    audio = noise(2, 6000)
    several = [(500, "vocals", -80.0), (500, "drums", 3.0), (500, "vocals", -6.0), (500, "drums", -12.0)]
    out = ready(tiny_model, RATE).process(audio, several)
    assert (out == ready(tiny_model, RATE).process(audio, several[2:])).all()


def test_moves_may_come_in_any_order(tiny_model, ready, noise):
    audio = noise(2, 6000)
    moves = [(40, "vocals", -80.0), (900, "vocals", 3.0), (100, "bass", -20.0), (41, "vocals", -3.0)]
    out = ready(tiny_model, RATE).process(audio, iter(moves))
    assert (out == ready(tiny_model, RATE).process(audio, sorted(moves))).all()


@pytest.mark.parametrize("stem", STEMS)
def test_a_stem_that_leaves_unity_sounds_as_if_it_had_always_been_synthesised(tiny_model, ready, noise, stem):
    audio = noise(2, 8000)
    processor = ready(tiny_model, RATE)
    moved = processor.process(audio, [(2000, stem, -80.0)])
    down = ready(tiny_model, RATE, **{stem: -80.0}).process(audio)
    arrived = 2000 + processor.latency_samples + GLIDE - 1
    assert (moved[:, arrived:] == down[:, arrived:]).all()
    assert (moved[:, arrived - 1] != down[:, arrived - 1]).any(), "the glide lasts the full 20 ms"


def test_a_fader_shows_the_gain_of_a_move_once_it_is_heard(tiny_model, ready):
    processor = ready(tiny_model, RATE, 1)
    processor.process(np.zeros((1, 10)), [(4, "bass", -9.0)])
    assert processor.gains_db["bass"] == 0.0
    processor.process(np.zeros((1, processor.latency_samples - 6)))
    assert processor.gains_db["bass"] == 0.0
    processor.process(np.zeros((1, 1)))
    assert processor.gains_db["bass"] == -9.0


def test_the_later_of_a_move_and_a_manual_change_wins(tiny_model, ready):
    processor = ready(tiny_model, RATE, 1)
    processor.process(np.zeros((1, 10)), [(4, "bass", -9.0)])
    processor.set_gains_db(bass=-3.0)
    assert processor.gains_db["bass"] == -3.0
    processor.process(np.zeros((1, processor.latency_samples)))
    assert processor.gains_db["bass"] == -9.0


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ((-1, "vocals", 0.0), "offset -1"),
        ((100, "vocals", 0.0), "offset 100"),
        ((math.nan, "vocals", 0.0), r"move \(nan"),
        ((5, "voice", 0.0), "unknown stem 'voice'.*vocals, drums, bass, other"),
        ((5, "vocals", 20.01), "vocals.*20.01.*-80.*20"),
        ((5, "vocals", math.nan), "vocals.*nan"),
        ((5, "vocals", math.inf), "vocals.*inf"),
        ((5, "vocals", "loud"), "vocals.*'loud'"),
        ((5, "vocals", None), "vocals.*None"),
    ],
)
def test_wrong_moves_are_refused_before_the_block_is_processed(tiny_model, ready, noise, wrong, says):
    audio = noise(2, 6000)
    clean = ready(tiny_model, RATE).process(audio)
    processor = ready(tiny_model, RATE)
    out = processor.process(audio[:, :100])
    with pytest.raises(ValueError, match=says) as error:
        processor.process(audio[:, 100:200], [(0, "drums", -80.0), wrong])
    assert "\n" not in str(error.value)
    assert (np.concatenate([out, processor.process(audio[:, 100:])], axis=-1) == clean).all()


def test_separating_stems_advances_the_time_of_moves(tiny_model, ready, noise):
    audio = noise(2, 6000)
    still = ready(tiny_model, RATE).process(audio)
    processor = ready(tiny_model, RATE)
    processor.separate(audio[:, :1000])
    moved = processor.process(audio[:, 1000:], [(5, "drums", -80.0)])
    assert first_difference(moved, still[:, 1000:]) == 5 + processor.latency_samples


def test_a_wrong_block_uses_up_no_moves(tiny_model, ready, noise):
    audio = noise(2, 6000)
    processor = ready(tiny_model, RATE)
    with pytest.raises(ValueError, match="shape"):
        processor.process(audio[:1], [(0, "drums", -80.0)])
    assert (processor.process(audio) == ready(tiny_model, RATE).process(audio)).all()


def test_reset_discards_moves_that_were_not_heard_and_keeps_the_faders(tiny_model, ready, noise):
    audio = noise(2, 6000)
    processor = ready(tiny_model, RATE)
    processor.set_gains_db(vocals=-6.0)
    processor.process(audio[:, :100], [(99, "drums", -80.0)])
    processor.reset()
    assert processor.gains_db == dict.fromkeys(STEMS, 0.0) | {"vocals": -6.0}
    assert (processor.process(audio) == ready(tiny_model, RATE, vocals=-6.0).process(audio)).all()


# --- faders by hand


@pytest.mark.parametrize("n", [1, 63, 512, 3000])
def test_set_gains_db_is_heard_from_the_next_output_sample_on(tiny_model, ready, noise, n):
    audio = noise(2, 6000) + np.float32(0.1)
    warm = ready(tiny_model, RATE).latency_samples + n
    still = ready(tiny_model, RATE).process(audio)
    processor = ready(tiny_model, RATE)
    processor.process(audio[:, :warm])
    processor.set_gains_db(other=-80.0, vocals=3.0)
    assert processor.gains_db == {"vocals": 3.0, "drums": 0.0, "bass": 0.0, "other": -80.0}
    moved = processor.process(audio[:, warm:])
    assert first_difference(moved, still[:, warm:]) == 0
    down = ready(tiny_model, RATE, other=-80.0, vocals=3.0).process(audio)[:, warm:]
    assert (moved[:, GLIDE - 1 :] == down[:, GLIDE - 1 :]).all()


def test_a_new_processor_starts_at_its_gains_without_a_glide(tiny_model, noise, ready):
    audio = noise(2, 6000)
    processor = StemProcessor(tiny_model, RATE, 2, gains_db={"vocals": -80.0, "bass": 6.0})
    stems = ready(tiny_model, RATE).separate(audio)
    mix = np.tensordot([0, 1, 10 ** (6 / 20), 1], stems, 1)
    np.testing.assert_allclose(processor.process(audio), mix, rtol=0, atol=1e-5)


def test_a_processor_made_silent_is_silent_from_the_first_sample(tiny_model, ready):
    out = ready(tiny_model, RATE, 1, **dict.fromkeys(STEMS, -80.0)).process(np.ones((1, 6000)))
    assert not out.any()


def test_reset_jumps_without_a_glide(tiny_model, ready, noise):
    audio = noise(2, 6000)
    processor = ready(tiny_model, RATE)
    processor.set_gains_db(vocals=-80.0)
    processor.process(audio[:, :3])  # a glide has begun
    processor.set_gains_db(drums=-80.0)  # and another has not
    processor.reset()
    assert (processor.process(audio) == ready(tiny_model, RATE, vocals=-80.0, drums=-80.0).process(audio)).all()


@pytest.mark.parametrize("gain_db", [-80.0, -80.001, -1000.0, -math.inf])
def test_minus_80_db_or_below_is_silence(tiny_model, ready, noise, gain_db):
    out = ready(tiny_model, RATE, **dict.fromkeys(STEMS, gain_db)).process(noise(2, 6000))
    assert not out.any()
    assert linear_gain(gain_db) == 0.0
    assert linear_gain(-79.99) > 0.0


def test_plus_20_db_is_the_highest_gain(tiny_live_model, ready):
    processor = ready(tiny_live_model, RATE)
    processor.set_gains_db(vocals=20)
    assert processor.gains_db["vocals"] == 20.0


@pytest.mark.parametrize(
    ("gains_db", "says"),
    [
        ({"voice": 0.0}, "unknown stem 'voice'.*vocals, drums, bass, other"),
        ({"vocals": 20.5}, "vocals.*20.5 dB.*-80.*20"),
        ({"vocals": math.nan}, "vocals.*nan"),
        ({"vocals": math.inf}, "vocals.*inf"),
        ({"vocals": "loud"}, "vocals.*'loud'"),
        ({"vocals": [1, 2]}, "vocals"),
        ({"vocals": 10**400}, "vocals"),
    ],
)
def test_wrong_gains_are_refused_before_any_fader_moves(tiny_live_model, ready, gains_db, says):
    with pytest.raises(ValueError, match=says) as error:
        StemProcessor(tiny_live_model, RATE, 2, gains_db)
    assert "\n" not in str(error.value)
    processor = ready(tiny_live_model, RATE)
    with pytest.raises(ValueError, match=says):
        processor.set_gains_db(**{"drums": -6.0} | gains_db)
    assert processor.gains_db == dict.fromkeys(STEMS, 0.0)


def test_the_returned_gains_are_a_copy(tiny_live_model, ready):
    processor = ready(tiny_live_model, RATE)
    processor.gains_db["vocals"] = -80.0
    assert processor.gains_db["vocals"] == 0.0


# --- mute and solo


@pytest.mark.parametrize(
    ("muted", "soloed", "silent"),
    [
        (["vocals"], [], ["vocals"]),
        (["vocals", "other"], [], ["vocals", "other"]),
        ([], ["drums"], ["vocals", "bass", "other"]),
        ([], ["drums", "other"], ["vocals", "bass"]),
        (["drums"], ["drums", "bass"], ["vocals", "drums", "other"]),
        (["vocals"], ["vocals"], list(STEMS)),
        (list(STEMS), [], list(STEMS)),
        ([], list(STEMS), []),
    ],
)
def test_mutes_and_solos_silence_stems_as_faders_do(tiny_model, ready, noise, muted, soloed, silent):
    audio, faders = noise(2, 6000), {"vocals": -3.0, "drums": 2.0, "bass": 0.0, "other": -6.0}
    wanted = ready(tiny_model, RATE, **faders | dict.fromkeys(silent, -80.0)).process(audio)
    processor = ready(tiny_model, RATE, **faders)
    for stem in muted:
        processor.mute(stem)
    for stem in soloed:
        processor.solo(stem)
    assert set(processor.muted) == set(muted)
    assert set(processor.soloed) == set(soloed)
    assert processor.gains_db == faders, "faders stay where they are"
    processor.reset()
    assert (processor.process(audio) == wanted).all()
    for stem in STEMS:
        processor.mute(stem, on=False)
        processor.solo(stem, on=False)
    processor.reset()
    assert (processor.process(audio) == ready(tiny_model, RATE, **faders).process(audio)).all()


@pytest.mark.parametrize("switch", ["mute", "solo"])
def test_a_switch_glides_from_the_next_output_sample_on(tiny_model, ready, noise, switch):
    audio = noise(2, 6000) + np.float32(0.1)
    silent = {"mute": ["vocals"], "solo": ["drums", "bass", "other"]}[switch]
    still = ready(tiny_model, RATE).process(audio)
    down = ready(tiny_model, RATE, **dict.fromkeys(silent, -80.0)).process(audio)
    processor = ready(tiny_model, RATE)
    processor.process(audio[:, :4000])
    getattr(processor, switch)("vocals")
    out = processor.process(audio[:, 4000:])
    assert first_difference(out, still[:, 4000:]) == 0
    assert (out[:, GLIDE - 1 :] == down[:, 4000 + GLIDE - 1 :]).all()


@pytest.mark.parametrize("switch", ["mute", "solo"])
def test_a_switch_of_an_unknown_stem_is_refused(tiny_live_model, ready, switch):
    processor = ready(tiny_live_model, RATE)
    with pytest.raises(ValueError, match="unknown stem 'voice'"):
        getattr(processor, switch)("voice")
    assert processor.muted == processor.soloed == ()


# --- glides


def test_no_click(tiny_model, ready):
    """On a constant input no step between samples is larger than that of a glide over the whole range.

    The loudest stem is all of the input, and the longest glide of a fader is from silence to +20 dB.
    """
    processor = ready(tiny_model, RATE, 1)
    audio = np.ones((1, 600), np.float32)
    processor.process(np.ones((1, 4000), np.float32))
    actions = [
        lambda: processor.set_gains_db(vocals=-80.0),
        lambda: processor.set_gains_db(vocals=20.0, other=-80.0),
        lambda: processor.mute("drums"),
        lambda: processor.solo("vocals"),
        lambda: processor.set_gains_db(**dict.fromkeys(STEMS, 20.0)),
        lambda: processor.solo("vocals", on=False),
        lambda: processor.mute("other"),
        lambda: processor.set_gains_db(**dict.fromkeys(STEMS, -80.0)),
    ]
    pieces = []
    for offset in (400, 37, 1):  # arrived, on the way, hardly begun
        for action in actions:
            action()
            moves = [(offset // 2, "bass", -80.0), (offset - 1, "bass", 20.0)]
            pieces.append(processor.process(audio[:, :offset], moves))
    pieces.append(processor.process(np.ones((1, 4000), np.float32)))
    out = np.concatenate(pieces, axis=-1)[0]
    assert np.abs(np.diff(out)).max() <= 10 / GLIDE * 1.001 + 1e-5
    assert np.ptp(out) > 5, "the gain did move"


@pytest.mark.parametrize("rate", [8000, 44100, 192000])
def test_a_glide_is_linear_and_takes_20_ms(rate):
    faders = Faders(("a", "b"), rate, {"a": 0.0, "b": -80.0})
    faders.set_gains_db({"a": -80.0, "b": 20.0})
    n = round(0.02 * rate)
    gains = np.broadcast_to(faders.advance(2 * n), (2, 2 * n))
    np.testing.assert_allclose(gains[0], np.maximum(0, 1 - np.arange(1, 2 * n + 1) / n), rtol=0, atol=1e-6)
    np.testing.assert_allclose(gains[1], np.minimum(10, 10 * np.arange(1, 2 * n + 1) / n), rtol=0, atol=1e-5)
    assert (gains[:, n - 1 :] == [[0], [10]]).all(), "exactly equal"


@given(
    cuts=st.lists(st.integers(1, 500), min_size=1, max_size=20),
    moves=st.lists(st.tuples(st.integers(0, 2999), st.sampled_from("abc"), st.floats(-100, 20)), max_size=15),
)
def test_gains_do_not_depend_on_block_lengths_and_never_jump(cuts, moves):
    def gains(cuts):
        faders = Faders(("a", "b", "c"), RATE)
        faders.schedule(moves, 3000)
        pieces = [np.broadcast_to(faders.advance(n), (3, n)) for n in cuts]
        return np.concatenate(pieces, axis=-1)[:, :3000]

    whole = gains([3000])
    assert (gains([*cuts, 20 * 500]) == whole).all()
    assert np.abs(np.diff(whole, prepend=1.0)).max() <= 10 / GLIDE * 1.001
    assert (whole >= 0).all()
    assert (whole <= 10).all()


def test_equal_gains_stay_equal_while_they_glide_together(tiny_model, ready, noise, delayed):
    audio = noise(2, 6000)
    processor = ready(tiny_model, RATE)
    head = processor.process(audio[:, :4000])
    processor.set_gains_db(**dict.fromkeys(STEMS, -6.0))
    out = np.concatenate([head, processor.process(audio[:, 4000:])], axis=-1)
    late = delayed(audio, processor.latency_samples)
    target = 10 ** (-6 / 20)
    glide = np.concatenate([np.ones(4000), np.linspace(1, target, GLIDE + 1)[1:], np.full(1680, target)])
    np.testing.assert_allclose(out, glide * late, rtol=0, atol=1e-6)


# --- threads


def test_set_gains_db_from_many_threads_moves_all_stems_of_a_call_together():
    faders = Faders(STEMS, 8000)
    stop = threading.Event()

    def turn(seed):
        random = np.random.default_rng(seed)
        while not stop.is_set():
            faders.set_gains_db(dict.fromkeys(STEMS, float(random.uniform(-90, 20))))

    threads = [threading.Thread(target=turn, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    try:
        seen = set()
        for _ in range(1500):
            gains = faders.advance(7)
            assert (gains == gains[0]).all()
            seen.add(float(gains[0, -1]))
            assert len(set(faders.gains_db.values())) == 1
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert len(seen) > 1


def test_faders_can_move_while_audio_runs(tiny_model, ready, noise, delayed):
    processor = ready(tiny_model, RATE)
    audio = noise(2, 40000)
    stop = threading.Event()
    failed = []

    def turn(stem):
        random = np.random.default_rng()
        try:
            while not stop.is_set():
                processor.set_gains_db(**{stem: float(random.uniform(-90, 20))})
                processor.mute(stem, bool(random.integers(2)))
                processor.solo(stem, bool(random.integers(2)))
                assert set(processor.gains_db) == set(STEMS)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=turn, args=(stem,)) for stem in STEMS]
    for thread in threads:
        thread.start()
    for start in range(0, 40000, 256):
        assert np.isfinite(processor.process(audio[:, start : start + 256])).all()
    stop.set()
    for thread in threads:
        thread.join()
    assert not failed
    for stem in STEMS:
        processor.mute(stem, False)
        processor.solo(stem, False)
    processor.set_gains_db(**dict.fromkeys(STEMS, 0.0))
    tail = processor.process(audio[:, -8000:])
    n = GLIDE + processor.latency_samples
    assert (tail[:, n:] == audio[:, -8000 + GLIDE : -processor.latency_samples]).all(), "and at unity it is exact again"
