"""Find the chunks of WAV and AIFF files, and the length of the sound that the header declares."""

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

MAGIC = (b"RIFF", b"RIFX", b"RF64", b"FORM")
# Sizes that programs write when they stream a file and do not know its length: 0, or slightly below 2 or 4 GiB.
_UNKNOWN_SIZES = (range(1), range(0x7FFFF000, 0x80000001), range(0xFFFFF000, 0x100000000))
_TAG_STARTS = (b"ID3", b"TAG", b"APETAGEX")  # first bytes of tags that editors append without a chunk
_BLOCK_BYTES = 1 << 20
_EXTENSIBLE = 0xFFFE
_ENCODINGS = {  # (code, bits) of a WAV: FFmpeg's name
    (1, 8): "u8",
    (1, 16): "s16le",
    (1, 24): "s24le",
    (1, 32): "s32le",
    (3, 32): "f32le",
    (3, 64): "f64le",
}
_MAX_CHUNKS = 10_000
_PROBES, _PROBE_BYTES = 64, 4096  # number of places checked for bytes outside chunks, and bytes checked at each


class Sound(NamedTuple):
    """The position and length of the sound in a WAV or AIFF file, in bytes.

    Attributes:
        start: Position of its first byte.
        declared: Its length according to the header; None if the header does not say.
        present: How much of it is in the file.
        surplus: Bytes after the last chunk; 0 if they are zeros or tags.
    """

    start: int
    declared: int | None
    present: int
    surplus: int


class Samples(NamedTuple):
    """The format of plain samples in a WAV file.

    Attributes:
        encoding: FFmpeg's name of the encoding, such as "s16le".
        sample_rate: In Hz.
        num_channels: Number of channels.
    """

    encoding: str
    sample_rate: int
    num_channels: int


class Chunk(NamedTuple):
    """A chunk.

    Attributes:
        name: 4 bytes.
        start: Position of its content in the file.
        size: Length of its content in bytes, according to the header.
    """

    name: bytes
    start: int
    size: int


def skip_id3(file: BinaryIO) -> int:
    """Seek past the ID3v2 tags at the start of a file, if there are any, and return the new position."""
    position = 0
    while True:
        file.seek(position)
        head = file.read(10)
        if len(head) < 10 or head[:3] != b"ID3":
            file.seek(position)
            return position
        # The length has 28 bits, seven in each byte; a flag announces a footer of 10 bytes.
        length = sum((byte & 127) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
        position += 10 + length + (10 if head[5] & 16 else 0)


def is_mp3(start: bytes) -> bool:
    """Return whether the first bytes of a file, after any ID3 tag, are those of MPEG audio, layer III."""
    return len(start) > 1 and start[0] == 0xFF and start[1] & 0xE6 == 0xE2


def _size(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)


def end_of_data(file: BinaryIO) -> int:
    """Return the position of a file's end, without the zeros that recorders and download programs reserve there."""
    end = _size(file)
    while end:
        start = max(0, end - _BLOCK_BYTES)
        file.seek(start)
        if (data := file.read(end - start)) != bytes(len(data)):
            return start + len(data.rstrip(b"\0"))
        end = start
    return 0


def find_sound(file: BinaryIO) -> Sound | None:
    """Find the sound in a WAV or AIFF file; return None if it has no sound or is another kind of file."""
    size = _size(file)
    sound, end = None, 0
    for chunk in walk_chunks(file):
        if sound is None and chunk.name in (b"data", b"SSND"):
            sound = chunk
            if _is_unknown(chunk.size) and chunk.start + chunk.size != size:
                return Sound(chunk.start, None, size - chunk.start, 0)
        end = chunk.start + chunk.size + chunk.size % 2
    if sound is None:
        return None
    present = max(0, min(sound.size, size - sound.start))
    return Sound(sound.start, sound.size, present, _surplus(file, end, size))


def find_samples(file: BinaryIO) -> Samples | None:
    """Return the format of plain samples in a WAV file; None if it has another codec or is another kind of file."""
    for chunk in walk_chunks(file):
        if chunk.name == b"fmt " and chunk.size >= 16:
            file.seek(chunk.start)
            header = file.read(min(chunk.size, 40))
            code, channels, rate, bits = struct.unpack_from("<HHI6xH", header)
            if code == _EXTENSIBLE and len(header) == 40:
                code = int.from_bytes(header[24:26], "little")
            encoding = _ENCODINGS.get((code, bits))
            return Samples(encoding, rate, channels) if encoding and rate and channels else None
    return None


def _is_unknown(size: int) -> bool:
    return any(size in sizes for sizes in _UNKNOWN_SIZES) or size >= 2**63


def read_form(file: BinaryIO) -> tuple[bytes, bytes]:
    """Return the two names at the start of a file of chunks, after any ID3 tag, such as (b"RIFF", b"WAVE").

    Both are empty for other kinds of file.
    """
    skip_id3(file)
    head = file.read(12)
    return (head[:4], head[8:]) if head[:4] in MAGIC else (b"", b"")


def walk_chunks(file: BinaryIO) -> Iterator[Chunk]:
    """Yield the chunks of a WAV or AIFF file, up to the first malformed one.

    The caller may move the file position between chunks. A second file that was appended to the first is ignored.
    """
    magic, _ = read_form(file)
    if not magic:
        return
    order = ">" if magic in (b"FORM", b"RIFX") else "<"
    position = file.tell()
    end = _size(file)
    long_size = None
    for _ in range(_MAX_CHUNKS):
        header = _header(file, position, order, end)
        if not header or header[0] in MAGIC:
            return
        name, size = header
        if name == b"ds64" and magic == b"RF64":
            _riff, long_size = struct.unpack("<QQ", file.read(16).ljust(16, b"\0"))
        if name == b"data" and magic == b"RF64" and size == 0xFFFFFFFF:
            size = long_size or 0
        yield Chunk(name, position + 8, size)
        position += 8 + size
        if size % 2 and (_header(file, position + 1, order, end) or not _header(file, position, order, end)):
            position += 1  # a padding byte, which some programs omit


def _header(file: BinaryIO, position: int, order: str, end: int) -> tuple[bytes, int] | None:
    """Return the name and size of the chunk at a position, None if there is no chunk. `end` is the file's end."""
    file.seek(position)
    header = file.read(8)
    if len(header) < 8 or not all(32 <= byte < 127 for byte in header[:4]):
        return None
    name, size = struct.unpack(f"{order}4sI", header)
    fits = position + 8 + size <= end
    return (name, size) if fits or name in (b"data", b"SSND") else None


def _surplus(file: BinaryIO, start: int, end: int) -> int:
    """Return the number of bytes between two positions, or 0 if they are tags, or zeros in all places checked."""
    file.seek(start)
    if start >= end or file.read(8).startswith(_TAG_STARTS):
        return 0
    for probe in range(_PROBES):  # not all bytes, because a recorder may have reserved gigabytes
        file.seek(start + (end - start) * probe // _PROBES)
        if any(file.read(min(_PROBE_BYTES, end - file.tell()))):
            return end - start
    return 0
