"""Gain presets: positions of the faders, saved as JSON files."""

from ..core.errors import PresetError
from .gains import morph
from .load import Preset, load_preset, own_presets, preset_names, read_preset
from .save import delete_preset, save_preset

__all__ = [
    "Preset",
    "PresetError",
    "delete_preset",
    "load_preset",
    "morph",
    "own_presets",
    "preset_names",
    "read_preset",
    "save_preset",
]
