"""Songs of a batch: found in files, folders, globs, playlists and URLs, each song once."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath

from ...audio.playlists import PLAYLISTS, playlist_entries
from ...audio.suffixes import AUDIO_SUFFIXES
from ...core.errors import StemBridgeError, file_reason
from ...core.places import as_place, is_url
from ..storage import file_name, reason_for, system_of
from .globs import is_glob
from .listing import list_files, why_missing

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
    return place.rstrip("/") if is_url(place) else os.path.realpath(place).replace(os.sep, "/")


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
        if not argument:
            raise StemBridgeError("the name of a song is empty; name a file, folder, glob, playlist or URL")
        here = LeftOut()
        listed = None
        if file_name(argument).lower().endswith(PLAYLISTS) and not (is_glob(argument) and why_missing(argument)):
            found = list(_in_playlist(argument))
        elif (listed := list_files(argument, here.folders)) is None:
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
                if place in listed.asked and file_name(place).lower().endswith(PLAYLISTS):
                    found += _in_playlist(place)
                elif place in listed.asked or _is_song(place):
                    found.append(Source(place, _folder(place, listed.base)))
                else:
                    here.files.add(name)
        # An existing folder that cannot be read does not stop the batch; a missing one does.
        unreadable = bool(here.folders) and not here.files and listed is not None and os.path.isdir(listed.base)
        if not found and not unreadable:
            raise StemBridgeError(_nothing_in(argument, here))
        for song in found:
            songs.setdefault(song.identity, song)
        left_out.files |= here.files
        left_out.folders |= here.folders
    if not songs and left_out.folders:
        raise StemBridgeError(_nothing_in(argument, left_out))
    if not songs:
        raise StemBridgeError("no songs are given; give audio files, folders, globs, playlists or URLs")
    left_out.files -= songs.keys()  # another argument names these
    return list(songs.values()), left_out


def _nothing_in(argument: str, left_out: LeftOut) -> str:
    line = "; ".join([f"{argument}: no song found", *left_out.lines()])
    if suffix := next(filter(None, map(_suffix, sorted(left_out.files))), ""):
        return f"{line}; to use files with another suffix, name the suffix in a glob, such as '**/*{suffix}'"
    bracket = " (in a glob, write [[] for a bracket in a name)" if "[" in argument else ""
    return f"{line}; name audio files, or folders or playlists that contain some{bracket}"


def _is_song(place: str) -> bool:
    """Return whether a file in a folder is a song."""
    return _suffix(place) in AUDIO_SUFFIXES or file_name(place).lower().endswith(STEM_FILE)


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
            raise OSError(f"playlist {playlist} cannot be read: {file_reason(error)}") from error
    system, path = system_of(playlist)
    try:
        return bytes(system.cat_file(path))
    except Exception as error:
        raise OSError(f"playlist {playlist} cannot be read: {reason_for(error)}") from error
