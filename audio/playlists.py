"""Read playlists: M3U and PLS files, which name songs."""

import codecs
import os
import re
from collections.abc import Iterator

from ..core.errors import AudioError
from ..core.places import as_place, is_url

PLAYLISTS = (".m3u", ".m3u8", ".pls")


def playlist_entries(playlist: str, data: bytes) -> Iterator[tuple[int, str, str]]:
    """Read a playlist.

    Args:
        playlist: Path or URL of the playlist. Relative entries are relative to its folder.
        data: Its content.

    Yields:
        Number of the line, from 1; path or URL of the song that it names; and the reason why there is no such song, or
        "".

    Raises:
        ValueError: The file is not text.
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
    """Return the path or URL of an entry, which is relative to the playlist and may have backslashes of Windows."""
    if is_url(playlist):
        here, chain, below = playlist.partition("::")  # as in zip://lists/a.m3u::songs.zip
        return f"{here.partition('?')[0].rpartition('/')[0]}/{entry}{chain}{below}"
    place = os.path.join(os.path.dirname(playlist), entry)
    turned = os.path.join(os.path.dirname(playlist), entry.replace("\\", "/"))
    return turned if os.path.isfile(turned) and not os.path.isfile(place) else place


def _entries(playlist: str, data: bytes) -> Iterator[tuple[int, str]]:
    """Yield the number, from 1, and the entry of each line that names a song."""
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # PowerShell writes UTF-16
    try:
        text = data.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    if "\0" in text:
        raise AudioError(f"{playlist} is not a playlist, because it is not text; give a list of songs, one per line")
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        line = line.strip()
        if playlist.lower().endswith(".pls"):
            key, _, value = line.partition("=")
            if re.fullmatch(r"\s*file\d+\s*", key, re.IGNORECASE) and value.strip():
                yield number, value.strip()
        elif line and not line.startswith("#"):
            yield number, line
