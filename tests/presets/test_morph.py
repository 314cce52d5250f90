"""A morph equals each preset at its ends, and is linear in dB between them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stembridge.presets import PresetError, load_preset, morph, save_preset

gains = st.dictionaries(st.sampled_from(["vocals", "drums", "bass", "piano"]), st.floats(-80, 20))


@given(a=gains, b=gains, fraction=st.floats(0, 1))
def test_each_stem_goes_in_a_straight_line_from_one_end_to_the_other(a, b, fraction):
    there = morph(a, b, fraction)
    assert set(there) == set(a) | set(b)
    assert morph(a, b, 0) == dict.fromkeys(b, 0.0) | a
    assert morph(a, b, 1) == dict.fromkeys(a, 0.0) | b
    for stem, gain in there.items():
        start, end = a.get(stem, 0.0), b.get(stem, 0.0)
        assert min(start, end) <= gain <= max(start, end)
        assert gain == pytest.approx((1 - fraction) * start + fraction * end, abs=1e-9)


def test_presets_by_name_by_path_and_by_gains(own_folder):
    path = save_preset("duet", {"vocals": -10})
    assert morph("duet", "karaoke", 0.5) == morph(path, {"vocals": -80}, 0.5) == {"vocals": -45.0}
    assert morph("drumless", {}, 0.25) == {"drums": -60.0}
    assert morph({}, "acapella", 1) == load_preset("acapella")


def test_only_the_very_end_is_silent():
    assert morph({"vocals": 0}, {"vocals": float("-inf")}, 0.5) == {"vocals": -40.0}
    assert morph({"vocals": 0}, {"vocals": float("-inf")}, 0.999)["vocals"] > -80
    assert morph({"vocals": 0}, {"vocals": float("-inf")}, 1) == {"vocals": -80.0}


@pytest.mark.parametrize(
    ("a", "b", "fraction", "says"),
    [
        ({}, "karaoke", -0.01, "fraction -0.01 is out of range"),
        ({}, "karaoke", 1.01, "fraction 1.01 is out of range"),
        ({}, "karaoke", float("nan"), "fraction nan is out of range"),
        ("nosuch", "karaoke", 0, "unknown preset 'nosuch'"),
        ("karaoke", "nosuch", 0, "unknown preset 'nosuch'"),
        ({"vocals": float("nan")}, {}, 1, "vocals: gain nan"),
        ({}, {"vocals": 21}, 0, "vocals: gain 21"),
    ],
)
def test_values_that_cannot_be_morphed_are_refused(a, b, fraction, says):
    with pytest.raises(PresetError, match=says):
        morph(a, b, fraction)
