"""The timeline: faders follow it to the sample, whatever the block lengths."""

import copy
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stembridge.control import Automation, ControlError
from stembridge.control.point import SHAPES, Point

RATES = [8000, 22050, 44100, 48000, 96000, 192000]
stems = st.sampled_from(["vocals", "drums", "bass"])
levels = st.floats(-100, 20)
shapes = st.sampled_from(["step", "linear", "db"])


def linear(gain_db):
    return np.where(np.asarray(gain_db) <= -80, 0.0, 10 ** (np.asarray(gain_db) / 20))


def cut_anywhere(automation, cuts, n, rate):
    """Return all moves as (sample, stem, gain), asked for piece by piece."""
    moves, start = [], 0
    for length in [*cuts, n]:
        stop = min(start + length, n)
        moves += [(start + offset, *move) for offset, *move in automation.moves(start, stop, rate)]
        start = stop
    return moves


# --- steps


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("at", [0.25, 1 / 3, 0.1, 0.29999])
def test_a_step_is_one_move_at_its_sample(rate, at):
    k = round(at * rate)
    ride = Automation().step("vocals", at, -6)
    assert ride.moves(0, rate, rate) == [(k, "vocals", -6.0)]
    assert ride.moves(k, k + 1, rate) == [(0, "vocals", -6.0)]
    assert ride.moves(0, k, rate) == ride.moves(k + 1, rate, rate) == ride.moves(k, k, rate) == []


def test_times_in_samples_are_taken_as_they_are():
    ride = Automation(unit="samples").step("vocals", 4410, -6).step("drums", 0, 3).step("vocals", np.int64(7), -80)
    assert ride.moves(0, 5000, 44100) == ride.moves(0, 5000, 8000) == [(7, "vocals", -80.0), (4410, "vocals", -6.0)]
    assert ride.initial() == {"drums": 3.0}


def test_a_point_at_time_0_is_where_faders_start_and_not_a_move():
    ride = Automation([(0, "vocals", -6), (0, "vocals", -3), (0.0, "drums", -80, "db"), (1e-9, "bass", 3)])
    assert ride.initial() == {"vocals": -3.0, "drums": -80.0}
    assert ride.moves(0, 100, 44100) == [(0, "bass", 3.0)]


def test_a_stem_that_begins_with_a_ramp_starts_at_unity():
    ride = Automation([(1, "vocals", -6, "linear"), (1, "drums", -6)])
    assert ride.initial() == {"vocals": 0.0}


def test_the_last_of_several_points_at_one_time_wins(ride):
    jump = Automation(unit="samples").step("vocals", 100, -80).step("vocals", 100, 6).step("vocals", 100, -20)
    np.testing.assert_allclose(ride(jump, 8000, 1000)[0, 300:], linear(-20), rtol=1e-6)


def test_gains_below_silence_are_silence():
    ride = Automation().step("vocals", 1, float("-inf")).ramp("vocals", 2, 3, -1000)
    assert [point.gain_db for point in ride.points] == [-80.0, math.nan, -80.0]


@given(
    points=st.lists(st.tuples(st.integers(0, 3000), stems, levels, shapes), max_size=12),
    cuts=st.lists(st.integers(0, 900), max_size=12),
)
def test_moves_do_not_depend_on_the_block_lengths(points, cuts):
    ride = Automation(points, unit="samples")
    whole = ride.moves(0, 4000, 8000)
    assert cut_anywhere(ride, cuts, 4000, 8000) == whole
    assert [at for at, _, _ in whole] == sorted(at for at, _, _ in whole)
    assert {stem for _, stem, _ in whole} <= set(ride.stems)
    assert all(-80 <= gain <= 20 for _, _, gain in whole)


@settings(max_examples=50)
@given(
    points=st.lists(st.tuples(st.integers(0, 3000), stems, levels, shapes), min_size=1, max_size=8),
    cuts=st.lists(st.integers(0, 900), max_size=12),
)
def test_faders_end_where_the_last_point_is_and_stay_between_the_points(ride, points, cuts):
    automation = Automation(points, unit="samples")
    out = ride(automation, 8000, 4000, cuts)
    np.testing.assert_allclose(out, ride(automation, 8000, 4000), rtol=0, atol=1e-6)
    for row, stem in zip(out, automation.stems, strict=True):
        levels = [0.0, *(point.gain_db for point in automation.points if point.stem == stem)]
        np.testing.assert_allclose(row[3200:], linear(levels[-1]), rtol=1e-5, atol=1e-7)
        assert row.min() >= linear(min(levels)) - 1e-6
        assert row.max() <= linear(max(levels)) + 1e-6


# --- ramps


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(("start", "stop"), [(0, 0.1), (0.05, 0.3), (0.0501, 0.2907), (0.1, 0.12), (0.1, 0.1303)])
@pytest.mark.parametrize(("from_db", "to_db"), [(0, -80), (-80, 6), (-12, 12), (3, 3)])
def test_a_linear_ramp_is_a_line_at_the_faders(ride, rate, start, stop, from_db, to_db):
    automation = Automation().step("vocals", 0, from_db).ramp("vocals", start, stop, to_db, shape="linear")
    out = ride(automation, rate, rate // 2, [100, 999, 4000])[0]
    begin, end = round(start * rate), round(stop * rate)
    line = np.interp(np.arange(1, len(out) + 1), [begin, end], linear([from_db, to_db]))
    # A gain below -80 dB is silence, which is 1e-4.
    np.testing.assert_allclose(out, line, rtol=0, atol=1.01e-4 if -80 in (from_db, to_db) else 1e-6)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(("from_db", "to_db"), [(0, -60), (-60, 12), (6, -6)])
def test_a_ramp_in_db_is_a_line_in_db_within_the_chord_of_a_glide(ride, rate, from_db, to_db):
    automation = Automation().step("vocals", 0, from_db).ramp("vocals", 0.1, 0.9037, to_db)
    out = ride(automation, rate, rate)[0]
    begin, end = round(0.1 * rate), round(0.9037 * rate)
    line = np.interp(np.arange(1, len(out) + 1), [begin, end], [from_db, to_db])
    np.testing.assert_allclose(20 * np.log10(out), line, rtol=0, atol=0.07)
    assert out[end - 1] == pytest.approx(linear(to_db), rel=1e-6), "it ends on time"
    assert (np.diff(out) * np.sign(to_db - from_db) >= 0).all()


def test_a_ramp_begins_at_its_sample_and_not_before(ride):
    out = ride(Automation(unit="samples").ramp("vocals", 1000, 2000, -80, shape="linear"), 8000, 3000)[0]
    assert (out[:1000] == 1).all()
    assert out[1000] < 1
    assert out[1999] == 0


def test_a_ramp_shorter_than_a_glide_takes_one(ride):
    out = ride(Automation(unit="samples").ramp("vocals", 1000, 1050, -80, shape="linear"), 8000, 3000)[0]
    np.testing.assert_allclose(out[1000:1160], 1 - np.arange(1, 161) / 160, atol=1e-6)
    assert not out[1160:].any()


def test_a_ramp_starts_where_the_stem_is():
    ride = Automation().step("vocals", 1, -6).ramp("vocals", 2, 3, -12)
    assert ride.points == (
        Point(1.0, "vocals", -6.0), Point(2.0, "vocals", math.nan, "hold"), Point(3.0, "vocals", -12.0, "db")
    )  # fmt: skip
    assert ride.starting({"vocals": 0}).points[2] == Point(2.0, "vocals", -6.0)
    assert Automation().ramp("drums", 2, 3, -12).starting({"drums": -3}).points[1] == Point(2.0, "drums", -3.0)
    assert Automation().ramp("drums", 2, 3, -12, from_db=6).points[0] == Point(2.0, "drums", 6.0)


@pytest.mark.parametrize("shape", ["linear", "db"])
def test_ramps_begin_at_the_given_faders(ride, shape):
    start = {"vocals": -20, "drums": -30, "bass": 3, "other": -80}
    first = Automation([(1000, "vocals", -6, shape)], unit="samples").ramp("drums", 1000, 2000, -6, shape=shape)
    started = first.step("bass", 1000, 0).starting(start)
    assert started.initial() == start
    out = dict(zip(started.stems, ride(started, 8000, 3000), strict=True))
    for stem, begin, end in [("vocals", 0, 1000), ("drums", 1000, 2000)]:
        before = np.float32(linear(start[stem]))
        assert (out[stem][:begin] == before).all()
        assert (np.diff(out[stem][begin:end]) > 0).all(), "it only rises"
        np.testing.assert_allclose(out[stem][end - 1 :], linear(-6), rtol=1e-6)
    assert not out["other"].any()
    assert first.initial() == {"vocals": 0, "drums": 0}, "the automation itself is unchanged"


def test_a_ramp_replaces_the_points_that_it_covers(ride):
    drawn = Automation(unit="samples").step("vocals", 1500, -20).step("vocals", 2000, 3).ramp("vocals", 1000, 2000, -6)
    assert [point[0] for point in drawn.points] == [1000, 2000, 2000]
    out = ride(drawn, 8000, 4000)[0]
    assert (np.diff(out[1000:2000]) < 0).all()
    np.testing.assert_allclose(out[2160:], linear(3), rtol=1e-6)


def test_ramps_may_be_drawn_in_any_order(ride):
    ramps = [("vocals", 0, 1000, -12), ("vocals", 1000, 2000, 3), ("vocals", 2500, 3000, -80)]
    drawn = []
    for order in itertools.permutations(ramps):
        automation = Automation(unit="samples")
        for ramp in order:
            automation.ramp(*ramp)
        drawn.append(ride(automation, 8000, 4000)[0])
    for out in drawn[1:]:
        np.testing.assert_array_equal(out, drawn[0])


@given(
    points=st.lists(
        st.tuples(
            st.integers(0, 3000), st.just("v"), st.sampled_from([-80, -79.9, -6, 0, 19.9, 20]), st.sampled_from(SHAPES)
        ),
        max_size=8,
    ),
    start=st.sampled_from([-80, 0, 20]),
)
def test_no_gain_is_out_of_range(points, start):
    moves = Automation(points, unit="samples").starting({"v": start}).moves(0, 4000, 8000)
    assert all(-80 <= gain <= 20 for _, _, gain in moves)


@pytest.mark.parametrize("shape", ["linear", "db"])
def test_a_ramp_that_starts_in_another_leaves_its_first_part_as_it_was(shape, ride):
    one = Automation(unit="samples").ramp("vocals", 1000, 3000, -6, shape=shape)
    two = Automation(unit="samples").ramp("vocals", 1000, 3000, -6, shape=shape).ramp("vocals", 2000, 3500, 6)
    before, after = ride(one, 8000, 4000)[0], ride(two, 8000, 4000)[0]
    np.testing.assert_allclose(after[:2000], before[:2000], rtol=1e-3)
    np.testing.assert_allclose(after[3600:], linear(6), rtol=1e-6)


def test_lines_join_at_their_corners(ride):
    corners = [(0, "vocals", 0), (1000, "vocals", -80, "linear"), (1700, "vocals", -80, "linear"),
               (2411, "vocals", 6, "linear"), (3000, "vocals", 0, "linear")]  # fmt: skip
    out = ride(Automation(corners, unit="samples"), 8000, 3500)[0]
    line = np.interp(np.arange(1, 3501), [point[0] for point in corners], linear([point[2] for point in corners]))
    np.testing.assert_allclose(out, line, rtol=0, atol=1.01e-4)


def test_after_a_step_within_a_ramp_the_ramp_goes_on_from_there(ride):
    automation = Automation(unit="samples").ramp("vocals", 1000, 3000, -80, shape="linear").step("vocals", 2000, 0)
    out = ride(automation, 8000, 4000)[0]
    assert (out[:1000] == 1).all()
    np.testing.assert_allclose(out[1000:2000], 1 - np.arange(1, 1001) / 2000, atol=1e-6)
    np.testing.assert_allclose(out[2320:3000], 1 - np.arange(321, 1001) / 1000, atol=1.01e-4)


def test_a_ramp_begins_at_the_gain_of_a_step_at_its_start(ride):
    automation = Automation(unit="samples").ramp("vocals", 1000, 3000, -80, shape="linear").step("vocals", 1000, -6)
    assert len(automation.points) == 3
    out = ride(automation, 8000, 4000)[0]
    np.testing.assert_allclose(out[1320:3000], linear(-6) * (1 - np.arange(321, 2001) / 2000), atol=1.01e-4)


def test_a_ramp_of_years_costs_no_more_than_its_block():
    ride = Automation().ramp("vocals", 0, 1e9, -80)
    start = 44100 * 500_000_000
    moves = ride.moves(start, start + 44100, 44100)
    assert 49 <= len(moves) <= 51
    assert all(gain == pytest.approx(-40) for _, _, gain in moves)


def test_points_added_later_act_at_once():
    ride = Automation().step("vocals", 1, -6)
    assert len(ride.moves(0, 100_000, 44100)) == 1
    ride.step("vocals", 0.5, -3)
    assert ride.moves(0, 100_000, 44100) == [(22050, "vocals", -3.0), (44100, "vocals", -6.0)]


# --- arrays


@pytest.mark.parametrize("rate", [8000, 44100])
@pytest.mark.parametrize("points_per_second", [5, 50, 60, 100, 1000])
def test_curves_of_any_density_are_followed(ride, rate, points_per_second):
    times = np.arange(2 * points_per_second + 1) / points_per_second
    curves = np.stack([-20 + 15 * np.sin(5 * times), -30 * times / 2])
    automation = Automation.from_array(curves, ["vocals", "drums"], points_per_second)
    assert automation.initial() == {"vocals": -20.0, "drums": 0.0}
    out = ride(automation, rate, 2 * rate, [333, 4000])
    samples = np.arange(1, 2 * rate + 1) / rate
    wanted = np.stack([np.interp(samples, times, curve) for curve in curves])
    np.testing.assert_allclose(20 * np.log10(out), wanted, rtol=0, atol=0.2 if points_per_second > 50 else 0.05)


def test_dense_curves_make_no_more_moves_than_faders_can_follow():
    ride = Automation.from_array(np.zeros((1, 10_000)), ["vocals"], 10_000)
    assert len(ride.moves(0, 44100, 44100)) <= 51


@pytest.mark.parametrize(
    ("curves", "points_per_second", "says"),
    [
        ([0, 1, 2], 10, r"shape \(3,\) .* 1 stems"),
        ([[0], [1]], 10, r"shape \(2, 1\) .* 1 stems"),
        ([[0, np.nan]], 10, "vocals: gain nan"),
        ([[0, 21]], 10, "vocals: gain 21 dB is out of range"),
        ([[0]], 0, "0 points per second"),
        ([[0]], float("nan"), "nan points per second"),
    ],
)
def test_a_wrong_array_says_why(curves, points_per_second, says):
    with pytest.raises(ControlError, match=says):
        Automation.from_array(np.array(curves), ["vocals"], points_per_second)


@pytest.mark.parametrize(
    ("curves", "stems", "points_per_second", "says"),
    [
        ([[0.0], [0.0]], ["vocals", "vocals"], 1, "the stems vocals, vocals are not all different"),
        ([["a"]], ["vocals"], 1, "gains of type <U1 are not real numbers"),
        ([[1j]], ["vocals"], 1, "gains of type complex128 are not real numbers"),
        ([[0.0], [0.0, 1.0]], ["vocals", "drums"], 1, "rows of different lengths"),
        ([[0.0]], ["vocals"], "1", "'1' points per second do not work"),
    ],
)
def test_values_that_are_not_an_array_of_gains_are_refused_with_a_reason(curves, stems, points_per_second, says):
    with pytest.raises(ControlError, match=says):
        Automation.from_array(curves, stems, points_per_second)


# --- refused input


@pytest.mark.parametrize(
    ("point", "says"),
    [
        ((-1, "vocals", 0), "vocals: time -1.0 is out of range"),
        ((float("nan"), "vocals", 0), "vocals: time nan is out of range"),
        ((float("inf"), "vocals", 0), "vocals: time inf is out of range"),
        ((10**400, "vocals", 0), "vocals: time 1000"),
        (("soon", "vocals", 0), "vocals: time 'soon' is not a number of seconds"),
        ((None, "vocals", 0), "vocals: time None is not a number"),
        ((1, "vocals", float("nan")), "vocals: gain nan dB is out of range"),
        ((1, "vocals", 20.1), "vocals: gain 20.1 dB is out of range"),
        ((1, "vocals", "loud"), "vocals: gain 'loud' is not a number"),
        ((1, "vocals", 0, "curved"), "vocals: shape 'curved' is unknown; give step, linear, db"),
        ((1, "vocals"), r"point \(1, 'vocals'\) does not work; give \(time, stem, gain in dB\)"),
        ("1,vocals,0", "does not work; give \\(time, stem, gain in dB\\)"),
        ((1, "", 0), "stem '' is not a name"),
        ((1, 3, 0), "stem 3 is not a name"),
    ],
)
def test_a_wrong_point_says_why_and_draws_nothing(point, says):
    ride = Automation()
    with pytest.raises(ControlError, match=says) as error:
        Automation([point])
    assert "\n" not in str(error.value)
    if len(point) == 3:
        with pytest.raises(ControlError, match=says):
            ride.step(point[1], point[0], point[2])
        with pytest.raises(ControlError, match=says):
            ride.ramp(point[1], 0, point[0], point[2])
    assert ride.points == ()


@pytest.mark.parametrize("at", [1.5, 1.0, "1.5", "x", None])
def test_samples_are_whole_numbers(at):
    with pytest.raises(ControlError, match="not a whole number of samples"):
        Automation(unit="samples").step("vocals", at, 0)


def test_a_ramp_that_goes_back_says_so():
    ride = Automation()
    with pytest.raises(ControlError, match="vocals: a ramp from 2 to 1 seconds goes back"):
        ride.ramp("vocals", 2, 1, 0)
    with pytest.raises(ControlError, match="gain 21"):
        ride.ramp("vocals", 1, 2, 0, from_db=21)
    assert ride.points == ()


def test_an_unknown_unit_is_refused_with_the_known_units():
    with pytest.raises(ControlError, match="'beats' is unknown; give seconds or samples"):
        Automation(unit="beats")


@pytest.mark.parametrize("start", [float("-inf"), -200.0, -80.0])
def test_a_ramp_from_below_silence_begins_at_silence(start):
    ride = Automation().ramp("vocals", 0.5, 2.5, 0).starting({"vocals": start})
    assert ride.moves(0, 44100 * 3, 44100) == (
        Automation().ramp("vocals", 0.5, 2.5, 0).starting({"vocals": -80.0}).moves(0, 44100 * 3, 44100)
    )


def test_a_copy_is_apart():
    ride = Automation().step("vocals", 1, -6)
    other = copy.copy(ride).step("vocals", 2, 0)
    assert (len(ride.points), len(other.points)) == (1, 2)
