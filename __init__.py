"""Four faders on a finished song: vocals, drums, bass and other."""

import os
from typing import TYPE_CHECKING

from .core.version import __version__

# Turn off ONNX Runtime's telemetry, whatever the user has set. Otherwise ONNX Runtime, once imported, writes a device
# id to ~/.cache and sends it with data about the machine. Child processes inherit the setting.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__all__ = [
    "StemMix",
    "StemProcessor",
    "StemRack",
    "__version__",
    "load_processor",
    "remix",
    "remix_files",
    "separate",
    "separate_files",
]

if TYPE_CHECKING:
    from .engine import StemProcessor, remix, separate
    from .plugin import StemMix, StemRack, load_processor
    from .render import remix_files, separate_files


def __getattr__(name: str) -> object:
    # Imported on first use, so that `import stembridge` costs nothing.
    if name in ("StemProcessor", "remix", "separate"):
        from . import engine

        return getattr(engine, name)
    if name in ("StemMix", "StemRack", "load_processor"):
        from . import plugin

        return getattr(plugin, name)
    if name in ("remix_files", "separate_files"):
        from . import render

        return getattr(render, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
