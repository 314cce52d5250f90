"""Control of the songs that play: pause, seek, loop, and the next song."""

import math
from collections.abc import Callable
from typing import Any

from ..core.errors import LiveError
from .shared_memory import SharedMemory
from .songs import MIN_LOOP_S, Command


class Transport:
    """Moves through the songs that a Live plays. All times are seconds in the song.

    Its methods return at once. They act a few blocks later, and then the properties change too. They raise LiveError if
    the input is not a song.

    Args:
        songs: Paths; empty if the input is not a song.
        memory: Shared with the process that plays, which writes its position there.
        send: Sends a command to that process.

    Attributes:
        songs: Paths of the songs.
    """

    def __init__(self, songs: tuple[str, ...], memory: SharedMemory, send: Callable[[Command], None]) -> None:
        self.songs, self._memory, self._send = songs, memory, send
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
        """Pause, or resume. Nothing is recorded during a pause.

        Args:
            on: Whether to pause.
        """
        self._command("pause", bool(on))
        self._paused = bool(on)

    def seek(self, seconds: float) -> None:
        """Go to a time in the song.

        Args:
            seconds: 0 or more.

        Raises:
            ValueError: The time is negative or not finite.
        """
        self._command("seek", _checked(seconds))

    def skip(self, seconds: float) -> None:
        """Go ahead in the song, or back.

        Args:
            seconds: How far; back if negative.

        Raises:
            ValueError: The time is not finite.
        """
        if not math.isfinite(seconds):
            raise LiveError(f"{seconds} seconds cannot be skipped; give a finite number")
        self._command("skip", float(seconds))

    def set_loop(self, start: float | None, end: float | None = None) -> None:
        """Repeat a part of the song, or stop repeating.

        Args:
            start: Start of the loop; None ends the loop.
            end: End of the loop.

        Raises:
            ValueError: A time is negative or not finite, or the loop is shorter than 0.1 s.
        """
        if start is None or end is None:
            self._command("loop", None)
            return
        if _checked(end) - _checked(start) < MIN_LOOP_S:
            raise LiveError(f"a loop from {start:g} to {end:g} s is too short; let it last {MIN_LOOP_S} s or longer")
        self._command("loop", (float(start), float(end)))

    def step(self, by: int) -> None:
        """Go to another song.

        Args:
            by: 1 for the next song. -1 for the previous one or, if this song has played for 3 s, for its start.
        """
        self._command("step", int(by))

    def play(self, song: int) -> None:
        """Go to a song.

        Args:
            song: Its number, from 0.

        Raises:
            ValueError: No song has this number.
        """
        if not 0 <= song < max(1, len(self.songs)):
            raise LiveError(f"song {song} does not exist; give 0 to {len(self.songs) - 1}")
        self._command("song", int(song))

    def _command(self, kind: str, value: Any) -> None:
        if not self.songs:
            raise LiveError("only songs can be paused, repeated and skipped; give a song as the input")
        self._send((kind, value))


def _checked(seconds: float) -> float:
    if not 0 <= seconds < math.inf:
        raise LiveError(f"{seconds} seconds is not a time in a song; give 0 or more")
    return float(seconds)
