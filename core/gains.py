"""Gains in dB: their limits, and what they are as a factor."""

import math
import re
from reprlib import repr as shortened

from .errors import StemBridgeError

SILENCE_DB = -80.0  # at or below this a stem is silent
MAX_DB = 20.0
RANGE = "-80 (silence) to +20"


def check_gain_db(name: str, gain_db: object, error: type[StemBridgeError] = StemBridgeError) -> float:
    """Return a gain as a float.

    Args:
        name: Name of the stem or option, for the message.
        gain_db: A number; text is not one.
        error: What to raise.

    Raises:
        StemBridgeError: The gain is not a number, is NaN, or is above +20 dB.
    """
    try:
        if isinstance(gain_db, str | bytes | bool):
            raise TypeError
        value = float(gain_db)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise error(f"{name}: gain {shortened(gain_db)} is not a number; give dB, {RANGE}") from None
    if not value <= MAX_DB:
        raise error(f"{name}: gain {value:g} dB is out of range; give {RANGE}")
    return value


def gain_from_text(name: str, text: str, error: type[StemBridgeError] = StemBridgeError) -> float:
    """Return the gain that a text gives, such as "-6"; otherwise as `check_gain_db`."""
    try:
        # Python reads 1_000 as well, and no table means that.
        number: object = float(text) if re.fullmatch(r"[\x21-\x5e\x60-\x7e]+", text) else text
    except ValueError:
        number = text
    return check_gain_db(name, number, error)


def linear_gain(gain_db: float) -> float:
    """The factor of a gain in dB; -80 dB or below is exactly 0."""
    return 0.0 if gain_db <= SILENCE_DB else math.pow(10, gain_db / 20)
