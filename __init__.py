"""Four faders on a finished song: vocals, drums, bass and other."""

import os
from typing import TYPE_CHECKING

from .core.errors import StemBridgeError
from .core.lazy import lazy_names
from .core.version import __version__

# Turn off ONNX Runtime's telemetry, whatever the user has set. Otherwise ONNX Runtime, once imported, writes a device
# id to ~/.cache and sends it with data about the machine. Child processes inherit the setting.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__all__ = [
    "Automation",
    "Live",
    "MidiControl",
    "MidiMap",
    "StemBridgeError",
    "StemMix",
    "StemProcessor",
    "StemRack",
    "__version__",
    "load_model",
    "load_preset",
    "load_processor",
    "remix",
    "remix_file",
    "remix_files",
    "separate",
    "separate_file",
    "separate_files",
]

if TYPE_CHECKING:
    from .control import Automation, MidiControl, MidiMap
    from .engine import StemProcessor, remix, separate
    from .live import Live
    from .models import load_model
    from .plugin import StemMix, StemRack, load_processor
    from .presets import load_preset
    from .render import remix_file, remix_files, separate_file, separate_files

# Imported on first use, so that `import stembridge` costs nothing.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "control": "Automation MidiControl MidiMap",
        "engine": "StemProcessor remix separate",
        "live": "Live",
        "models": "load_model",
        "plugin": "StemMix StemRack load_processor",
        "presets": "load_preset",
        "render": "remix_file remix_files separate_file separate_files",
    },
)
