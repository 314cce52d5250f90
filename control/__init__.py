"""What moves the faders in time: the automation timeline, MIDI maps, MIDI and CSV files, MIDI ports."""

from typing import TYPE_CHECKING

from ..core.errors import ControlError
from .automation import Automation
from .maps.midimap import MidiMap, load_map, map_names

__all__ = ["Automation", "ControlError", "MidiControl", "MidiMap", "load_map", "map_names"]

if TYPE_CHECKING:
    from .midi_control import MidiControl


def __getattr__(name: str) -> object:
    # Imported on first use: files need no ports.
    if name == "MidiControl":
        from .midi_control import MidiControl

        return MidiControl
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
