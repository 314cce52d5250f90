"""The card of a graph that gives stems: format 2 of docs/model-format.md."""

from dataclasses import dataclass, field
from typing import Any, Literal

Holds = Literal["waveform", "spectrum", "real", "imaginary", "mask", "magnitude"]
"""What a tensor holds. `spectrum` and `mask` are complex, with an axis `part` of two: real, imaginary."""


@dataclass(frozen=True)
class Segment:
    """The stretches of audio that the graphs are called with. All lengths are in samples.

    Consecutive segments start `samples - 2 * trim - overlap` samples apart. Where they overlap, results are weighted
    by `window` and divided by the sum of the weights.
    """

    samples: int  # length of a segment
    trim: int = 0  # at each end of a segment, context whose result is thrown away
    overlap: int = 0  # that two neighbours, without what is trimmed, have in common
    window: Literal["triangle", "hann", "rectangle"] = "triangle"


@dataclass(frozen=True)
class Transform:
    """The short-time Fourier transform between a segment and the spectra that the graphs see."""

    size: int  # of the FFT and its window, in samples
    hop: int  # in samples
    window: Literal["hann", "hamming", "rectangle"] = "hann"  # periodic
    pad: tuple[int, int] = (0, 0)  # samples put before and after a segment
    pad_mode: Literal["reflect", "zero"] = "reflect"
    drop: tuple[int, int] = (0, 0)  # frames thrown away at the start and the end; they are zeros on the way back
    bins: int = 0  # the lowest ones, that the graphs see; those above are zero, or follow `above`
    zero_bins: int = 0  # lowest bins that are set to zero before a graph sees them
    above: Literal["zero", "mean"] = "zero"  # masks of the bins that the graphs do not see
    scale: float = 1.0  # spectra are multiplied by it, and divided on the way back


@dataclass(frozen=True)
class Tensor:
    """An input or output of a graph.

    Each axis is a product, such as ("batch", "stem", "channel*part", "bin", "frame"), of these factors, the last the
    fastest: batch (always 1), stem, channel, part, bin, frame, sample.
    """

    name: str
    holds: Holds
    axes: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """One ONNX graph of a model. Its outputs are added: HTDemucs gives a spectrum and a waveform."""

    file: str  # a name without a folder, next to the card
    sha256: str
    stems: tuple[str, ...]  # that it gives, in the order of the axis `stem`
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    gain: float = 1.0  # what its stems are multiplied by


@dataclass(frozen=True)
class Masks:
    """How magnitudes of stems become masks on the mix's spectrum."""

    kind: Literal["phase", "ratio", "wiener"]  # phase: each magnitude keeps the phase of the mix
    power: float = 2.0  # of the magnitudes, in `ratio`
    iterations: int = 1  # of `wiener`


@dataclass(frozen=True)
class StemsCard:
    """A checked card of format 2. Lengths are in samples at `sample_rate`; `values` is the whole JSON object.

    A stem that several graphs give is their mean. A graph's stem that is not in `stems` is not used. The last of
    `stems` is what is left of the mix, whatever the graphs say.
    """

    name: str
    version: str
    stems: tuple[str, ...]
    sample_rate: int
    num_channels: int  # that the graphs take, 1 or 2
    segment: Segment
    normalize: Literal["chunk", "song"] | None  # by mean and standard deviation of the mono mix
    transform: Transform | None
    masks: Masks | None
    graphs: tuple[Graph, ...]
    values: dict[str, Any] = field(compare=False)
