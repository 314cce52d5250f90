"""What every reader of audio files has in common, whichever decoder it uses."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np


class AudioReader(ABC):
    """One audio file being read, in constant memory; a context manager.

    Attributes:
        path: the file, as given.
        sample_rate: in Hz.
        num_channels: 1 or more.
        num_frames: samples per channel: exact where the file says it, else an estimate, or None.
        sample_format: "int16", "int24", "float32" (also 32-bit integers and 64-bit floats) or "lossy".
        stream_note: None, or, for a file of several audio streams, one line that says which was chosen by default.
        warning: None, or, once all blocks are read, one line saying that the file is damaged or cut short.
    """

    path: Path
    sample_rate: int
    num_channels: int
    num_frames: int | None
    sample_format: str
    stream_note: str | None = None
    warning: str | None = None

    # What the readers find out on the way, for the warning.
    _promised: int | None = None  # frames that the file's own header promises
    _tolerance: int = 0  # frames by which a sound file may miss that promise
    _damaged: bool = False
    _filled: int = 0  # frames of silence standing in for what could not be decoded
    _started: bool = False

    @abstractmethod
    def _decoded(self) -> Iterator[np.ndarray]:
        """Decoded audio, (channels, n) float32, in pieces of any length."""

    @abstractmethod
    def close(self) -> None:
        """Close the file; harmless when repeated."""

    def blocks(self, size: int = 65536) -> Iterator[np.ndarray]:
        """Yield the audio once, as float32 blocks (channels, size), the last one shorter. Full scale is 1.0."""
        if self._started:
            raise ValueError(f"{self.path}: its blocks were read already; open the file again")
        self._started = True
        total = filled = 0
        block = np.empty((self.num_channels, size), np.float32)
        for piece in self._decoded():
            total += piece.shape[1]
            while piece.shape[1]:
                n = min(size - filled, piece.shape[1])
                block[:, filled : filled + n] = piece[:, :n]
                piece = piece[:, n:]
                filled += n
                if filled == size:
                    yield block
                    block, filled = np.empty_like(block), 0
        if filled:
            yield block[:, :filled]
        if self._damaged or self._filled or (self._promised or 0) - total > self._tolerance:
            seconds = f"{(total - self._filled) / self.sample_rate:.2f} s"
            if self._promised and self._promised > total - self._filled:
                seconds += f" of {self._promised / self.sample_rate:.2f} s"
            self.warning = f"{self.path}: damaged or cut short; {seconds} could be decoded"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
