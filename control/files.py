"""Files that appear whole or not at all."""

import os
import secrets
from pathlib import Path

from .errors import ControlError


def write_whole(path: str | os.PathLike, content: bytes) -> None:
    """Write a file, over one of that name. Raises ControlError, and then leaves nothing new."""
    path = Path(path)
    temporary = path.with_name(f".stembridge-{secrets.token_hex(6)}")
    try:
        try:
            temporary.write_bytes(content)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ControlError(f"{path} cannot be written: {error.strerror}; choose another place") from error
