"""Decoded stems, and the pieces of them that mixes are made of."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

QUIET_PEAK = 300  # of 32768; quieter pieces count as silence


class Track:
    """One decoded stem, on disk and perhaps also in a card's memory.

    Args:
        stem: int16 samples, memory-mapped, shape (n, 2).
        device: Where mixes are made.
        gain: Factor that makes it as loud as others, in random mixes.
        top: Highest frequency that it can hold, as a share of half of 44.1 kHz.
    """

    def __init__(self, stem: NDArray[np.int16], device: torch.device, gain: float = 1.0, top: float = 1.0) -> None:
        self._stem, self._device, self.gain, self.top = stem, device, gain, top
        self._kept = None if device.type == "cpu" else torch.from_numpy(stem.copy()).to(device)

    def __len__(self) -> int:
        return len(self._stem)

    def sounds(self, start: int, n: int) -> bool:
        """Return whether a piece is not silent. It looks on disk, because asking a card means waiting for it.

        Args:
            start: First sample.
            n: Number of samples.
        """
        return bool(np.abs(self._stem[start : start + n : 64]).max(initial=0) > QUIET_PEAK)

    def cut(self, start: int, n: int) -> Tensor:
        """Return a piece, float32 of shape (2, n), with silence after the end of the stem.

        Args:
            start: First sample.
            n: Number of samples.
        """
        there = slice(start, start + n)
        piece = torch.from_numpy(np.array(self._stem[there])) if self._kept is None else self._kept[there]
        out = torch.zeros(2, n, device=self._device)
        out[:, : len(piece)] = piece.T / 32768
        return out


class Take(NamedTuple):
    """A piece of a track, for a stem of a batch of mixes.

    Attributes:
        place: Number of the stem in the batch: mix * stems + stem.
        track: The track.
        start: First sample.
        samples: Number of samples.
        gain: Factor.
    """

    place: int
    track: Track
    start: int
    samples: int
    gain: float = 1.0
