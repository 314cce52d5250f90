"""Any processor in the place of a StemProcessor: made ready, watched, and explained in one line where it fails."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.protocols import Automation
from ...engine import with_automation

Block = NDArray[np.float32]


def prepared(
    processor: Any,
    sample_rate: float,
    num_channels: int,
    gains_db: Mapping[str, float],
    automation: Automation | None,
) -> Callable[[Block], Block]:
    """What processes the consecutive blocks of a song with `processor`, which is reset here.

    Raises ValueError, in one line, then and there, for all that goes wrong in it, and for what it cannot do.
    """
    check_processor(processor)
    kind = type(processor).__name__
    if (gains_db or automation is not None) and not hasattr(processor, "set_gains_db"):
        raise ValueError(f"a {kind} has no faders (set_gains_db); leave gains and automation out")
    with _explained(kind):
        if prepare := getattr(processor, "prepare", None):
            prepare(sample_rate, num_channels)
        if gains_db:
            processor.set_gains_db(**gains_db)
        processor.reset()
    process, latency = with_automation(processor, automation), processor.latency_samples
    if not isinstance(latency, int | np.integer) or latency < 0:
        raise ValueError(f"the {kind}'s latency_samples is {latency!r}; it must be a whole number, 0 or more")

    def checked(block: Block) -> Block:
        with _explained(kind):
            out = np.asarray(process(block), np.float32)
        if out.shape != block.shape:
            raise ValueError(f"the {kind} made {out.shape} of a block of shape {block.shape}; it must keep the shape")
        if not np.isfinite(out).all():  # which would silence the song, or go to loudspeakers
            raise ValueError(f"the {kind} made samples that are no numbers, or infinite; look for what divides by zero")
        if processor.latency_samples != latency:
            raise ValueError(
                f"the {kind}'s latency_samples went from {latency} to {processor.latency_samples} in the middle of the "
                "song; it must stay"
            )
        return out

    return checked


def check_processor(processor: Any) -> None:
    """Raise ValueError for what lacks something that a Processor has."""
    if missing := [name for name in ("process", "reset", "latency_samples") if not hasattr(processor, name)]:
        raise ValueError(f"a {type(processor).__name__} is no processor: it has no {missing[0]}")


@contextmanager
def _explained(kind: str) -> Iterator[None]:
    """Whatever is raised is the processor's, and no fault of StemBridge's."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"the {kind}: {error}") from error
    except (Exception, SystemExit) as error:
        raise ValueError(f"the {kind} failed: {type(error).__name__}: {error}") from error
