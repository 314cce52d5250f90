"""Move the faders over time: automation, MIDI and CSV files, MIDI maps, MIDI ports."""

from typing import TYPE_CHECKING

from ..core.errors import ControlError
from ..core.lazy import lazy_names
from .automation import Automation
from .maps.midimap import MidiMap, load_map, map_names

__all__ = ["Automation", "ControlError", "MidiControl", "MidiMap", "load_map", "map_names"]

if TYPE_CHECKING:
    from .midi_control import MidiControl

__getattr__, __dir__ = lazy_names(__name__, {"midi_control": "MidiControl"})  # files need no ports
