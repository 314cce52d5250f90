"""Names of stems and of sums of stems, and the stems that mutes and solos silence."""

import re
from collections.abc import Collection, Iterable, Sequence
from reprlib import repr as shortened

from .errors import StemBridgeError
from .suggest import did_you_mean


def stem_parts(stems: Sequence[str], names: Sequence[str] | None) -> dict[str, list[int]]:
    """Find the stems that make up each output.

    Args:
        stems: The model's stems.
        names: Outputs: any of the stems, "no_<stem>" for the song without that stem, or "instrumental" for the song
            without vocals. None for all stems.

    Returns:
        Name of the output to the indices of the stems whose sum it is.

    Raises:
        StemBridgeError: A name is unknown, or no name is given.

    >>> stem_parts(["vocals", "drums", "bass"], ["drums", "no_drums"])
    {'drums': [1], 'no_drums': [0, 2]}
    """
    parts = {stem: [row] for row, stem in enumerate(stems)}
    without = {f"no_{stem}": [other for other in range(len(stems)) if other != row] for row, stem in enumerate(stems)}
    if names is None:
        return parts
    if isinstance(names, str) or not isinstance(names, Iterable):
        example = names if isinstance(names, str) else "vocals"
        raise StemBridgeError(f"stems {names!r} does not work; give a list, such as [{example!r}]")
    if "vocals" in stems:
        without["instrumental"] = without["no_vocals"]
    names = list(names)
    known = without | parts  # a model may have a stem of that name
    choices = list(dict.fromkeys([*parts, *without]))
    check_stems(names, choices)
    if not names:
        raise StemBridgeError(f"no stem is given; choose from {', '.join(choices)}")
    return {name: known[name] for name in names}


def check_stems(
    names: Iterable[str], stems: Iterable[str], where: str = "", error: type[StemBridgeError] = StemBridgeError
) -> None:
    """Check that all names are stems.

    Args:
        names: The names to check.
        stems: All stems of the model.
        where: How the error begins, such as "ride.csv: ".
        error: Class of the error to raise.

    Raises:
        StemBridgeError: A name is not a stem; the error suggests one.

    >>> check_stems(["drums", "flute"], ["vocals", "drums"])
    Traceback (most recent call last):
    stembridge.core.errors.StemBridgeError: unknown stem 'flute'; the stems are vocals, drums
    """
    known = tuple(stems)
    if unknown := [name for name in names if name not in known]:
        name = f"{shortened(unknown[0])}{did_you_mean(unknown[0], known)}"
        raise error(f"{where}unknown stem {name}; the stems are {', '.join(known)}")


def silenced(stems: Iterable[str], muted: Collection[str], soloed: Collection[str]) -> set[str]:
    """Return the stems that mutes and solos silence. While any stem is soloed, all others are silent.

    Args:
        stems: All stems.
        muted: Muted stems. A stem that is soloed too stays silent.
        soloed: Soloed stems.

    >>> sorted(silenced(["vocals", "drums", "bass"], muted={"drums"}, soloed={"drums", "bass"}))
    ['drums', 'vocals']
    """
    return {stem for stem in stems if stem in muted or (soloed and stem not in soloed)}


def parameter_prefix(stem: str) -> str:
    """Return the first part of the names of a stem's parameters, without doubled and outer underscores.

    Args:
        stem: Name of the stem.

    >>> parameter_prefix("lead__guitar_")
    'lead_guitar'
    """
    return re.sub("_+", "_", stem).strip("_")
