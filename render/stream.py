"""A song through the engine, block by block."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

BLOCK = 65536  # samples

Block = NDArray[np.float32]


def aligned(blocks: Iterable[Block], compute: Callable[[Block], Block], latency: int) -> Iterator[Block]:
    """What `compute` makes of blocks (channels, n): together as long as these, and without the latency.

    compute: (channels, n) -> (..., n), later by `latency` samples.
    """
    early = latency  # samples of output that are still before the song's start
    num_channels = 0
    for block in blocks:
        num_channels = len(block)
        out = compute(block)
        yield out[..., early:]
        early -= min(early, out.shape[-1])
    rest = latency if num_channels else 0
    while rest:
        n = min(BLOCK, rest)
        yield compute(np.zeros((num_channels, n), np.float32))[..., early:]
        early -= min(early, n)
        rest -= n
