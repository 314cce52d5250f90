"""Choose the separator that runs a model, by the model's card."""

from ..models import Card, MaskCard, Model
from .guests import GuestSeparator, guest_timing
from .mask_separator import MaskSeparator, mask_timing
from .separator import Separator, Timing


def separator_timing(card: Card, sample_rate: float, realtime_block: int | None = None) -> Timing:
    """Return the latency, hop and tail of a model at a sample rate, without opening it.

    Args:
        card: Card of the model.
        sample_rate: Sample rate of the audio, in Hz.
        realtime_block: As for `open_separator`.

    Raises:
        ModelError: The model cannot work at this sample rate.
    """
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
        realtime_block: Length of the blocks, in samples, if they come in real time. A separate thread then runs the
            network, with a longer latency if necessary. None: the network runs in the calls that need its results.

    Raises:
        ModelError: A graph cannot be loaded or breaks its contract, or cannot work at this sample rate.
    """
    separator = MaskSeparator if isinstance(model.card, MaskCard) else GuestSeparator
    return separator(
        model, sample_rate, num_channels, threads=threads, providers=providers, realtime_block=realtime_block
    )
