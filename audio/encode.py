"""Streams of float32 blocks into audio files."""

import io
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self

import numpy as np

from ..core.errors import AudioError
from .bitrates import check_bitrate, lossy_settings
from .containers import CONTAINERS, LOSSY, SAMPLE_BYTES, VIDEO_CONTAINERS, kind_of
from .reader import AudioReader

_SLICE = 16384  # frames in one call: libsndfile's Vorbis encoder keeps them on the stack, and crashes on millions
_SUBTYPES = {"int16": "PCM_16", "int24": "PCM_24", "float32": "FLOAT"}
_FORMATS = {".flac": "FLAC", ".aiff": "AIFF", ".mp3": "MP3", ".ogg": "OGG"}  # libsndfile's names
_LOSSY_SUBTYPES = {".mp3": "MPEG_LAYER_III", ".ogg": "VORBIS"}
_FFMPEG = {".opus": ("ogg", "libopus"), ".m4a": ("ipod", "aac")}  # the container's and the lossy encoder's name


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


class _Resampler:
    """Resamples float32 samples (n, channels), and gives them to another encoder."""

    def __init__(self, encoder: Encoder, sample_rate: int, to_rate: int, num_channels: int) -> None:
        from .convert import Converter

        layout = {1: "mono", 2: "stereo"}[num_channels]
        self._encoder = encoder
        self._converter = Converter(sample_rate, layout, to_rate, layout)

    def write(self, data: np.ndarray) -> None:
        self._encoder.write(np.ascontiguousarray(self._converter.push(data.T).T))

    def close(self) -> None:
        try:
            self._encoder.write(np.ascontiguousarray(self._converter.finish().T))
        finally:
            self._encoder.close()


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
        self._worker = _Worker()
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
            self._worker.stop()
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


def create_audio(
    path: str | os.PathLike[str],
    sample_rate: int,
    num_channels: int,
    sample_format: str | None = None,
    suffix: str | None = None,
    *,
    bitrate: float | None = None,
    quality: float | None = None,
) -> AudioWriter:
    """Create an audio file at exactly `path`, replacing what is there.

    Args:
        path: The file.
        sample_rate: In Hz. A lossy file that cannot have it holds the sound resampled to the nearest rate that it
            can have; `note` says so.
        num_channels: 1 or more.
        sample_format: "int16", "int24" or "float32" for .wav and .aiff, "int16" or "int24" for .flac: rounded to
            nearest, clipped at full scale; by default "int16". An .m4a holds AAC by default, and ALAC with "int16" or
            "int24". .mp3, .ogg (Vorbis) and .opus have no such format and ignore it.
        suffix: The kind of file, such as ".flac", if the path's own suffix does not say it.
        bitrate: Bitrate of a lossy file, in kbit/s.
        quality: Quality of a lossy file, 0 (smallest) to 10 (best), instead of a bitrate; by default 10 for .mp3 and 8
            for the others.

    Raises:
        AudioError: That kind of file cannot hold this.
        ValueError: Bitrate and quality are both given, or one of them is out of range.
        OSError: The file cannot be created.
    """
    path = Path(path)
    suffix = (suffix or path.suffix).lower()
    kind = kind_of(suffix)
    if kind not in CONTAINERS:
        raise AudioError(f"{path}: cannot write {suffix or 'a file without suffix'}; use {', '.join(CONTAINERS)}")
    return _create(path, suffix, sample_rate, num_channels, sample_format, bitrate, quality, partial(_encoder, kind))


def create_video(
    path: str | os.PathLike[str],
    source: AudioReader,
    sample_format: str | None = None,
    *,
    bitrate: float | None = None,
    quality: float | None = None,
) -> AudioWriter:
    """Create a copy of a video with new sound in the place of the audio stream that `source` reads.

    Everything else is copied without encoding it again: picture, subtitles, other audio streams, chapters, tags.
    Blocks must have the source's rate, channels and length, and all of its blocks must be read before the first
    `write`. Silence comes before sound that starts later than the picture.

    Args:
        path: An .mp4, .m4v, .mov, .mkv or .webm file, replaced if it exists.
        source: Reads the sound of a file of one of these kinds.
        sample_format: "int16" or "int24" for sound without loss: ALAC in .mp4, PCM in .mov, FLAC in .mkv. By default
            it is AAC, and Opus in .webm.
        bitrate, quality: As in `create_audio`.

    Raises:
        AudioError: The source is not such a file, or `path` cannot hold all that is in it.
        ValueError, OSError: As `create_audio`.
    """
    from .ffmpeg import FFmpegReader
    from .video import VideoEncoder, is_video

    path = Path(path)
    suffix = path.suffix.lower()
    if not isinstance(source, FFmpegReader) or not is_video(source):
        raise AudioError(
            f"{path}: only the sound of MP4, MOV, MKV and WebM files can be replaced, and {source.path} is another "
            "kind of file; write an audio file, such as .m4a"
        )
    left_out: list[str] = []

    def encoder(file: BinaryIO, *how: Any, **more: Any) -> Encoder:
        video = VideoEncoder(file, source, kind_of(suffix), *how, **more)
        left_out.extend(video.left_out)
        return video

    writer = _create(path, suffix, source.sample_rate, source.num_channels, sample_format, bitrate, quality, encoder)
    if left_out:
        lost = f"{source.path}: {suffix} cannot hold all of it; left out: {', '.join(left_out)}"
        writer.note = "; ".join(filter(None, (writer.note, lost)))
    return writer


def _create(
    path: Path,
    suffix: str,
    sample_rate: int,
    num_channels: int,
    sample_format: str | None,
    bitrate: float | None,
    quality: float | None,
    encode: Callable[..., Encoder],
) -> AudioWriter:
    """Create a file of which `encode(file, sample_rate, num_channels, sample_format, **settings)` writes the sound."""
    kind = kind_of(suffix)
    container = CONTAINERS.get(kind) or VIDEO_CONTAINERS[kind]
    if container.is_lossy and (sample_format is None or not container.sample_formats):
        sample_format = LOSSY
    sample_format = sample_format or container.sample_formats[0]
    rate, settings = sample_rate, {}
    try:
        container.check(suffix, sample_rate, num_channels, sample_format)
        check_bitrate(bitrate, quality, suffix, is_lossy=sample_format == LOSSY)
        if sample_format == LOSSY:
            rate = container.nearest_rate(sample_rate)
            settings = lossy_settings(kind, rate, num_channels, bitrate, quality)
    except ValueError as error:
        raise AudioError(f"{path}: {error}") from None

    def make_encoder(file: BinaryIO) -> Encoder:
        encoder = encode(file, rate, num_channels, sample_format, **settings)
        return encoder if rate == sample_rate else _Resampler(encoder, sample_rate, rate, num_channels)

    writer = AudioWriter(path, sample_rate, num_channels, sample_format, make_encoder, container.max_bytes)
    if rate != sample_rate:
        writer.note = f"{suffix} holds no sound at {sample_rate} Hz; it was resampled to {rate} Hz"
    return writer


def _encoder(
    kind: str, file: BinaryIO, sample_rate: int, num_channels: int, sample_format: str, **settings: Any
) -> Encoder:
    """Return what writes interleaved samples into an audio file. settings: From `lossy_settings`."""
    if kind == ".wav":
        from .wav import WavEncoder

        return WavEncoder(file, sample_rate, num_channels, sample_format)
    if kind in _FFMPEG:
        from .packets import PacketEncoder

        container, codec = _FFMPEG[kind]
        codec = codec if sample_format == LOSSY else "alac"
        return PacketEncoder(file, container, codec, sample_rate, num_channels, sample_format, **settings)
    import soundfile

    subtype = _LOSSY_SUBTYPES.get(kind) or _SUBTYPES[sample_format]
    return soundfile.SoundFile(file, "w", sample_rate, num_channels, subtype, format=_FORMATS[kind], **settings)


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
