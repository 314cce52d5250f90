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
    from multiprocessing import resource_tracker

    numbers = {getattr(signal, name) for name in names}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        resource_tracker.ensure_running()  # starting a process would do that, and Python 3.11 unblocks signals then
        signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_blocked(process: "BaseProcess", *names: str) -> None:
    """Start a process of `multiprocessing` that never receives these signals."""
    with signals_blocked(*names):
        process.start()


def ignore_ctrl_c() -> None:
    """Ignore Ctrl-C on Windows, in a process that was started while signals were blocked."""
    if sys.platform == "win32":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
