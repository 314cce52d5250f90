"""The mean and standard deviation of audio, by which some networks expect it to be normalised."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MIN_DEVIATION = 1e-8  # added, so that no sample is divided by 0


class Level(NamedTuple):
    """The mean and standard deviation of a song's samples, after averaging its channels."""

    mean: float
    deviation: float


class LevelMeter:
    """Measures audio that comes in blocks."""

    def __init__(self) -> None:
        self._count, self._sum, self._squares = 0, 0.0, 0.0

    def add(self, audio: NDArray[np.float32]) -> None:
        """Add a block, (channels, n)."""
        mono = audio.mean(axis=0, dtype=np.float64)
        self._count += len(mono)
        self._sum += float(mono.sum())
        self._squares += float(np.dot(mono, mono))

    def level(self) -> Level:
        """Return the level of all blocks together."""
        if self._count < 2:
            return Level(0.0, 1.0)
        mean = self._sum / self._count
        variance = (self._squares - self._sum * mean) / (self._count - 1)
        return Level(mean, max(variance, 0.0) ** 0.5 + MIN_DEVIATION)
