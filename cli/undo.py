"""Undo for moves of the faders in the mixer."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..control import MidiControl

ONE_MOVE_S = 1.0  # moves of the same faders that are no further apart count as one, as while a key is held

State = dict[tuple[str, str], float | bool]  # kind ("gain", "mute" or "solo") and stem to value


class Undoable:
    """Moves faders through a MidiControl, and remembers their state before each move.

    It has the members of a MidiControl that the mixer uses. Other moves, such as those of a MIDI controller, are not
    undone.

    Args:
        control: Moves the faders.
    """

    def __init__(self, control: "MidiControl") -> None:
        self._control = control
        self._past: list[State] = []  # the values that each move changed, as they were before it
        self._moved_at = 0.0

    @property
    def gains_db(self) -> dict[str, float]:
        """The last gain sent to each fader."""
        return self._control.gains_db

    @property
    def muted(self) -> tuple[str, ...]:
        """The muted stems."""
        return self._control.muted

    @property
    def soloed(self) -> tuple[str, ...]:
        """The soloed stems."""
        return self._control.soloed

    def set_gains_db(self, /, **gains_db: float) -> None:
        """Move faders.

        Args:
            gains_db: Stem to gain in dB.
        """
        with self.one_move():
            self._control.set_gains_db(**gains_db)

    def mute(self, stem: str, on: bool) -> None:
        """Mute a stem, or unmute it.

        Args:
            stem: Name of the stem.
            on: Whether to mute it.
        """
        with self.one_move():
            self._control.mute(stem, on)

    def solo(self, stem: str, on: bool) -> None:
        """Solo a stem, or end its solo.

        Args:
            stem: Name of the stem.
            on: Whether to solo it.
        """
        with self.one_move():
            self._control.solo(stem, on)

    def load_preset(self, name: str) -> None:
        """Move all faders to a preset.

        Args:
            name: A preset's name, or the path of a .json file.

        Raises:
            PresetError: The preset cannot be used.
            ControlError: The preset has stems that the song does not have.
        """
        with self.one_move():
            self._control.load_preset(name)

    @contextmanager
    def one_move(self) -> Iterator[None]:
        """Count all moves made in a `with` block as one move."""
        before, number = self._state(), len(self._past)
        yield
        after = self._state()
        changed = {key: value for key, value in before.items() if after[key] != value}
        del self._past[number:]  # moves that are part of this one
        if not changed:
            return
        now = time.monotonic()
        again = self._past and self._past[-1].keys() == changed.keys() and {kind for kind, _ in changed} == {"gain"}
        if not again or now - self._moved_at > ONE_MOVE_S:
            self._past.append(changed)
        self._moved_at = now

    def undo(self) -> bool:
        """Undo the last move that is not undone yet.

        Returns:
            Whether there was one.
        """
        if not self._past:
            return False
        before = self._past.pop()
        self._moved_at = 0.0
        if gains := {stem: float(value) for (kind, stem), value in before.items() if kind == "gain"}:
            self._control.set_gains_db(**gains)
        for (kind, stem), on in before.items():
            if kind != "gain":
                (self._control.mute if kind == "mute" else self._control.solo)(stem, bool(on))
        return True

    def _state(self) -> State:
        control = self._control
        gains_db = control.gains_db
        state: State = {("gain", stem): gain for stem, gain in gains_db.items()}
        for kind, stems in ("mute", control.muted), ("solo", control.soloed):
            state |= {(kind, stem): stem in stems for stem in gains_db}
        return state
