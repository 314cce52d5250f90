"""Create audio files, and videos with new sound, from streams of float32 blocks."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..core.errors import AudioError
from .bitrates import check_bitrate, lossy_settings
from .containers import CONTAINERS, LOSSY, VIDEO_CONTAINERS, kind_of
from .reader import AudioReader
from .writer import AudioWriter, Encoder

_SUBTYPES = {"int16": "PCM_16", "int24": "PCM_24", "float32": "FLOAT"}
_FORMATS = {".flac": "FLAC", ".aiff": "AIFF", ".mp3": "MP3", ".ogg": "OGG"}  # libsndfile's names
_LOSSY_SUBTYPES = {".mp3": "MPEG_LAYER_III", ".ogg": "VORBIS"}
_FFMPEG = {".opus": ("ogg", "libopus"), ".m4a": ("ipod", "aac")}  # names of the container and of the lossy encoder


class _Resampler:
    """Resamples float32 samples, (n, channels), for another encoder."""

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
    """Create an audio file at exactly `path`. An older file there is replaced.

    Args:
        path: The file.
        sample_rate: In Hz. If a lossy file cannot have this rate, the sound is resampled to one that it can have, and
            `AudioWriter.note` says so.
        num_channels: 1 or more.
        sample_format: "int16", "int24" or "float32" for .wav and .aiff, "int16" or "int24" for .flac; by default
            "int16". Integers are rounded to nearest and clipped at full scale. An .m4a holds AAC by default, and ALAC
            with "int16" or "int24". .mp3, .ogg (Vorbis) and .opus ignore it.
        suffix: Kind of file, such as ".flac", if the path's suffix does not say it.
        bitrate: Bitrate of a lossy file, in kbit/s.
        quality: Quality of a lossy file, 0 (smallest) to 10 (best), instead of a bitrate; by default 10 for .mp3 and 8
            for the others.

    Raises:
        AudioError: This kind of file cannot hold the sound, or bitrate and quality do not work.
        OSError: The file cannot be created.
    """
    path = Path(path)
    suffix = (suffix or path.suffix).lower()
    kind = kind_of(suffix)
    if kind not in CONTAINERS:
        videos = f"; for a video {', '.join(VIDEO_CONTAINERS)}"
        raise AudioError(
            f"{path}: cannot write {suffix or 'a file without suffix'}; use {', '.join(CONTAINERS)}{videos}"
        )
    return _create(path, suffix, sample_rate, num_channels, sample_format, bitrate, quality, partial(_encoder, kind))


def create_video(
    path: str | os.PathLike[str],
    source: AudioReader,
    sample_format: str | None = None,
    *,
    bitrate: float | None = None,
    quality: float | None = None,
) -> AudioWriter:
    """Create a copy of a video with new sound in place of the audio stream that `source` reads.

    Picture, subtitles, other audio streams, chapters and tags are copied without encoding them again. All blocks of the
    source must be read before the first `write`, and the blocks that are written must have its sample rate, channels
    and length. Sound that starts later than the picture is preceded by silence.

    Args:
        path: An .mp4, .m4v, .mov, .mkv or .webm file, replaced if it exists.
        source: Reads the sound of a file of one of these kinds, or of AVI, MPEG, MPEG-TS, WMV or FLV.
        sample_format: "int16" or "int24" for sound without loss: ALAC in .mp4, PCM in .mov, FLAC in .mkv. By default
            the sound is AAC, or Opus in .webm.
        bitrate: Bitrate of lossy sound, in kbit/s.
        quality: Quality of lossy sound, 0 (smallest) to 10 (best), instead of a bitrate; by default 8.

    Raises:
        AudioError: The source is not such a file, `path` cannot hold all of it, or bitrate and quality do not work.
        OSError: The file cannot be created.
    """
    from .ffmpeg import FFmpegReader
    from .video import VideoEncoder, is_video

    path = Path(path)
    suffix = path.suffix.lower()
    if not isinstance(source, FFmpegReader) or not is_video(source):
        raise AudioError(f"{path}: {source.path} is not a video; write an audio file, such as .m4a")
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
    """Create a file whose sound is encoded by `encode(file, sample_rate, num_channels, sample_format, **settings)`."""
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
        writer.note = f"{suffix} cannot hold sound at {sample_rate} Hz; it was resampled to {rate} Hz"
    return writer


def _encoder(
    kind: str, file: BinaryIO, sample_rate: int, num_channels: int, sample_format: str, **settings: Any
) -> Encoder:
    """Return an encoder that writes an audio file, with settings from `lossy_settings`."""
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
    encoder: Encoder = soundfile.SoundFile(
        file, "w", sample_rate, num_channels, subtype, format=_FORMATS[kind], **settings
    )
    return encoder
