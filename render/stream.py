"""A song as a stream of blocks: through the engine, and by way of a file where its peak must be known first."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

BLOCK = 65536  # samples

Block = NDArray[np.float32]


def aligned(blocks: Iterator[Block], compute: Callable[[Block], Block], latency: int) -> Iterator[Block]:
    """What `compute` makes of blocks (channels, n), as long as all of them together and without its latency.

    compute: (channels, n) -> (..., n), later by `latency` samples.
    """
    late = latency
    num_channels = 0
    for block in blocks:
        num_channels = len(block)
        out = compute(block)
        yield out[..., late:]
        late = max(0, late - out.shape[-1])
    for start in range(0, latency if num_channels else 0, BLOCK):
        out = compute(np.zeros((num_channels, min(BLOCK, latency - start)), np.float32))
        yield out[..., late:]
        late = max(0, late - out.shape[-1])


class Scratch:
    """Blocks of samples (files, channels, n), kept on disk to be read back. frames and peak: of what was written."""

    def __init__(self, path: Path, num_files: int, num_channels: int) -> None:
        self._shape = (num_files, num_channels)
        self._file = path.open("w+b")
        self.frames = 0
        self.peak = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, block: Block) -> None:
        """Append a block."""
        self._file.write(np.ascontiguousarray(np.moveaxis(block, -1, 0), np.float32).data)
        self.frames += block.shape[-1]
        self.peak = max(self.peak, float(np.abs(block).max(initial=0)))

    def blocks(self) -> Iterator[Block]:
        """All that was written, from the start."""
        self._file.seek(0)
        width = self._shape[0] * self._shape[1]
        while data := self._file.read(4 * width * BLOCK):
            yield np.moveaxis(np.frombuffer(data, np.float32).reshape(-1, *self._shape), 0, -1)
