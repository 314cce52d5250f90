"""Live audio for the program that controls it: faders, meters and counts, while another process plays."""

import atexit
import multiprocessing
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..core.errors import LiveError
from ..core.log import report_safely, say
from ..core.processes import start_blocked
from ..presets.gains import Gains
from .faders import SharedFaders
from .process import play
from .settings import Input, checked_settings
from .shared_memory import MAX_BLOCK_TIMES, SharedMemory
from .songs import Command
from .transport import Transport

__all__ = ["Live"]

PROCESS_TIMEOUT_S = 10.0  # for the end of the other process


class Live(SharedFaders):
    """Live sound through the faders, between `start` and `close`, or in a `with` block.

    Faders move as in a StemProcessor, from any thread, so a MidiControl can move them too. Moves act from the next
    block on.

    Args:
        input: Name of a device or a part of it; None for the default device; an audio file or a playlist (.m3u, .m3u8,
            .pls), or a list of them, whose songs play one after another, again and again; or "none" for silence.
        output: A device as for `input`, "none", or a new file that ends in .wav, .flac, .mp3 or .ogg. The file appears
            when the sound has ended.
        stream: Number of the songs' audio stream, from 1; by default the one marked as default, else the first.
        overwrite: Replace an existing output file. If False, a number is added to the name of the new one instead.
        model: Name of a streaming model, or the path of an .onnx file.
        sample_rate: In Hz, 8000 to 192000; by default the song's, else 44100.
        block: Samples in a block, 16 to 16384. A device uses the nearest whole number of milliseconds.
        gains_db: Gains at the start, stem to dB, or a preset.
        preset: Gains that `gains_db` overrides stem by stem: a preset's name or path.
        seconds: How long to play; None for no end.
        driver: Driver of the devices, such as "jack".
        realtime: If False, play from files or silence to a file or "none" as fast as possible.
        report: Called with a line when a device disappears or returns, if a default was chosen from several audio
            streams, when one of several songs cannot be played, and with a failure of the sound if the `with` block
            raises another exception. Errors that it raises are ignored.

    Attributes:
        settings: The checked settings.
        stems: Names of the stems.
        transport: Controls the songs: pause, seek, loop, next song.

    Raises:
        LiveError: The input, the output or a setting cannot be used.
        ModelError: The model cannot be used.
        ValueError: A gain or a song cannot be used.
    """

    def __init__(
        self,
        input: Input = None,
        output: str | os.PathLike[str] | None = None,
        *,
        stream: int | None = None,
        overwrite: bool = False,
        model: str | os.PathLike[str] = "live",
        sample_rate: int | None = None,
        block: int = 256,
        gains_db: Gains | None = None,
        preset: str | os.PathLike[str] | None = None,
        seconds: float | None = None,
        driver: str | None = None,
        realtime: bool = True,
        report: Callable[[str], None] = say,
    ) -> None:
        self.settings = checked_settings(
            input,
            stream,
            output,
            overwrite,
            model,
            sample_rate,
            block,
            gains_db,
            preset,
            seconds,
            driver,
            realtime,
            lambda line: report_safely(report, line),
        )
        self.stems = tuple(self.settings.gains_db)
        self._report = report
        self._context = multiprocessing.get_context("spawn")
        self._memory = SharedMemory(self._context, len(self.stems))
        self._memory.wanted[0] = list(self.settings.gains_db.values())
        self.transport = Transport(self.settings.songs, self._memory, self._send)
        self._sending = threading.Lock()
        self._process: Any = None
        self._started, self._ready, self._ended = threading.Event(), threading.Event(), threading.Event()
        self._failure: Exception | None = None
        self._recorded: Path | None = None
        self._raised = self._gave_up = False

    def __repr__(self) -> str:
        state = "not started" if self._process is None else "ended" if self._ended.is_set() else "playing"
        sources = self.settings.songs or (self.settings.input or "the default device",)
        return f"Live({', '.join(map(repr, sources))}, {self.settings.sample_rate} Hz, {state})"

    # Start and end.

    def start(self) -> None:
        """Start to play.

        Raises:
            LiveError: That fails.
        """
        if self._process is not None:
            raise LiveError("this Live was started already; make another one")
        self._pipe, theirs = self._context.Pipe()
        self._process = self._context.Process(target=play, args=(self.settings, self._memory, theirs), daemon=True)
        # In a thread, which no signal can interrupt halfway.
        self._listener = threading.Thread(target=self._start_and_listen, args=(theirs,), name="live", daemon=True)
        atexit.register(self._end)
        try:
            self._listener.start()
            self._ready.wait()
        except BaseException:
            self._end()
            raise
        if self._failure is not None:
            self.close()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end of the sound.

        Args:
            seconds: How long at most; None for no limit.

        Returns:
            Whether the sound has ended.
        """
        return self._ended.wait(seconds)

    def close(self) -> None:
        """End the sound, and finish the file.

        Raises:
            LiveError: The sound failed earlier, and that was not raised yet.
            RuntimeError: The same, if the reason is a bug.
        """
        self._end()
        if self._failure is not None and not self._raised:
            self._raised = True
            raise self._failure

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._end()
            if self._failure is not None and not self._raised:
                report_safely(self._report, str(self._failure))  # an exception is already being raised

    def _end(self) -> None:
        if self._process is None:
            return
        atexit.unregister(self._end)
        self._send(None)
        self._started.wait(PROCESS_TIMEOUT_S)
        if self._process.pid is not None:
            progress = None
            while self._process.exitcode is None and progress != (progress := self._file_progress()):
                self._process.join(PROCESS_TIMEOUT_S)  # and once more if the file is still being written or checked
            if self._process.exitcode is None:
                self._gave_up = True
                self._process.kill()
                self._process.join()
            self._listener.join(PROCESS_TIMEOUT_S)
        if self.settings.part:
            Path(self.settings.part).unlink(missing_ok=True)  # of a process that was killed

    def _send(self, command: Command | None) -> None:
        """Send a command for the songs; None ends the sound."""
        if self._process is None:
            raise LiveError("nothing plays before the start; use `with`, or start()")
        with self._sending, suppress(OSError):  # it has ended by itself
            self._pipe.send(command)

    def _file_progress(self) -> tuple[int, int]:
        """Return size and time of the new file, which change as long as it is being written or checked."""
        with suppress(OSError):
            part = os.stat(self.settings.part)
            return part.st_size, part.st_mtime_ns
        return 0, 0

    def _start_and_listen(self, theirs: Connection) -> None:
        try:
            # It ends when this process says so, or is gone.
            start_blocked(self._process, "SIGINT", "SIGTERM", "SIGHUP")
        except Exception as error:  # of any kind, because `start` waits for the result
            reason: object = error
            if getattr(multiprocessing.current_process(), "_inheriting", False):
                # This process is being started itself, and has imported the user's script.
                reason = 'start it under `if __name__ == "__main__":`, because this file is imported again'
            self._failure = LiveError(f"the process that plays cannot be started: {reason}")
            self._failure.__cause__ = error
            self._ready.set()
            self._ended.set()
            return
        finally:
            theirs.close()
            self._started.set()
        self._listen()

    def _listen(self) -> None:
        """Handle the other process's messages until it ends."""
        kind = ""
        while kind not in ("ended", "failed", "broken"):
            try:
                kind, value = self._pipe.recv()
            except Exception:  # of any kind, because otherwise callers would wait for ever
                kind, value = self._death()
            if kind == "report":
                report_safely(self._report, value)
            elif kind == "recorded":
                self._recorded = value
            elif kind in ("failed", "broken"):
                line = f"{value}; {self._recorded} has everything played until then" if self._recorded else value
                self._failure = LiveError(line) if kind == "failed" else RuntimeError(line)
            self._ready.set()
        self._ended.set()

    def _death(self) -> tuple[str, str]:
        """Return the last message in place of a process that ended without one."""
        self._process.join(PROCESS_TIMEOUT_S)
        code = self._process.exitcode or 0
        if code < 0 and not self._gave_up:
            lost = ", and the recording is lost" if self.settings.part and not self._recorded else ""
            remedy = "play again, and close other programs if memory was short"
            return "failed", f"the process that plays was killed by signal {-code}{lost}; {remedy}"
        script = '; a script that starts it needs `if __name__ == "__main__":`'
        return "broken", f"the process that plays has died{'' if self._ready.is_set() else script}"

    # Meters.

    @property
    def position(self) -> int:
        """The output sample at which moves made now will begin to act."""
        return int(self._memory.counts[0])

    @property
    def blocks(self) -> int:
        """Number of blocks played."""
        return int(self._memory.counts[1])

    @property
    def misses(self) -> int:
        """Number of late blocks: the next block had arrived before they were done, or the device's buffer was empty."""
        return int(self._memory.counts[2])

    @property
    def recorded(self) -> Path | None:
        """Path of the new file after the end; None if no file was written."""
        return self._recorded

    @property
    def latency_samples(self) -> int:
        """Samples by which the output is later than the input; 0 before the start."""
        return int(self._memory.counts[3])

    @property
    def load(self) -> float:
        """Share of one processor core that the work takes, 1 for a whole core."""
        return self._memory.load

    @property
    def levels(self) -> dict[str, tuple[float, float]]:
        """Stem to peak and RMS after its fader, in dBFS. They fall like a peak meter and a VU meter."""
        with np.errstate(divide="ignore"):
            peaks = 20 * np.log10(self._memory.levels[0, :-1])
            powers = 10 * np.log10(self._memory.levels[1, :-1])
        return {s: (float(p), float(r)) for s, p, r in zip(self.stems, peaks, powers, strict=True)}

    @property
    def mix_level(self) -> tuple[float, float]:
        """Peak and RMS of the output in dBFS, as in `levels`."""
        with np.errstate(divide="ignore"):
            peak, power = self._memory.levels[:, -1]
            return float(20 * np.log10(peak)), float(10 * np.log10(power))

    @property
    def clipped(self) -> int:
        """Number of samples above full scale so far."""
        return int(self._memory.counts[4])

    @property
    def block_seconds(self) -> NDArray[np.float32]:
        """How long the work on each block took, in seconds, for the last million blocks."""
        return self._memory.seconds[: min(self.blocks, MAX_BLOCK_TIMES)].copy()
