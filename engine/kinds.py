"""The kinds of network that the signal path can run, by their cards."""

from ..models import Card, MaskCard, Model
from .guests import GuestSeparator, guest_timing
from .mask_separator import MaskSeparator, mask_timing
from .separator import Separator, Timing


def separator_timing(card: Card, sample_rate: float, realtime_block: int | None = None) -> Timing:
    """Return how long a model takes at a sample rate, without opening it."""
    if isinstance(card, MaskCard):
        return mask_timing(card, sample_rate, realtime_block)
    return guest_timing(card, sample_rate, realtime_block)


def open_separator(
    model: Model,
    sample_rate: float,
    num_channels: int,
    *,
    threads: int = 1,
    providers: list[str] | None = None,
    realtime_block: int | None = None,
) -> Separator:
    """Return a separator that runs a model, ready for the start of a stream.

    Args:
        model: The model.
        sample_rate: Sample rate of the audio, in Hz.
        num_channels: 1 or 2.
        threads: Number of threads of ONNX Runtime.
        providers: Execution providers of ONNX Runtime, None for the CPU.
        realtime_block: Number of samples of the blocks that come in real time. A separate thread then runs the network,
            with a longer latency if it needs one. None: the network runs in the calls that need it.

    Raises:
        ModelError: A graph cannot be loaded or breaks its contract, or cannot work at this sample rate.
    """
    separator = MaskSeparator if isinstance(model.card, MaskCard) else GuestSeparator
    return separator(
        model, sample_rate, num_channels, threads=threads, providers=providers, realtime_block=realtime_block
    )
