"""Work ahead of the stream: for blocks so short that none of them can wait for the work of a whole hop."""

import queue
import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ...engine.fifo import Fifo

Work = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class Ahead:
    """What `work` makes of a stream, `delay` samples late: a thread of its own has that long for it.

    work: (channels, n) -> (channels, n), called with one block after the other.
    Called with a block, which nobody may change any more, it returns as many samples. It takes what is ready, and waits
    for what is not: work that comes late holds up a block, but moves no sample. Raises what work raised.
    """

    def __init__(self, work: Work, num_channels: int, delay: int) -> None:
        self._work = work
        self._out = Fifo((num_channels,))
        self._out.push_zeros(delay)
        self._blocks: queue.SimpleQueue[NDArray[np.float32] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[NDArray[np.float32] | Exception] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="ahead", daemon=True)
        self._thread.start()

    def __call__(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Hand over a block, and take one."""
        n = block.shape[-1]
        self._blocks.put(block)
        while len(self._out) < n:
            done = self._done.get()
            if isinstance(done, Exception):
                raise done
            self._out.push(done)
        out = self._out.peek(n).copy()
        self._out.drop(n)
        return out

    def close(self) -> None:
        """End the thread."""
        self._blocks.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while (block := self._blocks.get()) is not None:
                self._done.put(self._work(block))
        except Exception as error:
            self._done.put(error)
