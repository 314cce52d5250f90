"""Control of the songs that play: pause, seek, loop, and the next song."""

import math
from collections.abc import Callable
from typing import Any

from ..core.errors import LiveError
from .shared_memory import SharedMemory
from .songs import SHORTEST_LOOP, Command


class Transport:
    """Moves through the songs that a Live plays; all times are seconds of the song.

    Its methods return at once. Their effect is heard from one of the next blocks on, and the properties follow then.
    They raise LiveError, in one line, if no song plays, and ValueError for impossible times.

    Args:
        songs: Paths; empty if the sound comes from elsewhere.
        memory: Shared with the process that plays, which writes its position there.
        ask: Sends that process a command.
    """

    def __init__(self, songs: tuple[str, ...], memory: SharedMemory, ask: Callable[[Command], None]) -> None:
        self.songs, self._memory, self._ask = songs, memory, ask
        self._paused = False

    @property
    def paused(self) -> bool:
        """Whether the last call of `pause` paused the songs."""
        return self._paused

    @property
    def song(self) -> int:
        """Number of the song that plays, from 0."""
        return int(self._memory.transport[0])

    @property
    def position(self) -> float:
        """The time in the song that is heard now."""
        return float(self._memory.transport[1])

    @property
    def length(self) -> float | None:
        """Length of the song; an estimate until the song is decoded, None if there is no estimate."""
        length = float(self._memory.transport[2])
        return None if math.isnan(length) else length

    @property
    def loop(self) -> tuple[float, float] | None:
        """Start and end of the loop, or None."""
        start, end = map(float, self._memory.transport[3:5])
        return None if math.isnan(start) else (start, end)

    def pause(self, on: bool = True) -> None:
        """Pause, or go on with `on=False`. Nothing is recorded during a pause."""
        self._command("pause", bool(on))
        self._paused = bool(on)

    def seek(self, seconds: float) -> None:
        """Go to a time in the song."""
        self._command("seek", _checked(seconds))

    def skip(self, seconds: float) -> None:
        """Go forward by this time, or back if it is negative."""
        if not math.isfinite(seconds):
            raise ValueError(f"{seconds} seconds cannot be skipped; give a number")
        self._command("skip", float(seconds))

    def set_loop(self, start: float | None, end: float | None = None) -> None:
        """Repeat the part of the song from `start` to `end`; None ends the loop."""
        if start is None or end is None:
            self._command("loop", None)
            return
        if _checked(end) - _checked(start) < SHORTEST_LOOP:
            raise ValueError(
                f"a loop from {start:g} to {end:g} s is too short; let it last {SHORTEST_LOOP} s or longer"
            )
        self._command("loop", (float(start), float(end)))

    def step(self, by: int) -> None:
        """Go to the next song with 1. With -1 go to the song before, or to the start of one that has played for 3 s."""
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
