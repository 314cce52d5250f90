"""Turn the messages of a MIDI file into points of automation."""

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ..core.errors import ControlError
from ..core.gains import SILENCE_DB
from ..core.stems import silenced
from ..presets import load_preset
from .maps.midimap import MidiMap
from .maps.translator import Translator
from .point import Point

if TYPE_CHECKING:
    from mido import Message


def points_of(
    path: str | os.PathLike[str],
    messages: "Iterable[tuple[float, Message]]",
    midi_map: MidiMap,
    gains_db: Mapping[str, float],
) -> list[Point]:
    """Return the points to which the messages of a MIDI file move the faders.

    Args:
        path: Path of the file, for errors.
        messages: (seconds from the start, message), in order of time.
        midi_map: The map through which the messages are read.
        gains_db: Gains at which the faders start, stem to dB; 0 dB if not named.

    Raises:
        ControlError: A preset of the map cannot be loaded.
    """
    faders: dict[str, float] = dict.fromkeys(midi_map.stems, 0.0) | dict(gains_db)
    switched: dict[str, set[str]] = {"mute": set(), "solo": set()}
    translator = Translator(midi_map, midi_map.stems, faders)
    points = []
    heard: dict[str, float] = {}
    for seconds, message in messages:
        for kind, stem, value in translator.feed(message):
            if stem is None:
                try:
                    faders = dict.fromkeys(faders, 0.0) | load_preset(value)
                except ValueError as error:
                    raise ControlError(f"{path}, at {seconds:g} seconds: {error}") from error
                translator.preset_loaded(faders)
            elif kind == "gain":
                faders[stem] = value
            else:
                (switched[kind].add if value else switched[kind].discard)(stem)
            silent = silenced(faders, switched["mute"], switched["solo"])
            for moved in faders if stem is None or kind == "solo" else (stem,):
                gain = SILENCE_DB if moved in silent else faders[moved]
                if heard.get(moved) != gain:
                    heard[moved] = gain
                    points.append(Point(seconds, moved, gain))
    return points
