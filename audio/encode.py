"""Streams of float32 blocks into audio files."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

import numpy as np

from ..core.errors import AudioError

_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_SLICE = 16384  # frames in one call: libsndfile's Vorbis encoder keeps them on the stack, and crashes on millions


class _Container(NamedTuple):
    """What a kind of file can hold."""

    sample_formats: tuple[str, ...]  # none: it is lossy
    max_channels: int
    sample_rates: range | tuple[int, ...]
    rates_text: str
    sndfile: dict[str, Any]  # how libsndfile makes it


_CONTAINERS = {
    ".wav": _Container(("int16", "int24", "float32"), 65535, range(1, 2**31), "any", {}),
    ".flac": _Container(("int16", "int24"), 8, range(1, 655351), "1 to 655350 Hz", {"format": "FLAC"}),
    # Variable bit rate at LAME's V0, with the header by which players cut off the encoder's delay and padding.
    ".mp3": _Container(
        (),
        2,
        _MP3_RATES,
        "8, 11.025, 12, 16, 22.05, 24, 32, 44.1 or 48 kHz",
        {
            "format": "MP3",
            "subtype": "MPEG_LAYER_III",
            "bitrate_mode": "VARIABLE",
            "compression_level": 0.0,
        },
    ),
    # Vorbis quality 8, about 256 kbit/s for stereo. libsndfile crashes at higher rates than these.
    ".ogg": _Container(
        (), 255, range(1, 200001), "1 to 200000 Hz", {"format": "OGG", "subtype": "VORBIS", "compression_level": 0.2}
    ),
}
_SUBTYPES = {"int16": "PCM_16", "int24": "PCM_24"}


class _Encoder(Protocol):
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


class _Worker:
    """A thread that calls functions. Ctrl-C may reach the thread that waits for them at any moment, and breaks nothing.

    An executor's future is not like that: Ctrl-C at the wrong moment leaves its lock closed for ever.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[object, Callable[..., Any], tuple] | None] = SimpleQueue()
        self._answers: SimpleQueue[tuple[object, Any, BaseException | None]] = SimpleQueue()
        self._thread = Thread(target=self._work, daemon=True)
        self._thread.start()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call the function over there; return what it returns, raise what it raises."""
        ticket = object()
        self._calls.put((ticket, function, arguments))
        answered = None
        while answered is not ticket:  # an earlier call, given up by Ctrl-C, may answer first
            answered, result, error = self._answers.get()
        if error is not None:
            raise error
        return result

    def stop(self) -> None:
        """End the thread once it has done what it was asked."""
        self._calls.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            ticket, function, arguments = call
            try:
                self._answers.put((ticket, function(*arguments), None))
            except BaseException as error:  # of any kind, because another thread waits for the answer
                self._answers.put((ticket, None, error))


class AudioWriter:
    """One audio file being written, in constant memory; a context manager. Made by `create_audio`.

    What is in the file is only certain after `close`: a full disk may show there, as OSError.
    """

    def __init__(self, path: Path, sample_rate: int, num_channels: int, sample_format: str, container: str) -> None:
        self.path = path
        self.sample_rate = sample_rate
        self.num_channels = num_channels
        self.sample_format = sample_format
        self._closed = False
        self._sink = _Sink(path)
        # libsndfile writes through callbacks into Python, where Ctrl-C would be lost; it comes to the main thread only.
        self._worker = _Worker()
        try:
            self._encoder = self._call(_encoder, self._sink, sample_rate, num_channels, sample_format, container)
        except BaseException:
            self._worker.stop()
            self._sink.close()
            raise

    def write(self, block: np.ndarray) -> None:
        """Append float samples (channels, n), full scale 1.0; raises OSError when the disk is full or failing."""
        if block.ndim != 2 or block.shape[0] != self.num_channels:
            raise ValueError(f"block has shape {block.shape}; give ({self.num_channels}, samples)")
        for start in range(0, block.shape[1], _SLICE):
            samples = _quantized(block[:, start : start + _SLICE].T, self.sample_format)
            self._call(self._encoder.write, samples)

    def close(self) -> None:
        """Finish the file; raises OSError if it could not be written whole. Harmless when repeated."""
        if self._closed:
            return
        self._closed = True
        try:
            self._call(self._encoder.close)
        finally:
            self._worker.stop()
            self._sink.close()

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call into the encoder; raise what the disk answered."""
        import soundfile

        result = None
        try:
            result = self._worker.call(function, *arguments)
        except (soundfile.LibsndfileError, AssertionError) as error:  # the latter: fewer samples written than asked
            if self._sink.error is None:
                raise AudioError(f"{self.path}: could not be encoded ({error}); try .wav") from None
        if (failure := self._sink.error) is not None:
            raise OSError(failure.errno, failure.strerror, str(self.path))
        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.close()
        except OSError:
            if error is None:  # else the first error tells more
                raise


def create_audio(
    path: str | os.PathLike[str],
    sample_rate: int,
    num_channels: int,
    sample_format: str = "int16",
    suffix: str | None = None,
) -> AudioWriter:
    """Create an audio file at exactly `path`, replacing what is there.

    Args:
        sample_rate: in Hz.
        num_channels: 1 or more.
        sample_format: "int16", "int24" or "float32" for .wav, "int16" or "int24" for .flac: rounded to nearest,
            clipped at full scale. .mp3 and .ogg (Vorbis) have no such format and ignore it.
        suffix: what kind of file, such as ".flac", where the path's own suffix does not say.

    Raises AudioError if that kind of file cannot hold this, OSError if it cannot be created.
    """
    path = Path(path)
    kind = (suffix or path.suffix).lower()
    container = _CONTAINERS.get(kind)
    if container is None:
        raise AudioError(f"{path}: cannot write {kind or 'a file without suffix'}; use {', '.join(_CONTAINERS)}")
    if container.sample_formats and sample_format not in container.sample_formats:
        formats = " or ".join(container.sample_formats)
        raise AudioError(f"{path}: {kind} cannot hold {sample_format} samples; use {formats}, or another kind of file")
    if sample_rate not in container.sample_rates:
        raise AudioError(
            f"{path}: {kind} cannot hold a sample rate of {sample_rate} Hz ({container.rates_text}); use .wav or .flac"
        )
    if not 1 <= num_channels <= container.max_channels:
        raise AudioError(
            f"{path}: {kind} cannot hold {num_channels} channels (1 to {container.max_channels}); use .wav"
        )
    return AudioWriter(path, sample_rate, num_channels, sample_format if container.sample_formats else "lossy", kind)


def _encoder(sink: _Sink, sample_rate: int, num_channels: int, sample_format: str, kind: str) -> _Encoder:
    if kind == ".wav":
        from .wav import WavEncoder

        return WavEncoder(sink, sample_rate, num_channels, sample_format)
    import soundfile

    how = {"subtype": _SUBTYPES.get(sample_format)} | _CONTAINERS[kind].sndfile
    return soundfile.SoundFile(sink, "w", sample_rate, num_channels, **how)


def _quantized(samples: np.ndarray, sample_format: str) -> np.ndarray:
    """Return samples (n, channels) as int16, as int32 with 24 bits at the top, or as float32.

    libsndfile's own conversion rounds down, and so would ours be one step off.
    """
    if sample_format not in _SUBTYPES:
        return np.ascontiguousarray(samples, dtype=np.float32)
    bits = int(sample_format[3:])
    full = 2.0 ** (bits - 1)
    steps = np.clip(np.rint(np.nan_to_num(samples * np.float64(full))), -full, full - 1)
    return steps.astype(np.int16) if bits == 16 else steps.astype(np.int32) << 8
