"""Write WAV files of any length.

libsndfile can write files above 4 GiB, but only in a mode that marks every file, however short, as
WAVE_FORMAT_EXTENSIBLE, which simple readers (such as Python's `wave` before 3.12) refuse. The header written here is
plain, and has room to become RF64.
"""

import struct
from typing import BinaryIO

import numpy as np

from .containers import SAMPLE_BYTES

_MAX_RIFF_BYTES = 2**32 - 1


class WavEncoder:
    """Writes interleaved samples into a WAV file.

    Args:
        file: The file, open for writing.
        sample_rate: In Hz.
        num_channels: Number of channels.
        sample_format: "int16", "int24" or "float32".
    """

    def __init__(self, file: BinaryIO, sample_rate: int, num_channels: int, sample_format: str) -> None:
        self._file = file
        self._rate = sample_rate
        self._channels = num_channels
        self._format = sample_format
        self._frame_bytes = num_channels * SAMPLE_BYTES[sample_format]
        self._written = 0  # bytes of samples
        self._start = file.write(self._header())

    def write(self, data: np.ndarray) -> None:
        """Append samples, (n, channels): int16, float32, or int32 with 24 bits at the top."""
        if self._format == "int24":
            octets = np.ascontiguousarray(data, "<i4").view(np.uint8)
            self._written += self._file.write(octets.reshape(-1, 4)[:, 1:].tobytes())
        else:
            self._written += self._file.write(data.astype(data.dtype.newbyteorder("<")).tobytes())

    def close(self) -> None:
        """Finish the file."""
        self._file.seek(self._start + self._num_bytes)
        self._file.write(b"\0" * (self._num_bytes % 2))  # chunks have even lengths
        self._file.truncate()  # if the disk was full, the last frame may be incomplete
        self._file.seek(0)
        self._file.write(self._header())

    @property
    def _frames(self) -> int:
        return self._written // self._frame_bytes

    @property
    def _num_bytes(self) -> int:
        return self._frames * self._frame_bytes

    def _header(self) -> bytes:
        is_float = self._format == "float32"
        frame = self._frame_bytes
        chunks = struct.pack(
            "<4sIHHIIHH",
            b"fmt ",
            18 if is_float else 16,
            3 if is_float else 1,
            self._channels,
            self._rate,
            self._rate * frame % 2**32,
            frame,
            8 * SAMPLE_BYTES[self._format],
        )
        if is_float:
            chunks += struct.pack("<H4sII", 0, b"fact", 4, min(self._frames, _MAX_RIFF_BYTES))
        size = 4 + 36 + len(chunks) + 8 + self._num_bytes + self._num_bytes % 2  # all after the first 8 bytes
        if size <= _MAX_RIFF_BYTES:
            start = struct.pack("<4sI4s4sI28x", b"RIFF", size, b"WAVE", b"JUNK", 28)
        else:
            sizes = struct.pack("<QQQI", size, self._num_bytes, self._frames, 0)
            start = struct.pack("<4sI4s4sI", b"RF64", _MAX_RIFF_BYTES, b"WAVE", b"ds64", 28) + sizes
        return (
            start
            + chunks
            + struct.pack("<4sI", b"data", self._num_bytes if size <= _MAX_RIFF_BYTES else _MAX_RIFF_BYTES)
        )
