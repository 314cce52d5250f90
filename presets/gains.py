"""Read gains by stem or from a preset, and blend two presets."""

from collections.abc import Iterable, Mapping
from os import PathLike

from ..core.errors import PresetError
from ..core.gains import SILENCE_DB, check_gain_db
from ..core.stems import check_stems
from .load import load_preset

Gains = Mapping[str, float] | str | PathLike[str]
"""Gains in dB by stem, or a preset: its name, or the path of its .json file."""


def read_gains(
    gains_db: Gains | None, stems: Iterable[str] | None = None, preset: str | PathLike[str] | None = None
) -> dict[str, float]:
    """Return gains in dB by stem.

    Args:
        gains_db: Gains or a preset; None for no gains. Gains are returned unchecked.
        stems: Stems that a preset may name; None for any.
        preset: Gains that `gains_db` overrides stem by stem: a preset's name or path.

    Raises:
        PresetError: The preset cannot be used.

    >>> read_gains("karaoke"), read_gains({"bass": 3})
    ({'vocals': -80.0}, {'bass': 3})
    """
    if preset is not None:
        return _named_gains(preset, stems) | read_gains(gains_db, stems)
    if gains_db is None:
        return {}
    if isinstance(gains_db, Mapping):
        return dict(gains_db)
    if not isinstance(gains_db, str | PathLike):
        raise PresetError(f"gains {gains_db!r} do not work; give a gain in dB for each stem, or a preset's name")
    return _named_gains(gains_db, stems)


def _named_gains(preset: str | PathLike[str], stems: Iterable[str] | None) -> dict[str, float]:
    """Return the gains of a preset, which may name only `stems`."""
    gains_db = load_preset(preset)
    if stems is not None:
        check_stems(gains_db, stems, f"preset {preset!s}: ", PresetError)
    return gains_db


def morph(a: Gains, b: Gains, fraction: float) -> dict[str, float]:
    """Return gains between two presets.

    Gains change in a straight line in dB, also towards silence, which is -80 dB. Half way from 0 dB to silence, a stem
    is at -40 dB.

    Args:
        a: Gains, or a preset. Stems that are not named are at 0 dB.
        b: The same.
        fraction: From 0, exactly `a`, to 1, exactly `b`.

    Returns:
        Stem to dB, for all stems that either names.

    Raises:
        PresetError: A preset cannot be used, or a gain or the fraction is out of range.

    >>> morph("karaoke", {"drums": 6}, 0.25)
    {'vocals': -60.0, 'drums': 1.5}
    """
    if not 0 <= fraction <= 1:
        raise PresetError(f"fraction {fraction!r} is out of range; give 0, the first preset, to 1, the second")
    start, end = (checked_gains(read_gains(gains)) for gains in (a, b))
    return {stem: _between(start.get(stem, 0.0), end.get(stem, 0.0), fraction) for stem in start | end}


def checked_gains(gains_db: Mapping[str, float]) -> dict[str, float]:
    """Return the gains, with -80 for all gains below -80 dB.

    Args:
        gains_db: Stem to dB.

    Raises:
        PresetError: A gain is not a number, is NaN, or is above +20 dB.
    """
    return {stem: max(SILENCE_DB, check_gain_db(stem, gain, PresetError)) for stem, gain in gains_db.items()}


def _between(start: float, end: float, fraction: float) -> float:
    # Starting from the nearer end makes both ends exact, and no rounding can lead beyond them.
    return start + fraction * (end - start) if fraction < 0.5 else end - (1 - fraction) * (end - start)
