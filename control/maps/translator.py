"""Translate MIDI messages into changes of the faders, and back."""

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from .midimap import Binding, MidiMap

if TYPE_CHECKING:
    from mido import Message

PRESSED_FROM = 64  # a controller used as a button is down at this value and above
DOWN, UP = 127, 0  # values of a key or button, whatever its velocity
NULL_PARAMETER = 127, 127  # the parameter number that deselects
# All sound off, reset all controllers, all notes off, and four mode messages that imply it. A device sends one of them
# when releases of buttons may have been lost.
RELEASE_ALL = 120, 121, 123, 124, 125, 126, 127


class Change(NamedTuple):
    """A change of a fader, mute or solo, or of all faders by a preset.

    Attributes:
        kind: "gain", "mute", "solo" or "preset".
        stem: Name of the stem; None for "preset".
        value: Gain in dB, a bool, or the name of a preset.
    """

    kind: str
    stem: str | None
    value: Any


class Translator:
    """Translates the messages of one device, and remembers the state that their meaning depends on.

    Args:
        map: The map.
        stems: Stems of the target. Bindings of other stems are ignored.
        gains_db: Positions of the faders, stem to dB; 0 dB if not named.
        muted: Stems that are muted.
        soloed: Stems that are soloed.
    """

    def __init__(
        self,
        map: MidiMap,
        stems: Iterable[str],
        gains_db: Mapping[str, float] | None = None,
        muted: Iterable[str] = (),
        soloed: Iterable[str] = (),
    ) -> None:
        self._map = map
        self._gains_db = {stem: (gains_db or {}).get(stem, 0.0) for stem in stems}
        self._on: dict[str, set[str]] = {"mute": set(muted), "solo": set(soloed)}
        self._bindings: dict[tuple[str, int], list[Binding]] = {}
        for binding in map.bindings:
            if binding.stem is None or binding.stem in self._gains_db:
                self._bindings.setdefault((binding.control.type, binding.control.number), []).append(binding)
        self._positions: dict[Binding, int] = {}  # last positions of controls
        self._waiting: set[Binding] = set()  # bindings whose control has not passed the fader's gain yet
        self._held: list[tuple[Binding, int]] = []  # momentary buttons that are down, and their channels
        if map.takeover == "pickup":
            self._require_pickup(self._gains_db)
        # Last coarse parts of controllers and of parameters, by channel and number.
        self._coarse: dict[tuple[int, int], int] = {}
        self._parameter_coarse: dict[tuple[int, int], int] = {}
        self._parameter: dict[int, dict[int, int]] = {}  # channel -> controllers 99 and 98, which choose a parameter

    def feed(self, message: "Message") -> list[Change]:
        """Return the changes that a message makes; none if the map does not bind it.

        The messages in `RELEASE_ALL`, such as all notes off, release the momentary buttons of their channel, unless the
        map binds that controller. A system reset releases all momentary buttons.

        Args:
            message: Any message; only channel messages and system resets make changes.
        """
        if getattr(message, "type", None) == "reset":
            return self.release()
        channel = getattr(message, "channel", None)
        if channel is None:
            return []
        if message.type == "control_change" and message.control in RELEASE_ALL and not self._binds(message.control):
            return self.release(channel)
        changes = []
        for control, number, value in self._readings(message):
            for binding in self._bindings.get((control, number), ()):
                if binding.channel in (None, channel + 1):
                    if binding.action == "gain":
                        change = self._turn(binding, value)
                    else:
                        change = self._press(binding, channel, value)
                    if change is not None:
                        changes.append(change)
        return changes

    def release(self, channel: int | None = None) -> list[Change]:
        """Release momentary buttons whose release message may be lost.

        Args:
            channel: 0 to 15, for buttons of this channel only; None for all buttons.

        Returns:
            The changes.
        """
        held = [(button, where) for button, where in self._held if channel in (None, where)]
        return [change for button, where in held if (change := self._press(button, where, UP)) is not None]

    def preset_loaded(self, gains_db: Mapping[str, float]) -> None:
        """Note that a preset has moved all faders. With pickup, controls must first pass the new gains.

        Args:
            gains_db: Stem to dB; 0 dB if not named.
        """
        self.faders_moved({stem: gains_db.get(stem, 0.0) for stem in self._gains_db})

    def faders_moved(self, gains_db: Mapping[str, float]) -> None:
        """Note that something else has moved faders. With pickup, their controls must first pass the new gains.

        Args:
            gains_db: Stem to dB.
        """
        self._gains_db |= {stem: gain for stem, gain in gains_db.items() if stem in self._gains_db}
        if self._map.takeover != "jump":
            self._require_pickup(gains_db)

    def switched(self, action: str, stem: str, on: bool) -> None:
        """Note that something else has changed a mute or solo, so that no button holds it any longer.

        Args:
            action: "mute" or "solo".
            stem: Name of the stem.
            on: Whether it is on now.
        """
        self._held = [held for held in self._held if (held[0].action, held[0].stem) != (action, stem)]
        (self._on[action].add if on else self._on[action].discard)(stem)

    def feedback(self, stem: str, kind: str, value: float | bool) -> "list[Message]":
        """Return the messages that show a change on the device: motor faders, lights.

        They are sent on the channel of the binding, or on channel 1 if it has none.

        Args:
            stem: Name of the stem.
            kind: "gain", "mute" or "solo".
            value: Gain in dB, or a bool.

        Returns:
            The messages; none if the map has no feedback.
        """
        if not self._map.feedback:
            return []
        return [
            message
            for binding in self._map.bindings
            if (binding.stem, binding.action) == (stem, kind)
            for message in _shown(binding, value)
        ]

    def _binds(self, controller: int) -> bool:
        return ("cc", controller) in self._bindings or ("relative", controller) in self._bindings

    def _require_pickup(self, stems: Container[str | None]) -> None:
        for bindings in self._bindings.values():
            self._waiting.update(
                b for b in bindings if b.action == "gain" and b.stem in stems and b.control.type != "relative"
            )

    def _readings(self, message: "Message") -> Iterator[tuple[str, int, int]]:
        """Yield the possible readings of a channel message: (type of control, number, value)."""
        if message.type == "control_change":
            yield from self._controller(message.channel, message.control, message.value)
        elif message.type == "note_on":
            yield "note", message.note, DOWN if message.velocity else UP
        elif message.type == "note_off":
            yield "note", message.note, UP
        elif message.type == "pitchwheel":
            yield "pitchbend", 0, message.pitch + 8192
        elif message.type == "program_change":
            yield "program", message.program, DOWN

    def _controller(self, channel: int, control: int, value: int) -> Iterator[tuple[str, int, int]]:
        yield "cc", control, value
        yield "relative", control, value
        if control < 32:  # in MIDI, the fine part counts as 0 until it comes
            self._coarse[channel, control] = value
            yield "cc14", control, value << 7
        elif control < 64 and (channel, control - 32) in self._coarse:
            yield "cc14", control - 32, self._coarse[channel, control - 32] << 7 | value
        if control in (99, 98):
            self._parameter.setdefault(channel, {})[control] = value
        elif control in (101, 100):  # a registered parameter is chosen instead, which the next data belong to
            self._parameter.pop(channel, None)
        elif control in (6, 38):
            chosen = self._parameter.get(channel, {})
            if len(chosen) < 2 or (chosen[99], chosen[98]) == NULL_PARAMETER:
                return
            number = chosen[99] << 7 | chosen[98]
            if control == 6:
                self._parameter_coarse[channel, number] = value
                yield "nrpn", number, value << 7
            elif (channel, number) in self._parameter_coarse:
                yield "nrpn", number, self._parameter_coarse[channel, number] << 7 | value

    def _turn(self, binding: Binding, value: int) -> Change | None:
        """Return the change that a fader or knob makes, or None."""
        assert binding.stem is not None
        gain = self._gains_db[binding.stem]
        if binding.control.type == "relative":
            turns = _turns(binding.control.encoding, value)
            if not turns:
                return None
            low, high = binding.range_db
            # A gain that is already out of the range is not pulled into it.
            gain = min(max(gain + turns * binding.control.step_db, min(low, gain)), max(high, gain))
        else:
            last = self._positions.get(binding)
            self._positions[binding] = value
            if binding in self._waiting:
                there = binding.position(gain)
                passed = last is not None and min(last, value) <= there <= max(last, value)
                if abs(value - there) > 1 and not passed:
                    return None
                self._waiting.remove(binding)
            gain = binding.gain_db(value)
        self._gains_db[binding.stem] = gain
        return Change("gain", binding.stem, gain)

    def _press(self, binding: Binding, channel: int, value: int) -> Change | None:
        """Return the change that a button makes as it goes down or up, or None."""
        pressed = value >= PRESSED_FROM
        if binding.action == "preset":
            return Change("preset", None, binding.preset) if pressed else None
        assert binding.stem is not None
        if binding.mode == "toggle":
            if not pressed:
                return None
            pressed = binding.stem not in self._on[binding.action]
        self.switched(binding.action, binding.stem, pressed)
        if pressed and binding.mode == "momentary":
            self._held.append((binding, channel))
        return Change(binding.action, binding.stem, pressed)


def _turns(encoding: str, value: int) -> int:
    """Return by how many steps a relative encoder was turned: above 0 to the right, below 0 to the left."""
    if encoding == "twos":
        return value - 128 if value > 63 else value
    if encoding == "offset":
        return value - 64
    return 64 - value if value > 63 else value


def _shown(binding: Binding, value: float | bool) -> "list[Message]":
    from mido import Message

    kind, number, channel = binding.control.type, binding.control.number, (binding.channel or 1) - 1

    def controllers(*pairs: tuple[int, int]) -> list[Message]:
        return [Message("control_change", channel=channel, control=n, value=v) for n, v in pairs]

    if binding.action != "gain":
        lit = DOWN if value else UP
        if kind == "note":
            return [Message("note_on", channel=channel, note=number, velocity=lit)]
        return controllers((number, lit))
    if kind == "relative":  # it has no position
        return []
    position = binding.position(value)
    coarse, fine = position >> 7, position & 127
    if kind == "cc":
        return controllers((number, position))
    if kind == "cc14":
        return controllers((number, coarse), (number + 32, fine))
    if kind == "nrpn":
        return controllers((99, number >> 7), (98, number & 127), (6, coarse), (38, fine))
    return [Message("pitchwheel", channel=channel, pitch=position - 8192)]
