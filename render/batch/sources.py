"""Songs of a batch: found in files, folders, globs, playlists and URLs, each song once."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from ...audio.playlists import PLAYLISTS, playlist_entries
from ...core.places import as_place, is_url
from ..storage import file_name, one_line, system_of
from .globs import is_glob, literal_brackets, matching, may_lead_to, names_suffix

# Suffixes of songs in folders. Files whose name or suffix the user gives are always tried.
AUDIO = frozenset([
    ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".au", ".bwf", ".caf", ".dff", ".dsf", ".dts", ".eac3",
    ".flac", ".m4a", ".m4b", ".mka", ".mp2", ".mp3", ".mpc", ".mpga", ".oga", ".ogg", ".opus", ".rf64", ".shn", ".snd",
    ".spx", ".tak", ".tta", ".voc", ".w64", ".wav", ".wave", ".weba", ".wma", ".wv",
])  # fmt: skip
STEM_FILE = ".stem.mp4"  # a song with its stems, whose first stream is the mix
MAX_SUFFIXES = 8  # in the line about files that were left out


@dataclass(frozen=True)
class Source:
    """A song.

    Attributes:
        place: Its path or URL.
        folder: Its folder below the argument that named it, with slashes, or "".
        failure: Why it cannot be rendered, if that is known already, else "".
    """

    place: str
    folder: str = ""
    failure: str = ""

    @cached_property
    def identity(self) -> str:
        """A text that is the same for all names of the same file."""
        return identity(self.place)


def identity(place: str) -> str:
    """Return the real path of a file or folder, or its URL.

    Args:
        place: A path or URL.
    """
    return place.rstrip("/") if is_url(place) else os.path.realpath(place)


@dataclass
class LeftOut:
    """Files and folders that a batch leaves out of folders and globs.

    Attributes:
        files: Files without an audio suffix.
        folders: Folders that cannot be read, path to reason.
    """

    files: set[str] = field(default_factory=set)
    folders: dict[str, str] = field(default_factory=dict)

    def lines(self) -> tuple[str, ...]:
        """Return lines for a user: one for each folder that cannot be read, and one for all files."""
        lines = [f"left out the folder {folder}: {why}" for folder, why in self.folders.items()]
        if self.files:
            suffixes = Counter(_suffix(file) or "without a suffix" for file in self.files)
            ordered = sorted(suffixes.items(), key=lambda item: (-item[1], item[0]))
            counts = [f"{count:,} {suffix}" for suffix, count in ordered[:MAX_SUFFIXES]]
            if others := sum(count for _, count in ordered[MAX_SUFFIXES:]):
                counts.append(f"{others:,} others")
            files = "1 file" if len(self.files) == 1 else f"{len(self.files):,} files"
            lines.append(f"left out {files} without an audio suffix: {', '.join(counts)}")
        return tuple(lines)


def find_songs(
    arguments: Iterable[str | os.PathLike[str]], output: str, is_ours: Callable[[str], bool] = lambda identity: False
) -> tuple[list[Source], LeftOut]:
    """Find the songs that arguments name, in their order. Songs of a folder or glob are in natural order (2 before 10).

    Args:
        arguments: Files, folders, globs, playlists and URLs.
        output: The output folder. If a folder or glob contains it, files in it are not songs.
        is_ours: Returns whether the file with this identity is an output; folders and globs leave outputs out.

    Returns:
        The songs, each once, and what was left out.

    Raises:
        ValueError: An argument names no song.
        OSError: A playlist or a URL cannot be read.
    """
    outputs = identity(output).rstrip("/") + "/"
    songs: dict[str, Source] = {}
    left_out = LeftOut()
    for argument in map(as_place, arguments):
        here = LeftOut()
        listed = None
        if argument.lower().endswith(PLAYLISTS) and not (is_glob(argument) and _why_missing(argument)):
            found = list(_in_playlist(argument))
        elif (listed := _listed(argument, here)) is None:
            found = [Source(argument)]
        else:
            # If the outputs go into the folder of the songs itself, only known outputs are left out.
            above = identity(listed.base).rstrip("/") + "/"
            skipped = (outputs,) if outputs.startswith(above) and outputs != above else ()
            found = []
            for place in sorted(listed.files, key=_as_people_sort):
                name = identity(place)
                if is_ours(name) or name.startswith(skipped):
                    continue
                if place in listed.asked and place.lower().endswith(PLAYLISTS):
                    found += _in_playlist(place)
                elif place in listed.asked or _is_song(place):
                    found.append(Source(place, _folder(place, listed.base)))
                else:
                    here.files.add(name)
        # An existing folder that cannot be read does not stop the batch; a missing one does.
        unreadable = bool(here.folders) and not here.files and listed is not None and os.path.isdir(listed.base)
        if not found and not unreadable:
            raise ValueError(_nothing_in(argument, here))
        for song in found:
            songs.setdefault(song.identity, song)
        left_out.files |= here.files
        left_out.folders |= here.folders
    if not songs and left_out.folders:
        raise ValueError(_nothing_in(argument, left_out))
    if not songs:
        raise ValueError("no songs are given; give audio files, folders, globs, playlists or URLs")
    left_out.files -= songs.keys()  # another argument names these
    return list(songs.values()), left_out


def _nothing_in(argument: str, left_out: LeftOut) -> str:
    line = "; ".join([f"{argument}: no song found", *left_out.lines()])
    if suffix := next(filter(None, map(_suffix, sorted(left_out.files))), ""):
        return f"{line}; to use files with another suffix, name the suffix in a glob, such as '**/*{suffix}'"
    bracket = " (in a glob, write [[] for a bracket in a name)" if "[" in argument else ""
    return f"{line}; name audio files, or folders or playlists that contain some{bracket}"


@dataclass(frozen=True)
class _Listed:
    """The files of a folder or glob.

    Attributes:
        base: The folder above all wildcards.
        files: All files except hidden ones.
        asked: The files whose suffix the glob names.
    """

    base: str
    files: list[str]
    asked: frozenset[str] = frozenset()


def _listed(argument: str, left_out: LeftOut) -> _Listed | None:
    """List the files of a folder or glob; None for a file."""
    if is_url(argument):
        return _listed_at_url(argument)
    if os.path.isdir(argument):
        return _Listed(argument, [os.path.join(argument, *path) for path in _walk(argument, (), left_out)])
    if not (why := _why_missing(argument)):
        return None
    if not is_glob(argument):
        raise ValueError(f"{argument}: {why}")
    parts = argument.split("/")
    fixed = 0  # parts that exist are taken literally, whatever wildcards are in them
    while fixed < len(parts) - 1 and not (is_glob(parts[fixed]) and _why_missing("/".join(parts[: fixed + 1]))):
        fixed += 1
    base = "/".join(parts[:fixed]) or ("/" if argument.startswith("/") else "")
    wild = tuple(part for part in parts[fixed:] if part not in ("", "."))
    paths = list(_walk(base or ".", wild, left_out))
    # If the glob matches a folder, all files in it count.
    folders = {path[:depth]: None for path in paths for depth in range(1, len(path))}
    matched = matching("/".join(wild), folders | ({} if argument.endswith("/") else dict.fromkeys(paths)))
    named = names_suffix(argument)
    return _Listed(
        base or ".",
        [os.path.join(base, *path) for path in paths if any(path[:depth] in matched for depth in range(len(path) + 1))],
        frozenset(os.path.join(base, *path) for path in matched.difference(folders) if named),
    )


def _why_missing(path: str) -> str:
    """Return why nothing is at a path; empty if something is."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return "no such file or folder"
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _walk(base: str, wild: tuple[str, ...], left_out: LeftOut) -> Iterator[tuple[str, ...]]:
    """Walk through a folder and all folders below it, including linked ones, each once.

    Args:
        base: The folder.
        wild: Parts of a glob that paths must match. Hidden files and folders are skipped unless the part begins with a
            dot.
        left_out: Receives folders that cannot be read.

    Yields:
        The files, as parts of their path below the folder.
    """
    entered = set()

    def leave_out(error: OSError) -> None:
        left_out.folders[str(error.filename)] = error.strerror or str(error)

    for path, folders, files in os.walk(base, onerror=leave_out, followlinks=True):
        real = os.path.realpath(path)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        above = () if path == base else tuple(os.path.relpath(path, base).split("/"))

        def is_meant(name: str, above: tuple[str, ...] = above) -> bool:
            asked = wild[len(above)] if len(above) < len(wild) else ""
            return (not name.startswith(".") or asked.startswith(".")) and may_lead_to(wild, (*above, name))

        folders[:] = sorted(filter(is_meant, folders))
        yield from ((*above, name) for name in filter(is_meant, files))


def _listed_at_url(url: str) -> _Listed | None:
    system, path = system_of(url)
    asked = False
    try:
        if system.isdir(path):
            base, names = path, list(system.find(path))
        elif system.exists(path):
            return None
        elif any(sign in path for sign in "*[") or ("?" in path and not url.lower().startswith("http")):
            base, names = _matched_at_url(system, path)
            asked = names_suffix(path)
        else:
            raise ValueError(f"{url}: no such file or folder")
    except (ValueError, FileNotFoundError):
        raise ValueError(f"{url}: no such file or folder") from None
    except Exception as error:  # every kind of storage fails in its own way
        raise OSError(f"{url} cannot be listed: {one_line(error)}; check the address") from error

    def as_url(name: str) -> str:
        first, chained, rest = url.partition("::")
        if chained:  # zip://*.flac::songs.zip
            return f"{first.partition('://')[0]}://{name}::{rest}"
        return str(system.unstrip_protocol(name))

    hidden = re.compile(r"(^|/)\.")
    files = [as_url(name) for name in names if not hidden.search(name[len(base) :])]
    return _Listed(as_url(base), files, frozenset(files if asked else ()))


def _matched_at_url(system: Any, path: str) -> tuple[str, list[str]]:
    """Return the folder above all wildcards, and the files that a glob matches."""
    # Try brackets as part of the name first, as in matching().
    for pattern, wildcard in (literal_brackets(path), "[*?]"), (path, "[*?[]"):
        if first := re.search(wildcard, path):
            base = path[: first.start()].rpartition("/")[0]
            found = system.glob(pattern, detail=True)
            if names := [name for name, info in found.items() if info["type"] == "file"]:
                break
    return base, names


def _is_song(place: str) -> bool:
    """Return whether a file in a folder is a song."""
    return _suffix(place) in AUDIO or file_name(place).lower().endswith(STEM_FILE)


def _suffix(place: str) -> str:
    return PurePosixPath(file_name(place)).suffix.lower()


def _folder(place: str, base: str) -> str:
    """Return the folder of a file below another folder, with slashes; both are paths, or both URLs."""
    inner, base = place.partition("::")[0] if is_url(place) else place, base.partition("::")[0]
    inside = inner[len(base) :] if is_url(place) else os.path.relpath(inner, base)
    return inside.strip("/").rpartition("/")[0]


def _as_people_sort(place: str) -> list[tuple[int, int | str]]:
    """Return a sort key that puts `2.flac` before `10.flac`."""
    pieces = re.split(r"(\d+)", place.casefold())
    return [(0, int(piece)) if piece.isdecimal() else (1, piece) for piece in pieces]


def _in_playlist(playlist: str) -> Iterator[Source]:
    for line, place, why in playlist_entries(playlist, _bytes_of(playlist)):
        yield Source(place, failure=f"{playlist}, line {line}: {why}" if why else "")


def _bytes_of(playlist: str) -> bytes:
    if not is_url(playlist):
        try:
            with open(playlist, "rb") as file:
                return file.read()
        except OSError as error:
            raise OSError(f"playlist {playlist} cannot be read: {error.strerror}") from error
    system, path = system_of(playlist)
    try:
        return bytes(system.cat_file(path))
    except Exception as error:
        raise OSError(f"playlist {playlist} cannot be read: {one_line(error)}") from error
