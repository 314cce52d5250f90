"""Files that appear whole or not at all."""

import os

from ..core import atomic
from ..core.errors import ControlError


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file, replacing an older one. If it raises ControlError, nothing has changed."""
    try:
        atomic.write_whole(path, content)
    except OSError as error:
        raise ControlError(f"{path} cannot be written: {error.strerror}; choose another place") from error
