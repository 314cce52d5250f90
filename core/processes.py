"""Processes that this one starts and ends. Ctrl-C in a terminal reaches them too, but is meant for this one alone."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess


@contextmanager
def signals_blocked(*names: str) -> Iterator[None]:
    """Block signals in this thread, for processes that are started meanwhile: they never receive them.

    Processes cannot inherit that on Windows. There they call `ignore_ctrl_c`.

    Args:
        names: The signals, such as "SIGINT".
    """
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {getattr(signal, name) for name in names})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_blocked(process: "BaseProcess", *names: str) -> None:
    """Start a process of `multiprocessing` that never receives these signals."""
    if sys.platform != "win32":
        from multiprocessing import resource_tracker

        resource_tracker.ensure_running()  # `start` would do that while signals are blocked, and unblock them
    with signals_blocked(*names):
        process.start()


def ignore_ctrl_c() -> None:
    """Ignore Ctrl-C on Windows, in a process that was started while signals were blocked."""
    if sys.platform == "win32":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
