"""Which songs are meant: files, folders, globs, playlists and URLs, each song once."""

import codecs
import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from .places import as_place, is_url, one_line, system_of

PLAYLISTS = (".m3u", ".m3u8", ".pls")
# What is taken from folders and globs. A file that is named is tried whatever its name.
AUDIO = frozenset([
    ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".ape", ".au", ".caf", ".dsf", ".flac", ".m4a", ".m4b", ".mka", ".mp2",
    ".mp3", ".mpc", ".oga", ".ogg", ".opus", ".rf64", ".snd", ".tta", ".w64", ".wav", ".wave", ".weba", ".wma", ".wv",
])  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A song. place: its path or URL. folder: where it lies below the argument that named it, with slashes, or "".

    failure: why it cannot be rendered, if that is known already, else "".
    """

    place: str
    folder: str = ""
    failure: str = ""

    @cached_property
    def identity(self) -> str:
        """The same for every way to name the same file."""
        return identity(self.place)


def identity(place: str) -> str:
    """The real path of a file or folder, or its URL."""
    return place.rstrip("/") if is_url(place) else os.path.realpath(place)


def find_songs(
    arguments: Iterable[str | os.PathLike[str]], output: str, is_ours: Callable[[str], bool] = lambda identity: False
) -> list[Source]:
    """The songs that arguments name, in their order; those of a folder or glob sorted as a person would.

    output: the folder of the outputs. What is in it is no song of a folder or glob that it lies in, and neither is a
    file that `is_ours`, by its identity. Raises ValueError for an argument that names no song, OSError for a playlist
    or folder that cannot be read.
    """
    outputs = identity(output).rstrip("/") + "/"
    songs: dict[str, Source] = {}
    for argument in map(as_place, arguments):
        if argument.lower().endswith(PLAYLISTS):
            found = list(_in_playlist(argument))
        elif (listed := _listed(argument)) is None:
            found = [Source(argument)]
        else:
            base, places = listed
            real = ((place, identity(place)) for place in sorted(places, key=_as_people_sort))
            # Where the outputs go into the very folder of the songs, only what is known to be ours is left out.
            above = identity(base).rstrip("/") + "/"
            left_out = (outputs,) if outputs.startswith(above) and outputs != above else ()
            found = [
                Source(place, _folder(place, base))
                for place, name in real
                if not is_ours(name) and not name.startswith(left_out)
            ]
        if not found:
            raise ValueError(f"{argument}: no song is there; name audio files, folders or playlists that have some")
        for song in found:
            songs.setdefault(song.identity, song)
    if not songs:
        raise ValueError("no song is named; give audio files, folders, globs, playlists or URLs")
    return list(songs.values())


def _listed(argument: str) -> tuple[str, list[str]] | None:
    """The folder above all wildcards, and the audio files; None for a file."""
    if is_url(argument):
        return _listed_at_url(argument)
    if os.path.isdir(argument):
        return argument, list(_walk(argument))
    if os.path.lexists(argument):
        return None
    if not glob.has_magic(argument):
        raise ValueError(f"{argument}: no such file or folder")
    parts = argument.split("/")
    fixed = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    base = "/".join(parts[:fixed]) or ("/" if argument.startswith("/") else ".")
    if "**" in parts:  # glob itself would go round and round in links that lead up
        fits = fitting("/".join(parts[fixed:]).rstrip("/"))
        return base, [path.removeprefix("./") for path in _walk(base) if any(map(fits, _and_above(path, base)))]
    files: list[str] = []
    for path in glob.iglob(argument):
        if os.path.isdir(path):
            files += _walk(path)
        elif is_audio(path):
            files.append(path)
    return base, files


def fitting(pattern: str) -> Callable[[str], Any]:
    """Says whether a path or URL fits a glob, in which ** is any number of folders."""
    from fsspec.utils import glob_translate

    return re.compile(glob_translate(pattern)).match


def _and_above(path: str, base: str) -> Iterator[str]:
    """A path below `base`, from there, and the folders on the way to it."""
    below = os.path.relpath(path, base)
    while below:
        yield below
        below = os.path.dirname(below)


def _walk(folder: str) -> Iterator[str]:
    """The audio files in a folder and below, but for hidden ones; linked folders too, each once."""
    entered = set()

    def refuse(error: OSError) -> None:
        raise error

    for path, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        here = os.path.realpath(path)
        folders[:] = [] if here in entered else sorted(name for name in folders if not name.startswith("."))
        if here not in entered:
            yield from (os.path.join(path, name) for name in files if is_audio(name) and not name.startswith("."))
        entered.add(here)


def _listed_at_url(url: str) -> tuple[str, list[str]] | None:
    system, path = system_of(url)
    try:
        if "*" in path:
            base = path[: path.index("*")].rpartition("/")[0]
            names = system.glob(path)
        elif system.isdir(path):
            base, names = path, system.find(path)
        elif system.exists(path):
            return None
        else:
            raise ValueError(f"{url}: no such file or folder")
    except (ValueError, FileNotFoundError):
        raise ValueError(f"{url}: no such file or folder") from None
    except Exception as error:  # every kind of storage fails in its own way
        raise OSError(f"{url}: cannot be listed: {one_line(error)}") from error

    def as_url(name: str) -> str:
        first, chained, rest = url.partition("::")
        if chained:  # zip://*.flac::songs.zip
            return f"{first.partition('://')[0]}://{name}::{rest}"
        return str(system.unstrip_protocol(name))

    hidden = re.compile(r"(^|/)\.")
    names = [name for name in names if is_audio(name) and not hidden.search(name[len(base) :])]
    return as_url(base), [as_url(name) for name in names]


def is_audio(name: str) -> bool:
    """Whether a file of this name is taken for a song."""
    return PurePosixPath(name).suffix.lower() in AUDIO


def _folder(place: str, base: str) -> str:
    """Where a file lies below a folder, both paths or both URLs, with slashes."""
    inner, base = place.partition("::")[0] if is_url(place) else place, base.partition("::")[0]
    inside = inner[len(base) :] if is_url(place) else os.path.relpath(inner, base)
    return inside.strip("/").rpartition("/")[0]


def _as_people_sort(place: str) -> list[tuple[int, int | str]]:
    """A key by which `2.flac` goes before `10.flac`."""
    pieces = re.split(r"(\d+)", place.casefold())
    return [(0, int(piece)) if piece.isdecimal() else (1, piece) for piece in pieces]


def _in_playlist(playlist: str) -> Iterator[Source]:
    for line, entry in _entries(playlist):
        place = as_place(entry)
        if not is_url(place):
            place = _beside(playlist, place)
        if is_url(place) or os.path.isfile(place):
            yield Source(place)
        else:
            what = "is a folder, not a song" if os.path.isdir(place) else "no such file"
            yield Source(place, failure=f"{playlist}, line {line}: {what}")


def _beside(playlist: str, entry: str) -> str:
    """An entry's place, which is relative to the playlist's; one written on Windows has backslashes."""
    if is_url(playlist):
        return f"{playlist.rpartition('/')[0]}/{entry}"
    place = os.path.join(os.path.dirname(playlist), entry)
    turned = os.path.join(os.path.dirname(playlist), entry.replace("\\", "/"))
    return turned if os.path.isfile(turned) and not os.path.isfile(place) else place


def _entries(playlist: str) -> Iterator[tuple[int, str]]:
    """The number of each line that names a song, from 1, and the name."""
    data = _bytes_of(playlist)
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


def _bytes_of(playlist: str) -> bytes:
    if not is_url(playlist):
        try:
            with open(playlist, "rb") as file:
                return file.read()
        except OSError as error:
            raise OSError(f"{playlist}: the playlist cannot be read: {error.strerror}") from error
    system, path = system_of(playlist)
    try:
        return bytes(system.cat_file(path))
    except Exception as error:
        raise OSError(f"{playlist}: the playlist cannot be read: {one_line(error)}") from error
