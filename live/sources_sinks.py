"""Sources and sinks of sound other than devices and songs: silence, and new files."""

import itertools
import os
import queue
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..audio import create_audio, open_audio
from ..core.atomic import final_path, publish
from ..core.errors import LiveError, error_text, one_line

MAX_BUFFERED_S = 30.0  # sound that may wait for the disk
POLL_INTERVAL_S = 0.01  # between checks whether the disk has caught up
SUFFIXES = ".wav", ".flac", ".mp3", ".ogg"  # an output with one of these is a file
SAMPLE_FORMATS = {".wav": "float32", ".flac": "int24"}  # the finest that each can hold


def numbered(path: Path) -> Iterator[Path]:
    """Yield a path, then the same path with -2, -3 ... added to its name.

    Args:
        path: Path of a file.

    >>> [path.name for path in itertools.islice(numbered(Path("take.wav")), 3)]
    ['take.wav', 'take-2.wav', 'take-3.wav']
    """
    yield path
    for number in itertools.count(2):
        yield path.with_name(f"{path.stem}-{number}{path.suffix}")


class Source(Protocol):
    """A source of sound."""

    def read(self, n: int) -> NDArray[np.float32] | None:
        """Return the next n samples, shape (channels, n), or None while nothing plays."""

    def close(self) -> None:
        """Close the file or device."""


class Sink(Protocol):
    """A sink of sound."""

    def write(self, block: NDArray[np.float32]) -> None:
        """Take samples, shape (channels, n). An error may be raised by a later call."""

    def close(self) -> None:
        """Close the file or device."""


class Silence:
    """A silent source.

    Args:
        num_channels: 1 or 2.
    """

    def __init__(self, num_channels: int) -> None:
        self._num_channels = num_channels

    def read(self, n: int) -> NDArray[np.float32]:
        """Return zeros.

        Args:
            n: Number of samples.

        Returns:
            Zeros, shape (channels, n).
        """
        return np.zeros((self._num_channels, n), np.float32)

    def close(self) -> None:
        """Do nothing."""


class Discard:
    """A sink that discards all sound."""

    def write(self, block: NDArray[np.float32]) -> None:
        """Do nothing.

        Args:
            block: Samples, shape (channels, n).
        """

    def close(self) -> None:
        """Do nothing."""


class NewFile:
    """A file that a thread writes while the sound goes on. It appears under its name, complete, when it is closed.

    If it cannot be written completely, its readable part is kept under another name, like "take (cut short).wav".

    Args:
        path: Its final path.
        part: Its path until it is closed.
        sample_rate: In Hz.
        num_channels: 1 or more.
        overwrite: Replace an existing file of that name; otherwise the new file gets a number.

    Attributes:
        recorded: Path of the complete file after `close`; None if no sound was written, because few formats can be
            empty.

    Raises:
        OSError: The file cannot be created.
        ValueError: This kind of file cannot hold such audio.
    """

    def __init__(self, path: str, part: str, sample_rate: int, num_channels: int, overwrite: bool) -> None:
        self._path, self._part, self._overwrite = Path(path), Path(part), overwrite
        self._sample_rate = sample_rate
        self.recorded: Path | None = None
        sample_format = SAMPLE_FORMATS.get(self._path.suffix.lower(), "int16")
        try:
            self._writer = create_audio(self._part, sample_rate, num_channels, sample_format)
        except OSError as error:
            raise OSError(self._failure(error)) from error
        except ValueError as error:  # this kind of file cannot hold such audio
            raise LiveError(f"{self._path}: {self._reason(error)}") from error
        self._blocks: queue.SimpleQueue[NDArray[np.float32] | None] = queue.SimpleQueue()
        self._empty = True
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._write, name="recording", daemon=True)
        self._thread.start()

    def write(self, block: NDArray[np.float32]) -> None:
        """Hand over samples; wait if the disk is far behind.

        Args:
            block: Samples, shape (channels, n).

        Raises:
            OSError: Earlier samples could not be written.
        """
        while self._error is None and self._blocks.qsize() * block.shape[-1] > MAX_BUFFERED_S * self._sample_rate:
            time.sleep(POLL_INTERVAL_S)
        if self._error is not None:
            raise OSError(self._failure(self._error))
        self._empty = False
        self._blocks.put(block)

    def close(self) -> None:
        """Finish writing, and give the file its name.

        Raises:
            OSError: That failed. If the written part can be read, the message has its path.
        """
        self._blocks.put(None)
        self._thread.join()
        try:
            if self._error is not None:
                raise self._error
            if not self._empty:
                self.recorded = self._publish()
        except BaseException as error:
            raise OSError(f"{self._failure(error)}; {self._rescue()}") from error
        finally:
            self._part.unlink(missing_ok=True)

    def _publish(self) -> Path:
        """Give the file its name, or the first free one like it; return it."""
        if self._overwrite:
            publish([self._part], [self._path])
            return self._path
        return self._publish_beside(self._path)

    def _publish_beside(self, path: Path) -> Path:
        """Give the file the first free name like `path`; return it."""
        return next(place for place in numbered(path) if self._took(place))

    def _rescue(self) -> str:
        """Give the readable part of an unfinished file a free name; return words about that."""
        if frames := self._readable_frames():
            seconds = frames / self._sample_rate
            name = self._path if self._error is None else self._path.with_stem(f"{self._path.stem} (cut short)")
            # The second place is on the same disk even if `name` is a link.
            for place in (name, self._part.with_name(name.name)):
                with suppress(OSError):
                    return f"the written part is kept in {self._publish_beside(place)} ({seconds:.1f} s)"
        return "the recording was discarded"

    def _readable_frames(self) -> int:
        """Return the number of readable samples in the unfinished file, 0 if it cannot be read."""
        frames = 0
        with suppress(Exception):  # decoders raise many kinds of errors
            with open_audio(self._part) as part:
                for block in part.blocks():
                    frames += block.shape[1]
                    os.utime(self._part)  # shows the waiting process that work goes on
            if self._part.suffix == ".flac":
                _tell_flac_length(self._part, frames)
        return frames

    def _took(self, place: Path) -> bool:
        """Give the file this name, unless another file has it; return whether it got the name."""
        if place.exists():
            return False
        try:
            os.link(self._part, final_path(place))  # never replaces another file
        except FileExistsError:
            return False
        except OSError:  # another disk, or a disk without links
            publish([self._part], [place])
        return True

    def _write(self) -> None:
        try:
            with self._writer:
                while (block := self._blocks.get()) is not None:
                    self._writer.write(block)
        except BaseException as error:  # of any kind, because the thread that plays must learn of it
            self._error = error

    def _failure(self, error: BaseException) -> str:
        return f"{self._path} cannot be written: {self._reason(error)}"

    def _reason(self, error: BaseException) -> str:
        if isinstance(error, OSError) and error.strerror:
            return f"{error.strerror}; make room, or choose another place"
        if isinstance(error, ValueError):  # such as AudioError, whose text begins with the file's name
            text = one_line(error).replace(str(self._part), str(self._path))
            return text.removeprefix(str(self._path)).removeprefix(":").lstrip()
        return error_text(error).replace(str(self._part), str(self._path))


def _tell_flac_length(path: Path, frames: int) -> None:
    """Write the length into a FLAC file whose encoder did not finish, because many players need it."""
    with path.open("r+b") as file:
        file.seek(18)  # the length is in the lower 36 of these 64 bits
        (fields,) = struct.unpack(">Q", file.read(8))
        file.seek(18)
        file.write(struct.pack(">Q", fields >> 36 << 36 | frames))
