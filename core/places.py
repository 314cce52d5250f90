"""Where a file lies: a path of this machine, or a URL."""

import os
import re
from urllib.request import url2pathname

URL = re.compile(r"[a-z][a-z0-9+.-]+(://|::)", re.IGNORECASE)


def is_url(place: str) -> bool:
    """Whether fsspec is to be asked: `s3://bucket/song.flac`, `zip://song.flac::songs.zip`."""
    return URL.match(place) is not None


def as_place(place: str | os.PathLike[str]) -> str:
    """A path or URL as text; file:// URLs are paths.

    >>> as_place("file:///music/a%20song.flac"), as_place("file://localhost/music/#1.flac")
    ('/music/a song.flac', '/music/#1.flac')
    """
    text = os.fspath(place)
    if not text.lower().startswith("file://"):
        return text
    # Not urlsplit: playlists have # and ? as they are, and no file's URL has a fragment or a query.
    return url2pathname("/" + text[len("file://") :].partition("/")[2])
