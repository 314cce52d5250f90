"""Data for a picture of a song: its waveform and the levels of its stems before and after, in a few columns."""

import base64
import math
import zlib
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ...core.errors import StemBridgeError

COLUMNS = 240
SILENCE_DB, LOUDEST_DB = -80.0, 40.0
_FULL_SCALE_STEPS, _STEP_DB = 127, 0.5  # resolution of a stored overview


@dataclass(frozen=True, eq=False)
class Overview:
    """A song in 240 columns of equal length.

    Files may be turned up or down as a whole: `after` and `stems_after` show the written files. If stems were written
    to separate files, they show the sum of the files, in which each stem counts once.

    Attributes:
        stems: Their names.
        seconds: Length of the song.
        before: Waveform of the song, shape (columns, 2): the lowest and the highest sample of each column, -1 to 1, of
            the mean of the channels.
        after: Waveform of the result, in the same way.
        stems_before: RMS level of each stem before its fader, shape (stems, columns), in dBFS; -80 is silence.
        stems_after: RMS level of each stem in the result, in the same way.
    """

    stems: tuple[str, ...]
    seconds: float
    before: NDArray[np.float32] = field(repr=False)
    after: NDArray[np.float32] = field(repr=False)
    stems_before: NDArray[np.float32] = field(repr=False)
    stems_after: NDArray[np.float32] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return values for JSON, about 3 KB: waveforms in steps of 1/127, levels in steps of 0.5 dB."""
        waves = [
            np.rint(_FULL_SCALE_STEPS * wave.T).astype(np.int8).view(np.uint8) for wave in (self.before, self.after)
        ]
        levels = [
            np.rint((level - SILENCE_DB) / _STEP_DB).astype(np.uint8) for level in (self.stems_before, self.stems_after)
        ]
        # Differences between columns are smaller numbers, and if a fader stands still, the same before and after it.
        steps = np.diff(np.concatenate(waves + levels), axis=1, prepend=np.uint8(0))
        data = base64.b64encode(zlib.compress(steps.tobytes(), 9)).decode()
        return {"stems": list(self.stems), "seconds": round(self.seconds, 3), "data": data}

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """Return the overview that `to_dict` stored.

        Args:
            values: What `to_dict` returned.

        Raises:
            ValueError: The values are something else.
        """
        try:
            stems, seconds = values["stems"], float(values["seconds"])
            if not (isinstance(stems, list) and stems and all(isinstance(stem, str) for stem in stems)):
                raise StemBridgeError(f"stems {stems!r}")
            if not 0 <= seconds < math.inf:
                raise StemBridgeError(f"{seconds} seconds")
            shape = 4 + 2 * len(stems), COLUMNS
            packed = base64.b64decode(values["data"], validate=True)
            # Unpack one byte more than needed at most, because a few packed bytes may stand for gigabytes.
            steps = zlib.decompressobj().decompress(packed, math.prod(shape) + 1)
            rows = np.cumsum(np.frombuffer(steps, np.uint8).reshape(shape), axis=1, dtype=np.uint8)
        except (TypeError, KeyError, ValueError, OverflowError, zlib.error) as error:
            raise StemBridgeError(f"the overview of a song is damaged ({error}); render the song again") from None
        waves = np.maximum(rows[:4].view(np.int8) / np.float32(_FULL_SCALE_STEPS), -1)
        levels = np.minimum(rows[4:] * np.float32(_STEP_DB) + np.float32(SILENCE_DB), LOUDEST_DB)
        return cls(tuple(stems), seconds, waves[:2].T, waves[2:].T, *np.split(levels, 2))


class Envelope:
    """Collects an overview of a song block by block. In constant memory: excess columns are joined.

    Args:
        stems: Their names.
        skip: Number of samples before the song's first one, such as a processor's latency.
    """

    def __init__(self, stems: tuple[str, ...], skip: int = 0) -> None:
        self._stems, self._skip = stems, skip
        self._span = 64  # samples in a column; doubled whenever there are too many columns
        self._position = 0  # samples collected
        size = 8 * COLUMNS  # at least 4 columns here for each final one, so that those have nearly equal lengths
        self._low = np.full((2, size), np.inf)  # before, after
        self._high = np.full((2, size), -np.inf)
        self._energy = np.zeros((2, len(stems), size))

    def push(self, stems: NDArray[np.float32], gains: NDArray[np.float32]) -> None:
        """Collect a block.

        Args:
            stems: Samples before the faders, shape (stems, channels, n).
            gains: Factors of the faders, shape (stems, n) or (stems, 1).
        """
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
        """Return the overview of all that was collected.

        Args:
            sample_rate: In Hz.
            factor: Factor by which the result was multiplied after the faders.
        """
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
        """Add waveforms (2, n) and powers (2, stems, n)."""
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
        join_pairs(self._low, np.minimum, np.inf)
        join_pairs(self._high, np.maximum, -np.inf)
        join_pairs(self._energy, np.add, 0.0)
        self._span *= 2


def join_pairs(columns: NDArray[Any], join: np.ufunc, empty: float) -> None:
    """Join neighbouring columns in place, so that the second half becomes free.

    Args:
        columns: Shape (..., n), n even.
        join: Joins two values to one.
        empty: Value of a free column.

    >>> columns = np.array([1, 5, 2, 3])
    >>> join_pairs(columns, np.maximum, 0)
    >>> columns.tolist()
    [5, 3, 0, 0]
    """
    half = columns.shape[-1] // 2
    columns[..., :half] = join(columns[..., ::2], columns[..., 1::2])
    columns[..., half:] = empty
