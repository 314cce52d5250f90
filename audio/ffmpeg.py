"""Read files with FFmpeg (PyAV): all that libsndfile does not read, or not exactly."""

import itertools
import os
import re
from collections.abc import Generator, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
from mutagen import MutagenError
from mutagen.mp3 import MP3, BitrateMode

from ..core.errors import AudioError
from .chunks import MAGIC, Samples, end_of_data, is_mp3, skip_id3
from .convert import Unifier
from .matroska import matroska_is_cut, track_seconds
from .mp4 import mp4_frames, mp4_is_cut
from .reader import AudioReader
from .streams import default_stream, descriptions_of, frame_samples, open_container, opus_length

SAMPLE_FORMATS = {"u8": "int16", "s16": "int16", "s32": "int24"}
_HEADERED = {"aiff", "caf", "flac", "matroska", "mov", "tta", "w64", "wav", "wv"}  # their headers say the length
_CAF_PACKET_FRAMES = 4096  # the header of a CAF may count the last packet of ALAC or AAC as a full one
_TRACK_TOLERANCE_S = 0.1  # allowed error of the length in a Matroska track's tags
_CLOCKLESS = {"aac", "ac3", "dts", "eac3", "loas", "mp3", "truehd"}  # formats whose frames have no time stamps
# First bytes of a second file that was appended to the first. In other formats FFmpeg reads appended files as one.
_JOINS = {
    "flac": re.compile(rb"fLaC[\x00\x80]\x00\x00\x22", re.DOTALL),
    "mp3": re.compile(rb"ID3[\x02-\x04]\x00[\x00-\xff][\x00-\x7f]{4}", re.DOTALL),
}
_RESERVED_BYTES = 1 << 24  # this many zeros at the end are not silence, but space that a recorder reserved
_CHECKSUM_BYTES = 2  # at the end of a FLAC frame; they may be zeros
_PRIMING_FRAMES = 4096  # most frames that an encoder puts before sound that starts late
_TIME_ROUNDING_S = 0.002  # largest error of the difference between two time stamps in milliseconds
_TICKS_PER_SECOND = 1_000_000  # of FFmpeg's clock for a whole container


class FFmpegReader(AudioReader):
    """Reads one audio stream of any container.

    Args:
        path: The file.
        stream: Number of the stream, from 1; None for the default one.
        ignore_length: As for `open_container`.
        least: Number of bytes from the start that belong to the sound even if they are zeros.
        samples: Position and format of plain samples, in a file whose header FFmpeg does not accept.

    Attributes:
        kind: FFmpeg's name of the container, such as "mov" for MP4.
        number: Number of the stream, from 1.
        start: Time of its first sample in the file, in seconds. It is certain only once all blocks are read.

    Raises:
        AudioError: The file is not audio, or has no samples or no such stream.
    """

    def __init__(
        self,
        path: Path,
        stream: int | None = None,
        *,
        ignore_length: bool = False,
        least: int = 0,
        samples: tuple[int, Samples] | None = None,
    ) -> None:
        super().__init__(path)
        with ExitStack() as stack:
            self._file = stack.enter_context(path.open("rb"))
            start = skip_id3(self._file)
            magic = self._file.read(4)
            # FFmpeg reads ID3 tags itself, except in front of a file of chunks.
            start = start if magic in MAGIC else 0
            # Cut off zeros: FFmpeg would search them for minutes, and not react to Ctrl-C.
            bare = magic == b"fLaC" or (len(magic) == 4 and magic[0] == 0xFF and magic[1] >= 0xE0)
            end: int | None = None
            if bare or magic in MAGIC or magic == b"\x1aE\xdf\xa3":  # Matroska
                end = max(least, end_of_data(self._file))
                if magic == b"fLaC":  # more zeros spoil the last frame
                    end += _CHECKSUM_BYTES
                zeros = os.fstat(self._file.fileno()).st_size - end
                end = end if zeros >= (1 if magic == b"fLaC" else _RESERVED_BYTES) else None
            start, stored = samples or (start, None)
            self._bytes = start, end
            opened = None
            # FFmpeg does not recognise some very short MP3s.
            for format in (None, "mp3") if is_mp3(magic) else (None,):
                with suppress(av.FFmpegError):
                    opened = opened or open_container(
                        self._file, ignore_length=ignore_length, start=start, end=end, samples=stored, format=format
                    )
            if opened is None:
                raise AudioError(
                    f"{path} is not an audio file, or is too damaged to read; "
                    "give WAV, FLAC, AIFF, MP3, Ogg, Opus or M4A"
                )
            self._container = opened
            stack.callback(lambda: self._container.close())
            self._start(stream)
            self._open = stack.pop_all()

    def _start(self, number: int | None) -> None:
        streams = self._container.streams.audio
        if not streams:
            raise AudioError(f"{self.path} has no sound; give an audio file, or a video with sound")
        self.number = self._choose_stream(number, descriptions_of(streams), default_stream(streams))
        self._stream = streams[self.number - 1]
        self.kind = self._container.format.name.split(",")[0]
        self._lost_packet = self._joined = False  # since the last frame
        self._packed = 0  # samples in the packets of Opus up to the first frame
        self._excess = 0  # samples of priming that the next frames still contain
        self.num_frames = None
        frames = self._frames()
        first = next(frames, None) if self._stream.codec_context else None  # None: an unknown codec
        if first is None:
            raise AudioError(f"{self.path} has no audio that can be decoded; export or download it again")
        # From the first frame, because the header of an HE-AAC file may say half the rate.
        self.sample_rate = first.sample_rate
        self.start = first.time or 0.0
        self.num_channels = first.layout.nb_channels
        self.sample_format = "lossy"
        if self._stream.codec_context.codec.lossless and self.codec != "dca":  # DTS can be lossless, but rarely is
            self.sample_format = SAMPLE_FORMATS.get(first.format.packed.name, "float32")
        if self.codec == "opus" and self.kind in ("matroska", "mov"):
            # FFmpeg, and older files by it, count the priming at the encoder's rate, and so skip too little.
            primed = int.from_bytes((self._stream.codec_context.extradata or b"")[10:12], "little")
            self._excess = max(0, primed - (self._packed - first.samples))
            self.start += self._excess / self.sample_rate
        self._frame_iterator = itertools.chain([first], frames)
        self._measure()

    @property
    def codec(self) -> str:
        """FFmpeg's name of the codec."""
        return self._stream.codec_context.name

    def _measure(self) -> None:
        """Find the length of the sound, and the length that the stream's header declares."""
        container, stream, kind = self._container, self._stream, self.kind
        declared = None
        if stream.duration is not None and stream.time_base is not None:
            declared = round(stream.duration * stream.time_base * self.sample_rate)
        self._tolerance = 2304 if self.sample_format == "lossy" else 0  # two MP3 frames
        self._end = None
        if kind == "mov":
            self._end = mp4_frames(self.path, self.sample_rate, container.metadata.get("iTunSMPB"), self.number)
            self._damaged = mp4_is_cut(self.path)
            declared = self._end or declared
        elif kind == "matroska":
            start = float((stream.start_time or 0) * (stream.time_base or 0))
            seconds = track_seconds(stream.metadata, start)
            declared = None if seconds is None else round(seconds * self.sample_rate)
            self._damaged = matroska_is_cut(self.path)
            self._tolerance += round(_TRACK_TOLERANCE_S * self.sample_rate)
        elif kind == "caf" and not self.codec.startswith("pcm"):
            self._tolerance = _CAF_PACKET_FRAMES
        self.num_frames = declared
        if declared is None and container.duration is not None:
            self.num_frames = round(container.duration * self.sample_rate / _TICKS_PER_SECOND)
        if kind == "mp3":
            self._promised = _mp3_frames(self.path)
            if self._promised and abs(self._promised - (self.num_frames or 0)) > self._tolerance:
                self.num_frames = self._promised  # FFmpeg estimates it if the file is longer than its header says
        elif kind in _HEADERED and not (kind == "mov" and self._end is None and not self._damaged):
            self._promised = declared  # not for a fragmented MP4, where it includes silence between the fragments

    def _frames(self) -> Iterator[av.AudioFrame]:
        """Yield the decoded frames of this file and of files appended to it, without damaged packets."""
        while (join := (yield from self._frames_until_join())) is not None:
            try:
                container = open_container(self._file, start=join, end=self._bytes[1])
            except av.FFmpegError:  # a tag at the end
                return
            self._container.close()
            self._container, self._joined, self._bytes = container, True, (join, self._bytes[1])
            streams = container.streams.audio
            if len(streams) < self.number or not streams[self.number - 1].codec_context:
                return
            self._stream = streams[self.number - 1]
            if self.num_frames is not None and container.duration is not None:
                self.num_frames += round(container.duration * self.sample_rate / _TICKS_PER_SECOND)

    def _frames_until_join(self) -> Generator[av.AudioFrame, None, int | None]:
        """Yield decoded frames up to the next appended file; return its position, or None at the end."""
        codec = self._stream.codec_context
        pattern = _JOINS.get(self.kind)
        try:
            for packet in self._container.demux(self._stream):
                join = pattern.search(bytes(packet)) if pattern and packet.size else None
                if join and packet.pos:
                    yield from _last_frames(codec, packet, join.start())
                    return self._bytes[0] + packet.pos + join.start()
                if self.num_frames is None and codec.name == "opus" and packet.size:
                    self._packed += opus_length(bytes(packet))
                try:
                    frames = codec.decode(packet)
                except av.FFmpegError:
                    self._damaged = self._lost_packet = True
                    continue
                yield from frames
        except (av.FFmpegError, IndexError):  # IndexError: a stream that begins in mid-file
            self._damaged = True
        return None

    def _decoded(self) -> Iterator[np.ndarray]:
        unifier: Unifier | None = None
        first_time: float | None = None  # of the frame that would be at position 0
        for frame in self._frame_iterator:
            unifier = unifier or Unifier(frame)
            primed = min(self._excess, frame.samples)
            self._excess -= primed
            if frame.time is not None:
                time = frame.time + primed / self.sample_rate
                if first_time is None or primed or self._joined or unifier.differs(frame):
                    first_time = time - unifier.position / self.sample_rate
                gap = round((time - first_time) * self.sample_rate) - unifier.position
                if self._is_gap(gap, unifier.position, frame):
                    self._damaged = self._damaged or self.kind == "flac"  # others may pause
                    yield from unifier.flush()
                    yield from self._fill(unifier.position, gap)
                    unifier.skip(gap)
                elif gap >= self._least_gap(frame):
                    first_time += gap / self.sample_rate
                    if unifier.position <= _PRIMING_FRAMES:
                        self.start = first_time
                self._lost_packet = self._joined = False
            samples = frame_samples(frame)[:, primed:]
            if self._end is not None:
                samples = samples[:, : max(0, self._end - unifier.position)]
            yield from unifier.push(frame, samples)
        if unifier is not None:
            yield from unifier.flush()
            self._note_changes(unifier)

    def _least_gap(self, frame: av.AudioFrame) -> int:
        """Return how many frames late a frame must be, so that the cause is not the rounding of time stamps."""
        return max(frame.samples, round(_TIME_ROUNDING_S * self.sample_rate))

    def _is_gap(self, length: int, position: int, frame: av.AudioFrame) -> bool:
        """Return whether the frame is late by `length` frames because sound before it is missing."""
        if length < self._least_gap(frame):
            return False
        if position + length >= (self.num_frames or 0):
            return False
        if self.kind in _CLOCKLESS:  # time stamps are counted from samples, some of which were trimmed
            return self._lost_packet
        return not (self.kind == "mov" and position <= _PRIMING_FRAMES)  # sound that starts late

    def close(self) -> None:
        """Close the file; harmless when repeated."""
        self._open.close()


def _last_frames(codec: av.AudioCodecContext, packet: "av.Packet[Any]", size: int) -> Iterator[av.AudioFrame]:
    """Decode the start of the last packet before an appended file. Bytes that cannot be decoded are tags."""
    if size:
        rest = av.Packet(bytes(packet)[:size])
        rest.pts, rest.time_base = packet.pts, packet.time_base
        with suppress(av.FFmpegError):
            yield from codec.decode(rest)
    with suppress(av.FFmpegError):
        yield from codec.decode(None)


def _mp3_frames(path: Path) -> int | None:
    """Return the length of an MP3 in samples from its Xing, Info or VBRI header; None if it has no such header."""
    try:
        info: Any = MP3(path).info
    except MutagenError:
        return None
    return None if info.bitrate_mode == BitrateMode.UNKNOWN else round(info.length * info.sample_rate)
