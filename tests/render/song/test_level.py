"""The common factor: never above full scale or the allowed true peak, never quieter than needed."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stembridge.render.settings import RemixSettings
from stembridge.render.song.level import FULL_SCALE, Level, common_factor, loudness_factor

PEAKS = st.floats(1e-30, 1e30)


@given(peak=PEAKS, clips=st.booleans())
def test_nothing_is_turned_up_unless_asked(peak, clips):
    assert 0 < common_factor(peak, clips=clips, normalize=False) <= 1


@given(peak=st.floats(0, 1))
def test_a_level_below_full_scale_is_not_changed(peak):
    assert common_factor(peak, clips=True, normalize=False) == 1


@given(peak=st.floats(1, 1e30, exclude_min=True))
def test_a_level_that_would_clip_is_turned_down_by_a_factor_of_two_decimals_in_db(peak):
    factor = common_factor(peak, clips=True, normalize=False)
    assert peak * factor <= FULL_SCALE * (1 + 1e-12)
    down_db = -20 * math.log10(factor)
    assert down_db - 20 * math.log10(peak / FULL_SCALE) < 0.0101
    assert down_db == pytest.approx(round(down_db, 2), abs=1e-9)


@given(peak=PEAKS)
def test_a_format_that_cannot_clip_keeps_any_level(peak):
    assert common_factor(peak, clips=False, normalize=False) == 1


@given(peak=PEAKS, clips=st.booleans())
def test_normalizing_brings_the_peak_to_minus_one_decibel(peak, clips):
    factor = common_factor(peak, clips=clips, normalize=True)
    assert 20 * math.log10(peak * factor) == pytest.approx(-1)


def test_silence_has_no_level_to_change():
    assert common_factor(0.0, clips=True, normalize=True) == 1


# --- loudness

LOUDNESS, TRUE_PEAKS = st.floats(-70, 5), st.floats(-70, 20)


@given(lufs=LOUDNESS, true_peak_db=TRUE_PEAKS, wanted=st.floats(-70, 0))
def test_loudness_is_reached_or_the_true_peak_is_at_its_limit_and_a_warning_says_so(lufs, true_peak_db, wanted):
    factor, warning = loudness_factor(Level(lufs, true_peak_db - 0.1, true_peak_db), wanted)
    gain_db = 20 * math.log10(factor)
    assert true_peak_db + gain_db <= -1 + 1e-9
    short = wanted - (lufs + gain_db)
    assert short >= -1e-9
    if short > 0.051:
        assert true_peak_db + gain_db == pytest.approx(-1)
        said = [float(number) for number in re.findall(r"(-?\d+\.\d) LU", warning)]
        assert said == pytest.approx([lufs + gain_db, short], abs=0.0501)
        assert f"instead of {wanted:.1f}," in warning
    elif short < 0.049:
        assert warning == ""


@given(lufs=st.none() | LOUDNESS, true_peak_db=TRUE_PEAKS, wanted=st.none() | st.floats(-70, 0))
def test_without_a_loudness_only_the_true_peak_counts(lufs, true_peak_db, wanted):
    if lufs is not None and wanted is not None:
        wanted = None
    factor, warning = loudness_factor(Level(lufs, true_peak_db, true_peak_db), wanted)
    assert factor <= 1
    assert true_peak_db + 20 * math.log10(factor) == pytest.approx(min(-1, true_peak_db))
    assert "silence" in warning


def test_silence_is_not_changed():
    assert loudness_factor(Level(None, None), -14.0)[0] == 1


@pytest.mark.parametrize("loudness", [None, "match", -70, -14.5, 0])
def test_valid_loudness_is_accepted(loudness):
    RemixSettings(loudness=loudness)


@pytest.mark.parametrize("loudness", [-70.1, 0.1, 14, math.nan, math.inf, -math.inf, "", "max", "-14", True, [-14]])
def test_other_loudness_is_refused_with_the_valid_range(loudness):
    with pytest.raises(ValueError, match=r'^loudness .* give LUFS from -70 to 0, such as -14, or "match"$'):
        RemixSettings(loudness=loudness)


def test_loudness_and_normalizing_exclude_each_other():
    RemixSettings(normalize=True)
    with pytest.raises(ValueError, match="choose one"):
        RemixSettings(loudness=-14, normalize=True)
