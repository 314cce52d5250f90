"""One audio file being written, whatever its format."""

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

_SLICE = 16384  # frames in one call: libsndfile's Vorbis encoder keeps them on the stack, and crashes on millions


class Encoder(Protocol):
    """Writes interleaved samples (n, channels) into a file."""

    def write(self, data: np.ndarray) -> None: ...

    def close(self) -> None: ...


class _Sink(io.FileIO):
    """The file on disk; keeps why a write failed: libsndfile does not say, and as it closes it does not even tell."""

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
    """One audio file being written, in constant memory; a context manager. Made by `create_audio` and
    `create_video`.

    What is in the file is only certain after `close`: a full disk may show there, as OSError.

    Args:
        path: The file, replaced if it exists.
        sample_rate: Sample rate of the blocks, in Hz.
        num_channels: Number of channels of the blocks.
        sample_format: "int16", "int24", "float32" or "lossy".
        make_encoder: Makes what writes interleaved samples, or raises ValueError for what the file cannot hold.
        max_bytes: The most bytes of samples that the file can hold.

    Attributes:
        note: None, or one line about what the file cannot keep.
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
        self._bytes_left = max_bytes
        self._closed = False
        self._sink = _Sink(path)
        # libsndfile and FFmpeg write through callbacks into Python, where Ctrl-C would be lost; it comes to the main
        # thread only.
        self._worker = BackgroundWorker()
        self._encoder: Encoder | None = None

        def start() -> None:
            self._encoder = make_encoder(self._sink)

        try:
            self._call(start)
        except BaseException:
            with suppress(OSError, AudioError):  # the first error tells more
                self.close()
            raise

    def write(self, block: np.ndarray) -> None:
        """Append float samples (channels, n), full scale 1.0; raises OSError when the disk is full or failing."""
        if block.ndim != 2 or block.shape[0] != self.num_channels:
            raise ValueError(f"block has shape {block.shape}; give ({self.num_channels}, samples)")
        if self._bytes_left is not None:
            self._bytes_left -= block.size * SAMPLE_BYTES[self.sample_format]
            if self._bytes_left < 0:
                raise AudioError(f"{self.path}: {self.path.suffix} files hold at most 4 GiB; use .wav or .flac")
        assert self._encoder is not None
        for start in range(0, block.shape[1], _SLICE):
            samples = _quantized(block[:, start : start + _SLICE].T, self.sample_format)
            self._call(self._encoder.write, samples)

    def close(self) -> None:
        """Finish the file; raises OSError if it could not be written whole. Harmless when repeated."""
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
        """Call into the encoder; raise what the disk answered."""
        result, failure = None, None
        try:
            result = self._worker.call(function, *arguments)
        except (RuntimeError, AssertionError, OSError, ValueError) as error:
            import av
            import soundfile

            # The second: fewer samples were written than asked. FFmpeg's errors are of many kinds.
            if not isinstance(error, soundfile.LibsndfileError | AssertionError | av.FFmpegError):
                raise
            failure = error
        if (cause := self._sink.error) is not None:
            raise OSError(cause.errno, cause.strerror, str(self.path))
        if failure is not None:
            raise AudioError(f"{self.path}: could not be encoded ({failure}); try .wav") from None
        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.close()
        except (OSError, AudioError):
            if error is None:  # else the first error tells more
                raise


def _quantized(samples: np.ndarray, sample_format: str) -> np.ndarray:
    """Return samples (n, channels) as int16, as int32 with 24 bits at the top, or as float32.

    libsndfile's own conversion rounds down, and so would ours be one step off.
    """
    if sample_format not in ("int16", "int24"):
        return np.ascontiguousarray(samples, dtype=np.float32)
    bits = int(sample_format[3:])
    full = 2.0 ** (bits - 1)
    steps = np.clip(np.rint(np.nan_to_num(samples * np.float64(full))), -full, full - 1)
    return steps.astype(np.int16) if bits == 16 else steps.astype(np.int32) << 8
