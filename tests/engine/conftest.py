"""Streams of audio through processors that are made once for each model, rate and channel count."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from stembridge import StemProcessor

Audio = NDArray[np.float32]


@pytest.fixture(scope="session")
def ready() -> Callable[..., StemProcessor]:
    """(model, rate, channels, gains in dB by stem) -> a processor at these gains, in the state of a new one."""
    made = cache(StemProcessor)

    def ready(model: Path, rate: float = 44100, num_channels: int = 2, **gains_db: float) -> StemProcessor:
        processor = made(model, rate, num_channels)
        for stem in processor.stems:
            processor.mute(stem, False)
            processor.solo(stem, False)
        processor.set_gains_db(**dict.fromkeys(processor.stems, 0.0) | gains_db)
        processor.reset()
        return processor

    return ready


@pytest.fixture(scope="session")
def stream() -> Callable[..., Audio]:
    """Return a function that processes audio in blocks of given lengths, the rest in one; moves: (sample, stem, dB)."""

    def stream(
        processor: StemProcessor,
        audio: Audio,
        cuts: Iterable[int] = (),
        moves: Sequence[tuple[int, str, float]] = (),
        separate: bool = False,
    ) -> Audio:
        out, start = [], 0
        for length in [*cuts, audio.shape[-1]]:
            block = audio[..., start : start + length]
            stop = start + block.shape[-1]
            if separate:
                out.append(processor.separate(block))
            else:
                here = [(at - start, stem, gain) for at, stem, gain in moves if start <= at < stop]
                out.append(processor.process(block, here))
            start = stop
        return np.concatenate(out, axis=-1)

    return stream
