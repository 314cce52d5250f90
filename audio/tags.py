"""Copy tags and cover art between files with ID3 (MP3, WAV, AIFF), Vorbis comments (FLAC, Ogg) and MP4 tags.

From ID3 to ID3, or MP4 to MP4, every frame is kept. Otherwise texts are translated by way of the names of Vorbis
comments, or keep their own name if there is no such name. Tags that new sound makes wrong are left out: loudness,
lengths, gapless playback, encoder, fingerprints.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO

from mutagen import MutagenError
from mutagen._vorbis import VCommentDict
from mutagen.aiff import AIFF
from mutagen.apev2 import APEv2
from mutagen.flac import FLAC, Picture
from mutagen.id3 import ID3
from mutagen.mp3 import MP3
from mutagen.mp4 import MP4
from mutagen.oggflac import OggFLAC
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis
from mutagen.wave import WAVE

from ..core.errors import StemBridgeError, one_line
from .chunk_tags import (
    Chunks,
    aiff_marker_chunks,
    append_chunks,
    chunk_kind,
    chunk_markers,
    chunk_texts,
    kept_chunks,
    marker_chunks,
    read_chunks,
    sampler_chunks,
)
from .decode import open_audio
from .markers import (
    MAX_MARKERS,
    VORBIS_CHAPTER,
    Marker,
    container_markers,
    cuesheet_markers,
    id3_markers,
    vorbis_markers,
    vorbis_texts,
    write_id3,
)
from .mp4_chapters import write_chapters
from .tag_files import kind_name, open_tags, save_tags, tag_opener
from .tag_formats import (
    Texts,
    is_readable,
    lost_contents,
    read_ape,
    read_container,
    read_contents,
    write_contents,
)
from .tag_names import FREEFORM, UNTRUE, UNTRUE_ATOMS, is_untrue

_APPLICATION, _CUESHEET = 2, 5  # blocks of FLAC
_TEXT_CHUNKS = {"cue ", "MARK", "NAME", "AUTH", "(c) ", "ANNO", "COMT"}  # these become tags or markers
_TEXT_LISTS = {b"INFO", b"adtl"}
# Formats whose tags are read with mutagen; those of all others are read with FFmpeg. FFmpeg must not read WAV and AIFF,
# because it searches the bytes after the sound, which takes minutes if a recorder has reserved a gigabyte.
_KNOWN = (FLAC, OggVorbis, OggOpus, OggFLAC, MP3, WAVE, AIFF)
_CHUNKED: dict[type, str] = {WAVE: "WAV", AIFF: "AIFF"}  # as `chunk_kind` names them

_Write = Callable[[str | os.PathLike[str]], None]


def copy_tags(
    source: str | os.PathLike[str], target: str | os.PathLike[str], *, with_markers: bool = True
) -> str | None:
    """Copy tags, cover art and markers from one audio file to another of the same length.

    Args:
        source: The file to read.
        target: The file to change.
        with_markers: Copy chapters, cue points and loops too.

    Returns:
        One line about tags that the target cannot hold or that cannot be read, or None.

    Raises:
        OSError: Writing the target failed; it is then damaged.
    """
    try:
        old, fault = _open_old(source)
        new: Any = open_tags(target)
        if new is None:
            raise StemBridgeError("a file over 4 GiB has no room for them")
        if new.tags is None:
            new.add_tags()
        with Path(source).open("rb") as file:
            kind, chunks = chunk_kind(file), read_chunks(file)
        lost = _copy(Path(source), old, new, kind, chunks)
        if fault is not None and not chunks and not new.tags:
            raise fault
        write_markers: _Write = _write_nothing
        if with_markers:
            write_markers, lost_markers = _copy_markers(Path(source), old, new, kind, chunks)
            lost += lost_markers
    except Exception as error:  # tags come from other programs, and may be invalid in many ways
        return _not_copied(source, error)
    try:
        if new.tags or getattr(new, "pictures", None) or getattr(new, "cuesheet", None):
            save_tags(new, target)
        write_markers(target)
    except (MutagenError, ValueError) as error:
        cause = error.args[0] if error.args else None
        if isinstance(cause, OSError):
            raise OSError(cause.errno, cause.strerror, os.fspath(target)) from None
        return _not_copied(source, error)
    clauses = []
    if fault is not None:
        clauses.append(f"some of its tags are damaged, the others were copied ({_reason(fault)})")
    if lost:
        clauses.append(f"{kind_name(new)} cannot hold all of its tags; left out: {', '.join(lost)}")
    return f"{os.fspath(source)}: {'; '.join(clauses)}" if clauses else None


def _open_old(source: str | os.PathLike[str]) -> tuple[Any, Exception | None]:
    """Open a file with mutagen. Return it, or None if its tags are damaged; and the error, or None."""
    try:
        return open_tags(source), None
    except Exception as error:  # tags come from other programs, and may be invalid in many ways
        return None, error


def _copy(source: Path, old: Any, new: Any, kind: str, chunks: Chunks) -> list[str]:
    """Copy texts and pictures, and return the names of those that the new file cannot hold.

    Args:
        source: Path of the old file.
        old: The old file, opened with mutagen.
        new: The new file, opened with mutagen.
        kind: Kind of the old file, from `chunk_kind`.
        chunks: Chunks of the old file.
    """
    ape = _ape_tags(source) if isinstance(old, MP3) else None
    has_id3 = old is not None and isinstance(old.tags, ID3)
    if has_id3 and isinstance(new.tags, ID3):
        for frame in old.tags.values():
            if not is_untrue(frame):
                new.tags.add(frame)
        known, pictures = read_contents(old)
        texts, covers = _more_texts(ape, chunks)
        texts = {name: values for name, values in texts.items() if name not in known and not UNTRUE.match(name)}
        return write_contents(new, texts, [] if pictures else covers)
    if isinstance(old, MP4) and old.tags and isinstance(new, MP4):
        for atom, values in old.tags.items():
            if atom not in UNTRUE_ATOMS and not UNTRUE.match(atom.removeprefix(FREEFORM)):
                new.tags[atom] = values
        return []
    lost: list[str] = []
    texts, pictures = {}, []
    if is_readable(old) and (old.tags or getattr(old, "pictures", None)):
        texts, pictures = read_contents(old)
        lost = lost_contents(old)
    more, covers = _more_texts(ape, chunks)
    texts, pictures = more | texts, pictures or covers
    if not texts and not pictures and not kind and not isinstance(old, _KNOWN):
        with source.open("rb") as file:
            texts = read_container(file)
    texts = {name: values for name, values in texts.items() if not UNTRUE.match(name)}
    if not isinstance(new.tags, VCommentDict):  # in other files, chapters are written as markers
        texts = {name: values for name, values in texts.items() if not VORBIS_CHAPTER.fullmatch(name)}
    return lost + write_contents(new, texts, pictures)


def _copy_markers(source: Path, old: Any, new: Any, kind: str, chunks: Chunks) -> tuple[_Write, list[str]]:
    """Copy cue points, loops, chapters and other chunks. The arguments are those of `_copy`.

    Returns:
        A function that writes data outside the tags into a file, and the names of data that the new file cannot hold.
    """
    names = [
        f"{name.strip()} chunk" for name, data in chunks if name not in _TEXT_CHUNKS and data[:4] not in _TEXT_LISTS
    ]
    rate = _rate(old)
    if chunks and not rate:
        with open_audio(source) as reader:
            rate = reader.sample_rate
    if isinstance(old, FLAC) and isinstance(new, FLAC):
        kept = [block for block in old.metadata_blocks if block.code in (_APPLICATION, _CUESHEET)]
        new.metadata_blocks += kept
        new.cuesheet = old.cuesheet
        return _write_nothing, []
    blocks = getattr(old, "metadata_blocks", [])
    lost = [f"{block.data[:4].decode('latin-1')} block" for block in blocks if block.code == _APPLICATION]
    if chunks and kind == _CHUNKED.get(type(new)) and rate == _rate(new):
        return partial(append_chunks, chunks=kept_chunks(chunks)), lost
    markers = sorted(_markers(source, old, kind, chunks, rate), key=attrgetter("start"))
    length = new.info.length  # seconds
    if isinstance(new, WAVE):
        added = marker_chunks(markers, _rate(new)) + sampler_chunks(chunks, _rate(new))
        return partial(append_chunks, chunks=added), lost + [name for name in names if name != "INST chunk"]
    lost += names
    if isinstance(new, AIFF):
        lost += _lengths(markers, length)
        return partial(append_chunks, chunks=aiff_marker_chunks(markers, _rate(new))), lost
    if isinstance(new.tags, ID3):
        if not new.tags.getall("CHAP"):
            lost += _beyond(markers, MAX_MARKERS["ID3"])
            write_id3(new.tags, markers[: MAX_MARKERS["ID3"]], length)
    elif isinstance(new.tags, VCommentDict):
        if not any(name.lower().startswith("chapter") for name in new.tags.keys()):  # noqa: SIM118
            lost += _beyond(markers, MAX_MARKERS["Vorbis"]) + _lengths(markers, length)
            for name, values in vorbis_texts(markers[: MAX_MARKERS["Vorbis"]]).items():
                new.tags[name] = values
    elif isinstance(new, MP4) and markers:
        lost += _beyond(markers, MAX_MARKERS["MP4"]) + _lengths(markers, length)
        return partial(write_chapters, markers=markers[: MAX_MARKERS["MP4"]]), lost
    return _write_nothing, lost


def _write_nothing(path: str | os.PathLike[str]) -> None:
    """Write nothing, because all markers are in the tags."""


def _rate(file: Any) -> int:
    """Return a file's sample rate in Hz, or 0 if mutagen does not give it, as for Opus."""
    return getattr(getattr(file, "info", None), "sample_rate", 0)


def _markers(source: Path, old: Any, kind: str, chunks: Chunks, rate: int) -> list[Marker]:
    """Return the markers of a file of any format."""
    if found := chunk_markers(chunks, rate):
        return found
    if isinstance(getattr(old, "tags", None), ID3):
        return id3_markers(old.tags)
    if isinstance(old, FLAC) and old.cuesheet:
        return cuesheet_markers(old.cuesheet, rate)
    if isinstance(getattr(old, "tags", None), VCommentDict):
        return vorbis_markers(read_contents(old)[0])
    return [] if kind or isinstance(old, _KNOWN) else container_markers(source)


def _beyond(markers: list[Marker], most: int) -> list[str]:
    return [f"all markers after the first {most}"] if len(markers) > most else []


def _lengths(markers: list[Marker], length: float) -> list[str]:
    """Return "lengths of markers" if a marker ends before the next one begins, which these tags cannot hold."""
    following = [marker.start for marker in markers[1:]] + [length]
    ends = [(marker.end, start) for marker, start in zip(markers, following, strict=False) if marker.end is not None]
    return ["lengths of markers"] if any(end < start - 0.05 for end, start in ends) else []


def _more_texts(ape: Any, chunks: Chunks) -> tuple[Texts, list[Picture]]:
    """Return the texts and pictures in an APEv2 tag and in WAV or AIFF chunks, which add to the main tags."""
    texts, pictures = read_ape(ape) if ape else ({}, [])
    return chunk_texts(chunks) | texts, pictures


def _ape_tags(path: Path) -> Any:
    try:
        return APEv2(path)
    except MutagenError:  # the file has no such tag
        return None


def read_tags(file: BinaryIO) -> Texts:
    """Read the texts in the tags of an audio file.

    Args:
        file: The file, open at its start. Tags that only FFmpeg can read are not found unless it is a file of this
            machine.

    Returns:
        Lower-case name of a Vorbis comment to values; empty if there are no tags or they cannot be read.
    """
    try:
        kind = tag_opener(file)
        file.seek(0)
        tags: Any = None
        with suppress(Exception):  # FFmpeg, or the chunks of a WAV or AIFF file, may still give texts
            tags = kind(file)
        if is_readable(tags) and tags.tags:
            return read_contents(tags)[0]
        file.seek(0)
        if isinstance(tags, MP3):
            return read_ape(APEv2(file))[0]
        return chunk_texts(read_chunks(file)) if chunk_kind(file) else read_container(file)
    except Exception:  # tags come from other programs, and may be invalid in many ways
        return {}


def _not_copied(source: str | os.PathLike[str], error: Exception) -> str:
    return f"{os.fspath(source)}: its tags could not be copied ({_reason(error)})"


def _reason(error: Exception) -> str:
    """Return why tags cannot be read or written; other errors than these say nothing to a user."""
    text = one_line(error) if isinstance(error, StemBridgeError | MutagenError | OSError) else ""
    return text or "they are damaged"
