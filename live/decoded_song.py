"""A song that is decoded into a temporary file while it plays."""

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..audio import open_audio
from ..audio.reader import check_channels
from ..core.errors import LiveError

PIECES_PER_S = 4  # number of pieces in which a second of a song is decoded


class DecodedSong:
    """A song that is decoded piece by piece into a temporary file, from which any part can be read at once.

    One thread may call `decode` and `forget`, and another `read`.

    Args:
        path: The file.
        stream: Number of its audio stream, from 1; None for the default one.
        num_channels: Channels to read; mono songs are copied to all of them.
        rate: Sample rate at which the song will be played, in Hz.

    Attributes:
        path: The file.
        sample_rate: In Hz; 0 until the first piece is decoded.
        frames: Samples per channel that can be read now.
        complete: Whether decoding has ended.
        failure: Why the song, or a part of it, could not be decoded; else None.
        notes: Lines about the file that a user should see.
    """

    def __init__(self, path: str, stream: int | None, num_channels: int, rate: int) -> None:
        self.path, self._stream, self._num_channels, self._rate = path, stream, num_channels, rate
        self.notes: list[str] = []
        self.failure: Exception | None = None
        self._pieces: Iterator[None] | None = None
        self._expected: int | None = None
        self._file: Any = None
        self._moving = threading.Lock()  # of the file's position, where reading moves it
        self.forget()

    @property
    def length(self) -> float:
        """Number of samples of the whole song; an estimate until the song is decoded, NaN if there is no estimate."""
        if self.complete:
            return self.frames
        return float("nan") if self._expected is None else max(self._expected, self.frames)

    def decode(self) -> None:
        """Decode the next piece. An error ends decoding, and becomes the song's `failure`."""
        try:
            if self._pieces is None:
                self._pieces = self._decoded()
            next(self._pieces)
        except StopIteration:
            self.complete = True
        except Exception as error:  # whatever a decoder raises
            self.failure = error
            self.complete = True

    def read(self, start: int, n: int) -> NDArray[np.float32]:
        """Return samples of the song.

        Args:
            start: Number of the first sample.
            n: Number of samples.

        Returns:
            Samples, shape (channels, n); fewer at the end of the song or of its decoded part.
        """
        size = 4 * self._num_channels
        n = max(0, min(n, self.frames - start))
        file = self._file
        if file is None or not n:
            data = b""
        elif sys.platform == "win32":
            with self._moving:
                end = file.tell()
                file.seek(start * size)
                data = file.read(n * size)
                file.seek(end)
        else:
            data = os.pread(file.fileno(), n * size, start * size)
        return np.frombuffer(data, np.float32).reshape(-1, self._num_channels).T

    def forget(self) -> None:
        """Delete the decoded part. The next `decode` starts at the beginning."""
        if self._file is not None:
            self._file.close()
        self.sample_rate = self.frames = 0
        self.complete, self.failure = False, None
        self._expected = self._pieces = self._file = None

    def _decoded(self) -> Iterator[None]:
        """Decode the song, and yield after each piece."""
        with open_audio(self.path, self._stream) as song:
            check_channels(song.path, song.num_channels)
            if song.sample_rate != self._rate:
                import soxr  # noqa: F401  # now, so that the sound does not wait for it later
            if song.stream_note:
                self.notes.append(song.stream_note)
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the song is forgotten
            self._expected, self.sample_rate = song.num_frames, song.sample_rate
            for piece in song.blocks(max(1, song.sample_rate // PIECES_PER_S)):
                if song.num_channels != self._num_channels:
                    piece = piece.mean(axis=0, keepdims=True).repeat(self._num_channels, axis=0)
                self._keep(piece)
                yield
            if song.warning:
                self.notes.append(song.warning)
        if not self.frames:
            raise LiveError(f"{self.path} contains no audio; give another file")

    def _keep(self, piece: NDArray[np.float32]) -> None:
        try:
            with self._moving:
                self._file.write(np.ascontiguousarray(piece.T))
                self._file.flush()
        except OSError as error:
            raise OSError(
                f"{self.path}: the decoded sound does not fit into {tempfile.gettempdir()}: {error.strerror}; make "
                "room there, or name another folder in TMPDIR"
            ) from error
        self.frames += piece.shape[1]
