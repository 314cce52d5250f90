"""MIDI maps, which say how a controller's messages move the faders: those that ship and the user's own."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.documents import check_document, is_path, read_json
from ...core.errors import ControlError
from ...core.suggest import did_you_mean

if TYPE_CHECKING:
    from .document import AnyBinding

FOLDER = Path(__file__).parent
UNITY = 100  # the 7-bit value at 0 dB
FULL = 127
# The largest value of each control that has a position.
HIGHEST = {"cc": 127, "cc14": 16383, "nrpn": 16383, "pitchbend": 16383}


@dataclass(frozen=True)
class Control:
    """A control on the device.

    type: cc, cc14 (a controller below 32 and, 32 above it, its fine part), nrpn, relative (a cc that sends turns),
    note, pitchbend or program. number: number of the controller, parameter, note or program, from 0; 0 for pitchbend.
    encoding: how turns are sent: twos, offset or sign. step_db: change of the gain by one turn.
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
    stem: str | None = None
    preset: str | None = None
    channel: int | None = None
    range_db: tuple[float, float] = (-80.0, 12.0)
    curve: str = "unity"
    mode: str = "toggle"

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
    """How a controller's messages move the faders.

    channel: the channel of bindings without their own, 1 to 16, None for all. takeover: "jump", "pickup" or
    "pickup-after-preset": whether a fader waits until its control passes its gain. feedback: whether changes are sent
    to the device.
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


def load_map(name_or_path: str | os.PathLike[str]) -> MidiMap:
    """Load a map: a file if it ends in .json or has a folder separator, otherwise a map that ships, by its name.

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
    from .document import MapDocument  # not earlier: pydantic takes a while to load

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
