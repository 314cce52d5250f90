"""Streams of audio through processors that are made once for each model, rate and channel count."""

import gc
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import FrameType, ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray
from stembridge import StemProcessor

Audio = NDArray[np.float32]


@pytest.fixture(scope="session")
def ready() -> Callable[..., StemProcessor]:
    """(model, rate, channels, gains in dB by stem) -> a processor as good as new, its faders there, nothing heard."""
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
    """Process audio cut into blocks of the lengths given, the rest in one; moves are (sample, stem, gain in dB)."""

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


@pytest.fixture(scope="session")
def interrupted() -> Callable[..., bool]:
    """Run a function, and raise KeyboardInterrupt at the n-th bytecode (from 0) that it runs in the modules given.

    Returns whether there were so many. Fails if the function has not ended after half a minute.
    """

    def interrupted(function: Callable[[], object], n: int, *modules: ModuleType) -> bool:
        files, left, raised = {module.__file__ for module in modules}, n, threading.Event()

        def trace(frame: FrameType, event: str, _: object) -> Callable[..., object] | None:
            nonlocal left
            if frame.f_code.co_filename not in files:
                return None
            frame.f_trace_opcodes = True
            if event == "opcode":
                left -= 1
                if left < 0 and not raised.is_set():
                    raised.set()
                    raise KeyboardInterrupt
            return trace

        def run() -> None:
            sys.settrace(trace)
            with suppress(KeyboardInterrupt):
                function()
            sys.settrace(None)  # or the end of this thread would be interrupted, with a lock of all threads held

        thread = threading.Thread(target=run, daemon=True)
        gc.disable()  # or what ends other objects would be interrupted
        try:
            thread.start()
            thread.join(30)
        finally:
            gc.enable()
        assert not thread.is_alive(), f"hangs after an interrupt at bytecode {n}"
        return raised.is_set()

    return interrupted
