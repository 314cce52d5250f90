"""Where the sound comes from and goes to, if not to a device or from songs: recordings, silence."""

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

BEHIND = 30.0  # seconds of sound that may wait for the disk
LOOK = 0.01  # seconds between checks whether the disk has caught up
FILES = ".wav", ".flac", ".mp3", ".ogg"  # the suffixes that make a name a file
FORMATS = {".wav": "float32", ".flac": "int24"}  # the finest each can hold


def numbered(path: Path) -> Iterator[Path]:
    """The path, then the same with 2, 3 ... behind its name.

    >>> [path.name for path in itertools.islice(numbered(Path("take.wav")), 3)]
    ['take.wav', 'take-2.wav', 'take-3.wav']
    """
    yield path
    for number in itertools.count(2):
        yield path.with_name(f"{path.stem}-{number}{path.suffix}")


class Source(Protocol):
    """Gives the next n samples, (channels, n) float32, or None while time stands still."""

    def read(self, n: int) -> NDArray[np.float32] | None: ...
    def close(self) -> None: ...


class Sink(Protocol):
    """Takes samples, (channels, n) float32. What goes wrong with them raises in a later call."""

    def write(self, block: NDArray[np.float32]) -> None: ...
    def close(self) -> None: ...


class Silence:
    """A source that never says anything."""

    def __init__(self, num_channels: int) -> None:
        self._num_channels = num_channels

    def read(self, n: int) -> NDArray[np.float32]:
        """Zeros."""
        return np.zeros((self._num_channels, n), np.float32)

    def close(self) -> None:
        """Nothing to do."""


class Nowhere:
    """A sink that forgets."""

    def write(self, block: NDArray[np.float32]) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


class NewFile:
    """A file that a thread writes while the sound goes on. It appears under its name, complete, when it is closed.

    If it cannot be written completely, what can be read of it is kept under another name, like "take (cut short).wav".

    Args:
        path: Its final path.
        part: Its path until it is closed.
        sample_rate: In Hz.
        num_channels: 1 or more.
        overwrite: Replace an existing file of that name; otherwise the new file gets a number.

    Attributes:
        recorded: Where the complete file is after `close`; None if no sound was written, as few formats can be empty.

    Raises:
        OSError: The file cannot be created.
        ValueError: This kind of file cannot hold such audio.
    """

    def __init__(self, path: str, part: str, sample_rate: int, num_channels: int, overwrite: bool) -> None:
        self._path, self._part, self._overwrite = Path(path), Path(part), overwrite
        self._sample_rate = sample_rate
        self.recorded: Path | None = None
        sample_format = FORMATS.get(self._path.suffix.lower(), "int16")
        try:
            self._writer = create_audio(self._part, sample_rate, num_channels, sample_format)
        except OSError as error:
            raise OSError(self._failure(error)) from error
        except ValueError as error:  # what this kind of file cannot hold
            raise ValueError(f"{self._path}: {self._reason(error)}") from error
        self._blocks: queue.SimpleQueue[NDArray[np.float32] | None] = queue.SimpleQueue()
        self._empty = True
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._write, name="recording", daemon=True)
        self._thread.start()

    def write(self, block: NDArray[np.float32]) -> None:
        """Hand over samples, (channels, n); wait if the disk is far behind.

        Raises OSError if earlier samples could not be written.
        """
        while self._error is None and self._blocks.qsize() * block.shape[-1] > BEHIND * self._sample_rate:
            time.sleep(LOOK)
        if self._error is not None:
            raise OSError(self._failure(self._error))
        self._empty = False
        self._blocks.put(block)

    def close(self) -> None:
        """Finish writing, and give the file its name.

        Raises:
            OSError: That failed; the message says where the part that was written is, if it can be read.
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
        """Give what can be read of an unfinished file a free name; return words about that."""
        if frames := self._readable_frames():
            seconds = frames / self._sample_rate
            name = self._path if self._error is None else self._path.with_stem(f"{self._path.stem} (cut short)")
            for place in name, self._part.with_name(name.name):  # the latter: where a link leads to, on the same disk
                with suppress(OSError):
                    return f"what was written is kept in {self._publish_beside(place)} ({seconds:.1f} s)"
        return "the recording was discarded"

    def _readable_frames(self) -> int:
        """How much sound the unfinished file holds; 0 if it cannot be read."""
        frames = 0
        with suppress(Exception):  # whatever a decoder raises
            with open_audio(self._part) as part:
                for block in part.blocks():
                    frames += block.shape[1]
                    os.utime(self._part)  # who waits for the file sees that work goes on
            if self._part.suffix == ".flac":
                _tell_flac_length(self._part, frames)
        return frames

    def _took(self, place: Path) -> bool:
        """Give the file this name, unless another has it."""
        if place.exists():
            return False
        try:
            os.link(self._part, final_path(place))  # never replaces another file
        except FileExistsError:
            return False
        except OSError:  # another disk, or one without links
            publish([self._part], [place])
        return True

    def _write(self) -> None:
        try:
            with self._writer:
                while (block := self._blocks.get()) is not None:
                    self._writer.write(block)
        except BaseException as error:  # of any kind, because the sound's thread must learn that this one has ended
            self._error = error

    def _failure(self, error: BaseException) -> str:
        return f"{self._path} cannot be written: {self._reason(error)}"

    def _reason(self, error: BaseException) -> str:
        if isinstance(error, OSError) and error.strerror:
            return f"{error.strerror}; make room, or choose another place"
        text = " ".join(str(error).split()).replace(str(self._part), str(self._path))
        if isinstance(error, ValueError):  # such as AudioError, whose text begins with the file's name
            return text.removeprefix(f"{self._path}: ")
        return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _tell_flac_length(path: Path, frames: int) -> None:
    """Write its length into a FLAC file whose encoder came to no end: many players take it from there."""
    with path.open("r+b") as file:
        file.seek(18)  # the length is in the lower 36 of these 64 bits
        (fields,) = struct.unpack(">Q", file.read(8))
        file.seek(18)
        file.write(struct.pack(">Q", fields >> 36 << 36 | frames))
