"""Load MIDI maps, which say how a controller's messages move the faders: shipped ones and the user's own."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.documents import check_document, is_path, read_json
from ...core.errors import ControlError
from ...core.suggest import did_you_mean

if TYPE_CHECKING:
    from .document import AnyBinding

SHIPPED_FOLDER = Path(__file__).parent
UNITY_POSITION, FULL_POSITION = 100, 127  # 7-bit values at 0 dB and at the highest gain
# The highest value of each type of control that has a position.
HIGHEST_VALUES = {"cc": 127, "cc14": 16383, "nrpn": 16383, "pitchbend": 16383}


@dataclass(frozen=True)
class Control:
    """A control on the device.

    Attributes:
        type: "cc", "cc14" (a controller below 32, with its fine part on the controller 32 above it), "nrpn", "relative"
            (a controller that sends turns), "note", "pitchbend" or "program".
        number: Number of the controller, parameter, note or program, from 0; 0 for "pitchbend".
        encoding: How turns are sent: "twos", "offset" or "sign".
        step_db: Change of the gain by one turn, in dB.
    """

    type: str
    number: int = 0
    encoding: str = "twos"
    step_db: float = 0.5


@dataclass(frozen=True)
class Binding:
    """A control and its action.

    Attributes:
        control: The control.
        action: "gain", "mute", "solo" or "preset".
        stem: Name of the stem; None for "preset".
        preset: Name or path of the preset; None for other actions. In a map's file, a path is relative to its folder.
        channel: 1 to 16, or None for all channels.
        range_db: For "gain": gains at the lowest and highest position, in dB.
        curve: For "gain": "unity", with 0 dB at 100 of 127, or "straight".
        mode: For "mute" and "solo": "toggle" or "momentary".
    """

    control: Control
    action: str
    stem: str | None = None
    preset: str | None = None
    channel: int | None = None
    range_db: tuple[float, float] = (-80.0, 12.0)
    curve: str = "unity"
    mode: str = "toggle"

    def gain_db(self, value: int) -> float:
        """Return the gain at a position of the control, in dB.

        Args:
            value: The position, 0 to the highest value of the control.
        """
        low, high = self.range_db
        highest = HIGHEST_VALUES[self.control.type]
        if self.curve == "straight":
            return min(low + (high - low) * (value / highest), high)  # rounding may lead beyond
        # Compare integers, so that 0 dB is exact for fine controls too.
        position, unity = value * FULL_POSITION, UNITY_POSITION * highest
        if position <= unity:
            return low - low * (position / unity)
        return high * ((position - unity) / (FULL_POSITION * highest - unity))

    def position(self, gain_db: float) -> int:
        """Return the position of the control that is nearest to a gain in dB."""
        low, high = self.range_db
        highest = HIGHEST_VALUES[self.control.type]
        gain = min(max(gain_db, low), high)
        if self.curve == "straight":
            return round(highest * (gain - low) / (high - low))
        unity = UNITY_POSITION / FULL_POSITION
        return round(highest * (unity * (1 - gain / low) if gain <= 0 else unity + (1 - unity) * gain / high))


@dataclass(frozen=True)
class MidiMap:
    """How a controller's messages move the faders.

    Attributes:
        name: Name of the map.
        description: A sentence for lists of maps.
        channel: Channel of bindings that do not name one, 1 to 16, or None for all channels.
        takeover: When a control moves its fader: "jump", at once; "pickup", once it has passed the fader's gain;
            "pickup-after-preset", the same, but only after a preset or the program has moved the fader.
        feedback: Whether changes are sent to the device.
        bindings: The controls and their actions.
    """

    name: str
    description: str
    channel: int | None
    takeover: str
    feedback: bool
    bindings: tuple[Binding, ...]

    @property
    def stems(self) -> tuple[str, ...]:
        """Stems that the map moves."""
        return tuple(dict.fromkeys(binding.stem for binding in self.bindings if binding.stem is not None))


def map_names() -> list[str]:
    """Return the names of the maps that come with StemBridge, sorted."""
    return sorted(path.stem for path in SHIPPED_FOLDER.glob("*.json") if not path.name.endswith(".schema.json"))


def load_map(name_or_path: str | os.PathLike[str]) -> MidiMap:
    """Load a MIDI map.

    Args:
        name_or_path: Name of a shipped map; or path of a file, which ends in .json or has a folder separator.

    Raises:
        ControlError: The map is unknown, cannot be read or is not valid.

    >>> load_map("general").stems
    ('vocals', 'drums', 'bass', 'other')
    """
    text = os.fspath(name_or_path)
    if is_path(text):
        return _read(Path(text))
    if text not in map_names():  # the name is looked up before it is joined to the folder, so it cannot lead out of it
        raise ControlError(
            f"unknown MIDI map {text!r}{did_you_mean(text, map_names())}: choose from {', '.join(map_names())}, "
            "or give the path of a .json file"
        )
    return _read(SHIPPED_FOLDER / f"{text}.json")


def _read(path: Path) -> MidiMap:
    from .document import MapDocument  # imported late, because pydantic takes a while to load

    name = f"MIDI map {str(path)!r}"
    data = read_json(path, name, ControlError)
    try:
        document = check_document(data, MapDocument, f"{name} is not a map", ControlError, tags=("action", "type"))
    except ControlError as error:
        raise ControlError(f"{error}; see `stembridge docs automation`") from None
    bindings = tuple(_binding(binding, document.channel, path.parent) for binding in document.bindings)
    return MidiMap(
        document.name, document.description, document.channel, document.takeover, document.feedback, bindings
    )


def _binding(binding: "AnyBinding", channel: int | None, folder: Path) -> Binding:
    given = binding.control.model_dump()
    channel = given.pop("channel", binding.channel or channel)
    values = binding.model_dump(exclude={"control", "channel"})
    if is_path(values.get("preset", "")):
        values["preset"] = str(folder / values["preset"])
    return Binding(control=Control(**given), channel=channel, **values)
