"""A thread that runs jobs one after another while its owner goes on."""

import os
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any
from weakref import finalize

from .errors import StateError


class BackgroundWorker:
    """Runs jobs in a thread and returns their results, both in the order of submission.

    Only one thread may call its methods. Ctrl-C may interrupt any of them at any moment: later calls still do not hang,
    and `discard` restores a consistent state.

    The thread ends with `close`, its owner or the program. All methods except `close` raise StateError where the
    thread does not run: after that, and in a forked process.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[_Ticket | None] = SimpleQueue()
        self._tickets: deque[_Ticket] = deque()  # jobs whose results were not returned yet; all were queued
        thread = threading.Thread(target=_run, args=(self._queue,), name="background", daemon=True)
        thread.start()
        self._process = os.getpid()
        self._end = finalize(self, _end, self._queue, thread)

    def submit(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Run `work(*arguments)` once all jobs submitted before have run.

        Args:
            work: A function. `result` returns its value or raises its error.
            arguments: Its arguments.
        """
        self._check()
        ticket = _Ticket(work, arguments)
        self._queue.put(ticket)  # first, because nobody may wait for a job that was not queued
        self._tickets.append(ticket)

    def call(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Run `work(*arguments)` once all jobs submitted before have run, wait for it, and return its value.

        Args:
            work: A function.
            arguments: Its arguments.

        Raises:
            BaseException: The job's own error.
        """
        self._check()
        ticket = _Ticket(work, arguments)
        self._queue.put(ticket)
        return ticket.value()

    def result(self) -> Any:
        """Wait for the oldest result that was not returned yet.

        Raises:
            IndexError: No job is waiting to be returned.
            BaseException: The job's own error.
        """
        self._check()
        ticket = self._tickets[0]
        ticket.wait()
        self._tickets.popleft()
        return ticket.value()

    def discard(self) -> None:
        """Wait until all jobs have run, and drop their results."""
        self._check()
        last = _Ticket(_nothing, ())  # queued last, so also after a job whose `submit` was interrupted
        self._queue.put(last)
        last.wait()
        self._tickets.clear()

    def close(self) -> None:
        """End the thread once all jobs have run; harmless when repeated."""
        self._end()

    def _check(self) -> None:
        # Not thread.is_alive(): a Ctrl-C in it marks a running thread as ended.
        if not self._end.alive or self._process != os.getpid():
            raise StateError(
                "the background thread does not run: it was closed, the program is ending, or this process was forked; "
                "make a new object here"
            )


class _Ticket:
    """A job, and later its result or error."""

    def __init__(self, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._job: tuple[Callable[..., Any], tuple[Any, ...]] | None = work, arguments
        self._done = False
        self._running = threading.Lock()
        self._running.acquire()
        self._result: Any = None
        self._error: BaseException | None = None

    def run(self) -> None:
        """Run the job."""
        assert self._job is not None
        work, arguments = self._job
        self._job = None  # a ticket must not keep the worker's owner alive, which the job may hold
        try:
            self._result = work(*arguments)
        except BaseException as error:
            self._error = error
        finally:
            self._done = True
            self._running.release()

    def wait(self) -> None:
        """Wait for the result; harmless when repeated."""
        if not self._done:  # once done, do not lock: an interrupted wait may still hold the lock
            self._running.acquire()

    def value(self) -> Any:
        """Wait for the result and return it, or raise the job's error."""
        self.wait()
        error, self._error = self._error, None  # the error's traceback holds the ticket: avoid a reference cycle
        if error is not None:
            raise error
        return self._result


def _nothing() -> None:
    """Do nothing."""


def _run(queue: "SimpleQueue[_Ticket | None]") -> None:
    while (ticket := queue.get()) is not None:
        ticket.run()
        del ticket  # otherwise the last ticket's result stays alive


def _end(queue: "SimpleQueue[_Ticket | None]", thread: threading.Thread) -> None:
    queue.put(None)
    if thread is not threading.current_thread():
        thread.join()  # nothing may still run in ONNX Runtime when the program ends
