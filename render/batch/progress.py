"""How far workers are with their songs, told to the driver: through a pipe on one machine, through Dask on many."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

OFTEN = 0.25  # seconds between two messages of a worker

ProgressCallback = Callable[[int, str, float | None], None]
"""Called with a song's number, the step, and the fraction of it that is done."""


class ProgressSender:
    """A `Progress` that tells how far a song is, but not too often. number: of the song."""

    def __init__(self, tell: ProgressCallback, number: int) -> None:
        self._tell, self._number = tell, number
        self._step, self._at = "", 0.0

    def __call__(self, step: str, fraction: float | None) -> None:
        """Tell it, if the last time was long enough ago."""
        now = time.monotonic()
        if step != self._step or now - self._at >= OFTEN:
            self._step, self._at = step, now
            self._tell(self._number, step, fraction)


def tell_pipe(path: str, *message: Any) -> None:
    """Tell who hears a pipe. What cannot be told at once is not told: the work does not wait."""
    with suppress(OSError):
        pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        try:
            # Short enough that it arrives in one piece, whoever else writes.
            os.write(pipe, json.dumps(message).encode() + b"\n")
        finally:
            os.close(pipe)


def tell_dask(topic: str, *message: Any) -> None:
    """Tell who hears a topic, from a worker."""
    from distributed import get_worker

    get_worker().log_event(topic, message)


@contextmanager
def hearing_pipe(folder: Path, hear: ProgressCallback) -> Iterator[str | None]:
    """Make a pipe for tellers in the folder and call `hear` in a thread; None where no pipe can be made."""
    path = folder / "progress"
    try:
        os.mkfifo(path)
        pipe = os.fdopen(os.open(path, os.O_RDWR), "r+b", buffering=0)
    except OSError:  # some file systems know no pipes; nothing but the display needs it
        yield None
        return

    def listen() -> None:
        with os.fdopen(os.dup(pipe.fileno()), "rb") as lines:
            for line in lines:
                if line == b"\n":
                    return
                with suppress(ValueError, TypeError, LookupError):  # a line that was mixed with another one
                    hear(*json.loads(line))

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
def hearing_dask(client: Any, topic: str, hear: ProgressCallback) -> Iterator[str]:
    """Call `hear` in the client's thread with what tellers on its workers say."""

    def handle(event: Any) -> None:
        with suppress(ValueError, TypeError, LookupError):
            hear(*event[1])

    client.subscribe_topic(topic, handle)
    try:
        yield topic
    finally:
        client.unsubscribe_topic(topic)
