"""What a picture of a song needs: its waveform and its stems' levels before and after, in a few columns."""

import base64
import math
import zlib
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

COLUMNS = 240
SILENCE_DB, LOUDEST_DB = -80.0, 40.0
_FULL, _STEP_DB = 127, 0.5  # how finely an overview is stored


@dataclass(frozen=True, eq=False)
class Overview:
    """A song in 240 columns of equal length.

    stems: names. seconds: the song's length. before, after: the waveform (columns, 2), the least and the greatest
    sample of each column, of the mean of the channels, -1 to 1. stems_before, stems_after: each stem's RMS level
    before and after its fader (stems, columns), in dB of full scale, -80 is silence.

    What is written to files may be turned up or down as a whole: `after` and `stems_after` are as written. Of stems
    that are written to files of their own, they show the sum of the files, where each stem counts once.
    """

    stems: tuple[str, ...]
    seconds: float
    before: NDArray[np.float32] = field(repr=False)
    after: NDArray[np.float32] = field(repr=False)
    stems_before: NDArray[np.float32] = field(repr=False)
    stems_after: NDArray[np.float32] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """For JSON, about 3 KB: waveforms in 127ths, levels in half decibels."""
        waves = [np.rint(_FULL * wave.T).astype(np.int8).view(np.uint8) for wave in (self.before, self.after)]
        levels = [
            np.rint((level - SILENCE_DB) / _STEP_DB).astype(np.uint8) for level in (self.stems_before, self.stems_after)
        ]
        # What differs from column to column is smaller, and the same before and after where a fader stands still.
        steps = np.diff(np.concatenate(waves + levels), axis=1, prepend=np.uint8(0))
        data = base64.b64encode(zlib.compress(steps.tobytes(), 9)).decode()
        return {"stems": list(self.stems), "seconds": round(self.seconds, 3), "data": data}

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """What `to_dict` made. Raises ValueError if it is anything else."""
        try:
            stems, seconds = values["stems"], float(values["seconds"])
            if not (isinstance(stems, list) and stems and all(isinstance(stem, str) for stem in stems)):
                raise ValueError(f"stems {stems!r}")
            if not 0 <= seconds < math.inf:
                raise ValueError(f"{seconds} seconds")
            shape = 4 + 2 * len(stems), COLUMNS
            packed = base64.b64decode(values["data"], validate=True)
            # No more than is wanted and a byte, which would show: a few packed bytes may stand for gigabytes.
            steps = zlib.decompressobj().decompress(packed, math.prod(shape) + 1)
            rows = np.cumsum(np.frombuffer(steps, np.uint8).reshape(shape), axis=1, dtype=np.uint8)
        except (TypeError, KeyError, ValueError, OverflowError, zlib.error) as error:
            raise ValueError(f"this is no overview of a song ({error}); render the song again") from None
        waves = np.maximum(rows[:4].view(np.int8) / np.float32(_FULL), -1)
        levels = np.minimum(rows[4:] * np.float32(_STEP_DB) + np.float32(SILENCE_DB), LOUDEST_DB)
        return cls(tuple(stems), seconds, waves[:2].T, waves[2:].T, *np.split(levels, 2))


class Envelope:
    """Collects an overview while a song goes by, in constant memory: columns that are too many are joined by twos.

    stems: their names. skip: samples that come before the song's first, such as a processor's latency.
    """

    def __init__(self, stems: tuple[str, ...], skip: int = 0) -> None:
        self._stems, self._skip = stems, skip
        self._span = 64  # samples in a column, twice as many each time that the columns do not suffice
        self._position = 0  # samples taken
        size = 8 * COLUMNS  # more than 4 remain for each that is asked for, so that these are of nearly equal length
        self._low = np.full((2, size), np.inf)  # before, after
        self._high = np.full((2, size), -np.inf)
        self._energy = np.zeros((2, len(stems), size))

    def push(self, stems: NDArray[np.float32], gains: NDArray[np.float32]) -> None:
        """Take stems (stems, channels, n), and what they are multiplied by, (stems, n) or (stems, 1)."""
        n = stems.shape[-1]
        early = min(self._skip, n)
        self._skip -= early
        if early == n:
            return
        stems = stems[..., early:]
        gains = gains[:, early:] if gains.shape[1] > 1 else gains
        power = np.square(stems, dtype=np.float64).mean(axis=1)
        mono = stems.mean(axis=1)
        self._add(np.stack([mono.sum(0), (gains * mono).sum(0)]), np.stack([power, gains**2 * power]))

    def overview(self, sample_rate: float, factor: float = 1.0) -> Overview:
        """What was collected; factor: what all that came after the faders was multiplied by."""
        columns = math.ceil(self._position / self._span)
        starts = np.arange(COLUMNS) * columns // COLUMNS
        scale = np.array([1.0, factor])
        low = np.minimum.reduceat(self._low[:, :columns], starts, axis=1) * scale[:, None]
        high = np.maximum.reduceat(self._high[:, :columns], starts, axis=1) * scale[:, None]
        lengths = np.minimum(self._span, self._position - self._span * np.arange(columns))
        energy = np.add.reduceat(self._energy[..., :columns], starts, axis=2) / np.add.reduceat(lengths, starts)
        with np.errstate(divide="ignore"):
            levels = 10 * np.log10(energy * scale[:, None, None] ** 2)
        waves = np.clip(np.stack([low, high], axis=-1), -1, 1).astype(np.float32)
        levels = np.clip(levels, SILENCE_DB, LOUDEST_DB).astype(np.float32)
        return Overview(self._stems, self._position / sample_rate, *waves, *levels)

    def _add(self, waves: NDArray[Any], powers: NDArray[Any]) -> None:
        """Waveforms (2, n) and powers (2, stems, n)."""
        n = waves.shape[-1]
        while self._position + n > self._span * self._low.shape[-1]:
            self._halve()
        first = self._position // self._span
        last = (self._position + n - 1) // self._span
        starts = np.maximum(np.arange(first, last + 1) * self._span - self._position, 0)
        here = slice(first, last + 1)
        self._low[:, here] = np.minimum(self._low[:, here], np.minimum.reduceat(waves, starts, axis=1))
        self._high[:, here] = np.maximum(self._high[:, here], np.maximum.reduceat(waves, starts, axis=1))
        self._energy[..., here] += np.add.reduceat(powers, starts, axis=2)
        self._position += n

    def _halve(self) -> None:
        join_by_twos(self._low, np.minimum, np.inf)
        join_by_twos(self._high, np.maximum, -np.inf)
        join_by_twos(self._energy, np.add, 0.0)
        self._span *= 2


def join_by_twos(columns: NDArray[Any], join: np.ufunc, empty: float) -> None:
    """Make room for as many columns again, in place.

    Args:
        columns: (..., n), n even.
        join: Makes one value of two.
        empty: What a column holds to which nothing was added.

    >>> columns = np.array([1, 5, 2, 3])
    >>> join_by_twos(columns, np.maximum, 0)
    >>> columns.tolist()
    [5, 3, 0, 0]
    """
    half = columns.shape[-1] // 2
    columns[..., :half] = join(columns[..., ::2], columns[..., 1::2])
    columns[..., half:] = empty
