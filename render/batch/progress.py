"""Progress of songs, sent from workers to the main process: through a pipe on this machine, or through Dask."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

PROGRESS_INTERVAL_S = 0.25  # between two messages of a worker

ProgressCallback = Callable[[int, str, float | None], None]
"""Called with a song's number, the step, and the fraction of it that is done."""


class ProgressSender:
    """A `Progress` that sends progress updates of a song, a few times a second at most.

    Args:
        send: Sends an update.
        number: Number of the song in its batch.
    """

    def __init__(self, send: ProgressCallback, number: int) -> None:
        self._send, self._number = send, number
        self._step, self._sent_at = "", 0.0

    def __call__(self, step: str, fraction: float | None) -> None:
        """Send an update, unless the last one was sent just before.

        Args:
            step: "rendering" or "writing".
            fraction: How much of the step is done, 0 to 1; None if that is not known.
        """
        now = time.monotonic()
        if step != self._step or now - self._sent_at >= PROGRESS_INTERVAL_S:
            self._step, self._sent_at = step, now
            self._send(self._number, step, fraction)


def send_to_pipe(path: str, *message: Any) -> None:
    """Send a message through a pipe. If the pipe is full, the message is lost, so that the work does not wait.

    Args:
        path: The pipe.
        message: Arguments of a ProgressCallback.
    """
    if sys.platform == "win32":  # no pipe was made
        return
    with suppress(OSError):
        pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        try:
            # So short that it arrives in one piece, even if other workers write too.
            os.write(pipe, json.dumps(message).encode() + b"\n")
        finally:
            os.close(pipe)


def send_to_dask(topic: str, *message: Any) -> None:
    """Send a message from a Dask worker.

    Args:
        topic: Name of the run's topic.
        message: Arguments of a ProgressCallback.
    """
    from distributed import get_worker

    get_worker().log_event(topic, message)


@contextmanager
def receive_from_pipe(folder: Path, on_progress: ProgressCallback) -> Iterator[str | None]:
    """Receive messages through a new pipe in a `with` block.

    Args:
        folder: Where to make the pipe.
        on_progress: Called with each message, in another thread.

    Yields:
        Path of the pipe, None if no pipe can be made.
    """
    if sys.platform == "win32":  # it has no such pipes; nothing but the display needs them
        yield None
        return
    path = folder / "progress"
    try:
        os.mkfifo(path)
        pipe = os.fdopen(os.open(path, os.O_RDWR), "r+b", buffering=0)
    except OSError:  # some file systems have no pipes; only the display needs one
        yield None
        return

    def listen() -> None:
        with os.fdopen(os.dup(pipe.fileno()), "rb") as lines:
            for line in lines:
                if line == b"\n":
                    return
                with suppress(ValueError, TypeError, LookupError):  # two lines that were mixed
                    on_progress(*json.loads(line))

    thread = Thread(target=listen, daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the system allows no more threads
        pipe.close()
        yield None
        return
    try:
        yield str(path)
    finally:
        if thread.is_alive():
            pipe.write(b"\n")
        thread.join()
        pipe.close()


@contextmanager
def receive_from_dask(client: Any, topic: str, on_progress: ProgressCallback) -> Iterator[str]:
    """Receive messages of Dask workers in a `with` block.

    Args:
        client: A `distributed.Client`.
        topic: Name of the run's topic.
        on_progress: Called with each message, in the client's thread.

    Yields:
        The topic.
    """

    def handle(event: Any) -> None:
        with suppress(ValueError, TypeError, LookupError):
            on_progress(*event[1])

    client.subscribe_topic(topic, handle)
    try:
        yield topic
    finally:
        client.unsubscribe_topic(topic)
