"""Live audio: from a device or a song through the faders to a device or a file, in a separate process."""

from typing import TYPE_CHECKING

from ..core.errors import LiveError
from ..core.lazy import lazy_names

__all__ = ["Live", "LiveError", "device_names"]

if TYPE_CHECKING:
    from .drivers import device_names
    from .session import Live

__getattr__, __dir__ = lazy_names(__name__, {"drivers": "device_names", "session": "Live"})
