"""A queue of samples or frames that is as fast with small blocks as with large ones."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class Fifo:
    """A first-in, first-out queue along the last axis. It copies each item only a few times, however small the blocks.

    Args:
        shape: Shape of one item, for example (channels,) for audio.
        dtype: Type of the items.
    """

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> None:
        self._data = np.zeros((*shape, 1024), dtype)
        self._start = self._stop = 0

    def __len__(self) -> int:
        return self._stop - self._start

    def push(self, items: NDArray[Any]) -> None:
        """Append items of shape (..., n)."""
        self._room_for(items.shape[-1])
        self._data[..., self._stop : self._stop + items.shape[-1]] = items
        self._stop += items.shape[-1]

    def push_zeros(self, n: int) -> None:
        """Append n zero items."""
        self._room_for(n)
        self._data[..., self._stop : self._stop + n] = 0
        self._stop += n

    def peek(self, n: int) -> NDArray[Any]:
        """Return the first n items, or all if there are fewer, as a view that is valid until the next push."""
        return self._data[..., self._start : self._start + min(n, len(self))]

    def drop(self, n: int) -> None:
        """Remove the first n items, or all if there are fewer."""
        self._start += min(n, len(self))

    def _room_for(self, n: int) -> None:
        held, capacity = len(self), self._data.shape[-1]
        if self._stop + n <= capacity:
            return
        # Moving items to the front pays off only if at least as many have been removed.
        if held + n > capacity or self._start < held:
            capacity = max(2 * capacity, 2 * (held + n))
            data = np.zeros((*self._data.shape[:-1], capacity), self._data.dtype)
        else:
            data = self._data
        data[..., :held] = self.peek(held)
        self._data, self._start, self._stop = data, 0, held
