"""Write copies of videos with new sound. Everything else is copied without encoding it again."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, cast

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition, Stream

from ..core.errors import AudioError
from .containers import kind_of
from .ffmpeg import FFmpegReader
from .packets import StreamEncoder
from .streams import chapters_of, open_container
from .tag_names import UNTRUE

# By kind of file: FFmpeg's name of the container, and its encoder for each sample format.
FORMATS: dict[str, tuple[str, dict[str, str]]] = {
    ".mp4": ("mp4", {"lossy": "aac", "int16": "alac", "int24": "alac"}),
    ".mov": ("mov", {"lossy": "aac", "int16": "pcm_s16le", "int24": "pcm_s24le"}),
    ".mkv": ("matroska", {"lossy": "aac", "int16": "flac", "int24": "flac"}),
    ".webm": ("webm", {"lossy": "libopus"}),
}
_FAMILIES = {"mp4": "mov", "webm": "matroska"}
# FFmpeg's names of the containers that can be read. The last ones are not written: their pictures go into another one.
_READ_FORMATS = "mov", "matroska", "avi", "mpegts", "mpeg", "asf", "flv"
_START_TOLERANCE_S = 0.001  # a stream in Matroska begins on a millisecond
_SILENCE_FRAMES = 65536  # written at a time


class VideoEncoder:
    """Writes a copy of a video in which one audio stream has new sound.

    Args:
        file: The file to write.
        reader: Reads the audio stream that is replaced. All of its blocks must be read before the first `write`.
        kind: A key of `FORMATS`.
        sample_rate: Sample rate of the new sound, in Hz.
        num_channels: 1 or 2.
        sample_format: "int16", "int24" or "lossy".
        kbps: Bitrate of lossy sound, in kbit/s.

    Attributes:
        left_out: Descriptions of the streams that the new file cannot hold.

    Raises:
        AudioError: The picture cannot be copied, or the new container cannot hold the streams.
    """

    def __init__(
        self,
        file: BinaryIO,
        reader: FFmpegReader,
        kind: str,
        sample_rate: int,
        num_channels: int,
        sample_format: str,
        kbps: float | None = None,
    ) -> None:
        format, codecs = FORMATS[kind]
        self._reader, self._rate = reader, sample_rate
        self._started = False
        self.left_out: list[str] = []
        with ExitStack() as stack:
            source = stack.enter_context(reader.path.open("rb"))
            self._source = open_container(source)
            stack.callback(self._source.close)
            # The edit lists of an MP4 use the movie's clock, which by default counts milliseconds.
            options = {"movie_timescale": str(sample_rate)} if _family(format) == "mov" else {}
            if _family(self._source.format.name) not in _FAMILIES.values():  # these may begin at any time
                options["output_ts_offset"] = f"{-(self._source.start_time or 0)}us"
            self._target = av.open(file, "w", format=format, options=options)
            stack.callback(self._target.close)
            replaced = self._source.streams.audio[reader.number - 1]
            self._copies: dict[int, Stream] = {}
            for stream in self._source.streams:
                if stream is replaced:
                    self._sound = StreamEncoder(
                        self._target, codecs[sample_format], sample_rate, num_channels, sample_format, kbps
                    )
                    _describe(stream, self._sound.stream)
                elif self._is_kept(stream, format):
                    self._copies[stream.index] = self._copy_of(stream, kind)
            self._target.metadata.update(self._source.metadata)
            self._target.set_chapters(chapters_of(self._source))
            try:
                self._target.start_encoding()
            except av.FFmpegError:
                raise AudioError(f"{kind} cannot hold all of {reader.path}; {self._remedy()}") from None
            self._packets = self._source_packets()
            self._next = next(self._packets, None)
            self._open = stack.pop_all()

    def _is_kept(self, stream: Stream, format: str) -> bool:
        """Return whether a stream is copied into the new file; note it in `left_out` if it cannot be."""
        same_family = _family(self._source.format.name) == _family(format)
        is_picture = bool(stream.disposition & Disposition.attached_pic)
        if stream.type == "attachment" or (is_picture and _family(format) == "matroska"):
            return format == "matroska" or self._note(stream)
        if stream.type == "data":
            # Chapters and time codes are written from the tags and chapters of the file.
            is_known = "timecode" in stream.metadata or self._source.chapters()
            return False if is_known else self._note(stream)
        if is_picture and format == "mp4" and same_family:  # a cover, which is copied with the tags
            return False
        return not is_picture or format == "mp4" or self._note(stream)

    def _remedy(self) -> str:
        suffix = self._reader.path.suffix
        return f"write a {suffix} file instead" if kind_of(suffix) in FORMATS else "write .mkv, or an audio file"

    def _note(self, stream: Stream) -> bool:
        name = stream.metadata.get("filename") or stream.metadata.get("handler_name", "")
        self.left_out.append(f"stream {stream.index + 1} ({', '.join(filter(None, (stream.type, name.strip())))})")
        return False

    def _copy_of(self, stream: Stream, kind: str) -> Stream:
        """Add a stream like this one to the new file."""
        if stream.disposition & Disposition.attached_pic and kind == ".mkv":
            tags = stream.metadata
            return self._target.add_attachment(
                tags.get("filename", "cover"), tags.get("mimetype", "image/jpeg"), _picture(self._reader.path, stream)
            )
        if _family(self._source.format.name) == "avi" and getattr(stream.codec_context, "has_b_frames", False):
            raise AudioError(
                f"{self._reader.path}: the picture cannot be copied, because AVI files do not say when its frames are "
                "shown; encode it again (ffmpeg -i VIDEO new.mp4), or write an audio file, such as .m4a"
            )
        try:
            copy = self._target.add_stream_from_template(stream, opaque=True)
        except ValueError:
            codec = stream.codec_context.codec.canonical_name if stream.codec_context else "unknown codec"
            path = self._reader.path
            raise AudioError(
                f"{kind} cannot hold stream {stream.index + 1} of {path} ({stream.type}, {codec}); {self._remedy()}"
            ) from None
        if stream.type == "video" and _family(self._source.format.name) == _family(self._target.format.name):
            # Apple's players accept only one of the two tags for H.265.
            copy.codec_context.codec_tag = stream.codec_context.codec_tag
        copy.metadata.update(stream.metadata)
        copy.disposition = cast(Any, stream.disposition.value)
        return copy

    def _source_packets(self) -> "Iterator[av.Packet[Any]]":
        """Yield the packets of all copied streams, each with its decoding time.

        Matroska does not store this time. FFmpeg computes it, except for the first packets of a stream.
        """
        copied = [self._source.streams[index] for index, copy in self._copies.items() if copy.type != "attachment"]
        waiting: defaultdict[int, list[av.Packet[Any]]] = defaultdict(list)
        for packet in _demuxed(self._source, copied, self._reader.path):
            held = waiting[packet.stream.index]
            if packet.dts is None:
                held += [packet] if packet.pts is not None else []  # without a time it only marks the end
                continue
            due = packet.dts
            for earlier in reversed(held):
                due -= earlier.duration or 1
                earlier.dts = due
            yield from held
            held.clear()
            yield packet
        for packet in chain.from_iterable(waiting.values()):
            packet.dts = packet.pts
            yield packet

    def write(self, data: np.ndarray) -> None:
        """Append interleaved samples of the new sound, (n, channels), of the sample format."""
        if not self._started:
            self._started = True
            self._begin(data[:0])
        self._mux(self._sound.encode(data))

    def _begin(self, nothing: np.ndarray) -> None:
        """Let the new sound begin when the old one did, with silence before sound that starts late."""
        starts = [
            float(stream.start_time * stream.time_base)
            for stream in (self._source.streams[index] for index in self._copies)
            if stream.start_time is not None and stream.time_base and stream.type in ("video", "audio")
        ]
        first = min([*starts, self._reader.start])
        late = self._reader.start - first
        if late <= _START_TOLERANCE_S:
            self._sound.start = self._reader.start
            return
        self._sound.start = first
        silence = round(late * self._rate)
        for done in range(0, silence, _SILENCE_FRAMES):
            shape = (min(_SILENCE_FRAMES, silence - done), *nothing.shape[1:])
            self._mux(self._sound.encode(np.zeros(shape, nothing.dtype)))

    def _mux(self, packets: "list[av.Packet[Any]]") -> None:
        """Write packets of the new sound, and all copied packets that come before them."""
        for packet in packets:
            self._copy_until(_time(packet))
            self._target.mux(packet)

    def _copy_until(self, seconds: float) -> None:
        while (packet := self._next) is not None and _time(packet) <= seconds:
            packet.stream = self._copies[packet.stream.index]
            self._target.mux(packet)
            self._next = next(self._packets, None)

    def close(self) -> None:
        """Finish the file."""
        with self._open:
            self._mux(self._sound.finish())
            self._copy_until(float("inf"))


def _demuxed(source: InputContainer, streams: list[Stream], path: Path) -> "Iterator[av.Packet[Any]]":
    try:
        if streams:  # for an empty list, FFmpeg would read all streams
            yield from source.demux(streams)
    except av.FFmpegError as error:
        raise AudioError(
            f"{path} is damaged, and only a part of it can be copied ({error.strerror}); "
            f"repair it, for example: ffmpeg -i VIDEO -c copy repaired{path.suffix}"
        ) from None


def _picture(path: Path, stream: Stream) -> bytes:
    """Return the picture that is attached to a file as a stream."""
    with path.open("rb") as file, open_container(file) as container:
        return bytes(next(container.demux(container.streams[stream.index])))


def _time(packet: "av.Packet[Any]") -> float:
    """Return when a packet is due, in seconds."""
    return float((packet.dts or 0) * (packet.time_base or 0))


def _describe(old: Stream, new: Stream) -> None:
    """Give a new stream the tags and flags of the one that it replaces, except tags that are wrong for new sound."""
    tags = {
        name: text
        for name, text in old.metadata.items()
        if not UNTRUE.match(name) and not name.upper().startswith(("_STATISTICS", "BPS", "NUMBER_OF", "DURATION"))
    }
    new.metadata.update(tags)
    new.disposition = cast(Any, old.disposition.value)


def _family(format: str) -> str:
    """Return the name of a family of formats that hold the same streams: "mov" or "matroska" for those in `FORMATS`.

    >>> _family("mp4"), _family("mov,mp4,m4a,3gp,3g2,mj2"), _family("matroska,webm")
    ('mov', 'mov', 'matroska')
    """
    first = format.split(",")[0]
    return _FAMILIES.get(first, first)


def is_video(reader: FFmpegReader) -> bool:
    """Return whether a reader reads a file whose sound can be replaced, such as an MP4."""
    return reader.kind in _READ_FORMATS
