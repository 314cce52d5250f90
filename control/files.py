"""Write files whole or not at all, with errors that suit control."""

import os

from ..core import atomic
from ..core.errors import ControlError


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file, replacing an older one.

    Args:
        path: The file.
        content: Its new content.

    Raises:
        ControlError: The file cannot be written; nothing has changed.
    """
    try:
        atomic.write_whole(path, content)
    except OSError as error:
        raise ControlError(f"{path} cannot be written: {error.strerror}; choose another place") from error
