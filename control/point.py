"""A point in the automation of a stem: a time, a gain, and how the fader gets there."""

import math
import operator
import re
from reprlib import repr as shortened
from typing import Any, NamedTuple

from ..core.errors import ControlError
from ..core.gains import SILENCE_DB, check_gain_db, gain_from_text

MAX_TIME = 1e14  # in seconds or samples; far beyond any song, but small enough for exact numbers
UNITS = ("seconds", "samples")
SHAPES = ("step", "linear", "db", "hold")


class Point(NamedTuple):
    """The gain of a stem at a time.

    Attributes:
        at: The time, in the automation's unit.
        stem: Name of the stem.
        gain_db: The gain in dB; NaN for the shape "hold".
        shape: How the gain gets here from the stem's point before. "step": at once. "linear": in a straight line as a
            factor. "db": in a straight line in dB. "hold": the gain stays as it was, and a ramp may begin here.
    """

    at: float
    stem: str
    gain_db: float
    shape: str = "step"


def check_point(unit: str, at: Any, stem: Any, gain_db: Any, shape: Any = "step") -> Point:
    """Return a point whose values have been checked. Text becomes numbers, and gains are at least -80 dB.

    Args:
        unit: Unit of the time, "seconds" or "samples".
        at: The time, from 0 on.
        stem: Name of the stem.
        gain_db: The gain in dB; ignored for the shape "hold".
        shape: One of `SHAPES`.

    Raises:
        ControlError: The time, the stem, the gain or the shape cannot be used.
    """
    if not isinstance(stem, str) or not stem:
        raise ControlError(f"stem {shortened(stem)} is not a name; give the name of a stem, such as 'vocals'")
    name = stem if len(stem) < 40 else shortened(stem)
    try:
        if unit == "seconds":
            time: float = float(_plain(at))
        else:
            time = int(_plain(at)) if isinstance(at, str) else operator.index(at)
    except (TypeError, ValueError, OverflowError):
        number = "a number" if unit == "seconds" else "a whole number"
        raise ControlError(f"{name}: time {shortened(at)} is not {number} of {unit}") from None
    if not 0 <= time <= MAX_TIME:
        raise ControlError(f"{name}: time {shortened(time)} is out of range; give {unit} from 0 to {MAX_TIME:.0e}")
    if shape not in SHAPES:
        raise ControlError(f"{name}: shape {shortened(shape)} is unknown; give {', '.join(SHAPES)}")
    if shape == "hold":
        return Point(time, stem, math.nan, shape)
    check = gain_from_text if isinstance(gain_db, str) else check_gain_db
    gain = check(name, gain_db, ControlError)
    return Point(time, stem, max(gain, SILENCE_DB), shape)


def _plain(number: Any) -> Any:
    """Return the number. Raises ValueError for text such as 1_000, which float() would accept."""
    if isinstance(number, str) and not re.fullmatch(r"[\x21-\x5e\x60-\x7e]+", number):
        raise ControlError("not a plain number")
    return number
