"""A thread that runs one job after the other while its owner goes on."""

import os
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any
from weakref import finalize


class BackgroundWorker:
    """Runs jobs in a thread, in the order in which they are submitted, and returns their results in that order.

    Its methods belong to one thread. Ctrl-C may interrupt any of them at any moment: none waits for ever after that,
    and `discard` puts all in order again.

    The thread ends with its owner, and with the program. All methods raise RuntimeError where the thread does not run:
    when the program is ending, and in a forked process.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[_Ticket | None] = SimpleQueue()
        self._tickets: deque[_Ticket] = deque()  # of the results not returned yet; all of them are, or were, queued
        thread = threading.Thread(target=_run, args=(self._queue,), name="background", daemon=True)
        thread.start()
        self._process = os.getpid()
        self._end = finalize(self, _end, self._queue, thread)

    def submit(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Run work(*arguments) after all that was submitted before."""
        self._check()
        ticket = _Ticket(work, arguments)
        self._queue.put(ticket)  # first: nobody may wait for a job that was not queued
        self._tickets.append(ticket)

    def result(self) -> Any:
        """Wait for the oldest result that was not returned yet.

        Raises:
            IndexError: There is no such result.
            BaseException: What the work raised.
        """
        self._check()
        ticket = self._tickets[0]
        ticket.wait()
        self._tickets.popleft()
        error, ticket.error = ticket.error, None  # which holds the ticket: without a circle both end at once
        if error is not None:
            raise error
        return ticket.result

    def discard(self) -> None:
        """Wait until all jobs have run, and drop their results."""
        self._check()
        last = _Ticket(_nothing, ())  # so that also a job counts whose `submit` was interrupted
        self._queue.put(last)
        last.wait()
        self._tickets.clear()

    def _check(self) -> None:
        # Not thread.is_alive(): Ctrl-C in there marks a thread that runs as ended.
        if not self._end.alive or self._process != os.getpid():
            raise RuntimeError(
                "the background thread has ended with the program, or its process was forked; make a new one there"
            )


class _Ticket:
    """A job, and later its result or error."""

    def __init__(self, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._job: tuple[Callable[..., Any], tuple[Any, ...]] | None = work, arguments
        self._done = False
        self._running = threading.Lock()
        self._running.acquire()
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Run the job."""
        assert self._job is not None
        work, arguments = self._job
        self._job = None  # it may hold the worker's owner, which a ticket must not keep alive
        try:
            self.result = work(*arguments)
        except BaseException as error:
            self.error = error
        finally:
            self._done = True
            self._running.release()

    def wait(self) -> None:
        """Wait for the result; harmless when repeated."""
        if not self._done:  # else the lock may be taken: by a wait that Ctrl-C ended
            self._running.acquire()


def _nothing() -> None:
    """Do nothing."""


def _run(queue: "SimpleQueue[_Ticket | None]") -> None:
    while (ticket := queue.get()) is not None:
        ticket.run()
        del ticket  # or the last would keep its result alive


def _end(queue: "SimpleQueue[_Ticket | None]", thread: threading.Thread) -> None:
    queue.put(None)
    if thread is not threading.current_thread():
        thread.join()  # when the program ends nothing may still run in ONNX Runtime
