"""Whole songs in one call, aligned to the sample."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..models import Model
from .processor import SLICE, StemProcessor

Progress = Callable[[float], None]


def separate(
    audio: NDArray[Any],
    sample_rate: float,
    model: str | os.PathLike | Model = "studio",
    *,
    threads: int = 1,
    progress: Progress | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Take a song apart: stem -> float32 array of the shape of `audio`; the stems sum to it.

    audio: (channels, n) or (n,), as for StemProcessor.process. progress: called with the share done, 0 to 1.
    """
    processor = StemProcessor(model, sample_rate, _num_channels(audio), threads=threads)
    stems = _aligned(processor.separate, audio, processor.latency_samples, progress)
    return dict(zip(processor.stems, stems, strict=True))


def remix(
    audio: NDArray[Any],
    sample_rate: float,
    gains_db: Mapping[str, float],
    model: str | os.PathLike | Model = "studio",
    *,
    threads: int = 1,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Move a song's stems: float32 of the shape of `audio`. gains_db: stem -> dB, 0 dB if not named."""
    processor = StemProcessor(model, sample_rate, _num_channels(audio), gains_db, threads=threads)
    return _aligned(processor.process, audio, processor.latency_samples, progress)


def _num_channels(audio: NDArray[Any]) -> int:
    shape = np.shape(audio)
    if len(shape) not in (1, 2) or (len(shape) == 2 and shape[0] > 2 >= shape[1]):
        raise ValueError(f"audio of shape {shape} is not (channels, n) or (n,); of (n, channels) pass audio.T")
    return 1 if len(shape) == 1 else shape[0]


def _aligned(step: Callable, audio: NDArray[Any], latency: int, progress: Progress | None) -> NDArray[np.float32]:
    audio = np.asarray(audio)
    length = audio.shape[-1]
    out: NDArray[np.float32] | None = None
    for start in range(0, length + latency, SLICE):
        block = audio[..., start : start + SLICE]
        missing = min(SLICE, length + latency - start) - block.shape[-1]
        if missing:
            silence = np.zeros((*audio.shape[:-1], missing), audio.dtype)
            block = np.concatenate([block, silence], axis=-1)
        result = step(block)
        if out is None:
            out = np.empty((*result.shape[:-1], length), np.float32)
        first = max(0, latency - start)  # of this result's samples, the first that is not before the song
        if first < result.shape[-1]:
            at = start + first - latency
            out[..., at : at + result.shape[-1] - first] = result[..., first:]
        if progress:
            progress(min(1.0, (start + SLICE) / (length + latency)))
    assert out is not None  # the latency is never zero
    return out
