"""A point of a stem's timeline: a time, a gain, and how the fader gets there."""

import math
import operator
import re
from reprlib import repr as shortened
from typing import Any, NamedTuple

from ..core.errors import ControlError
from ..core.gains import SILENCE_DB, check_gain_db, gain_from_text

LATEST = 1e14  # seconds or samples; far beyond any song, and no number overflows
UNITS = ("seconds", "samples")
SHAPES = ("step", "linear", "db", "hold")


class Point(NamedTuple):
    """A stem's gain at a time, and how it gets there from the stem's point before.

    shape: "step", at once; "linear", straight in gain; "db", straight in dB; "hold", it stays what it was until here,
    from where a ramp may begin, and gain_db is NaN.
    """

    at: float
    stem: str
    gain_db: float
    shape: str = "step"


def check_point(unit: str, at: Any, stem: Any, gain_db: Any, shape: Any = "step") -> Point:
    """Return a point with a number for each text, and no gain below silence.

    Raises:
        ControlError: The time, the stem, the gain or the shape cannot be used.
    """
    if not isinstance(stem, str) or not stem:
        raise ControlError(f"stem {shortened(stem)} is no name")
    name = stem if len(stem) < 40 else shortened(stem)
    try:
        if unit == "seconds":
            time: float = float(_plain(at))
        else:
            time = int(_plain(at)) if isinstance(at, str) else operator.index(at)
    except (TypeError, ValueError, OverflowError):
        number = "a number" if unit == "seconds" else "a whole number"
        raise ControlError(f"{name}: time {shortened(at)} is not {number} of {unit}") from None
    if not 0 <= time <= LATEST:
        raise ControlError(f"{name}: time {shortened(time)} is out of range; give {unit} from 0 to {LATEST:.0e}")
    if shape not in SHAPES:
        raise ControlError(f"{name}: shape {shortened(shape)} is unknown; give {', '.join(SHAPES)}")
    if shape == "hold":
        return Point(time, stem, math.nan, shape)
    check = gain_from_text if isinstance(gain_db, str) else check_gain_db
    gain = check(name, gain_db, ControlError)
    return Point(time, stem, max(gain, SILENCE_DB), shape)


def _plain(number: Any) -> Any:
    """Return the number. Raises ValueError for texts such as 1_000, which Python reads but no table means."""
    if isinstance(number, str) and not re.fullmatch(r"[\x21-\x5e\x60-\x7e]+", number):
        raise ValueError
    return number
