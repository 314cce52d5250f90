"""Gain presets: where the faders stand, as JSON files."""

from .load import Preset, PresetError, load_preset, preset_names, read_preset

__all__ = ["Preset", "PresetError", "load_preset", "preset_names", "read_preset"]
