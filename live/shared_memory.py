"""Memory that the process that plays shares with the process that controls it."""

import ctypes
import math
from multiprocessing.context import SpawnContext
from typing import Any

import numpy as np
from numpy.typing import NDArray

KEPT = 1 << 20  # blocks whose times are kept
FALL = 20 / 1.7  # dB a second at which a peak meter falls (IEC 60268-10)
SMOOTHING = 0.3  # s over which the mean of squares is taken, as in a VU meter
LOAD_SMOOTHING = 0.5  # s
TRANSPORT = 5  # words about songs
STEMS, MIX = slice(0, -1), slice(-1, None)  # of the meters


class SharedMemory:
    """Faders one way, meters and counts the other. Nobody ever waits: all values are single machine words.

    wanted: (3, stems), gains in dB, mutes and solos, from the one who watches; the rest is from the one who plays.
    levels: (2, stems + 1), peak and power of each stem and, last, of the mix. transport: which song plays, and in
    seconds its position, its length, and the start and the end of a loop; NaN for what is not known or not there.
    num_levels: stems. Pickles into a process that multiprocessing is starting, and into nothing else.
    """

    def __init__(self, context: SpawnContext, num_stems: int) -> None:
        self._num_stems = num_stems
        self._words = context.RawArray(ctypes.c_double, 3 * num_stems + 2 * (num_stems + 1) + 1 + TRANSPORT)
        self._counts = context.RawArray(ctypes.c_int64, 5)
        self._seconds = context.RawArray(ctypes.c_float, KEPT)
        self._look()
        self.transport[:] = 0, 0, *3 * [math.nan]

    def _look(self) -> None:
        words = np.ctypeslib.as_array(self._words)
        wanted, levels, self._load, self.transport = np.split(
            words, np.cumsum([3 * self._num_stems, 2 * (self._num_stems + 1), 1])
        )
        self.wanted: NDArray[np.float64] = wanted.reshape(3, self._num_stems)
        self.levels: NDArray[np.float64] = levels.reshape(2, self._num_stems + 1)
        # The sample from which on moves act, blocks, missed deadlines, the latency, and samples that were clipped.
        self.counts: NDArray[np.int64] = np.ctypeslib.as_array(self._counts)
        self.seconds: NDArray[np.float32] = np.ctypeslib.as_array(self._seconds)

    def __getstate__(self) -> tuple[Any, ...]:
        return self._num_stems, self._words, self._counts, self._seconds

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._num_stems, self._words, self._counts, self._seconds = state
        self._look()

    @property
    def load(self) -> float:
        """Share of one core that the work takes, over about half a second; 1 is all of it."""
        return float(self._load[0])

    def note_block(self, took: float, missed: bool) -> None:
        """Count a block: the seconds that it was held, and whether that was too long."""
        self.seconds[self.counts[1] % KEPT] = took
        self.counts[1] += 1
        self.counts[2] += missed

    def note_load(self, took: float, lasts: float) -> None:
        """Smooth the load: what work took of the processor, and how long the sound lasts that it made, in seconds."""
        self._load[0] += (took / lasts - self._load[0]) * (1 - math.exp(-lasts / LOAD_SMOOTHING))

    def note_levels(self, meters: slice, peak: NDArray[Any] | float, power: NDArray[Any] | float, lasts: float) -> None:
        """Move meters on. peak, power: of each in a stretch of so many seconds; linear, mean square."""
        peaks, powers = self.levels[:, meters]
        peaks[:] = np.maximum(peak, peaks * 10 ** (-FALL * lasts / 20))
        powers += (power - powers) * (1 - math.exp(-lasts / SMOOTHING))
