"""How a controller's messages move the faders: maps, those that come with StemBridge and anyone's own."""

import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ...core.documents import is_path
from ...core.errors import ControlError
from ...core.suggest import did_you_mean

FOLDER = Path(__file__).parent
UNITY = 100  # the 7-bit value at 0 dB
FULL = 127
# The largest value of each control that has a position.
HIGHEST = {"cc": 127, "cc14": 16383, "nrpn": 16383, "pitchbend": 16383}
# What a binding may have with some actions only.
ACTIONS_WITH = {
    "stem": ("gain", "mute", "solo"), "preset": ("preset",), "range_db": ("gain",), "curve": ("gain",),
    "mode": ("mute", "solo"),
}  # fmt: skip


@dataclass(frozen=True)
class Control:
    """What is moved on the device.

    type: cc, cc14 (a controller below 32 and, 32 above it, its fine part), nrpn, relative (a cc that tells of turns),
    note, pitchbend or program. number: of the controller, parameter, note or program, from 0; 0 for pitchbend.
    encoding: of turns, twos, offset or sign. step_db: of one turn.
    """

    type: str
    number: int = 0
    encoding: str = "twos"
    step_db: float = 0.5


@dataclass(frozen=True)
class Binding:
    """A control and what it does.

    action: gain, mute, solo or preset. stem: of all but preset; preset: its name, or its path, in a file from the
    folder that the map is in. channel: 1 to 16, None for
    all. For gain, range_db: (lowest, highest), and curve: unity or straight. For mute and solo, mode: toggle or
    momentary.
    """

    control: Control
    action: str
    stem: str | None
    preset: str | None
    channel: int | None
    range_db: tuple[float, float]
    curve: str
    mode: str

    def gain_db(self, value: int) -> float:
        """The gain at a control's position, 0 to its highest value."""
        low, high = self.range_db
        highest = HIGHEST[self.control.type]
        if self.curve == "straight":
            return min(low + (high - low) * (value / highest), high)  # rounding leads beyond
        # Compared as integers, so that unity is exact for fine controls too.
        position, unity = value * FULL, UNITY * highest
        if position <= unity:
            return low - low * (position / unity)
        return high * ((position - unity) / (FULL * highest - unity))

    def position(self, gain_db: float) -> int:
        """The control's position nearest to a gain."""
        low, high = self.range_db
        highest = HIGHEST[self.control.type]
        gain = min(max(gain_db, low), high)
        if self.curve == "straight":
            return round(highest * (gain - low) / (high - low))
        unity = UNITY / FULL
        return round(highest * (unity * (1 - gain / low) if gain <= 0 else unity + (1 - unity) * gain / high))


@dataclass(frozen=True)
class MidiMap:
    """channel: of bindings that name none, 1 to 16, None for all. takeover: jump, pickup or pickup-after-preset, which
    is when a fader holds off until its control passes the gain. feedback: whether the device is told of changes.
    """

    name: str
    description: str
    channel: int | None
    takeover: str
    feedback: bool
    bindings: tuple[Binding, ...]

    @property
    def stems(self) -> tuple[str, ...]:
        """The stems that it moves."""
        return tuple(dict.fromkeys(binding.stem for binding in self.bindings if binding.stem is not None))


def map_names() -> list[str]:
    """The names of the maps that come with StemBridge, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.json") if not path.name.endswith(".schema.json"))


def load_map(name_or_path: str | os.PathLike) -> MidiMap:
    """A map. What ends in .json or has a folder separator is a file, all else the name of one that comes along.

    Raises ControlError: unknown name, missing or unreadable file, not JSON, not a map.

    >>> load_map("general").stems
    ('vocals', 'drums', 'bass', 'other')
    """
    text = os.fspath(name_or_path)
    if is_path(text):
        return _read(Path(text))
    if text not in map_names():  # looked up, never joined to the folder: no name can lead out of it
        raise ControlError(
            f"unknown MIDI map {text!r}{did_you_mean(text, map_names())}: choose from {', '.join(map_names())}, "
            "or give the path of a .json file"
        )
    return _read(FOLDER / f"{text}.json")


def _read(path: Path) -> MidiMap:
    try:
        data = json.loads(
            path.read_text("utf-8-sig"), parse_constant=_refuse_constant, object_pairs_hook=_refuse_doubles
        )
    except OSError as error:
        raise ControlError(f"MIDI map {str(path)!r} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ControlError(f"MIDI map {str(path)!r} is not valid JSON: {error}") from error
    if (problem := _problem(data)) is not None:
        raise ControlError(f"MIDI map {str(path)!r} is not a map: {problem}; see `stembridge docs automation`")
    return MidiMap(
        data["name"],
        data["description"],
        data.get("channel"),
        data.get("takeover", "pickup-after-preset"),
        data.get("feedback", False),
        tuple(_binding(item, data.get("channel"), path.parent) for item in data["bindings"]),
    )


def _binding(data: dict[str, Any], channel: int | None, folder: Path) -> Binding:
    control = dict(data["control"])
    channel = control.pop("channel", data.get("channel", channel))
    control["number"] = int(control.get("number", 0))  # JSON's 16.0 is an integer too
    low, high = data.get("range_db", (-80, 12))
    preset = data.get("preset")
    if preset is not None and is_path(preset):
        preset = str(folder / preset)
    return Binding(
        Control(**control),
        data["action"],
        data.get("stem"),
        preset,
        None if channel is None else int(channel),
        (float(low), float(high)),
        data.get("curve", "unity"),
        data.get("mode", "toggle"),
    )


def _refuse_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is there twice in one object")
    return data


def _refuse_constant(constant: str) -> float:
    raise ValueError(f"{constant} is not a number")


def _problem(data: Any) -> str | None:
    """What speaks against data as a map, in one short line."""
    from jsonschema.exceptions import best_match

    error = best_match(_validator().iter_errors(data))
    if error is not None:
        message = " ".join(error.message.split())
        where = ".".join(str(key) for key in error.path)
        return (f"{where}: " if where else "") + (message if len(message) <= 120 else message[:120] + " ...")
    for i, binding in enumerate(data["bindings"]):
        low, high = binding.get("range_db", (-80, 12))
        if not low < high:
            return f"bindings.{i}.range_db: {low:g} is not below {high:g}"
        if binding.get("curve", "unity") == "unity" and not low < 0 < high:
            return f"bindings.{i}.range_db: 0 dB is not between {low:g} and {high:g}, which the curve 'straight' allows"
        if binding.get("channel", own := binding["control"].get("channel")) != own is not None:
            return f"bindings.{i}: channel {binding['channel']} is not its control's, {own}; give one of them"
        action = binding["action"]
        if idle := [name for name in binding if action not in ACTIONS_WITH.get(name, (action,))]:
            return f"bindings.{i}: a {action} has no {idle[0]!r}"
        if binding in data["bindings"][:i]:
            return f"bindings.{i} is there twice"
    return None


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads((FOLDER / "map.schema.json").read_text("utf-8")))
