"""Choose the separator that runs a model, by the model's card."""

from ..models import Card, MaskCard, Model
from .guests import GuestSeparator, guest_timing
from .mask_separator import MaskSeparator, mask_timing
from .separator import Separator, Stream, Timing


def separator_timing(card: Card, sample_rate: float, realtime_block: int | None = None) -> Timing:
    """Return the latency, hop and tail of a model at a sample rate, without opening it.

    Args:
        card: Card of the model.
        sample_rate: Sample rate of the audio, in Hz.
        realtime_block: As for `Stream`.

    Raises:
        ModelError: The model cannot work at this sample rate.
    """
    if isinstance(card, MaskCard):
        return mask_timing(card, sample_rate, realtime_block)
    return guest_timing(card, sample_rate, realtime_block)


def open_separator(model: Model, stream: Stream) -> Separator:
    """Return a separator that runs a model, ready for the start of a stream.

    Args:
        model: The model.
        stream: Its audio, and how to run the network.

    Raises:
        ModelError: A graph cannot be loaded or breaks its contract, or cannot work at this sample rate.
    """
    separator = MaskSeparator if isinstance(model.card, MaskCard) else GuestSeparator
    return separator(model, stream)
