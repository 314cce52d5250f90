"""The common factor: never louder than full scale, never quieter than needed."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stembridge.render.level import FULL_SCALE, common_factor

PEAKS = st.floats(1e-30, 1e30)


@given(peak=PEAKS, clips=st.booleans())
def test_nothing_is_ever_turned_up_unasked(peak, clips):
    assert 0 < common_factor(peak, clips=clips, normalize=False) <= 1


@given(peak=st.floats(0, 1))
def test_what_fits_stays_as_it_is(peak):
    assert common_factor(peak, clips=True, normalize=False) == 1


@given(peak=st.floats(1, 1e30, exclude_min=True))
def test_what_would_clip_just_fits_and_two_decimals_name_the_factor(peak):
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
