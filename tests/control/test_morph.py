"""Automation from one preset to another over a time."""

import numpy as np
import pytest
from stembridge.control import Automation, ControlError
from stembridge.presets import PresetError, morph

RATE = 44100


def test_the_faders_go_straight_in_db_from_one_preset_to_the_other(ride):
    timeline = Automation().morph("vocal-boost", {"vocals": -20, "piano": 3}, 1, 2)
    assert set(timeline.stems) == {"vocals", "drums", "bass", "other", "piano"}
    gains = dict(zip(timeline.stems, ride(timeline, RATE, 3 * RATE), strict=True))
    for second, fraction in [(1.1, 0.1), (1.5, 0.5), (1.98, 0.98), (2.0, 1), (2.9, 1)]:
        expected = morph("vocal-boost", {"vocals": -20, "piano": 3}, fraction)
        for stem, heard in gains.items():
            # Within the chords of the glides, which last 20 ms.
            assert 20 * np.log10(heard[round(second * RATE)]) == pytest.approx(expected[stem], abs=0.01)
    first = morph("vocal-boost", {"vocals": -20, "piano": 3}, 0)
    for stem, heard in gains.items():
        assert (heard[: RATE - 1] == np.float32(10 ** (first[stem] / 20))).all(), "until then it stays at the first"


def test_earlier_moves_stay_until_the_morph_begins(ride):
    timeline = Automation().step("vocals", 0.5, -6).morph("karaoke", "drumless", 1, 2).morph("drumless", {}, 3, 4)
    vocals = dict(zip(timeline.stems, ride(timeline, RATE, 5 * RATE), strict=True))["vocals"]
    half = np.float32(10 ** (-6 / 20))
    assert (vocals[: RATE // 2] == 1).all()
    assert (vocals[RATE // 2 + RATE // 50 : RATE] == half).all()
    assert vocals[RATE + RATE // 50] < 1e-3
    assert (vocals[2 * RATE :] == 1).all()


def test_at_time_0_faders_start_at_the_first(ride):
    timeline = Automation(unit="samples").morph("karaoke", "drumless", 0, RATE)
    assert timeline.initial() == {"vocals": -80, "drums": 0}
    vocals, drums = ride(timeline, RATE, RATE + 1)
    assert (vocals[-1], drums[-1]) == (1, 0)


def test_impossible_morphs_are_refused_before_anything_moves():
    timeline = Automation()
    with pytest.raises(PresetError, match="unknown preset 'nosuch'"):
        timeline.morph("karaoke", "nosuch", 0, 1)
    with pytest.raises(ControlError, match="goes back in time"):
        timeline.morph("karaoke", "drumless", 2, 1)
    assert timeline.points == ()
    timeline.step("vocals", 3, -3)
    with pytest.raises(ControlError, match="goes back in time"):
        timeline.morph("karaoke", "drumless", 2, 1)
    assert len(timeline.points) == 1
