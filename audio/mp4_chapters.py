"""Write chapters into MP4 files."""

import os
import struct
from collections.abc import Sequence
from pathlib import Path

from mutagen.mp4 import Atoms

from ..core.errors import StemBridgeError
from .markers import Marker


def write_chapters(path: str | os.PathLike[str], markers: Sequence[Marker]) -> None:
    """Add chapters to an MP4 file, in the format of Nero and FFmpeg.

    Args:
        path: A file whose headers are at its end, as in all files that StemBridge writes.
        markers: The chapters in order of time.

    Raises:
        OSError: Writing failed.
        ValueError: The headers are not at the end.
    """
    names = [marker.name.encode()[:255].decode(errors="ignore").encode() for marker in markers]
    entries = [
        struct.pack(">QB", round(10_000_000 * marker.start), len(name)) + name
        for marker, name in zip(markers, names, strict=True)
    ]
    chapters = _box(b"chpl", struct.pack(">BxxxIB", 1, 0, len(entries)) + b"".join(entries))
    with Path(path).open("r+b") as file:
        atoms = Atoms(file)
        moov = atoms[b"moov"]
        if atoms.atoms[-1] is not moov:
            raise StemBridgeError("its headers are not at the end")
        texts = next((atom for atom in moov.children if atom.name == b"udta"), None)
        place = texts.offset + texts.length if texts else moov.offset + moov.length
        new = chapters if texts else _box(b"udta", chapters)
        file.seek(place)
        following = file.read()
        file.seek(place)
        file.write(new + following)
        for atom in filter(None, (moov, texts)):
            file.seek(atom.offset)
            file.write(struct.pack(">I", atom.length + len(new)))


def _box(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", 8 + len(data)) + name + data
