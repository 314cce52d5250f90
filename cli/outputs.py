"""Paths of the results of one song, for command lines that name a folder or no output."""

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import chain, count
from pathlib import Path

from ..core.errors import StemBridgeError
from .batch import is_file, is_folder


def remix_path(
    song: str,
    output: str | None,
    gains_db: Mapping[str, float],
    *,
    preset: str | None = None,
    moved_by: str | None = None,
    format: str | None = None,
) -> Path:
    """Return the path of a remix. If it is to go into a folder, by default the current one, its name describes it.

    Args:
        song: Path of the song.
        output: A file, or a folder, which ends in a slash or exists.
        gains_db: Stem to gain in dB, as given on the command line.
        preset: Name or path of the preset.
        moved_by: File or processor that moves the faders.
        format: Format of the file, without a dot; by default the song's own. Only if `output` is a folder.

    Raises:
        ValueError: `format` is given for a file, whose suffix decides.
    """
    from ..presets.gains import read_gains
    from ..render.batch.job import output_format
    from ..render.batch.naming import REMIX_NAME, Template, mix_name, song_fields

    if output is not None and not is_folder(output):
        if format is not None:
            raise StemBridgeError(
                f"--format {format} is for folders; here the suffix of {output} sets the format: leave it out"
            )
        return Path(output)
    words = mix_name(gains_db, preset, read_gains(preset), moved_by)
    fields = song_fields(song, "", {}) | {"preset": words, "ext": output_format(song, format)}
    return Path(output or "", Template(REMIX_NAME).name(fields))


def picture_path(song: str, output: str | None, suffix: str) -> Path:
    """Return the path of a picture.

    Args:
        song: Path of the song.
        output: A file, or a folder, in which the picture gets the song's name; by default the current folder.
        suffix: Suffix of the picture in a folder.
    """
    if output is not None and not is_folder(output):
        return Path(output)
    return Path(output or "", _song_name(song) + suffix)


def stems_folder(song: str, output: str | None, names: Collection[str]) -> Path:
    """Return the folder for stems: `output`, or by default one in the current folder with the song's name.

    If it has other stems already, they stay, and the song gets its own folder: next to the default folder with a
    number, or in `output` with the song's name.

    Args:
        song: Path of the song.
        output: A folder, which need not exist.
        names: The files that will be written; empty if they may overwrite others.

    Raises:
        ValueError: `output` is the name of a file.
    """
    if output is not None and is_file(output) and not Path(output).is_dir():
        raise StemBridgeError(
            f"{output} is the name of a file, but stems go into a folder; choose another name, like -o stems/"
        )
    if output is not None and not Path(output).is_dir():
        return Path(output)
    own = Path(output or "", _song_name(song))
    numbered = (own.with_name(f"{own.name} ({number})") for number in count(2))
    folders = chain([] if output is None else [Path(output)], [own], numbered)
    return next(folder for folder in folders if not _is_taken(folder, names))


def _song_name(song: str) -> str:
    """Return a song's name without its suffix, safe on any disk."""
    from ..render.batch.naming import safe_name, song_fields

    return safe_name(song_fields(song, "", {})["name"])


def _is_taken(folder: Path, names: Collection[str]) -> bool:
    """Return whether one of these files, or a file in place of the folder, is there already."""
    return any(os.path.lexists(folder / name) for name in names) or (bool(names) and folder.is_file())


@contextmanager
def new_folder(output: str | None) -> Iterator[None]:
    """Make a missing folder for a `with` block, and remove it again if it stays empty.

    Args:
        output: The output as it was given; it means a folder if it ends in a slash.
    """
    folder = Path(os.path.realpath(output)) if output and output.endswith("/") else None  # a link may lead to it
    if folder is None or folder.exists() or not folder.parent.is_dir():
        yield
        return
    folder.mkdir()
    try:
        yield
    finally:
        with suppress(OSError):  # not empty: the result is in it
            folder.rmdir()
