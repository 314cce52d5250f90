"""Find the length of the audio in a Matroska or WebM file, and whether the file is complete."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067


def track_seconds(tags: Mapping[str, str], start: float) -> float | None:
    """Return the length of a track in seconds, from a tag such as DURATION = 00:00:07.000000000; None without it.

    The tag says when the track ends. The duration in the file's header is that of all tracks together.

    Args:
        tags: Tags of the track.
        start: When the track starts, in seconds.
    """
    for name, value in tags.items():
        match = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", value.strip())
        if match and name.upper().startswith("DURATION"):
            return max(0.0, 3600 * int(match[1]) + 60 * int(match[2]) + float(match[3]) - start)
    return None


def matroska_is_cut(path: Path) -> bool:
    """Return whether a file ends before the end of its Segment, the element that contains everything."""
    with path.open("rb") as file:
        if _number(file, marked=True) != _EBML:
            return False
        file.seek(_number(file) or 0, os.SEEK_CUR)
        if _number(file, marked=True) != _SEGMENT:
            return False
        length = _number(file)
        return length is not None and file.tell() + length > os.fstat(file.fileno()).st_size


def _number(file: BinaryIO, *, marked: bool = False) -> int | None:
    """Read a number of 1 to 8 bytes, whose size is in the leading zero bits of the first byte; None if it is unknown.

    Args:
        file: The file, at the number.
        marked: Keep the bit after those zeros, as the ids of elements do.
    """
    first = file.read(1)
    if not first or not first[0]:
        return None
    more = 8 - first[0].bit_length()
    number = int.from_bytes(first + file.read(more), "big")
    mark = 1 << 7 * (more + 1)
    if marked:
        return number
    return None if number == 2 * mark - 1 else number - mark
