"""Encode samples into packets with FFmpeg (PyAV), and write M4A and Opus files of such packets."""

from fractions import Fraction
from typing import Any, BinaryIO, cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer

_LAYOUTS = {1: "mono", 2: "stereo"}
_FRAMES = {"lossy": "fltp", "int16": "s16p", "int24": "s32p"}  # sample format -> FFmpeg's format of the frames
_FORMATS = {  # FFmpeg's name of an encoder -> sample format -> FFmpeg's format of its finest samples
    "aac": {"lossy": "fltp"},
    "libopus": {"lossy": "flt"},
    "alac": {"int16": "s16p", "int24": "s32p"},
    "flac": {"int16": "s16", "int24": "s32"},
    "pcm_s16le": {"int16": "s16"},
    "pcm_s24le": {"int24": "s32"},
}


class StreamEncoder:
    """Encodes samples for a new audio stream of an output container.

    Args:
        container: The output container.
        codec: FFmpeg's name of the encoder.
        sample_rate: Sample rate of the samples and of the stream, in Hz.
        num_channels: 1 or 2.
        sample_format: "int16", "int24" or "lossy".
        kbps: Bitrate of a lossy codec, in kbit/s.

    Attributes:
        stream: The stream.
        start: Time of its first sample, in seconds. It may be set until the first `encode`.
    """

    def __init__(
        self,
        container: OutputContainer,
        codec: str,
        sample_rate: int,
        num_channels: int,
        sample_format: str,
        kbps: float | None,
    ) -> None:
        self._layout = _LAYOUTS[num_channels]
        self.stream = cast(AudioStream, container.add_stream(codec, rate=sample_rate, layout=self._layout))
        self.stream.format = _FORMATS[codec][sample_format]
        self.stream.time_base = Fraction(1, sample_rate)
        if kbps is not None:
            self.stream.bit_rate = round(1000 * kbps)
        self._rate, self._frame = sample_rate, _FRAMES[sample_format]
        self.start = 0.0
        self._encoded = 0  # samples

    def encode(self, samples: np.ndarray) -> "list[av.Packet[Any]]":
        """Encode samples, (n, channels), of the sample format, and return the packets that are ready."""
        if not len(samples):
            return []
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), format=self._frame, layout=self._layout)
        frame.sample_rate, frame.time_base = self._rate, Fraction(1, self._rate)
        frame.pts = round(self.start * self._rate) + self._encoded
        self._encoded += len(samples)
        return self.stream.encode(frame)

    def finish(self) -> "list[av.Packet[Any]]":
        """Return the last packets. Nothing may be encoded after this."""
        return self.stream.encode(None) if self._encoded else []


class PacketEncoder:
    """Writes interleaved samples into a file with one audio stream.

    Args:
        file: The file, open for writing.
        container: FFmpeg's name of its format.
        codec: FFmpeg's name of the encoder.
        sample_rate: In Hz.
        num_channels: 1 or 2.
        sample_format: "int16", "int24" or "lossy".
        kbps: Bitrate of a lossy codec, in kbit/s.
    """

    def __init__(
        self,
        file: BinaryIO,
        container: str,
        codec: str,
        sample_rate: int,
        num_channels: int,
        sample_format: str,
        kbps: float | None = None,
    ) -> None:
        # The edit list of an MP4 uses the movie's clock. At the sample rate, it gives start and end exactly.
        options = {"movie_timescale": str(sample_rate)} if container == "ipod" else {}
        self._container = av.open(file, "w", format=container, options=options)
        self._encoder = StreamEncoder(self._container, codec, sample_rate, num_channels, sample_format, kbps)
        self._container.start_encoding()

    def write(self, data: np.ndarray) -> None:
        """Append interleaved samples, (n, channels), of the sample format."""
        self._container.mux(self._encoder.encode(data))

    def close(self) -> None:
        """Finish the file."""
        try:
            self._container.mux(self._encoder.finish())
        finally:
            self._container.close()
