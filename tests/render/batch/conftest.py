"""A file system in memory."""

from collections.abc import Iterator
from typing import Any

import fsspec
import pytest


@pytest.fixture
def memory() -> Iterator[Any]:
    """Empty fsspec's file system in memory, and give it."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()
