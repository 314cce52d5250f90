"""The JSON of model cards. `mask_card.schema.json` and `stems_card.schema.json` are made from this."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from ..core.errors import StemBridgeError

Count = Annotated[int, Field(ge=0, le=1_000_000)]
Length = Annotated[int, Field(ge=0, le=20_000_000)]
Name = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_-]*$")]
SampleRate = Annotated[int, Field(ge=8000, le=192_000)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Stem = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
Text = Annotated[str, Field(min_length=1)]


def _check_different(stems: list[str]) -> list[str]:
    if twice := [stem for stem in stems if stems.count(stem) > 1]:
        raise StemBridgeError(f"{twice[0]!r} appears twice")
    return stems


Stems = Annotated[
    list[Stem],
    Field(min_length=2, max_length=64, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_check_different),
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Data(BaseModel):
    """A data set on which a network was trained."""

    name: str
    terms: str


class _Card(BaseModel):
    """The fields that cards of all formats have. Other fields are allowed."""

    name: Name
    version: Text
    description: str = ""
    stems: Annotated[Stems, Field(description="each becomes a fader; the last is the rest of the mix")]
    terms: Annotated[Text, Field(description="permitted uses of the weights")]
    scores: dict[str, Any] = {}
    weaknesses: list[str] = []
    data: list[Data] = []
    training: dict[str, Any] = {}


class Chunk(_Part):
    """The chunks on which a chunked network runs."""

    left: Annotated[int, Field(ge=0, le=100_000, description="frames of context before a chunk")]
    frames: Annotated[int, Field(ge=1, le=100_000, description="frames whose masks are used")]
    right: Annotated[int, Field(ge=0, le=100_000, description="frames of context after a chunk")]
    overlap: Annotated[int, Field(ge=0, le=50_000, description="frames that cross-fade into the next chunk")]


class MaskDocument(_Card):
    """Describes a network that gives masks, next to its ONNX graph: see docs/model-format.md."""

    model_config = ConfigDict(
        title="StemBridge model card",
        json_schema_extra={
            "if": {"properties": {"mode": {"const": "chunked"}}, "required": ["mode"]},
            "then": {"required": ["chunk"], "not": {"required": ["lookahead"]}},
            "else": {"not": {"required": ["chunk"]}},
        },
    )

    format: Literal[1]
    sha256: Annotated[Sha256, Field(description="checksum of the .onnx file")]
    mode: Literal["streaming", "chunked"]
    sample_rate: Annotated[SampleRate, Field(description="sample rate of its training, in Hz")]
    window: Annotated[int, Field(ge=4, le=65_536, description="length of analysis window and FFT, in samples")]
    synthesis_window: Annotated[int, Field(ge=4, le=65_536, description="length of the window, in samples")]
    hop: Annotated[int, Field(ge=2, le=32_768, description="from one frame to the next, in samples")]
    lookahead: Annotated[
        int, Field(ge=0, le=10_000, description="frames that a streaming graph hears before it gives a frame's masks")
    ] = 0
    chunk: Chunk | None = None

    @model_validator(mode="after")
    def _check_mode(self) -> "MaskDocument":
        if self.mode == "chunked" and self.chunk is None:
            raise StemBridgeError("'chunk' is a required property of a chunked network")
        if self.mode == "chunked" and "lookahead" in self.model_fields_set:
            raise StemBridgeError("'lookahead' is for streaming networks; leave it out")
        if self.mode == "streaming" and "chunk" in self.model_fields_set:
            raise StemBridgeError("'chunk' is for chunked networks; leave it out")
        return self


class Segment(_Part):
    """The segments of audio on which the graphs run. Lengths are in samples."""

    samples: Annotated[int, Field(ge=16, le=20_000_000, description="length of a segment")]
    trim: Annotated[int, Field(ge=0, le=10_000_000, description="length of unused stems at each end")] = 0
    overlap: Annotated[Length, Field(description="overlap of neighbouring segments after trimming")] = 0
    window: Annotated[
        Literal["triangle", "hann", "rectangle"], Field(description="weights of stems where segments overlap")
    ] = "triangle"


class Transform(_Part):
    """The short-time Fourier transform between a segment and the spectra that the graphs take or give."""

    size: Annotated[int, Field(ge=4, le=65_536, description="length of FFT and window, in samples")]
    hop: Annotated[int, Field(ge=2, le=65_536, description="from one frame to the next, in samples")]
    window: Annotated[Literal["hann", "hamming", "rectangle"], Field(description="a periodic window")] = "hann"
    pad: Annotated[tuple[Count, Count], Field(description="samples put before and after a segment")] = (0, 0)
    pad_mode: Literal["reflect", "zero"] = "reflect"
    drop: Annotated[
        tuple[Count, Count], Field(description="frames dropped at the start and the end; on the way back they are 0")
    ] = (0, 0)
    bins: Annotated[int, Field(ge=1, le=32_769, description="number of bins that the graphs know, the lowest ones")]
    zero_bins: Annotated[int, Field(ge=0, le=32_769, description="number of lowest bins that are set to 0 first")] = 0
    above: Annotated[Literal["zero", "mean"], Field(description="masks of the bins that the graphs do not know")] = (
        "zero"
    )
    scale: Annotated[
        float, Field(gt=0, le=1e9, allow_inf_nan=False, description="factor on the spectra")
    ] = 1.0  # fmt: skip


class Masks(_Part):
    """How magnitudes of stems become spectra of stems."""

    kind: Literal["phase", "ratio", "wiener"]
    power: Annotated[
        float, Field(gt=0, le=16, allow_inf_nan=False, description="exponent of magnitudes, for ratio")
    ] = 2.0
    iterations: Annotated[int, Field(ge=1, le=16, description="number of iterations, for wiener")] = 1


_FACTOR = "(batch|stem|channel|part|bin|frame|sample)"
Axes = Annotated[
    list[Annotated[str, Field(pattern=rf"^{_FACTOR}(\*{_FACTOR})*$")]], Field(min_length=1, max_length=8)
]  # fmt: skip


class Input(_Part):
    """An input of a graph."""

    name: Text
    holds: Literal["waveform", "spectrum", "real", "imaginary", "magnitude"]
    axes: Axes


class Output(_Part):
    """An output of a graph."""

    name: Text
    holds: Literal["waveform", "spectrum", "real", "imaginary", "mask", "magnitude"]
    axes: Axes


class Graph(_Part):
    """One ONNX graph of a model."""

    file: Annotated[str, Field(pattern=r"^[^./\\\x00][^/\\\x00]*\.onnx$", description="next to the card")]
    sha256: Sha256
    stems: Annotated[
        list[Stem | None],
        Field(
            min_length=1,
            max_length=64,
            description="stems that it gives, in the order of the axis `stem`; null for a stem that is not used",
        ),
    ]
    inputs: Annotated[list[Input], Field(min_length=1, max_length=8)]
    outputs: Annotated[list[Output], Field(min_length=1, max_length=8)]
    gain: Annotated[
        float, Field(gt=0, le=1000, allow_inf_nan=False, description="factor on its stems")
    ] = 1.0  # fmt: skip


Denoise = Annotated[bool, Field(description="run each segment and its negative, and take half the difference")]


class Quality(_Part):
    """The changes for a quality other than `normal`."""

    overlap: Annotated[Length | None, Field(description="replaces the overlap of segments")] = None
    denoise: Denoise | None = None


class Qualities(_Part):
    """The qualities other than `normal`."""

    fast: Quality | None = None
    best: Quality | None = None


class StemsDocument(_Card):
    """Describes ONNX graphs that give stems, and how to run them: see docs/model-format.md."""

    model_config = ConfigDict(title="StemBridge model card, format 2")

    format: Literal[2]
    kind: Annotated[str, Field(description="kind of network that `stembridge models import` recognised")] = ""
    sample_rate: Annotated[SampleRate, Field(description="the only sample rate that the graphs know, in Hz")]
    num_channels: Annotated[Literal[1, 2], Field(description="channels that the graphs take")]
    segment: Segment
    normalize: Annotated[
        Literal["chunk", "song"] | None, Field(description="normalise mean and deviation of a segment or of the song")
    ] = None
    denoise: Denoise = False
    transform: Transform | None = None
    masks: Masks | None = None
    graphs: Annotated[list[Graph], Field(min_length=1, max_length=64)]
    quality: Qualities | None = None
