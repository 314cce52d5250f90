"""The card of a network that gives masks: format 1 of docs/model-format.md."""

from dataclasses import dataclass, field
from typing import Any

from ..core.errors import ModelError
from .schema import check_values


@dataclass(frozen=True)
class Chunk:
    """How a chunked network walks over the frames: see docs/model-format.md."""

    left: int
    frames: int
    right: int
    overlap: int


@dataclass(frozen=True)
class MaskCard:
    """A checked card. Windows and hop are in samples at `sample_rate`; `values` is the whole JSON object."""

    name: str
    version: str
    sha256: str
    mode: str
    stems: tuple[str, ...]
    sample_rate: int
    window: int
    synthesis_window: int
    hop: int
    chunk: Chunk | None
    lookahead: int  # frames
    values: dict[str, Any] = field(compare=False)

    @property
    def realtime(self) -> bool:
        """Whether the network is for live audio: it is streaming, and does not wait for a chunk."""
        return self.chunk is None

    @property
    def bins(self) -> int:
        """Frequency bins the graph sees."""
        return self.window // 2 + 1

    @property
    def delay_frames(self) -> int:
        """Frames that must follow a frame before its masks are final."""
        return self.chunk.frames + self.chunk.right - 1 if self.chunk else self.lookahead

    @property
    def latency_samples(self) -> int:
        """Latency at the network's own sample rate."""
        return self.synthesis_window + self.delay_frames * self.hop

    @staticmethod
    def from_dict(values: Any, source: object) -> "MaskCard":
        """Check a card's JSON against the schema. source: what to call it in a ModelError."""
        check_values(values, "mask_card", source)
        card = MaskCard.from_valid(values)
        window, synthesis, hop, chunk = card.window, card.synthesis_window, card.hop, card.chunk
        # At two hops or more the windows overlap-add to one; multiples stay exact at every sample rate.
        if synthesis % hop or window % hop or not 2 * hop <= synthesis <= window or window % 2:
            raise ModelError(
                f"{source}: windows {window} and {synthesis} do not fit hop {hop}; both must be multiples of the hop, "
                "the synthesis window at least two hops and no longer than the window, the window even"
            )
        if chunk and 2 * chunk.overlap > chunk.frames:
            raise ModelError(f"{source}: chunk overlap {chunk.overlap} is more than half of {chunk.frames} frames")
        return card

    @staticmethod
    def from_valid(values: dict[str, Any]) -> "MaskCard":
        """The card of JSON that is known to be valid: a shipped model's is checked by the tests, not at every start."""
        # JSON knows no difference between 256 and 256.0, Python does.
        chunk = Chunk(**{key: int(number) for key, number in values["chunk"].items()}) if "chunk" in values else None
        rate, window, synthesis, hop = (
            int(values[key]) for key in ("sample_rate", "window", "synthesis_window", "hop")
        )
        return MaskCard(
            name=values["name"],
            version=values["version"],
            sha256=values["sha256"],
            mode=values["mode"],
            stems=tuple(values["stems"]),
            sample_rate=rate,
            window=window,
            synthesis_window=synthesis,
            hop=hop,
            chunk=chunk,
            lookahead=int(values.get("lookahead", 0)),
            values=values,
        )
