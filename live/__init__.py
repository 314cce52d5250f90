"""Live audio: from a device or a song through the faders to a device or a file, in a process of its own."""

from typing import TYPE_CHECKING

from ..core.errors import LiveError

__all__ = ["Live", "LiveError", "device_names"]

if TYPE_CHECKING:
    from .devices import device_names
    from .session import Live


def __getattr__(name: str) -> object:
    # Imported on first use, like the room's other doors.
    if name == "Live":
        from .session import Live

        return Live
    if name == "device_names":
        from .devices import device_names

        return device_names
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
