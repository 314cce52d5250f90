"""Playlists: M3U and PLS files that name songs."""

import codecs
import os
import re
from collections.abc import Iterator

from ..core.places import as_place, is_url

PLAYLISTS = (".m3u", ".m3u8", ".pls")


def playlist_entries(playlist: str, data: bytes) -> Iterator[tuple[int, str, str]]:
    """Read a playlist.

    Args:
        playlist: Its path or URL, which its entries are relative to.
        data: Its content.

    Yields:
        The number of a line, from 1; the path or URL of the song that it names; and why no song is there, or "".

    Raises:
        ValueError: It is not text.
    """
    for line, entry in _entries(playlist, data):
        place = as_place(entry)
        if not is_url(place):
            place = _beside(playlist, place)
        if is_url(place) or os.path.isfile(place):
            yield line, place, ""
        else:
            yield line, place, "is a folder, not a song" if os.path.isdir(place) else "no such file"


def _beside(playlist: str, entry: str) -> str:
    """An entry's place, which is relative to the playlist's; one written on Windows has backslashes."""
    if is_url(playlist):
        return f"{playlist.rpartition('/')[0]}/{entry}"
    place = os.path.join(os.path.dirname(playlist), entry)
    turned = os.path.join(os.path.dirname(playlist), entry.replace("\\", "/"))
    return turned if os.path.isfile(turned) and not os.path.isfile(place) else place


def _entries(playlist: str, data: bytes) -> Iterator[tuple[int, str]]:
    """The number of each line that names a song, from 1, and the name."""
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # as PowerShell writes
    try:
        text = data.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    if "\0" in text:
        raise ValueError(f"{playlist}: is no playlist, because it is no text; give a list of songs, one a line")
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        line = line.strip()
        if playlist.lower().endswith(".pls"):
            key, _, value = line.partition("=")
            if re.fullmatch(r"\s*file\d+\s*", key, re.IGNORECASE) and value.strip():
                yield number, value.strip()
        elif line and not line.startswith("#"):
            yield number, line
