"""Gains in dB by stem, and what lies between two presets."""

from collections.abc import Iterable, Mapping
from os import PathLike

from ..core.errors import PresetError
from ..core.gains import SILENCE_DB, check_gain_db
from ..core.stems import check_stems
from .load import load_preset

Gains = Mapping[str, float] | str | PathLike[str]
"""Gains in dB by stem, or a preset: its name, or the path of its .json file."""


def read_gains(gains_db: Gains | None, stems: Iterable[str] | None = None) -> dict[str, float]:
    """Return gains in dB by stem.

    Args:
        gains_db: Gains or a preset; None for no gains.
        stems: Names that a preset may have; any if None. Gains in dB are returned as they are.

    Raises:
        PresetError: The preset cannot be used.

    >>> read_gains("karaoke"), read_gains({"bass": 3})
    ({'vocals': -80.0}, {'bass': 3})
    """
    if gains_db is None:
        return {}
    if isinstance(gains_db, Mapping):
        return dict(gains_db)
    if not isinstance(gains_db, str | PathLike):
        raise PresetError(f"gains {gains_db!r} do not work; give a gain in dB for each stem, or a preset's name")
    preset = load_preset(gains_db)
    if stems is not None:
        check_stems(preset, stems, f"preset {gains_db!s}: ", PresetError)
    return preset


def morph(a: Gains, b: Gains, fraction: float) -> dict[str, float]:
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
    start, end = (checked_gains(read_gains(gains)) for gains in (a, b))
    return {stem: _between(start.get(stem, 0.0), end.get(stem, 0.0), fraction) for stem in start | end}


def checked_gains(gains_db: Mapping[str, float]) -> dict[str, float]:
    """Return the gains, at -80 dB at least. Raises PresetError for values that are not numbers, NaN, or above 20 dB."""
    return {stem: max(SILENCE_DB, check_gain_db(stem, gain, PresetError)) for stem, gain in gains_db.items()}


def _between(start: float, end: float, fraction: float) -> float:
    # From the nearer end, so that both are met exactly and rounding leads to nowhere beyond.
    return start + fraction * (end - start) if fraction < 0.5 else end - (1 - fraction) * (end - start)
