"""Write audio files of all formats."""

import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self

import numpy as np

from ..core.background import BackgroundWorker
from ..core.errors import AudioError
from .containers import SAMPLE_BYTES

_SLICE_FRAMES = 16384  # in one call: libsndfile's Vorbis encoder keeps them on the stack, and millions make it crash


class Encoder(Protocol):
    """Writes interleaved samples into a file."""

    def write(self, data: np.ndarray) -> None:
        """Append samples, (n, channels)."""

    def close(self) -> None:
        """Finish the file."""


class _Sink(io.FileIO):
    """The file on disk. It keeps the error of a failed write, because libsndfile does not report the reason."""

    error: OSError | None = None

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")

    def write(self, data: Any) -> int:
        done = 0
        try:
            while done < len(data):
                done += super().write(memoryview(data)[done:])
        except OSError as error:
            self.error = self.error or error
        return done


class AudioWriter:
    """Writes an audio file in constant memory; a context manager. `create_audio` and `create_video` make it.

    The file is complete only after `close`, which may still raise OSError if the disk is full.

    Args:
        path: The file. An older one is replaced.
        sample_rate: Sample rate of the blocks, in Hz.
        num_channels: Number of channels of the blocks.
        sample_format: "int16", "int24", "float32" or "lossy".
        make_encoder: Makes the encoder for the open file.
        max_bytes: Highest number of bytes of samples that the file can hold; None if there is no limit.

    Attributes:
        note: One line about anything that the file cannot keep, or None.

    Raises:
        AudioError: The encoder does not accept the format.
        OSError: The file cannot be created.
    """

    note: str | None = None

    def __init__(
        self,
        path: Path,
        sample_rate: int,
        num_channels: int,
        sample_format: str,
        make_encoder: Callable[[BinaryIO], Encoder],
        max_bytes: int | None = None,
    ) -> None:
        self.path = path
        self.sample_rate = sample_rate
        self.num_channels = num_channels
        self.sample_format = sample_format
        self._bytes_remaining = max_bytes
        self._closed = False
        self._sink = _Sink(path)
        # libsndfile and FFmpeg write through callbacks into Python, where a Ctrl-C would be lost. It reaches only the
        # main thread, so they run in another one.
        self._worker = BackgroundWorker()
        self._encoder: Encoder | None = None

        def start() -> None:
            self._encoder = make_encoder(self._sink)

        try:
            self._call(start)
        except BaseException:
            with suppress(OSError, AudioError):  # the first error says more
                self.close()
            raise

    def write(self, block: np.ndarray) -> None:
        """Append a block.

        Args:
            block: Float samples, (channels, n), full scale 1.0.

        Raises:
            OSError: The disk is full or failing.
            AudioError: The file would become too long, or the encoder failed.
            ValueError: The block has another number of channels.
        """
        if block.ndim != 2 or block.shape[0] != self.num_channels:
            raise AudioError(f"block has shape {block.shape}; give ({self.num_channels}, samples)")
        if self._bytes_remaining is not None:
            self._bytes_remaining -= block.size * SAMPLE_BYTES[self.sample_format]
            if self._bytes_remaining < 0:
                raise AudioError(f"{self.path}: {self.path.suffix} files can hold at most 4 GiB; use .wav or .flac")
        assert self._encoder is not None
        for start in range(0, block.shape[1], _SLICE_FRAMES):
            samples = _quantized(block[:, start : start + _SLICE_FRAMES].T, self.sample_format)
            self._call(self._encoder.write, samples)

    def close(self) -> None:
        """Finish the file; harmless when repeated.

        Raises:
            OSError: The file could not be written completely.
            AudioError: The encoder failed.
        """
        if self._closed:
            return
        self._closed = True
        try:
            if self._encoder is not None:
                self._call(self._encoder.close)
        finally:
            self._worker.close()
            self._sink.close()

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function of the encoder. If the disk failed, raise its OSError."""
        result, failure = None, None
        try:
            result = self._worker.call(function, *arguments)
        except (RuntimeError, AssertionError, OSError, ValueError) as error:
            import av
            import soundfile

            # soundfile raises AssertionError if it wrote fewer samples than asked. FFmpeg has many types of errors.
            if not isinstance(error, soundfile.LibsndfileError | AssertionError | av.FFmpegError):
                raise
            failure = error
        if (cause := self._sink.error) is not None:
            raise OSError(cause.errno, cause.strerror, str(self.path))
        if failure is not None:
            raise AudioError(f"{self.path} could not be encoded ({failure}); try .wav") from None
        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.close()
        except (OSError, AudioError):
            if error is None:  # otherwise the first error says more
                raise


def _quantized(samples: np.ndarray, sample_format: str) -> np.ndarray:
    """Return samples, (n, channels), as int16, as int32 with 24 bits at the top, or as float32.

    libsndfile's own conversion is not used, because it rounds down.
    """
    if sample_format not in ("int16", "int24"):
        return np.ascontiguousarray(samples, dtype=np.float32)
    bits = int(sample_format[3:])
    full = 2.0 ** (bits - 1)
    steps = np.clip(np.rint(np.nan_to_num(samples * np.float64(full))), -full, full - 1)
    return steps.astype(np.int16) if bits == 16 else steps.astype(np.int32) << 8
