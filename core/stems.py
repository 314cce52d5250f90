"""Stems by name."""

from collections.abc import Iterable
from reprlib import repr as shortened

from .errors import StemBridgeError


def check_stems(
    names: Iterable[str], stems: Iterable[str], where: str = "", error: type[StemBridgeError] = StemBridgeError
) -> None:
    """Raise an error for the first name that is not a stem.

    Args:
        names: To be checked.
        stems: All there are.
        where: How the message begins, such as "ride.csv: ".
        error: Its class.

    >>> check_stems(["drums", "flute"], ["vocals", "drums"])
    Traceback (most recent call last):
    stembridge.core.errors.StemBridgeError: unknown stem 'flute'; the stems are vocals, drums
    """
    known = tuple(stems)
    if unknown := [name for name in names if name not in known]:
        raise error(f"{where}unknown stem {shortened(unknown[0])}; the stems are {', '.join(known)}")
