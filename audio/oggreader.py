"""Read Ogg files that libsndfile cannot: with lost or damaged pages, several streams, FLAC or Speex.

Each page has a number, and the time at which its sound ends, so the sound after a lost page keeps its place.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np

from ..core.errors import AudioError, StemBridgeError
from .convert import Unifier
from .ffmpeg import SAMPLE_FORMATS
from .ogg import Page, Pages, find_links, in_order
from .reader import AudioReader
from .streams import frame_samples, stream_descriptions

# First bytes of the first packet of a stream.
_CODEC_STARTS = {b"OpusHead": "opus", b"\x01vorbis": "vorbis", b"\x7fFLAC": "flac", b"Speex   ": "speex"}
# Up to this many lost pages at the start are replaced with silence. If more are missing, a recorder joined a broadcast
# late.
_MAX_LOST_AT_START = 16

Head = tuple[list[Page], str, bytes]  # a stream's pages, codec and first packet
Sound = tuple[av.AudioFrame, np.ndarray]  # a frame that has the format, and samples (channels, n)


class OggReader(AudioReader):
    """Reads one audio stream, and the streams chained to it, page by page.

    Args:
        path: The file.
        stream: Number of the stream, from 1; None for the first.

    Raises:
        AudioError: The file has no stream that can be decoded, or no such stream.
    """

    def __init__(self, path: Path, stream: int | None = None) -> None:
        super().__init__(path)
        self._file = path.open("rb")
        try:
            self._start(stream)
        except BaseException:
            self._file.close()
            raise

    def _start(self, number: int | None) -> None:
        pages = Pages(self._file)
        links = [found for link in find_links(pages) if (found := _find_sound(self._file, link))]
        if not links:
            raise AudioError(f"{self.path} has no audio that can be decoded; export or download it again")
        number = self._choose_stream(number, self._names(links[0]))
        self._streams = [_Stream(self._file, *found[min(number, len(found)) - 1]) for found in links]
        sound = itertools.chain.from_iterable(stream.sound() for stream in self._streams)
        before = []  # gaps
        for first in sound:
            before.append(first)
            if not isinstance(first, int):
                break
        else:
            raise AudioError(f"{self.path} has no audio that can be decoded; export or download it again")
        frame = first[0]
        self.sample_rate, self.num_channels = frame.sample_rate, frame.layout.nb_channels
        self.sample_format = "lossy"
        if self._streams[0].codec == "flac":
            self.sample_format = SAMPLE_FORMATS.get(frame.format.packed.name, "float32")
        self._sound = itertools.chain(before, sound)
        self.num_frames = round(sum(each.num_frames * self.sample_rate / each.sample_rate for each in self._streams))
        self._promised, self._tolerance = self.num_frames, 2304  # two frames of Opus or Vorbis
        self._damaged = pages.spoiled or any(each.is_lacking for each in self._streams)
        if any(each.is_shuffled for each in self._streams):
            self.note("some of its pages are repeated or out of order; they were read in order, once each")
        self._unifier = Unifier(frame)

    def _decoded(self) -> Iterator[np.ndarray]:
        unifier = self._unifier
        for sound in self._sound:
            if isinstance(sound, int):
                yield from unifier.flush()
                gap = round(sound * self.sample_rate / unifier.current_rate)
                yield from self._fill(unifier.position, gap)
                unifier.skip(gap)
            else:
                yield from unifier.push(*sound)
        yield from unifier.flush()
        self._damaged = self._damaged or any(each.failed for each in self._streams)
        self._note_changes(unifier)

    def _names(self, streams: list[Head]) -> list[str]:
        """Describe the streams to a user."""
        codecs = [codec for _, codec, _ in streams]
        names = stream_descriptions(self.path) if len(streams) > 1 else []
        return names if len(names) == len(codecs) else codecs

    def close(self) -> None:
        """Close the file; harmless when repeated."""
        self._file.close()


def _find_sound(file: BinaryIO, streams: dict[int, list[Page]]) -> list[Head]:
    """Return the audio streams among streams that begin together."""
    found = []
    for pages in streams.values():
        packets, _ = pages[0].packets(file)
        for magic, codec in _CODEC_STARTS.items():
            if packets and packets[0].startswith(magic):
                found.append((pages, codec, packets[0]))
    return found


class _Stream:
    """One audio stream.

    Attributes:
        num_frames: Its length, including missing sound.
        is_lacking: Whether pages are missing.
        is_shuffled: Whether pages are repeated or out of order.
        failed: Whether any packet so far could not be decoded.
    """

    def __init__(self, file: BinaryIO, pages: list[Page], codec: str, head: bytes) -> None:
        self._file, self.codec = file, codec
        self._pages = in_order(pages)
        self.is_shuffled = self._pages != pages
        self.is_lacking = not self._pages[-1].ends
        self.failed = False
        self.sample_rate = _rate(codec, head)
        self._skipped = int.from_bytes(head[10:12], "little") if codec == "opus" else 0  # warm-up samples
        timed = [page for page in self._pages if page.granule > 0]
        self._longest = timed[0].granule if len(timed) == 1 else 0  # length of the longest page, in samples
        for early, late in itertools.pairwise(self._pages):
            lost = max(0, late.sequence - early.sequence - 1)
            self.is_lacking = self.is_lacking or lost > 0
            if early.granule > 0:
                self._longest = max(self._longest, (late.granule - early.granule) // (lost + 1))
        # The sound begins at 0, unless it was recorded from a broadcast that was already running.
        self._start = 0
        for page, frames, lost in itertools.islice(self._decoded_pages(), 1):
            if not 0 < lost <= _MAX_LOST_AT_START:
                self._start = max(0, page.granule - sum(frame.samples for frame in frames))
        self.num_frames = max(0, timed[-1].granule - self._start - self._skipped) if timed else 0

    def sound(self) -> Iterator[Sound | int]:
        """Yield the sound. In place of missing sound, yield its length in samples."""
        position = self._start  # of the next sample, in the time of granules
        skipped, is_first = self._skipped, True
        for page, frames, lost in self._decoded_pages():
            samples = np.concatenate([frame_samples(frame) for frame in frames], axis=1)
            start = page.granule - samples.shape[1]
            if is_first and not page.ends:  # its sound may begin before 0; a last page is cut at its end instead
                lost, is_first = max(lost, 1), False
            if lost and 0 < start - position <= lost * max(self._longest, samples.shape[1]) + samples.shape[1]:
                gap = start - position
                if gap > skipped:
                    yield gap - skipped
                skipped = max(0, skipped - gap)
            elif lost and start < position:
                samples = samples[:, position - start :]
            elif page.ends and start < position:
                samples = samples[:, : max(0, page.granule - position)]
            position = page.granule
            samples, skipped = samples[:, skipped:], max(0, skipped - samples.shape[1])
            if samples.shape[1]:
                yield frames[0], samples

    def _decoded_pages(self) -> Iterator[tuple[Page, list[av.AudioFrame], int]]:
        """Yield each page with sound, its decoded frames, and how many pages were lost before it."""
        headers: list[bytes] = []
        decoder: av.AudioCodecContext | None = None
        previous, lost = self._pages[0], 0
        unfinished: bytes | None = None
        for page in self._pages:
            missing = max(0, page.sequence - previous.sequence - 1)
            lost, previous = lost + missing, page
            packets, begun = page.packets(self._file)
            if page.continues:
                known = unfinished if not missing else None
                if packets:
                    packets[:1] = [] if known is None else [known + packets[0]]
                else:
                    begun = None if known is None or begun is None else known + begun
            unfinished = begun
            if missing and decoder is not None:
                decoder.flush_buffers()
            frames: list[av.AudioFrame] = []
            for packet in packets:
                if _is_header(self.codec, packet, page):
                    headers.append(packet)
                    continue
                try:
                    if decoder is None:
                        decoder = _decoder(self.codec, headers)
                    frames += decoder.decode(av.Packet(packet))
                except (av.FFmpegError, ValueError):
                    self.failed = True
                    lost += 1
            if frames:
                yield page, frames, lost
                lost = 0


def _rate(codec: str, head: bytes) -> int:
    """Return the sample rate of a stream from its first packet."""
    if codec == "flac":
        return int.from_bytes(head[27:30], "big") >> 4
    if codec == "opus":
        return 48000
    return int.from_bytes(head[12:16] if codec == "vorbis" else head[36:40], "little")


def _is_header(codec: str, packet: bytes, page: Page) -> bool:
    if codec == "opus":
        return packet.startswith(b"Opus")
    if codec == "flac":
        return not packet.startswith(b"\xff")
    return page.granule == 0 if codec == "speex" else packet[1:7] == b"vorbis"


def _decoder(codec: str, headers: list[bytes]) -> av.AudioCodecContext:
    """Return a decoder set up with the headers of a stream. Raises ValueError if headers are missing."""
    decoder = av.CodecContext.create(codec, "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.extradata = _extradata(codec, headers)
    return decoder


def _extradata(codec: str, headers: list[bytes]) -> bytes:
    """Return the headers in FFmpeg's format."""
    if not headers:
        raise StemBridgeError("headers are missing")
    if codec == "flac":
        return headers[0][17:51]
    if codec == "opus":
        return headers[0][:10] + bytes(2) + headers[0][12:]  # no pre-skip, because `sound` skips those samples
    if codec != "vorbis":
        return headers[0]
    if len(headers) != 3:
        raise StemBridgeError("headers are missing")
    sizes = [b"\xff" * (len(header) // 255) + bytes([len(header) % 255]) for header in headers[:2]]
    return b"\x02" + b"".join([*sizes, *headers])
