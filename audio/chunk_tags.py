"""Read and write texts, markers and sampler data in the chunks of WAV and AIFF files."""

import os
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

from ..core.errors import StemBridgeError
from .chunks import read_form, walk_chunks
from .markers import Marker

# Chunks that are not copied: the sound, tags that mutagen reads, and data such as peaks, which is wrong for new sound.
_NOT_READ = {"fmt ", "data", "fact", "ds64", "JUNK", "junk", "PAD ", "FLLR", "PEAK", "levl", "id3 ", "ID3 ", "LGWV"}
_NOT_READ |= {"SSND", "COMM", "FVER", "CHAN", "elm1", "minf", "umid", "regn"}
_INFO_NAMES = {
    "INAM": "title",
    "IART": "artist",
    "IPRD": "album",
    "ICRD": "date",
    "IGNR": "genre",
    "ICMT": "comment",
    "ICOP": "copyright",
    "ITRK": "tracknumber",
    "IPRT": "tracknumber",
    "ILNG": "language",
    "IMUS": "composer",
    "IWRI": "lyricist",
    "IENG": "engineer",
    "IKEY": "keywords",
    "ISBJ": "subject",
    "ISRC": "source",
    "IMED": "media",
    "ICMS": "commissioned",
    "ITCH": "encoded-by",
    "ISFT": "encoder",
}
_AIFF_NAMES = {"NAME": "title", "AUTH": "artist", "(c) ": "copyright", "ANNO": "comment"}
_MAX_CHUNK_BYTES = 1 << 26  # larger chunks are skipped
_LOUDNESS_OF_BEXT = slice(412, 422)  # five numbers that are wrong for new sound
_UNKNOWN_LOUDNESS = struct.pack("<h", 0x7FFF) * 5

_KIND_OF_FORM = {b"WAVE": "WAV", b"AIFF": "AIFF", b"AIFC": "AIFF"}

Chunks = list[tuple[str, bytes]]


def chunk_kind(file: BinaryIO) -> str:
    """Return "WAV" or "AIFF" if `read_chunks` can read the file, else ""."""
    return _KIND_OF_FORM.get(read_form(file)[1], "")


def read_chunks(file: BinaryIO) -> Chunks:
    """Return the chunks of a WAV or AIFF file, except the sound; an empty list for any other file."""
    chunks: Chunks = []
    magic, form = read_form(file)
    for name_bytes, start, size in walk_chunks(file) if form in _KIND_OF_FORM else ():
        name = name_bytes.decode("latin-1")
        if name in _NOT_READ or size > _MAX_CHUNK_BYTES:
            continue
        file.seek(start)
        data = file.read(size)
        if magic == b"RIFX":  # big-endian numbers; keep the texts only
            if (name, data[:4]) != ("LIST", b"INFO"):
                continue
            data = data[:4] + b"".join(_chunk(*item) for item in _items(data[4:], ">"))
        chunks.append((name, data))
    return chunks


def append_chunks(path: str | os.PathLike[str], chunks: Chunks) -> None:
    """Append chunks to a WAV or AIFF file.

    Args:
        path: The file.
        chunks: Names and contents.

    Raises:
        OSError: Writing failed.
        ValueError: The file would exceed 4 GiB.
    """
    if not chunks:
        return
    with Path(path).open("r+b") as file:
        order = ">" if file.read(4) == b"FORM" else "<"
        data = b"".join(_chunk(*chunk, order) for chunk in chunks)
        end = file.seek(0, 2)
        size = end + end % 2 + len(data) - 8
        if size > 2**32 - 1:
            raise StemBridgeError("the file is too long for chunks after its sound")
        file.write(b"\0" * (end % 2) + data)
        file.seek(4)
        file.write(struct.pack(f"{order}I", size))


def kept_chunks(chunks: Chunks) -> Chunks:
    """Return the chunks that stay true for new sound of the same sample rate and length, in the same kind of file.

    Args:
        chunks: All chunks of the old file.
    """
    kept = []
    for name, data in chunks:
        if name == "bext" and data[346:348] >= b"\x02\0" and len(data) >= 602:
            data = data[: _LOUDNESS_OF_BEXT.start] + _UNKNOWN_LOUDNESS + data[_LOUDNESS_OF_BEXT.stop :]
        elif name == "LIST" and data[:4] == b"INFO":
            data = b"INFO" + b"".join(_chunk(*item) for item in _items(data[4:]) if item[0] != "ISFT")
        kept.append((name, data))
    return kept


def chunk_texts(chunks: Chunks) -> dict[str, list[str]]:
    """Return the texts of an INFO list or of AIFF text chunks: lower-case name of a Vorbis comment to values."""
    texts: dict[str, list[str]] = {}
    for name, data in chunks:
        if name == "LIST" and data[:4] == b"INFO":
            found = [(_INFO_NAMES.get(item, item.strip().lower()), _text(value)) for item, value in _items(data[4:])]
        elif name in _AIFF_NAMES:
            found = [(_AIFF_NAMES[name], _text(data))]
        elif name == "COMT":
            found = [("comment", text) for text in _aiff_comments(data)]
        else:
            continue
        for key, value in found:
            if value and value not in texts.setdefault(key, []):
                texts[key].append(value)
    return {key: values for key, values in texts.items() if values}


def chunk_markers(chunks: Chunks, sample_rate: int) -> list[Marker]:
    """Return the cue points of a WAV file with their labels and lengths, or the markers of an AIFF file.

    Args:
        chunks: Chunks of the file.
        sample_rate: Sample rate of the file, in Hz.
    """
    last = dict(chunks)
    if "MARK" in last:
        found = _aiff_markers(last["MARK"]).values()
        return [Marker(position / sample_rate, None, name) for position, name in found]
    cue = last.get("cue ", b"")
    points = [struct.unpack_from("<II4sIII", cue, 4 + 24 * i) for i in range((len(cue) - 4) // 24)]
    names: dict[int, str] = {}
    lengths: dict[int, int] = {}
    for name, data in chunks:
        for item, value in _items(data[4:]) if name == "LIST" and data[:4] == b"adtl" else ():
            if item in ("labl", "note") and len(value) >= 4:
                point = struct.unpack_from("<I", value)[0]
                names[point] = _text(value[4:]) if item == "labl" else names.get(point) or _text(value[4:])
            elif item == "ltxt" and len(value) >= 8:
                point, length = struct.unpack_from("<II", value)
                lengths[point] = length
    return [
        Marker(
            start / sample_rate,
            (start + lengths[point]) / sample_rate if lengths.get(point) else None,
            names.get(point, ""),
        )
        for point, _, _, _, _, start in points
    ]


def marker_chunks(markers: Iterable[Marker], sample_rate: int) -> Chunks:
    """Return WAV chunks that hold markers as cue points with labels and lengths.

    Args:
        markers: The markers.
        sample_rate: Sample rate of the WAV file, in Hz.
    """
    cue, labels = b"", b"adtl"
    number = 0
    for number, marker in enumerate(markers, 1):
        start = round(marker.start * sample_rate)
        cue += struct.pack("<II4sIII", number, start, b"data", 0, 0, start)
        if marker.name:
            labels += _chunk("labl", struct.pack("<I", number) + marker.name.encode() + b"\0")
        if marker.end is not None and (length := round(marker.end * sample_rate) - start) > 0:
            labels += _chunk("ltxt", struct.pack("<II4s8x", number, length, b"rgn "))
    chunks = [("cue ", struct.pack("<I", number) + cue), ("LIST", labels)]
    return [chunk for chunk in chunks if len(chunk[1]) > 4]


def aiff_marker_chunks(markers: Iterable[Marker], sample_rate: int) -> Chunks:
    """Return an AIFF chunk that holds markers without their lengths, in a list that is empty if there are no markers.

    Args:
        markers: The markers.
        sample_rate: Sample rate of the AIFF file, in Hz.
    """
    data, number = b"", 0
    for number, marker in enumerate(markers, 1):
        name = marker.name.encode()[:255].decode(errors="ignore").encode()
        data += struct.pack(">hIB", number, round(marker.start * sample_rate), len(name)) + name
        data += b"\0" * (1 - len(name) % 2)  # a name and its length byte take an even number of bytes
    return [("MARK", struct.pack(">H", number) + data)] if number else []


def sampler_chunks(chunks: Chunks, sample_rate: int) -> Chunks:
    """Convert the instrument chunk of an AIFF file to `smpl` and `inst` chunks for a WAV file.

    Args:
        chunks: Chunks of the AIFF file.
        sample_rate: Sample rate of the WAV file, in Hz.

    Returns:
        The new chunks; none if the AIFF file has no instrument chunk.
    """
    last = dict(chunks)
    if len(instrument := last.get("INST", b"")) < 20:
        return []
    note, detune, low, high, low_velocity, high_velocity, gain = struct.unpack_from(">bbbbbbh", instrument)
    places = {number: position for number, (position, _) in _aiff_markers(last.get("MARK", b"")).items()}
    loops = b""
    for offset in (8, 14):  # the sustain loop and the release loop
        mode, begin, end = struct.unpack_from(">hhh", instrument, offset)
        if mode in (1, 2) and {begin, end} <= places.keys() and places[end] > places[begin]:
            loops += struct.pack("<IIIIII", len(loops) // 24, mode - 1, places[begin], places[end] - 1, 0, 0)
    cents = round((detune % 100) / 100 * 2**32) % 2**32
    head = struct.pack("<9I", 0, 0, round(1e9 / sample_rate), note, cents, 0, 0, len(loops) // 24, 0)
    keys = struct.pack("<bbbbbbb", note, detune, max(-128, min(127, gain)), low, high, low_velocity, high_velocity)
    return [("smpl", head + loops), ("inst", keys)]


def _aiff_markers(data: bytes) -> Mapping[int, tuple[int, str]]:
    """Return the markers of an AIFF file: number to position in samples and name."""
    markers, at = {}, 2
    while at + 7 <= len(data):
        number, position, length = struct.unpack_from(">hIB", data, at)
        markers[number] = position, _text(data[at + 7 : at + 7 + length])
        at += 7 + length + (length + 1) % 2
    return markers


def _aiff_comments(data: bytes) -> list[str]:
    comments, at = [], 2
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">6xH", data, at)
        comments.append(_text(data[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    return comments


def _items(data: bytes, order: str = "<") -> Chunks:
    """Return the chunks in a list."""
    items, at = [], 0
    while at + 8 <= len(data):
        name, size = struct.unpack_from(f"{order}4sI", data, at)
        items.append((name.decode("latin-1"), data[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return items


def _chunk(name: str, data: bytes, order: str = "<") -> bytes:
    return name.encode("latin-1") + struct.pack(f"{order}I", len(data)) + data + b"\0" * (len(data) % 2)


def _text(data: bytes) -> str:
    data = data.split(b"\0", 1)[0]
    try:
        return data.decode("utf-8").strip()
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace").strip()
