"""Cut a stream of any sample rate into segments, and resample them to the network's rate and back."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from ...models import ModelError, StemsCard

RESAMPLER_REACH = 100  # samples at the lower rate, after which soxr's impulse response stays below -120 dB


@dataclass(frozen=True)
class Cuts:
    """Lengths of the segments of a stream.

    Segment k gives the stems of the stream's samples from k * stride on, and needs those from k * stride - before on.
    Each segment is resampled separately, so it does not depend on the audio before it.

    Attributes:
        stream_rate: Sample rate of the stream, in Hz.
        network_rate: Sample rate of the network, in Hz.
        samples: Length of the network's input, at the network's rate.
        margin: Samples at each end of a segment, at the network's rate, that the resampler needs. 0 if both rates are
            the same.
        trim: Samples at each end of the network's output, at the network's rate, that are not used.
        taken: Samples of the stream that a segment needs.
        before: How many of these come before the first sample that is kept.
        kept: Samples of the stream for which a segment gives stems.
        stride: Samples of the stream from one segment to the next.
    """

    stream_rate: float
    network_rate: float
    samples: int
    margin: int
    trim: int
    taken: int
    before: int
    kept: int
    stride: int

    def to_network(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn a segment of the stream, (channels, taken), into the network's input, (channels, samples)."""
        if not self.margin:
            return audio
        audio = _resample(audio, self.stream_rate, self.network_rate)
        return audio[:, self.margin : self.margin + self.samples]

    def to_stream(self, stems: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn stems from the network, (stems, channels, samples), into the stream's, (stems, channels, kept)."""
        if not self.margin:
            return stems[..., self.trim : self.trim + self.kept]
        padded = np.pad(stems, [(0, 0), (0, 0), (self.margin, self.margin)])
        flat = _resample(padded.reshape(-1, padded.shape[-1]), self.network_rate, self.stream_rate)
        return flat.reshape(*stems.shape[:2], -1)[..., self.before : self.before + self.kept]


def make_cuts(card: StemsCard, stream_rate: float) -> Cuts:
    """Return the lengths of the segments of a stream.

    Args:
        card: Card of the model.
        stream_rate: Sample rate of the stream, in Hz.

    Raises:
        ModelError: The card's segments are too short for this sample rate.
    """
    segment, exact = card.segment, Fraction(float(stream_rate)) / card.sample_rate
    margin = 0 if exact == 1 else ceil(RESAMPLER_REACH * max(1 / exact, Fraction(1)))
    before = ceil((2 * margin + segment.trim) * exact)
    kept = floor((segment.samples - segment.trim) * exact) - before
    stride = kept - round(segment.overlap * exact)
    if stride < 1:
        raise ModelError(
            f"{card.name}: segments of {segment.samples} samples at {card.sample_rate} Hz, with an overlap of "
            f"{segment.overlap}, are too short for audio of {stream_rate:g} Hz; resample it to {card.sample_rate} Hz"
        )
    return Cuts(
        stream_rate,
        card.sample_rate,
        segment.samples,
        margin,
        segment.trim,
        ceil((segment.samples + 2 * margin) * exact),
        before,
        kept,
        stride,
    )


def _resample(audio: NDArray[np.float32], from_rate: float, to_rate: float) -> NDArray[np.float32]:
    """Resample audio, (channels, n); the first sample stays where it is."""
    import soxr

    resampled: NDArray[np.float32] = soxr.resample(audio.T, from_rate, to_rate, "HQ").T
    return resampled
