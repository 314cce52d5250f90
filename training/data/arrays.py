"""Arrays on disk that appear whole or not at all."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.atomic import write_whole


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array.

    Args:
        path: The .npy file.
        array: The array.

    Raises:
        OSError: The file cannot be written; the error names it.
    """
    content = io.BytesIO()  # because NumPy hides why it cannot write to a file
    np.save(content, array)
    write_whole(path, content.getbuffer())


def load_array(path: Path) -> NDArray[Any] | None:
    """Map an array into memory.

    Args:
        path: A file that `save_array` wrote.

    Returns:
        The array, or None if the file is missing or damaged.
    """
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (FileNotFoundError, EOFError, ValueError):
        return None
    return array
