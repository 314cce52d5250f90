"""Move faders by MIDI while audio plays."""

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

from ..core.errors import ControlError, error_text
from ..core.gains import check_switch
from ..core.log import report_safely, say
from ..core.protocols import Target
from ..core.stems import check_stems
from ..presets import load_preset
from ..presets.gains import checked_gains
from .listener import Listener
from .mailbox import Key, Mailbox
from .maps.midimap import MidiMap, load_map
from .maps.translator import Change, Translator
from .recording import Recording
from .targets import AttributeFaders, state_of

if TYPE_CHECKING:
    from mido import Message

PRESET = "preset", None
SETTERS = {"gain": "set_gains_db", "mute": "mute", "solo": "solo"}


class MidiControl:
    """Moves a target's faders by MIDI, between `start` and `close` or in a `with` block.

    A program that also moves faders itself should do so through `load_preset`, `set_gains_db`, `mute` and `solo`, so
    that the controls follow. Neither the port nor the audio ever waits: messages leave the latest value of each fader
    in a table, and a thread sets them on the target.

    Args:
        target: A StemProcessor, or an object with the same `set_gains_db`, `mute` and `solo`; or an object with
            attributes `<stem>_db`, and optionally `<stem>_mute` and `<stem>_solo`, such as a StemMix.
        map: Name of a shipped map, path of a .json file, or a MidiMap. Its presets are read at once.
        port: Name of a MIDI port, or a part of it; "host:port" or ":port" for MIDI over a network (see docs/midi.md);
            an open port of mido; or None for the first device.
        position: Returns how many samples have been processed so far. If it is given, `recording` keeps the moves, at
            this position minus `latency_samples`.
        latency_samples: By default, the target's own if it has `set_gains_db`, which acts on the output, and 0 if it
            has attributes, which act on the input.
        report: Called with a line when the port vanishes or is back, and when the target refuses a value for the first
            time. By default the line is logged.

    Raises:
        ControlError: The map, the target or a stem in a preset cannot be used.
        PresetError: A preset of the map cannot be loaded.
    """

    def __init__(
        self,
        target: Any,
        map: str | os.PathLike[str] | MidiMap = "general",
        port: Any = None,
        *,
        position: Callable[[], int] | None = None,
        latency_samples: int | None = None,
        report: Callable[[str], None] = say,
    ) -> None:
        self._map = map if isinstance(map, MidiMap) else load_map(map)
        outputs = hasattr(target, "set_gains_db")
        self._presets = {b.preset: load_preset(b.preset) for b in self._map.bindings if b.preset is not None}
        stems = dict.fromkeys([*self._map.stems, *(stem for gains in self._presets.values() for stem in gains)])
        self._target: Target = target if outputs else AttributeFaders(target, stems)
        for name, gains in self._presets.items():
            self._check_stems(gains, f"MIDI map {self._map.name!r}, preset {name}: ")
        self._port, self._report = port, report
        self._translator = Translator(
            self._map, self._target.stems, self._target.gains_db, self._target.muted, self._target.soloed
        )
        self._lock = threading.Lock()  # held only while a message is translated
        self._position = position
        self._latency_samples, self._delayed = latency_samples, target if outputs else None
        self._recording = None if position is None else Recording(self._map, self._target, self._presets)
        self._reported: set[str] = set()
        self._wanted: Mailbox | None = None
        self._shown: Mailbox | None = None
        self._listener: Listener | None = None

    def start(self) -> None:
        """Open the port and start to move faders.

        Raises:
            ControlError: The port does not exist or cannot be opened, or this has been started already.
        """
        if self._listener is not None:
            raise ControlError("this MidiControl has been started already; close it first")
        self._listener = Listener(
            self._port, self._feed, self._show_all, self._report, disconnected=self._release, sends=self._map.feedback
        )
        self._wanted = Mailbox(self._apply, "MIDI faders", self._report)
        self._shown = Mailbox(self._show, "MIDI feedback", self._report) if self._map.feedback else None
        self._listener.start()

    def close(self) -> None:
        """Close the port, release momentary buttons and apply pending changes. The recording is kept."""
        if self._listener is not None:
            self._listener.close()
        self._release()
        for part in self._wanted, self._shown:
            if part is not None:
                part.close()
        self._listener = self._wanted = self._shown = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        port = "not started" if self._listener is None else f"port {self._listener.name!r}"
        moved = [f"{stem} {gain:+g} dB" for stem, gain in self.gains_db.items() if gain]
        return f"MidiControl({', '.join([type(self._target).__name__, f'map {self._map.name!r}', port, *moved])})"

    @property
    def port(self) -> str:
        """Full name of the port.

        Raises:
            ControlError: This has not been started.
        """
        if self._listener is None:
            raise ControlError("this MidiControl has no port until it is started; use `with`, or call start()")
        return self._listener.name

    @property
    def recording(self) -> Recording:
        """All moves since this MidiControl was made.

        Raises:
            ControlError: No `position` was given.
        """
        if self._recording is None:
            raise ControlError(
                "nothing was recorded; give MidiControl a `position`, a function that returns the samples processed"
            )
        return self._recording

    @property
    def gains_db(self) -> dict[str, float]:
        """Last gain sent to each fader from any source, stem to dB. The target may not have followed yet."""
        pending = self._pending("gain")  # first, so that a change done in between is read from the target
        return dict(self._target.gains_db) | pending

    @property
    def muted(self) -> tuple[str, ...]:
        """Stems that are muted, or will be once the target has followed."""
        return self._switched_on("mute")

    @property
    def soloed(self) -> tuple[str, ...]:
        """Stems that are soloed, or will be once the target has followed."""
        return self._switched_on("solo")

    def load_preset(self, preset: str | os.PathLike[str] | Mapping[str, float]) -> None:
        """Move all faders to a preset. The controls follow, as with `set_gains_db`.

        Args:
            preset: Name of a preset, path of a .json file, or stem to dB. Stems that are not named go to 0 dB.

        Raises:
            PresetError: The preset cannot be used.
            ControlError: A stem is unknown, or this has not been started.
        """
        self._check_started()
        name = None if isinstance(preset, Mapping) else os.fspath(preset)
        gains = checked_gains(preset) if isinstance(preset, Mapping) else load_preset(os.fspath(preset))
        self._check_stems(gains, f"preset {preset}: ")
        with self._lock:
            self._want(self._loaded(name, gains))

    def set_gains_db(self, /, **gains_db: float) -> None:
        """Move faders from the program, as in `set_gains_db(vocals=-6.0)`.

        Unlike with the target's own method, the controls follow: with pickup they wait until they have passed the new
        gain, motor faders move, and the move is recorded.

        Args:
            gains_db: Gains in dB, at most +20; -80 or below is silence.

        Raises:
            PresetError: A gain is out of range.
            ControlError: A stem is unknown, or this has not been started.
        """
        self._check_started()
        gains = checked_gains(gains_db)
        self._check_stems(gains)
        with self._lock:
            self._translator.faders_moved(gains)
            self._want({("gain", stem): gain for stem, gain in gains.items()})

    def mute(self, stem: str, on: bool = True) -> None:
        """Mute a stem from the program. Buttons and lights follow.

        Args:
            stem: Name of the stem.
            on: False to unmute it.

        Raises:
            ControlError: The stem is unknown, or this has not been started.
        """
        self._switch("mute", stem, on)

    def solo(self, stem: str, on: bool = True) -> None:
        """Solo a stem from the program. Buttons and lights follow.

        Args:
            stem: Name of the stem.
            on: False to end its solo.

        Raises:
            ControlError: The stem is unknown, or this has not been started.
        """
        self._switch("solo", stem, on)

    def _switch(self, kind: str, stem: str, on: bool) -> None:
        self._check_started()
        self._check_stems([stem])
        on = check_switch(f"{kind} of {stem}", on)
        with self._lock:
            self._translator.switched(kind, stem, on)
            self._want({(kind, stem): on})

    def _switched_on(self, kind: str) -> tuple[str, ...]:
        pending = self._pending(kind)
        there = self._target.muted if kind == "mute" else self._target.soloed
        on = dict.fromkeys(there, True) | pending
        return tuple(stem for stem in self._target.stems if on.get(stem))

    def _pending(self, kind: str) -> dict[str, Any]:
        """Return the changes of this kind that are not applied yet, stem to value."""
        pending = {} if (wanted := self._wanted) is None else wanted.pending
        return {stem: value for (key, stem), value in pending.items() if key == kind and stem is not None}

    def _feed(self, message: "Message") -> None:
        with self._lock:
            self._do(self._translator.feed(message))

    def _release(self) -> None:
        """Release momentary buttons, because the port that would send their releases is gone."""
        with self._lock:
            self._do(self._translator.release())

    def _do(self, changes: Iterable[Change]) -> None:
        wanted: dict[Key, Any] = {}
        for kind, stem, value in changes:
            if kind == "preset":
                wanted |= self._loaded(value, self._presets[value])
            else:
                wanted[kind, stem] = value
        self._want(wanted)

    def _check_stems(self, stems: Iterable[str], where: str = "") -> None:
        check_stems(stems, self._target.stems, where, ControlError)

    def _loaded(self, name: str | None, gains_db: Mapping[str, float]) -> dict[Key, Any]:
        self._translator.preset_loaded(gains_db)
        return {PRESET: name, **{("gain", stem): gains_db.get(stem, 0.0) for stem in self._target.stems}}

    def _want(self, wanted: dict[Key, Any]) -> None:
        if wanted and self._wanted is not None:
            self._wanted.put(wanted)

    def _check_started(self) -> None:
        if self._wanted is None:
            raise ControlError("this MidiControl is not running; use `with`, or call start()")

    def _apply(self, wanted: dict[Key, Any]) -> None:
        """Set values on the target: all faders at once, or one by one if the target refuses them together."""
        at = self._heard_at()
        done: dict[Key, Any] = {PRESET: wanted[PRESET]} if PRESET in wanted else {}
        gains = {stem: value for (kind, stem), value in wanted.items() if kind == "gain" and stem is not None}
        whole = not gains or self._tried("gain", **gains)
        done |= {("gain", stem): gain for stem, gain in gains.items() if whole or self._tried("gain", **{stem: gain})}
        for (kind, stem), value in wanted.items():
            if kind in ("mute", "solo") and self._tried(kind, stem, value):
                done[kind, stem] = value
        if self._recording is not None and at is not None:
            held = self._target.gains_db  # the target may have rounded them
            for (kind, stem), value in done.items():
                if value is not None:
                    self._recording.add(at, kind, stem, held[stem] if kind == "gain" and stem is not None else value)
        if self._shown is not None:
            self._shown.put(done)

    def _heard_at(self) -> int | None:
        """Return the sample of the song that is heard now; None if it is not known."""
        if self._position is None:
            return None
        try:
            latency = self._latency_samples
            if latency is None:  # read each time, because some targets do not know it before audio plays
                latency = getattr(self._delayed, "latency_samples", 0)
            return max(0, int(self._position()) - latency)
        except Exception as error:
            self._report_once("position", f"MIDI: the position is unknown, so nothing is recorded: {error_text(error)}")
            return None

    def _tried(self, kind: str, /, *arguments: Any, **gains_db: float) -> bool:
        """Set a value on the target. Return whether it was accepted; if not, report the first error of each kind."""
        try:
            getattr(self._target, SETTERS[kind])(*arguments, **gains_db)
        except Exception as error:
            self._report_once(kind, f"MIDI: a {kind} could not be set: {error_text(error)}")
            return False
        return True

    def _report_once(self, kind: str, line: str) -> None:
        if kind not in self._reported:
            self._reported.add(kind)
            report_safely(self._report, line)

    def _show_all(self) -> None:
        """Send the state of all faders and lights to a device that has just connected."""
        if self._shown is not None:
            self._shown.put(state_of(self._target))

    def _show(self, done: dict[Key, Any]) -> None:
        for (kind, stem), value in done.items():
            for message in () if stem is None else self._translator.feedback(stem, kind, value):
                if (listener := self._listener) is None:  # closed in the meantime
                    return
                listener.send(message)
