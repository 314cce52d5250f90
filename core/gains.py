"""Gains in dB: their limits, and what they are as a factor."""

import math

SILENCE_DB = -80.0  # at or below this a stem is silent
MAX_DB = 20.0


def check_gain_db(stem: str, gain_db: float | str) -> float:
    """The gain as a float. Raises ValueError for what is not a number, NaN, or above +20 dB."""
    try:
        value = float(gain_db)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{stem}: gain {gain_db!r} is not a number; give dB, -80 (silence) to +20") from None
    if not value <= MAX_DB:
        raise ValueError(f"{stem}: gain {value:g} dB is out of range; give -80 (silence) to +20")
    return value


def linear_gain(gain_db: float) -> float:
    """The factor of a gain in dB; -80 dB or below is exactly 0."""
    return 0.0 if gain_db <= SILENCE_DB else math.pow(10, gain_db / 20)
