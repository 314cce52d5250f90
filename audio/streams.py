"""Open containers with FFmpeg, describe their audio streams, and convert their frames to samples."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition

from .chunks import Samples, skip_id3

if TYPE_CHECKING:
    from av.container.core import Chapter

# Containers with audio. Others, such as playlists and scripts, could make FFmpeg open any file or URL that they name.
_CONTAINERS = (
    "3gp,aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,iff,loas,m4a,matroska,mov,mp2,mp3,mp4,mpc,mpc8,mpeg,"
    "mpegts,mj2,oga,ogg,opus,rm,shn,tak,truehd,tta,voc,w64,wav,webm,wv,xwma"
)
# From version 19, PyAV always keeps bytes that are not UTF-8 as surrogates. Here, older versions do it too.
_METADATA: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "surrogateescape"}


def open_container(
    file: BinaryIO,
    *,
    ignore_length: bool = False,
    start: int = 0,
    end: int | None = None,
    samples: Samples | None = None,
    format: str | None = None,
) -> InputContainer:
    """Open an audio or video file, identified by its content.

    In its metadata and that of its streams, U+FFFD stands for bytes that are not UTF-8.

    Args:
        file: The open file.
        ignore_length: Read a WAV to the end of the file, whatever its header says.
        start: First byte to read.
        end: End of the bytes to read; None for the end of the file.
        samples: Format of plain samples, if the bytes have no header.
        format: FFmpeg's name of the container; by default its content decides.

    Raises:
        av.FFmpegError: FFmpeg cannot read the file.
    """
    # By descriptor: given a path, FFmpeg would look at the suffix, and take "name:" for a protocol.
    options = {"fd": str(file.fileno()), "protocol_whitelist": "fd,subfile", "format_whitelist": _CONTAINERS}
    if ignore_length:
        options["ignore_length"] = "1"
    if samples:
        options["format_whitelist"] = samples.encoding
        options |= {"sample_rate": str(samples.sample_rate), "ch_layout": f"{samples.num_channels}C"}
    os.lseek(file.fileno(), 0, os.SEEK_SET)
    url = f"subfile,,start,{start},end,{end or 0},,:fd:" if start or end else "fd:"
    container: InputContainer = av.open(
        url, format=samples.encoding if samples else format, options=options, **_METADATA
    )
    for part in (container, *container.streams):
        _replace_surrogates(part.metadata)
    return container


def chapters_of(container: InputContainer) -> "list[Chapter]":
    """Return the chapters of a container; in their metadata, U+FFFD stands for bytes that are not UTF-8."""
    chapters = container.chapters()
    for chapter in chapters:
        _replace_surrogates(chapter["metadata"])
    return chapters


def _replace_surrogates(metadata: dict[str, str]) -> None:
    texts = {_valid(name): _valid(text) for name, text in metadata.items()}
    metadata.clear()
    metadata.update(texts)


def _valid(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def stream_descriptions(path: Path) -> list[str]:
    """Return a description of each audio stream of a file; an empty list if FFmpeg cannot read the file."""
    try:
        with path.open("rb") as file, open_container(file, start=skip_id3(file)) as container:
            return descriptions_of(container.streams.audio)
    except av.FFmpegError:
        return []


def descriptions_of(streams: Sequence[AudioStream]) -> list[str]:
    """Return a description of each stream, such as "drums, eng, aac, 2 channels"."""
    return [_described(stream) for stream in streams]


def default_stream(streams: Sequence[AudioStream]) -> int:
    """Return the number of the stream to read by default, from 1.

    It is the first stream with the default flag, or else the first stream. Streams that cannot be decoded do not count.
    """
    numbers = [i for i, stream in enumerate(streams, 1) if stream.codec_context] or [1]
    return next((i for i in numbers if streams[i - 1].disposition & Disposition.default), numbers[0])


def _described(stream: AudioStream) -> str:
    """Describe a stream by its title, language, codec and channels."""
    metadata, codec = stream.metadata, stream.codec_context
    title = metadata.get("title") or metadata.get("name") or metadata.get("handler_name", "")
    words = [title if title != "SoundHandler" else "", metadata.get("language", "").replace("und", "")]
    channels = codec.layout.nb_channels if codec else 0
    words += [
        codec.codec.canonical_name if codec else "unknown codec",
        f"{channels} channel{'s'[: channels != 1]}" if channels else "",
    ]
    return " ".join(", ".join(filter(None, words)).split())


def frame_samples(frame: av.AudioFrame) -> np.ndarray:
    """Return the samples of a frame as float32, (channels, n), full scale 1.0.

    av.AudioResampler is not used, because it raises exceptions inside PyAV, and a Ctrl-C meanwhile would be lost.
    """
    audio: np.ndarray
    if frame.format.name == "s64":  # PyAV cannot convert it
        audio = np.frombuffer(memoryview(frame.planes[0]), np.int64)[: frame.samples * frame.layout.nb_channels]
    else:
        audio = frame.to_ndarray()
    if frame.format.is_packed:
        audio = audio.reshape(-1, frame.layout.nb_channels).T
    if audio.dtype.kind == "f":
        return audio.astype(np.float32, copy=False)
    centre = np.float32(128 if audio.dtype.kind == "u" else 0)  # only 8-bit integers are unsigned
    return (audio.astype(np.float32) - centre) / np.float32(2.0 ** (8 * audio.itemsize - 1))


def opus_length(packet: bytes) -> int:
    """Return the length of a packet of Opus in samples at 48 kHz (RFC 6716, section 3.1)."""
    config, count = packet[0] >> 3, packet[0] & 3
    if config < 12:
        length = (480, 960, 1920, 2880)[config % 4]
    else:
        length = 480 << config % 2 if config < 16 else 120 << config % 4
    return length * (packet[1] & 63 if count == 3 else min(2, count + 1))
