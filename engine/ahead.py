"""A thread that does one piece of work after the other, while its owner goes on."""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any
from weakref import finalize


class Ahead:
    """Work that is given now, and whose results are taken later, in the same order.

    The thread ends with its owner, and with the program. Raises RuntimeError where it is not there: after the program's
    end has begun, and in a forked process.
    """

    def __init__(self) -> None:
        self._given: SimpleQueue[Any] = SimpleQueue()
        self._done: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self._left = 0
        self._thread = threading.Thread(target=_work, args=(self._given, self._done), name="ahead", daemon=True)
        self._thread.start()
        finalize(self, _end, self._given, self._thread)

    def give(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Have work(*arguments) done, after all that was given before."""
        self._check()
        self._given.put((work, arguments))
        self._left += 1

    def take(self) -> Any:
        """Wait for the oldest result that was not taken yet, and return it, or raise what the work raised."""
        self._check()
        result, error = self._done.get()
        self._left -= 1
        if error is not None:
            raise error
        return result

    def forget(self) -> None:
        """Wait until all is done, and take nothing of it."""
        self._check()
        while self._left:
            self._done.get()
            self._left -= 1

    def _check(self) -> None:
        if not self._thread.is_alive():
            raise RuntimeError("its thread has ended with the program, or its process was forked; make a new one there")


def _work(given: SimpleQueue, done: SimpleQueue) -> None:
    while (job := given.get()) is not None:
        work, arguments = job
        try:
            done.put((work(*arguments), None))
        except BaseException as error:
            done.put((None, error))
        del job, work, arguments  # or the last would keep their owner alive


def _end(given: SimpleQueue, thread: threading.Thread) -> None:
    given.put(None)
    if thread is not threading.current_thread():
        thread.join()  # at the program's end nothing may still run in ONNX Runtime
