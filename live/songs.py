"""Songs as a source of sound: one after another, with jumps, pauses and loops without clicks."""

import math
import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..engine.fifo import Fifo
from .decoded_song import DecodedSong

if TYPE_CHECKING:
    from .settings import Settings
    from .shared_memory import SharedMemory

FADE_S = 0.02  # length of the fades at jumps
DECODING_SHARE = 0.25  # of a processor core, for decoding ahead
RESTART_AFTER_S = 3.0  # later in a song, "previous song" goes to its start
MIN_LOOP_S = 0.1

Command = tuple[str, Any]


class Loop(NamedTuple):
    """A loop in a song.

    Attributes:
        start: First sample of the loop.
        end: The sample after the last one.
    """

    start: int
    end: int


class SongPlayer:
    """A source that plays songs one after another, and again from the first.

    A thread decodes the song that plays, and then the next one. Commands act at the next `read`. At jumps the sound
    fades out and in, and loops are cross-faded, so that nothing clicks. There are no fades between songs, or at the
    start of a song. While songs are paused or not decoded so far, `read` returns None.

    Args:
        settings: The songs, their stream, and the sample rate and channels to play them with.
        memory: Receives the position in the songs.
        latency: Samples by which the audible sound is later than `read`.
        commands: Commands of `Transport`.
        report: Called with a line when a song cannot be played, or is damaged.
    """

    def __init__(
        self,
        settings: "Settings",
        memory: "SharedMemory",
        latency: int,
        commands: "queue.SimpleQueue[Command]",
        report: Callable[[str], None],
    ) -> None:
        self._songs = [
            DecodedSong(path, settings.stream, settings.num_channels, settings.sample_rate) for path in settings.songs
        ]
        self._rate, self._num_channels, self._latency = settings.sample_rate, settings.num_channels, latency
        self._memory, self._commands, self._report = memory, commands, report
        self._fifo = Fifo((settings.num_channels,))  # at the output's rate
        self._resampler: Any = None  # if the song that plays has another rate
        self._resampled_rate = self._rate
        self._number = self._failures = 0  # number of the song that plays; number of successive songs that failed
        self._paused, self._waiting = False, True  # the latter: for the decoder
        self._loop: Loop | None = None
        self._lock = threading.Lock()  # held while the song changes, or files are closed
        self._work, self._closed = threading.Event(), False
        self._go_to(0, 0)
        self._thread = threading.Thread(target=self._decode, name="songs", daemon=True)
        self._thread.start()

    def read(self, n: int) -> NDArray[np.float32] | None:
        """Return the next samples.

        Args:
            n: How many.

        Returns:
            Samples, shape (channels, n); None while songs are paused or not decoded so far.

        Raises:
            ValueError: The song, or all songs of a list, cannot be played.
            OSError: The same, if files cannot be read or written.
        """
        while not self._commands.empty() and (self._song.sample_rate or self._song.complete):
            self._obey(*self._commands.get())
        while len(self._fifo) < n and not self._paused:
            if (piece := self._next(n - len(self._fifo))) is None:
                break
            self._sounding = True
            self._fifo.push(self._resampled(piece))
        if self._paused and len(self._fifo):
            self._fifo.push_zeros(max(0, n - len(self._fifo)))
        self._waiting = len(self._fifo) < n and not self._paused
        self._tell()
        if len(self._fifo) < n:
            return None
        block = self._fifo.peek(n).copy()
        self._fifo.drop(n)
        return block

    def close(self) -> None:
        """Stop decoding, and delete the decoded songs."""
        self._closed = True
        self._work.set()
        self._thread.join()
        for song in self._songs:
            song.forget()

    @property
    def _song(self) -> DecodedSong:
        return self._songs[self._number]

    @property
    def _position(self) -> float:
        """The sample of the song that will be heard next."""
        behind = (len(self._fifo) + self._latency) * self._song.sample_rate / self._rate if self._sounding else 0
        return max(self._from, self._at - behind)

    # Commands and the next sound.

    def _obey(self, kind: str, value: Any) -> None:
        rate = self._song.sample_rate
        if kind == "pause" and value != self._paused:
            self._fade_out()
            if value:
                self._fifo.push_zeros(self._latency)  # so that all earlier sound is heard
            self._paused = value
        elif kind == "seek":
            self._jump(self._number, value * rate)
        elif kind == "skip":
            self._jump(self._number, self._position + value * rate)
        elif kind == "loop":
            self._loop = None if value is None else Loop(*(round(second * rate) for second in value))
            if self._loop is not None and not self._loop.start <= self._at < self._loop.end:
                self._jump(self._number, self._loop.start)
        elif kind == "step":
            again = value < 0 and self._position > RESTART_AFTER_S * rate
            self._jump((self._number + (0 if again else value)) % len(self._songs), 0)
        elif kind == "song":
            self._jump(value, 0)

    def _jump(self, number: int, at: float) -> None:
        self._fade_out()
        self._go_to(number, max(0, round(at)))

    def _go_to(self, number: int, at: int) -> None:
        if number != self._number:
            self._loop = None
        with self._lock:
            self._number = number
        self._at = self._from = at
        self._begin(softly=at > 0)
        self._sounding = False
        self._work.set()

    def _begin(self, softly: bool, tail: NDArray[np.float32] | None = None) -> None:
        """Begin a stretch of sound, with a fade-in if `softly`. `tail` is the fade-out of another, (channels, n)."""
        self._age = 0 if softly else None  # samples since it began; None once it has its full level
        self._tail = np.zeros((self._num_channels, 0), np.float32) if tail is None else tail

    def _next(self, n: int) -> NDArray[np.float32] | None:
        """Return up to n samples more, (channels, m), at the song's rate; None if they are not decoded yet."""
        if self._song.complete and self._at >= self._song.frames:
            self._finish()
        song, loop = self._song, self._loop
        readable = song.frames if song.complete else song.frames - self._fade  # the rest is for a fade-out
        stop = min(self._at + n, readable)
        if loop is not None and self._at < loop.end:
            stop = min(stop, loop.end)
        if stop <= self._at:
            return None
        piece = self._shaped(song.read(self._at, stop - self._at))
        self._at, self._failures = stop, 0
        if loop is not None and stop == loop.end:
            self._repeat(loop)
        return piece

    def _finish(self) -> None:
        """Continue after the end of a song."""
        song, loop = self._song, self._loop
        if song.failure is not None:
            self._failures += 1
            if self._failures >= len(self._songs):
                raise song.failure
            self._report(f"{song.failure}; the next song plays instead")
        if loop is not None and loop.start < song.frames and self._from < loop.end:
            self._repeat(loop)
        else:
            sounding = self._sounding
            self._go_to((self._number + 1) % len(self._songs), 0)
            self._sounding = sounding

    def _repeat(self, loop: Loop) -> None:
        """Cross-fade from the end of a loop to its start."""
        self._begin(softly=True, tail=_falling(self._song.read(self._at, self._fade)))
        self._at = self._from = loop.start

    @property
    def _fade(self) -> int:
        return max(1, round(FADE_S * self._song.sample_rate))

    def _shaped(self, piece: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a piece with its fade-in after a jump, and with the fade-out of earlier sound."""
        n = piece.shape[1]
        if self._age is not None:
            piece = piece * np.minimum(1, np.arange(self._age + 1, self._age + n + 1, dtype=np.float32) / self._fade)
            self._age = self._age + n if self._age + n < self._fade else None
        if self._tail.shape[1]:
            piece = piece.copy()
            piece[:, : self._tail.shape[1]] += self._tail[:, :n]
            self._tail = self._tail[:, n:]
        return piece

    def _fade_out(self) -> None:
        """Fade out the sound, and let the next sound fade in."""
        if self._sounding:
            self._fifo.push(self._resampled(_falling(self._shaped(self._song.read(self._at, self._fade)))))
            self._end_resampling()
            self._begin(softly=True)
            self._sounding = False

    # Rates.

    def _resampled(self, piece: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a piece of the song, (channels, n), at the output's rate."""
        rate = self._song.sample_rate
        if rate != self._resampled_rate:
            self._end_resampling()
            if rate != self._rate:
                import soxr

                self._resampler = soxr.ResampleStream(rate, self._rate, self._num_channels, dtype="float32")
                self._resampled_rate = rate
        return piece if self._resampler is None else self._resampler.resample_chunk(piece.T).T

    def _end_resampling(self) -> None:
        """Put the last samples of the resampler into the fifo."""
        if self._resampler is not None:
            nothing = np.zeros((0, self._num_channels), np.float32)
            self._fifo.push(self._resampler.resample_chunk(nothing, last=True).T)
        self._resampler, self._resampled_rate = None, self._rate

    # The other threads.

    def _tell(self) -> None:
        rate = self._song.sample_rate or self._rate
        loop = self._loop or (math.nan, math.nan)
        self._memory.transport[:] = self._number, *(np.array([self._position, self._song.length, *loop]) / rate)

    def _decode(self) -> None:
        began: list[DecodedSong] = []
        while not self._closed:
            with self._lock:
                wanted = [self._songs[(self._number + k) % len(self._songs)] for k in (0, 1)]
                for song in began:
                    if song not in wanted:
                        song.forget()
            began = wanted
            self._work.clear()
            incomplete = [song for song in wanted if not song.complete]
            if not incomplete:
                self._work.wait()
                continue
            song, start = incomplete[0], time.perf_counter()
            song.decode()
            while song.notes:
                self._report(song.notes.pop(0))
            if not self._waiting:
                self._work.wait((time.perf_counter() - start) * (1 / DECODING_SHARE - 1))


def _falling(piece: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a piece that fades out, (channels, n)."""
    n = piece.shape[1]
    fall: NDArray[np.float32] = 1 - np.arange(1, n + 1, dtype=np.float32) / max(1, n)
    return piece * fall
