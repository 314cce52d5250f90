"""Gains in dB: their limits, checks, and conversion to factors."""

import math
import re
from reprlib import repr as shortened

from .errors import StemBridgeError

SILENCE_DB = -80.0  # a stem with this gain or less is silent
MAX_DB = 20.0
GLIDE_S = 0.02  # time in which a gain reaches a new value, in a straight line
RANGE = "-80 (silence) to +20"
MAX_MUSIC = 64.0  # samples 36 dB above full scale are not music; networks do not hear them


def check_gain_db(name: str, gain_db: object, error: type[StemBridgeError] = StemBridgeError) -> float:
    """Return a gain as a float.

    Args:
        name: Name of the stem or option, for the error.
        gain_db: The gain in dB. Text is refused.
        error: Class of the error to raise.

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


def check_switch(name: str, on: object) -> bool:
    """Return whether a mute or solo is on.

    Args:
        name: How the error calls it, such as "mute of vocals".
        on: True or False; 1 and 0 are the same.

    Raises:
        StemBridgeError: It is something else.
    """
    if on not in (0, 1):
        raise StemBridgeError(f"{name}: {shortened(on)} does not work; give True or False")
    return bool(on)


def gain_from_text(name: str, text: str, error: type[StemBridgeError] = StemBridgeError) -> float:
    """Return the gain that is written in a text, such as "-6".

    Args:
        name: Name of the stem or option, for the error.
        text: The gain in dB.
        error: Class of the error to raise.

    Raises:
        StemBridgeError: As `check_gain_db`.
    """
    try:
        # Not 1_000, which float() would accept.
        number: object = float(text) if re.fullmatch(r"[\x21-\x5e\x60-\x7e]+", text) else text
    except ValueError:
        number = text
    return check_gain_db(name, number, error)


def linear_gain(gain_db: float) -> float:
    """Return the factor for a gain in dB; it is exactly 0 at -80 dB or below."""
    return 0.0 if gain_db <= SILENCE_DB else math.pow(10, gain_db / 20)
