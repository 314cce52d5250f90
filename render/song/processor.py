"""A user's processor in place of a StemProcessor: prepared, checked, and explained in one line if it fails."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import StemBridgeError
from ...core.protocols import Automation, check_floats, check_latency, check_processor
from ...engine import with_automation

Block = NDArray[np.float32]


def prepared(
    processor: Any,
    sample_rate: float,
    num_channels: int,
    gains_db: Mapping[str, float],
    automation: Automation | None,
) -> Callable[[Block], Block]:
    """Prepare and reset a processor for a song.

    Args:
        processor: A `Processor`.
        sample_rate: In Hz.
        num_channels: 1 or 2.
        gains_db: Where the faders start, stem to dB.
        automation: Moves of the faders.

    Returns:
        A function that processes the consecutive blocks of the song. Like this function it raises ValueError, in one
        line, for whatever goes wrong in the processor.

    Raises:
        ValueError: The processor fails, or lacks something.
    """
    check_processor(processor)
    kind = type(processor).__name__
    if (gains_db or automation is not None) and not hasattr(processor, "set_gains_db"):
        raise StemBridgeError(f"a {kind} has no faders (set_gains_db); leave gains and automation out")
    with _explained(kind):
        if prepare := getattr(processor, "prepare", None):
            prepare(sample_rate, num_channels)
        if gains_db:
            processor.set_gains_db(**gains_db)
        processor.reset()
    process, latency = with_automation(processor, automation), check_latency(processor, f"the {kind}")

    def checked(block: Block) -> Block:
        with _explained(kind):
            out = np.asarray(process(block))
        if out.shape != block.shape:
            raise StemBridgeError(
                f"the {kind} returned shape {out.shape} for a block of shape {block.shape}; it must keep the shape"
            )
        check_floats(f"the {kind}", out)
        out = out.astype(np.float32, copy=False)
        if not np.isfinite(out).all():  # such samples would silence the song, or reach loudspeakers
            raise StemBridgeError(f"the {kind} returned NaN or infinite samples; look for a division by zero in it")
        if processor.latency_samples != latency:
            raise StemBridgeError(
                f"the {kind}'s latency_samples changed from {latency} to {processor.latency_samples} during the song; "
                "it must stay the same"
            )
        return out

    return checked


@contextmanager
def _explained(kind: str) -> Iterator[None]:
    """Turn all exceptions of the processor into one line that names it, because the fault is not in StemBridge."""
    try:
        yield
    except ValueError as error:
        raise StemBridgeError(f"the {kind}: {error}") from error
    except (Exception, SystemExit) as error:
        raise StemBridgeError(f"the {kind} failed: {type(error).__name__}: {error}") from error
