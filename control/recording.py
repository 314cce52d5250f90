"""Record moves of the faders, as automation or a MIDI file."""

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from ..core.gains import SILENCE_DB
from ..core.protocols import Target
from ..core.stems import silenced
from .automation import Automation
from .maps.midimap import HIGHEST_VALUES, Binding, MidiMap
from .maps.translator import DOWN, UP, Translator
from .midifile import write
from .targets import state_of

if TYPE_CHECKING:
    from mido import Message

GAIN_TOLERANCE_DB = 1e-6  # gains that differ by less count as the same
MAX_TURNS = 63  # most turns in one message of a relative encoder


class Recording:
    """Changes of faders, mutes and solos, with their times in samples.

    It keeps one entry for each sample at which a fader or button changed, however often it changed there.

    Args:
        map: The map whose controls a MIDI file of the recording moves.
        target: The target, in the state in which the recording begins.
        presets: Presets of the map: name to gains in dB by stem.
    """

    def __init__(self, map: MidiMap, target: Target, presets: Mapping[str, Mapping[str, float]]) -> None:
        self._map, self._presets = map, presets
        self._stems = target.stems
        self._start = state_of(target)
        self._now = dict(self._start)
        self._done: dict[tuple[int, str, str | None], float | bool | str] = {}

    def add(self, at: int, kind: str, stem: str | None, value: float | bool | str) -> None:
        """Add a change. After a preset, its gains must be added too.

        Args:
            at: The sample, not before the last one that was added.
            kind: "gain", "mute", "solo" or "preset".
            stem: Name of the stem; None for "preset".
            value: Gain in dB, a bool, or the name of a preset.
        """
        if stem is None:
            # Forget all gains, so that those of the preset are added even if they have not changed.
            self._now = {key: now for key, now in self._now.items() if key[0] != "gain"}
        elif not isinstance(value, str):
            if self._now.get((kind, stem)) == value:
                return
            self._now[kind, stem] = value
        self._done.pop((at, kind, stem), None)  # the last change at a sample comes last
        self._done[at, kind, stem] = value

    def automation(self) -> Automation:
        """Return the recording as automation in samples. Stems that are silent by mutes or solos are at -80 dB."""
        now = dict(self._start)
        heard: dict[str, float] = {}
        points: list[tuple[int, str, float]] = []

        def add_points(at: int) -> None:
            muted, soloed = ({stem for stem in self._stems if now[kind, stem]} for kind in ("mute", "solo"))
            silent = silenced(self._stems, muted, soloed)
            for stem in self._stems:
                gain = SILENCE_DB if stem in silent else now["gain", stem]
                if heard.get(stem) != gain:
                    heard[stem] = gain
                    points.append((at, stem, gain))

        add_points(0)
        for (at, kind, stem), value in list(self._done.items()):
            if stem is not None and not isinstance(value, str):
                now[kind, stem] = value
                add_points(at)
        return Automation(points, unit="samples")

    def to_midi(self, path: str | os.PathLike[str], sample_rate: float) -> None:
        """Write a MIDI file in which the controls of the map make the recorded changes.

        Read through the same map, with faders that start at the same gains, the file makes the same changes at the same
        samples, as far as `midifile.write` can tell them apart. Gains that no control of the map can reach, such as
        those of a preset without a button, become the nearest ones that it can; `automation` has them exactly.

        Args:
            path: The file. An older one is replaced.
            sample_rate: In Hz.

        Raises:
            ControlError: The rate is not above 0, or the file cannot be written; nothing has changed.
        """
        write(path, self._messages(), sample_rate)

    def _messages(self) -> "Iterator[tuple[int, Message]]":
        # Translate the written messages like a reader of the file, because one control may move several faders.
        reader = Translator(self._map, self._stems, {s: float(self._start["gain", s]) for s in self._stems})
        now = {key: value if key[0] == "gain" else False for key, value in self._start.items()}
        held = set(self._map.bindings) if self._map.takeover != "pickup" else set()

        def performed(at: int, messages: "Iterable[Message]") -> "Iterator[tuple[int, Message]]":
            for message in messages:
                yield at, message
                for change in reader.feed(message):
                    if change.stem is not None:
                        now[change.kind, change.stem] = change.value

        for moved in self._stems:
            start = float(self._start["gain", moved])
            fader = self._fader(moved, start)
            if start and fader is not None and abs(fader.gain_db(fader.position(start)) - start) <= GAIN_TOLERANCE_DB:
                yield from performed(0, _grasped(fader, start, held))
        for (kind, switched), on in self._start.items():
            if kind != "gain" and on:
                yield from performed(0, self._switch(kind, switched, True))
        for (at, kind, stem), value in list(self._done.items()):
            if isinstance(value, str):
                button = next((b for b in self._map.bindings if (b.action, b.preset) == ("preset", value)), None)
                if button is not None:
                    yield from performed(at, [*_press(button, True), *_press(button, False)])
                    gains = self._presets[value]
                    reader.preset_loaded(gains)
                    now |= {("gain", moved): gains.get(moved, 0.0) for moved in self._stems}
                    if self._map.takeover != "jump":
                        held.clear()
            elif stem is None or now[kind, stem] == value:
                continue
            elif kind == "gain":
                fader = self._fader(stem, value)
                if fader is not None:
                    yield from performed(at, _grasped(fader, value, held))
                elif (knob := self._knob(stem)) is not None:
                    yield from performed(at, _turned(knob, value - now[kind, stem]))
            else:
                yield from performed(at, self._switch(kind, stem, bool(value)))

    def _switch(self, kind: str, stem: str | None, on: bool) -> "list[Message]":
        """Return the messages of the button that changes a mute or solo; none if the map has no such button."""
        button = next((b for b in self._map.bindings if (b.action, b.stem) == (kind, stem)), None)
        if button is None:
            return []
        return [*_press(button, True), *_press(button, False)] if button.mode == "toggle" else _press(button, on)

    def _fader(self, stem: str, gain_db: float) -> Binding | None:
        """Return the control with a position nearest to a gain.

        None if the map has no such control, or if it is not exact but the stem also has a relative encoder, which is.
        """
        gains = [b for b in self._map.bindings if (b.action, b.stem) == ("gain", stem)]
        faders = [b for b in gains if b.control.type in HIGHEST_VALUES]
        best = min(faders, key=lambda b: abs(b.gain_db(b.position(gain_db)) - gain_db), default=None)
        if best is not None and self._knob(stem) is not None:
            return best if abs(best.gain_db(best.position(gain_db)) - gain_db) <= GAIN_TOLERANCE_DB else None
        return best

    def _knob(self, stem: str) -> Binding | None:
        knobs = (b for b in self._map.bindings if b.stem == stem and b.control.type == "relative" and b.control.step_db)
        return next(knobs, None)


def _grasped(fader: Binding, gain_db: float, held: set[Binding]) -> "Iterator[Message]":
    """Yield the messages of a fader that moves to a gain.

    A fader that may wait for pickup first goes all the way, so that it passes the current gain.
    """
    if fader not in held:
        held.add(fader)
        for end in fader.range_db:
            yield from _shown(fader, end)
    yield from _shown(fader, gain_db)


def _shown(fader: Binding, gain_db: float) -> "list[Message]":
    """Return the messages of a fader at the position nearest to a gain."""
    assert fader.stem is not None
    alone = MidiMap("", "", None, "jump", True, (fader,))
    return Translator(alone, (fader.stem,)).feedback(fader.stem, "gain", gain_db)


def _turned(knob: Binding, by_db: float) -> "Iterator[Message]":
    """Yield the messages of a relative encoder that is turned by a number of dB, or by slightly more."""
    from mido import Message

    steps = by_db / knob.control.step_db
    remaining = math.ceil(abs(steps) - GAIN_TOLERANCE_DB)
    while remaining:
        turns = min(remaining, MAX_TURNS)
        remaining -= turns
        signed = turns if steps > 0 else -turns
        value = {"twos": signed & 127, "offset": 64 + signed, "sign": turns if steps > 0 else 64 + turns}
        yield Message(
            "control_change",
            channel=(knob.channel or 1) - 1,
            control=knob.control.number,
            value=value[knob.control.encoding],
        )


def _press(button: Binding, down: bool) -> "list[Message]":
    from mido import Message

    number, channel, value = button.control.number, (button.channel or 1) - 1, DOWN if down else UP
    if button.control.type == "note":
        return [Message("note_on", channel=channel, note=number, velocity=value)]
    if button.control.type == "cc":
        return [Message("control_change", channel=channel, control=number, value=value)]
    return [Message("program_change", channel=channel, program=number)] if down else []
