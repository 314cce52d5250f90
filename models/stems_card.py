"""The card of a graph that gives stems: format 2 of docs/model-format.md."""

import hashlib
import json
from dataclasses import dataclass, field
from math import prod
from typing import Any, ClassVar, Literal

from ..core.documents import check_document
from ..core.errors import ModelError

Holds = Literal["waveform", "spectrum", "real", "imaginary", "mask", "magnitude"]
"""The content of a tensor. `spectrum` and `mask` are complex, with an axis `part` of two: real, imaginary."""


@dataclass(frozen=True)
class Segment:
    """The segments of audio on which the graphs run. All lengths are in samples.

    Where segments overlap, their stems are weighted by `window` and divided by the sum of the weights.
    """

    samples: int  # length of a segment
    trim: int = 0  # samples at each end of a segment whose result is not used
    overlap: int = 0  # samples that two neighbours have in common after trimming
    window: Literal["triangle", "hann", "rectangle"] = "triangle"

    @property
    def stride(self) -> int:
        """Samples from the start of a segment to the start of the next."""
        return self.samples - 2 * self.trim - self.overlap


@dataclass(frozen=True)
class Transform:
    """The short-time Fourier transform between a segment and the spectra that the graphs take or give."""

    size: int  # of the FFT and its window, in samples
    hop: int  # in samples
    window: Literal["hann", "hamming", "rectangle"] = "hann"  # periodic
    pad: tuple[int, int] = (0, 0)  # samples put before and after a segment
    pad_mode: Literal["reflect", "zero"] = "reflect"
    drop: tuple[int, int] = (0, 0)  # frames dropped at the start and end; on the way back they are 0
    bins: int = 0  # number of bins that the graphs know, the lowest ones
    zero_bins: int = 0  # number of lowest bins that are set to 0 in the graphs' input
    above: Literal["zero", "mean"] = "zero"  # masks of the bins that the graphs do not know
    scale: float = 1.0  # factor on the spectra, which are divided by it on the way back

    def frames(self, samples: int) -> int:
        """Return the number of frames that a graph gets for a segment.

        Args:
            samples: Length of the segment.
        """
        return (samples + sum(self.pad) - self.size) // self.hop + 1 - sum(self.drop)


@dataclass(frozen=True)
class Tensor:
    """An input or output of a graph.

    Attributes:
        name: Its name in the graph.
        holds: Its content.
        axes: Its axes, such as ("batch", "stem", "channel*part", "bin", "frame"). Each is a product of the factors
            batch (always 1), stem, channel, part, bin, frame and sample, of which the last changes fastest.
    """

    name: str
    holds: Holds
    axes: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """One ONNX graph of a model. The stems of all its outputs are added: HTDemucs gives a spectrum and a waveform."""

    file: str  # name of the file, which is next to the card
    sha256: str
    stems: tuple[str | None, ...]  # stems that it gives, in the order of the axis `stem`; None for one that is not used
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    gain: float = 1.0  # factor on its stems


@dataclass(frozen=True)
class Masks:
    """How magnitudes of stems become spectra of stems."""

    kind: Literal["phase", "ratio", "wiener"]  # phase: magnitudes get the phase of the mix
    power: float = 2.0  # exponent of the magnitudes, for "ratio"
    iterations: int = 1  # number of iterations, for "wiener"


@dataclass(frozen=True)
class StemsCard:
    """A checked card of format 2. Lengths are in samples at `sample_rate`.

    A stem that several graphs give is the mean of theirs. Stems of a graph that are not in `stems` are not used. The
    last of `stems` is always the mix minus the others, even if a graph gives it.
    """

    name: str
    version: str
    stems: tuple[str, ...]
    sample_rate: int  # in Hz
    num_channels: int  # channels that the graphs take, 1 or 2
    segment: Segment
    normalize: Literal["chunk", "song"] | None  # whether a segment's or the song's level is normalised
    transform: Transform | None
    masks: Masks | None
    graphs: tuple[Graph, ...]
    denoise: bool  # run each graph on the segment and on its negative, and use half the difference of the results
    values: dict[str, Any] = field(compare=False, repr=False)  # the whole JSON object

    mode: ClassVar[str] = "stems"
    realtime: ClassVar[bool] = False  # segments are seconds long

    @property
    def sha256(self) -> str:
        """Checksum of the whole card, which contains the checksums of its graphs."""
        return hashlib.sha256(json.dumps(self.values, sort_keys=True).encode()).hexdigest()

    @property
    def latency_samples(self) -> int:
        """Latency at the network's sample rate: a sample is final when the last segment that covers it is complete."""
        return self.segment.samples - self.segment.trim

    def sizes(self, graph: Graph) -> dict[str, int]:
        """Return factor to size, for all factors of the axes of a graph's tensors.

        Args:
            graph: A graph of this card.
        """
        samples, transform = self.segment.samples, self.transform
        sizes = {"batch": 1, "stem": len(graph.stems), "channel": self.num_channels, "part": 2, "sample": samples}
        return sizes | ({"bin": transform.bins, "frame": transform.frames(samples)} if transform else {})

    def shape(self, graph: Graph, tensor: Tensor) -> tuple[int, ...]:
        """Return the shape of a tensor.

        Args:
            graph: A graph of this card.
            tensor: An input or output of the graph.
        """
        sizes = self.sizes(graph)
        return tuple(prod(sizes[factor] for factor in axis.split("*")) for axis in tensor.axes)

    @staticmethod
    def from_dict(values: Any, source: object) -> "StemsCard":
        """Return the card that JSON describes.

        Args:
            values: The JSON value.
            source: How errors call the card: usually its path.

        Raises:
            ModelError: The card is not valid.
        """
        from .documents import StemsDocument  # imported late, because pydantic takes a while to load

        check_document(values, StemsDocument, f"{source}: not a valid model card", ModelError)
        for quality in ("normal", *_qualities(values)):
            card = _from_valid(_quality_values(values, quality))
            if problem := _problem(card):
                raise ModelError(f"{source}: {problem}")
        return _from_valid(values)

    def at_quality(self, quality: str) -> "StemsCard":
        """Return the card with the changes that its field `quality` lists for a quality.

        Args:
            quality: "fast" or "best"; "normal" changes nothing.

        Raises:
            ValueError: The card does not have this quality.
        """
        if quality != "normal" and quality not in (known := _qualities(self.values)):
            choices = ", ".join(each for each in ("fast", "normal", "best") if each in {"normal", *known})
            raise ModelError(f"model {self.name} has no quality {quality!r}; choose from: {choices}")
        return _from_valid(_quality_values(self.values, quality))


def _qualities(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the changes of each quality other than "normal"."""
    return {name: changes for name, changes in (values.get("quality") or {}).items() if changes is not None}


def _quality_values(values: dict[str, Any], quality: str) -> dict[str, Any]:
    changes = {key: value for key, value in _qualities(values).get(quality, {}).items() if value is not None}
    if "overlap" in changes:
        changes["segment"] = values["segment"] | {"overlap": changes.pop("overlap")}
    return values | changes


def _from_valid(values: dict[str, Any]) -> StemsCard:
    """Return the card that valid JSON describes."""
    plain = {key: _plain(value) for key, value in values.items()}
    transform, masks = plain.get("transform"), plain.get("masks")
    return StemsCard(
        name=plain["name"],
        version=plain["version"],
        stems=plain["stems"],
        sample_rate=plain["sample_rate"],
        num_channels=plain["num_channels"],
        segment=Segment(**plain["segment"]),
        normalize=plain.get("normalize"),
        transform=Transform(**transform) if transform else None,
        masks=Masks(**masks) if masks else None,
        graphs=tuple(
            Graph(**graph | {side: tuple(Tensor(**tensor) for tensor in graph[side]) for side in ("inputs", "outputs")})
            for graph in plain["graphs"]
        ),
        denoise=plain.get("denoise", False),
        values=values,
    )


def _plain(value: Any) -> Any:
    """Return JSON with tuples for lists, and int for whole numbers, because in JSON 256 and 256.0 are the same."""
    match value:
        case list():
            return tuple(map(_plain, value))
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case float() if value.is_integer():
            return int(value)
    return value


def _problem(card: StemsCard) -> str | None:
    """Return the first fault of a card that the schema does not catch, in one line, or None if the card is valid."""
    segment, transform = card.segment, card.transform
    kept = segment.samples - 2 * segment.trim
    if not 0 <= segment.overlap < kept:
        return (
            f"overlap {segment.overlap} does not fit a segment of {segment.samples} samples, "
            f"of which {segment.trim} are trimmed at each end"
        )
    tensors = [tensor for graph in card.graphs for tensor in (*graph.inputs, *graph.outputs)]
    if (transform is not None) != any(tensor.holds != "waveform" for tensor in tensors):
        return "a card needs a transform if a graph takes or gives spectra, and must not have one otherwise"
    if transform is not None and (problem := _transform_problem(transform, segment.samples)):
        return problem
    outputs = [tensor for graph in card.graphs for tensor in graph.outputs]
    if (card.masks is not None) != any(tensor.holds == "magnitude" for tensor in outputs):
        return "a card needs masks if a graph gives magnitudes, and must not have them otherwise"
    for graph in card.graphs:
        for tensor in graph.inputs + graph.outputs:
            many = card.num_channels > 1, tensor in graph.outputs and len(graph.stems) > 1
            if problem := _axes_problem(tensor, *many, tensor in graph.outputs):
                return f"graph {graph.file}, {tensor.name}: {problem}"
        for side in (graph.inputs, graph.outputs):
            if sum(tensor.holds == "real" for tensor in side) != sum(tensor.holds == "imaginary" for tensor in side):
                return f"graph {graph.file}: a real part needs its imaginary part, and an imaginary part its real part"
        named = [stem for stem in graph.stems if stem is not None]
        if twice := [stem for stem in named if named.count(stem) > 1]:
            return f"graph {graph.file}: the stem {twice[0]} appears twice"
    given = {stem for graph in card.graphs for stem in graph.stems}
    if missing := [stem for stem in card.stems[:-1] if stem not in given]:
        return f"no graph gives the stem {missing[0]}; only the last stem may be the rest of the mix"
    return None


def _transform_problem(transform: Transform, samples: int) -> str | None:
    if transform.hop > transform.size:
        return f"hop {transform.hop} is longer than the transform of {transform.size} samples"
    if transform.bins > transform.size // 2 + 1:
        return f"a transform of {transform.size} samples has {transform.size // 2 + 1} bins, not {transform.bins}"
    if transform.zero_bins > transform.bins:
        return f"zero_bins {transform.zero_bins} is more than the {transform.bins} bins"
    if transform.pad_mode == "reflect" and max(transform.pad) >= samples:
        return f"a segment of {samples} samples is too short to be padded by {max(transform.pad)} reflected samples"
    if transform.frames(samples) < 1:
        return f"a segment of {samples} samples has no frame of {transform.size} samples"
    return None


NEEDED_FACTORS = {"waveform": {"sample"}, "spectrum": {"part", "bin", "frame"}, "mask": {"part", "bin", "frame"}}


def _axes_problem(tensor: Tensor, many_channels: bool, many_stems: bool, is_output: bool) -> str | None:
    factors = [factor for axis in tensor.axes for factor in axis.split("*")]
    needed = NEEDED_FACTORS.get(tensor.holds, {"bin", "frame"})
    needed = needed | ({"channel"} if many_channels else set()) | ({"stem"} if many_stems else set())
    allowed = needed | {"batch", "channel"} | ({"stem"} if is_output else set())
    if len(factors) != len(set(factors)) or not needed <= set(factors) <= allowed:
        return f"axes {list(tensor.axes)} of a {tensor.holds} must have each of {', '.join(sorted(needed))} once"
    return None
