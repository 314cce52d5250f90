"""The place of a file: a path on this machine, or a URL."""

import os
import re
from reprlib import repr as shortened
from urllib.request import url2pathname

from .errors import StemBridgeError

URL = re.compile(r"[a-z][a-z0-9+.-]+(://|::)", re.IGNORECASE)


def is_url(place: str) -> bool:
    """Return whether a place is a URL for fsspec, such as `s3://bucket/song.flac` or `zip://song.flac::songs.zip`.

    Args:
        place: A path or URL.
    """
    return URL.match(place) is not None


def as_place(place: str | os.PathLike[str]) -> str:
    """Return a path or URL as text with slashes, on Windows too, and a file:// URL as the path that it stands for.

    Args:
        place: A path or URL.

    Raises:
        ValueError: It is something else.

    >>> as_place("file:///music/a%20song.flac"), as_place("file://localhost/music/#1.flac")
    ('/music/a song.flac', '/music/#1.flac')
    """
    if not isinstance(place, str | os.PathLike):
        raise StemBridgeError(f"{shortened(place)} is not a path or URL; name files, folders, globs, playlists or URLs")
    text = os.fspath(place)
    if is_url(text) and not text.lower().startswith("file://"):
        return text
    if is_url(text):
        # Not urlsplit: playlists do not escape # and ?, and a file:// URL has neither fragment nor query.
        text = url2pathname("/" + text[len("file://") :].partition("/")[2])
    return text.replace(os.sep, "/")
