"""Gains and automation of a remix, read from presets and files before the work."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from ...control import Automation
from ...control.midifile import has_midi_header
from ...core.errors import ControlError
from ...presets.gains import read_gains
from ..settings import RemixSettings

R = TypeVar("R", bound=RemixSettings)


def read_faders(settings: R) -> R:
    """Return settings in which the gains include the preset's, and the automation is read from its file.

    Args:
        settings: Settings of a remix.

    Raises:
        ControlError: The automation or the map cannot be used.
        PresetError: The preset cannot be used.
    """
    gains_db = read_gains(settings.gains_db, preset=settings.preset)
    automation = settings.automation
    if isinstance(automation, str | os.PathLike):
        automation = read_automation(automation, settings.map, gains_db)
    return replace(settings, gains_db=gains_db, preset=None, automation=automation, map="general")


def read_automation(path: str | os.PathLike[str], midi_map: Any, gains_db: Mapping[str, float]) -> Automation:
    """Read a .csv file, or a MIDI file with a map.

    Args:
        path: The file.
        midi_map: The map's name, the path of a .json file, or a MidiMap.
        gains_db: Where the faders start, stem to dB.

    Raises:
        ControlError: The file or the map cannot be used.
    """
    return Automation.from_midi(path, midi_map, gains_db=gains_db) if is_midi(path) else Automation.from_csv(path)


def is_midi(path: str | os.PathLike[str]) -> bool:
    """Return whether an automation is a MIDI file, by its suffix, or if that is unusual by its first bytes.

    Args:
        path: The file.

    Raises:
        ControlError: It is a pipe, which can be read only once, or a device.
        OSError: The file cannot be read.
    """
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise ControlError(f"{path} is not a regular file; save the automation to disk first")
    if (suffix := Path(path).suffix.lower()) in (".csv", ".mid", ".midi"):
        return suffix != ".csv"
    with open(path, "rb") as file:
        return has_midi_header(file.read(12))
