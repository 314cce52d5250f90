"""Locks of folders and files, which one process at a time may hold."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a folder or a file. The system releases it if this process is killed.

    Args:
        path: A folder, or a file, which is made if it is missing. Some network file systems can lock files only.
        wait: Whether to wait while another process holds the lock.

    Raises:
        BlockingIOError: Another process holds the lock, and `wait` is False.
        OSError: The path cannot be opened or locked.
    """
    if sys.platform == "win32":  # which cannot lock folders
        from filelock import FileLock, Timeout

        lock = FileLock(path / ".lock" if path.is_dir() else path)
        try:
            lock.acquire(timeout=-1 if wait else 0)
        except Timeout as error:
            raise BlockingIOError(str(error)) from None
        try:
            yield
        finally:
            lock.release()
        return
    import fcntl

    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)
