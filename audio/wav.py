"""WAV files of any length.

libsndfile has one way past 4 GiB, and it marks every file, however short, as WAVE_FORMAT_EXTENSIBLE, which simple
readers (Python's own `wave` before 3.12) refuse. This header is plain, and has room to become RF64 when needed.
"""

import struct
from typing import BinaryIO

import numpy as np

from .containers import SAMPLE_BYTES

_MAX_RIFF = 2**32 - 1  # bytes


class WavEncoder:
    """Writes interleaved samples (n, channels): int16, int32 whose upper 24 bits count, or float32."""

    def __init__(self, file: BinaryIO, sample_rate: int, num_channels: int, sample_format: str) -> None:
        self._file = file
        self._rate = sample_rate
        self._channels = num_channels
        self._format = sample_format
        self._frame_bytes = num_channels * SAMPLE_BYTES[sample_format]
        self._written = 0  # bytes of samples
        self._start = file.write(self._header())

    def write(self, data: np.ndarray) -> None:
        if self._format == "int24":
            octets = np.ascontiguousarray(data, "<i4").view(np.uint8)
            self._written += self._file.write(octets.reshape(-1, 4)[:, 1:].tobytes())
        else:
            self._written += self._file.write(data.astype(data.dtype.newbyteorder("<")).tobytes())

    def close(self) -> None:
        self._file.seek(self._start + self._num_bytes)
        self._file.write(b"\0" * (self._num_bytes % 2))  # chunks have even lengths
        self._file.truncate()  # without the part of a frame that a full disk took
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
            chunks += struct.pack("<H4sII", 0, b"fact", 4, min(self._frames, _MAX_RIFF))
        size = 4 + 36 + len(chunks) + 8 + self._num_bytes + self._num_bytes % 2  # all after the first 8 bytes
        if size <= _MAX_RIFF:
            start = struct.pack("<4sI4s4sI28x", b"RIFF", size, b"WAVE", b"JUNK", 28)
        else:
            sizes = struct.pack("<QQQI", size, self._num_bytes, self._frames, 0)
            start = struct.pack("<4sI4s4sI", b"RF64", _MAX_RIFF, b"WAVE", b"ds64", 28) + sizes
        return start + chunks + struct.pack("<4sI", b"data", self._num_bytes if size <= _MAX_RIFF else _MAX_RIFF)
