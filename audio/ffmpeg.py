"""All that libsndfile does not read, or not exactly, through FFmpeg (PyAV)."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from mutagen import MutagenError
from mutagen.mp3 import MP3, BitrateMode

from .errors import AudioError
from .mp4 import mp4_frames
from .reader import AudioReader

# Containers that hold audio. Others, such as playlists and scripts, could make FFmpeg open what they name.
_CONTAINERS = (
    "3gp,aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,iff,loas,m4a,matroska,mov,mp2,mp3,mp4,mpc,mpc8,mpeg,"
    "mpegts,mj2,oga,ogg,opus,rm,tak,truehd,tta,voc,w64,wav,webm,wv,xwma"
)
_SAMPLE_FORMATS = {"u8": "int16", "s16": "int16", "s32": "int24"}
_HEADERED = {"aiff", "caf", "flac", "matroska", "mov", "tta", "w64", "wav", "wv"}  # whose headers tell the length
_SECOND = 1_000_000  # FFmpeg's clock for a whole container


def open_container(file: BinaryIO) -> InputContainer:
    """Open whatever FFmpeg takes for audio or video, by its content; raises av.FFmpegError."""
    # By descriptor: given a path, FFmpeg would look at the suffix, and take "name:" for a protocol.
    options = {"fd": str(file.fileno()), "protocol_whitelist": "fd", "format_whitelist": _CONTAINERS}
    return av.open("fd:", options=options, metadata_errors="replace")


class FFmpegReader(AudioReader):
    """Reads one audio stream of any container: number `stream`, from 1, else the default one."""

    def __init__(self, path: Path, stream: int | None = None) -> None:
        self.path = path
        with ExitStack() as stack:
            file = stack.enter_context(path.open("rb"))
            try:
                self._container = stack.enter_context(open_container(file))
            except av.FFmpegError:
                raise AudioError(
                    f"{path}: is not an audio file, or damaged beyond reading; "
                    "give WAV, FLAC, AIFF, MP3, Ogg, Opus or M4A"
                ) from None
            self._start(stream)
            self._open = stack.pop_all()

    def _start(self, number: int | None) -> None:
        streams = self._container.streams.audio
        if not streams:
            raise AudioError(f"{self.path}: has no sound in it; give an audio file, or a video that has sound")
        names = ", ".join(f"{i} ({_described(stream)})" for i, stream in enumerate(streams, 1))
        if number is not None and not 1 <= number <= len(streams):
            raise AudioError(f"{self.path} has no audio stream {number}; choose from {names}")
        self._number = number or _default(streams)
        self._stream = streams[self._number - 1]
        if number is None and len(streams) > 1:
            self.stream_note = (
                f"{self.path} has {len(streams)} audio streams: {names}; "
                f"stream {self._number} is used; choose another with --stream"
            )
        frames = self._frames()
        first = next(frames, None) if self._stream.codec_context else None  # none: an unknown codec
        if first is None:
            raise AudioError(f"{self.path}: holds no audio that can be decoded; export or download it again")
        # From the first frame: the header of an HE-AAC file may tell half the rate.
        self.sample_rate = first.sample_rate
        self.num_channels = first.layout.nb_channels
        self.sample_format = "lossy"
        if self._stream.codec_context.codec.lossless:
            self.sample_format = _SAMPLE_FORMATS.get(first.format.packed.name, "float32")
        self._frame_iterator = itertools.chain([first], frames)
        self._measure()

    def _measure(self) -> None:
        """Find how long the file is, and how sure that is."""
        container, stream = self._container, self._stream
        kind = container.format.name.split(",")[0]
        if stream.duration is not None and stream.time_base is not None:
            self.num_frames = round(stream.duration * stream.time_base * self.sample_rate)
        elif container.duration is not None:
            self.num_frames = round(container.duration * self.sample_rate / _SECOND)
        else:
            self.num_frames = None
        self._end = None
        if kind == "mov":
            self._end = mp4_frames(self.path, self.sample_rate, container.metadata.get("iTunSMPB"), self._number)
            self.num_frames = self._end or self.num_frames
        if kind in _HEADERED or (kind == "mp3" and _has_mp3_header(self.path)):
            self._promised = self.num_frames
            self._tolerance = 2304 if self.sample_format == "lossy" else 0  # two MP3 frames

    def _frames(self) -> Iterator[av.AudioFrame]:
        """Decoded frames; damaged packets are left out."""
        try:
            for packet in self._container.demux(self._stream):
                try:
                    yield from packet.decode()
                except av.FFmpegError:
                    self._damaged = True
        except (av.FFmpegError, IndexError):  # the latter: a stream that begins in mid-file, in chained Ogg
            self._damaged = True

    def _decoded(self) -> Iterator[np.ndarray]:
        total = 0
        first_time: float | None = None
        for frame in self._frame_iterator:
            if frame.sample_rate != self.sample_rate or frame.layout.nb_channels != self.num_channels:
                self._damaged = True
                return
            if frame.time is not None:
                first_time = frame.time if first_time is None else first_time
                # What follows a lost packet stays on time. Less than a frame is a coarse clock's jitter.
                gap = round((frame.time - first_time) * self.sample_rate) - total
                if gap >= frame.samples and total + gap < (self.num_frames or 0):
                    self._filled += gap
                    total += gap
                    for start in range(0, gap, 65536):
                        yield np.zeros((self.num_channels, min(65536, gap - start)), np.float32)
            samples = _samples(frame)[:, : None if self._end is None else max(0, self._end - total)]
            total += samples.shape[1]
            yield samples

    def close(self) -> None:
        self._open.close()


def _default(streams: Sequence[AudioStream]) -> int:
    """Return which stream to read, from 1: the first with the default flag, else the first; one that can be decoded."""
    numbers = [i for i, stream in enumerate(streams, 1) if stream.codec_context] or [1]
    return next((i for i in numbers if streams[i - 1].disposition & Disposition.default), numbers[0])


def _described(stream: AudioStream) -> str:
    """Return what a user may know a stream by: title, language, codec and channels.

    >>> _described(streams[1])  # doctest: +SKIP
    'drums, eng, aac, 2 channels'
    """
    metadata, codec = stream.metadata, stream.codec_context
    title = metadata.get("title") or metadata.get("name") or metadata.get("handler_name", "")
    words = [title if title != "SoundHandler" else "", metadata.get("language", "").replace("und", "")]
    channels = codec.layout.nb_channels if codec else 0
    words += [codec.name if codec else "unknown codec", f"{channels} channel{'s'[: channels != 1]}" if channels else ""]
    return " ".join(", ".join(filter(None, words)).split())


def _samples(frame: av.AudioFrame) -> np.ndarray:
    """A frame as float32 (channels, n), full scale 1.0.

    Not av.AudioResampler: it asks for frames until FFmpeg has no more, and as PyAV makes the exception that says so, a
    Ctrl-C would be lost.
    """
    audio: np.ndarray
    if frame.format.name == "s64":  # which PyAV turns into no array
        audio = np.frombuffer(memoryview(frame.planes[0]), np.int64)[: frame.samples * frame.layout.nb_channels]
    else:
        audio = frame.to_ndarray()
    if frame.format.is_packed:
        audio = audio.reshape(-1, frame.layout.nb_channels).T
    if audio.dtype.kind == "f":
        return audio.astype(np.float32, copy=False)
    centre = np.float32(128 if audio.dtype.kind == "u" else 0)  # integers with no sign are those of 8 bits
    return (audio.astype(np.float32) - centre) / np.float32(2.0 ** (8 * audio.itemsize - 1))


def _has_mp3_header(path: Path) -> bool:
    """Return whether an MP3 starts with a Xing, Info or VBRI header, which tells its length."""
    try:
        info: Any = MP3(path).info
    except MutagenError:
        return False
    return info.bitrate_mode != BitrateMode.UNKNOWN
