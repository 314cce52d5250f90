"""Gains in dB by stem, and what lies between two presets."""

from collections.abc import Mapping
from pathlib import Path

from ..core.errors import PresetError
from ..core.gains import SILENCE_DB, check_gain_db
from .load import load_preset


def morph(
    a: str | Path | Mapping[str, float], b: str | Path | Mapping[str, float], fraction: float
) -> dict[str, float]:
    """The gains between two presets: stem -> dB, for all stems that either names.

    a, b: a name, a path, or gains in dB, where a stem that is missing is at 0 dB. fraction: 0 gives exactly a, 1
    exactly b, and between them each stem goes straight in dB. So it does towards silence, which is -80 dB: half way
    from 0 dB a stem is at -40, hardly to be heard, and only at the very end it is gone.
    Raises PresetError: a preset that cannot be used, a gain or a fraction out of range.

    >>> morph("karaoke", {"drums": 6}, 0.25)
    {'vocals': -60.0, 'drums': 1.5}
    """
    if not 0 <= fraction <= 1:
        raise PresetError(f"fraction {fraction!r} is out of range; give 0, the first preset, to 1, the second")
    start, end = (checked_gains(gains) if isinstance(gains, Mapping) else load_preset(gains) for gains in (a, b))
    return {stem: _between(start.get(stem, 0.0), end.get(stem, 0.0), fraction) for stem in start | end}


def checked_gains(gains_db: Mapping[str, float]) -> dict[str, float]:
    """The same gains, what is below -80 dB at -80. Raises PresetError for what is no number, NaN, or above 20 dB."""
    return {stem: max(SILENCE_DB, check_gain_db(stem, gain, PresetError)) for stem, gain in gains_db.items()}


def _between(start: float, end: float, fraction: float) -> float:
    # From the nearer end, so that both are met exactly and rounding leads to nowhere beyond.
    return start + fraction * (end - start) if fraction < 0.5 else end - (1 - fraction) * (end - start)
