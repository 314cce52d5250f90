"""Open audio files with mutagen, by their content, and save their tags."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from mutagen import File
from mutagen.aiff import AIFF
from mutagen.flac import FLAC
from mutagen.id3 import ID3FileType
from mutagen.mp3 import MP3
from mutagen.mp4 import MP4
from mutagen.ogg import OggPage
from mutagen.oggflac import OggFLAC
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis
from mutagen.wave import WAVE

from .chunks import MAGIC, is_mp3, skip_id3


def open_tags(path: str | os.PathLike[str]) -> Any:
    """Open a file with the mutagen class for its first bytes; return None if its format has no tags."""
    with Path(path).open("rb") as file:
        kind = tag_opener(file)
    return kind(path)


def tag_opener(file: BinaryIO) -> Callable[[Any], Any]:
    """Return the mutagen class for the file's first bytes, or `mutagen.File` if they are unknown."""
    # mutagen.File alone would trust suffixes, and the file may have a temporary name.
    head = file.read(128)
    if head[:3] == b"ID3":  # an MP3 or a FLAC may follow
        skip_id3(file)
        behind = file.read(4)
        if behind in MAGIC:  # a WAV or AIFF file; the tag should be in a chunk
            return ID3FileType
        head = head if behind != b"fLaC" else b"fLaC"
    kinds: dict[bytes, Callable[[Any], Any]] = {b"RIFF": WAVE, b"FORM": AIFF, b"fLaC": FLAC}
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return _no_tags
    if kind := kinds.get(head[:4]):
        return kind
    if head[:4] == b"OggS":
        return OggOpus if b"OpusHead" in head else OggFLAC if b"FLAC" in head else OggVorbis
    if head[4:8] == b"ftyp":
        return MP4
    if head[:3] == b"ID3" or is_mp3(head):
        return MP3
    return _no_tags if head[:4] in (b"RF64", b"RIFX") else File


def _no_tags(_: Any) -> None:
    return None


def kind_name(file: Any) -> str:
    """Return the name of a mutagen file's format, for a warning."""
    kinds = {WAVE: "WAV", OggVorbis: "Ogg Vorbis", OggOpus: "Opus", OggFLAC: "Ogg FLAC", MP4: "MP4"}
    return kinds.get(type(file), type(file).__name__)


def save_tags(file: Any, path: str | os.PathLike[str]) -> None:
    """Write the tags of a mutagen file to disk.

    Args:
        file: The mutagen file.
        path: Its path.
    """
    tags = file.tags
    if isinstance(file, OggVorbis | OggOpus):
        is_opus = isinstance(file, OggOpus)
        with Path(path).open("r+b") as ogg:
            _save_comments(b"OpusTags" if is_opus else b"\x03vorbis", tags.write(framing=not is_opus), ogg)
    else:
        file.save()


def _save_comments(start: bytes, comments: bytes, file: BinaryIO) -> None:
    """Write Vorbis comments in large pages. mutagen itself would need half a minute for comments of 18 MB.

    Args:
        start: First bytes of the packet of the comments.
        comments: The comments, encoded.
        file: The Ogg file.
    """
    page = OggPage(file)
    while not page.packets[0].startswith(start):
        page = OggPage(file)
    old = [page]
    while not (old[-1].complete or len(old[-1].packets) > 1):
        old.append(OggPage(file))
    _, *others = OggPage.to_packets(old, strict=False)
    packet = start + comments
    full, new = 255 * 255, []  # bytes in the largest page
    for begin in range(0, len(packet) - full, full):
        page = OggPage()
        page.packets = [packet[begin : begin + full]]
        page.complete, page.continued, page.position = False, begin > 0, -1
        new.append(page)
    last = OggPage.from_packets([packet[full * len(new) :], *others])
    last[0].continued = bool(new)
    OggPage.replace(file, old, new + last)
