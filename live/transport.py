"""What plays when: pause, seek, loop, and one song after another."""

import math
from collections.abc import Callable
from typing import Any

from ..core.errors import LiveError
from .shared_memory import SharedMemory
from .songs import SHORTEST_LOOP, Command


class Transport:
    """Moves through the songs that a Live plays; all times are seconds of the song.

    Its methods only ask: what they do is heard from one of the next blocks on, and then its properties say so. They
    raise LiveError, in one line, where no song plays, and ValueError for times that cannot be.

    Args:
        songs: Paths; empty if the sound comes from elsewhere.
        memory: Where the process that plays says what it does.
        ask: Sends it a command.
    """

    def __init__(self, songs: tuple[str, ...], memory: SharedMemory, ask: Callable[[Command], None]) -> None:
        self.songs, self._memory, self._ask = songs, memory, ask
        self._paused = False

    @property
    def paused(self) -> bool:
        """Whether time stands still, as was asked for last."""
        return self._paused

    @property
    def song(self) -> int:
        """Which of the songs plays, from 0."""
        return int(self._memory.transport[0])

    @property
    def position(self) -> float:
        """Where in the song it is, as it is heard."""
        return float(self._memory.transport[1])

    @property
    def length(self) -> float | None:
        """How long the song is; estimated until it is decoded. None if that is not known."""
        length = float(self._memory.transport[2])
        return None if math.isnan(length) else length

    @property
    def loop(self) -> tuple[float, float] | None:
        """Start and end of the loop, or None."""
        start, end = map(float, self._memory.transport[3:5])
        return None if math.isnan(start) else (start, end)

    def pause(self, on: bool = True) -> None:
        """Let time stand still, or go on with `on=False`. Nothing is recorded meanwhile."""
        self._command("pause", bool(on))
        self._paused = bool(on)

    def seek(self, seconds: float) -> None:
        """Go to a time."""
        self._command("seek", _checked(seconds))

    def skip(self, seconds: float) -> None:
        """Go so far on, or back if negative."""
        if not math.isfinite(seconds):
            raise ValueError(f"{seconds} seconds cannot be skipped; give a number")
        self._command("skip", float(seconds))

    def set_loop(self, start: float | None, end: float | None = None) -> None:
        """Repeat a part of the song: from `start` to `end`, or without an end with None."""
        if start is None or end is None:
            self._command("loop", None)
            return
        if _checked(end) - _checked(start) < SHORTEST_LOOP:
            raise ValueError(
                f"a loop from {start:g} to {end:g} s is too short; let it last {SHORTEST_LOOP} s or longer"
            )
        self._command("loop", (float(start), float(end)))

    def step(self, by: int) -> None:
        """Go to the next song with 1, to the one before with -1; or to a song's start if it has begun 3 s ago."""
        self._command("step", int(by))

    def play(self, song: int) -> None:
        """Go to a song by its number, from 0."""
        if not 0 <= song < max(1, len(self.songs)):
            raise ValueError(f"there is no song {song}; give 0 to {len(self.songs) - 1}")
        self._command("song", int(song))

    def _command(self, kind: str, value: Any) -> None:
        if not self.songs:
            raise LiveError("only songs can be paused, sought through and repeated; give a song as the input")
        self._ask((kind, value))


def _checked(seconds: float) -> float:
    if not 0 <= seconds < math.inf:
        raise ValueError(f"{seconds} seconds is no time in a song; give 0 or more")
    return float(seconds)
