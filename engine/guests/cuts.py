"""Where segments lie in a stream of any sample rate, and the way to the network's rate and back."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from ...models import ModelError, StemsCard

REACH = 100  # samples at the lower rate after which soxr's filter is below -120 dB


@dataclass(frozen=True)
class Cuts:
    """Segments of a stream. Each is resampled by itself, so that it depends on nothing before it.

    All but `samples`, `margin` and `trim` are in samples of the stream. Segment k keeps the stream's samples from
    k * stride on, and is made of those from k * stride - before on.
    """

    stream_rate: float
    network_rate: float
    samples: int  # that the network sees of a segment
    margin: int  # of the network's samples at each end of a segment, for the resampler; 0 at the network's rate
    trim: int  # of the network's samples at each end of a segment, thrown away
    taken: int  # samples that a segment is made of
    before: int  # of these, before the first that is kept
    kept: int
    stride: int

    def to_network(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the network sees, (channels, samples), of the samples (channels, taken)."""
        if not self.margin:
            return audio
        audio = _resample(audio, self.stream_rate, self.network_rate)
        return audio[:, self.margin : self.margin + self.samples]

    def to_stream(self, stems: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what is kept, (stems, channels, kept), of stems from the network, (stems, channels, samples)."""
        if not self.margin:
            return stems[..., self.trim : self.trim + self.kept]
        padded = np.pad(stems, [(0, 0), (0, 0), (self.margin, self.margin)])
        flat = _resample(padded.reshape(-1, padded.shape[-1]), self.network_rate, self.stream_rate)
        return flat.reshape(*stems.shape[:2], -1)[..., self.before : self.before + self.kept]


def make_cuts(card: StemsCard, stream_rate: float) -> Cuts:
    """Return the segments of a stream. Raises ModelError if they are too short for its sample rate."""
    segment, exact = card.segment, Fraction(float(stream_rate)) / card.sample_rate
    margin = 0 if exact == 1 else ceil(REACH * max(1 / exact, Fraction(1)))
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

    return soxr.resample(audio.T, from_rate, to_rate, "HQ").T
