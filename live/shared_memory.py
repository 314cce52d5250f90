"""Memory that the process that plays shares with the process that controls it."""

import ctypes
import math
from multiprocessing.context import SpawnContext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import LiveError

MAX_BLOCK_TIMES = 1 << 20  # blocks whose times are kept
PEAK_FALL_DB_PER_S = 20 / 1.7  # of a peak meter (IEC 60268-10)
RMS_SMOOTHING_S = 0.3  # time constant of the mean of squares, as in a VU meter
LOAD_SMOOTHING_S = 0.5
TRANSPORT_WORDS = 5
STEMS, MIX = slice(0, -1), slice(-1, None)  # meters of the stems, and of the mix


class SharedMemory:
    """Carries faders to the process that plays, and meters and counts back.

    Neither process ever waits, because all values are single machine words. It can be pickled only for a process that
    multiprocessing is starting.

    Args:
        context: How processes are started.
        num_stems: Number of stems.

    Raises:
        LiveError: The system gives no such memory.

    Attributes:
        wanted: Gains in dB, mutes and solos, shape (3, stems), written by the controlling process. The process that
            plays writes all other values.
        levels: Peak and power of each stem and, last, of the mix, shape (2, stems + 1).
        transport: Number of the song that plays, and in seconds its position, its length, and start and end of a loop;
            NaN for values that are not known or do not exist.
        counts: The sample at which moves made now will act, blocks, late blocks, latency, and clipped samples.
        seconds: How long the work on each of the last blocks took.
    """

    def __init__(self, context: SpawnContext, num_stems: int) -> None:
        self._num_stems = num_stems
        num_words = 3 * num_stems + 2 * (num_stems + 1) + 1 + TRANSPORT_WORDS
        try:
            self._words = context.RawArray(ctypes.c_double, num_words)
            self._counts = context.RawArray(ctypes.c_int64, 5)
            self._seconds = context.RawArray(ctypes.c_float, MAX_BLOCK_TIMES)
        except OSError as error:  # it is a file, in /dev/shm or the folder of temporary files
            remedy = "make room in /dev/shm or set TMPDIR to another folder, and allow large files (ulimit -f)"
            raise LiveError(f"shared memory cannot be made: {error.strerror}; {remedy}") from error
        self._look()
        self.transport[:] = 0, 0, *3 * [math.nan]

    def _look(self) -> None:
        words = np.ctypeslib.as_array(self._words)
        wanted, levels, self._load, self.transport = np.split(
            words, np.cumsum([3 * self._num_stems, 2 * (self._num_stems + 1), 1])
        )
        self.wanted: NDArray[np.float64] = wanted.reshape(3, self._num_stems)
        self.levels: NDArray[np.float64] = levels.reshape(2, self._num_stems + 1)
        self.counts: NDArray[np.int64] = np.ctypeslib.as_array(self._counts)
        self.seconds: NDArray[np.float32] = np.ctypeslib.as_array(self._seconds)

    def __getstate__(self) -> tuple[Any, ...]:
        return self._num_stems, self._words, self._counts, self._seconds

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._num_stems, self._words, self._counts, self._seconds = state
        self._look()

    @property
    def load(self) -> float:
        """Share of one processor core that the work takes, over about half a second; 1 for a whole core."""
        return float(self._load[0])

    def note_block(self, took: float, missed: bool) -> None:
        """Count a block.

        Args:
            took: Duration of the work on it, in seconds.
            missed: Whether it was late.
        """
        self.seconds[self.counts[1] % MAX_BLOCK_TIMES] = took
        self.counts[1] += 1
        self.counts[2] += missed

    def note_load(self, took: float, lasts: float) -> None:
        """Update the load.

        Args:
            took: Processor time of the work, in seconds.
            lasts: Length of the sound that it made, in seconds.
        """
        self._load[0] += (took / lasts - self._load[0]) * (1 - math.exp(-lasts / LOAD_SMOOTHING_S))

    def note_levels(self, meters: slice, peak: NDArray[Any] | float, power: NDArray[Any] | float, lasts: float) -> None:
        """Update meters.

        Args:
            meters: Which ones.
            peak: Peak of each, full scale is 1.
            power: Mean square of each.
            lasts: Length of the measured sound, in seconds.
        """
        peaks, powers = self.levels[:, meters]
        peaks[:] = np.maximum(peak, peaks * 10 ** (-PEAK_FALL_DB_PER_S * lasts / 20))
        powers += (power - powers) * (1 - math.exp(-lasts / RMS_SMOOTHING_S))
