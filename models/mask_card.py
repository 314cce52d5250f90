"""The card of a network that gives masks: format 1 of docs/model-format.md."""

from dataclasses import dataclass, field
from typing import Any

from ..core.documents import check_document
from ..core.errors import ModelError


@dataclass(frozen=True)
class Chunk:
    """The chunks on which a chunked network runs, in frames.

    Attributes:
        left: Context before a chunk.
        frames: Length of a chunk.
        right: Context after a chunk.
        overlap: Frames that a chunk shares with the next, where they cross-fade.
    """

    left: int
    frames: int
    right: int
    overlap: int


@dataclass(frozen=True)
class MaskCard:
    """A checked card of format 1, whose fields docs/model-format.md describes.

    Attributes:
        sample_rate: In Hz.
        window: Length of the analysis window and the FFT, in samples.
        synthesis_window: Length of the synthesis window, in samples.
        hop: Samples from one frame to the next.
        chunk: The chunks of a chunked network, None for a streaming network.
        lookahead: Frames that a streaming network hears before it gives a frame's masks.
        values: The whole JSON object.
    """

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
    lookahead: int
    values: dict[str, Any] = field(compare=False, repr=False)

    @property
    def realtime(self) -> bool:
        """Whether the network is for live audio: it does not wait for the end of a chunk."""
        return self.chunk is None

    @property
    def bins(self) -> int:
        """Number of frequency bins of the graph."""
        return self.window // 2 + 1

    @property
    def delay_frames(self) -> int:
        """Frames that must follow a frame before its masks are final."""
        return self.chunk.frames + self.chunk.right - 1 if self.chunk else self.lookahead

    @property
    def latency_samples(self) -> int:
        """Latency at the network's sample rate."""
        return self.synthesis_window + self.delay_frames * self.hop

    @staticmethod
    def from_dict(values: Any, source: object) -> "MaskCard":
        """Return the card that JSON describes.

        Args:
            values: The JSON value.
            source: How errors call the card: usually its path.

        Raises:
            ModelError: The card is not valid.
        """
        from .documents import MaskDocument  # imported late, because pydantic takes a while to load

        check_document(values, MaskDocument, f"{source}: not a valid model card", ModelError)
        card = MaskCard.from_valid(values)
        window, synthesis, hop, chunk = card.window, card.synthesis_window, card.hop, card.chunk
        # Windows of two hops or more overlap-add to 1. Multiples of the hop stay exact at every sample rate.
        if synthesis % hop or window % hop or not 2 * hop <= synthesis <= window or window % 2:
            raise ModelError(
                f"{source}: windows {window} and {synthesis} do not fit hop {hop}; both must be multiples of the hop, "
                "the synthesis window from two hops to the length of the window, and the window even"
            )
        if chunk and 2 * chunk.overlap > chunk.frames:
            raise ModelError(f"{source}: chunk overlap {chunk.overlap} is more than half of {chunk.frames} frames")
        return card

    @staticmethod
    def from_valid(values: dict[str, Any]) -> "MaskCard":
        """Return the card that valid JSON describes. Tests check the cards of shipped models, to save time at start.

        Args:
            values: A valid card's JSON object.
        """
        # In JSON, 256 and 256.0 are the same.
        frames = values.get("chunk")
        chunk = Chunk(**{key: int(number) for key, number in frames.items()}) if frames else None
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
