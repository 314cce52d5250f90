"""Whole songs in one call, aligned to the sample."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.protocols import Automation
from ..models import Model, load_model
from .processor import SLICE, StemProcessor

Progress = Callable[[float], None]


def separate(
    audio: NDArray[Any],
    sample_rate: float,
    model: str | os.PathLike | Model = "studio",
    *,
    quality: str = "normal",
    threads: int = 1,
    progress: Progress | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Take a song apart: stem -> float32 array of the shape of `audio`; the stems sum to it.

    audio: (channels, n) or (n,), as for StemProcessor.process. quality: "fast", "normal" or "best", where the model has
    them. progress: called with the share done, 0 to 1.
    """
    processor = StemProcessor(load_model(model, quality), sample_rate, _num_channels(audio), threads=threads)
    processor.hear_song([audio])
    stems = _whole(processor.separate, audio, processor.latency_samples, progress)
    return dict(zip(processor.stems, stems, strict=True))


def remix(
    audio: NDArray[Any],
    sample_rate: float,
    gains_db: Mapping[str, float],
    model: str | os.PathLike | Model = "studio",
    *,
    automation: Automation | None = None,
    quality: str = "normal",
    threads: int = 1,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Move a song's stems: float32 of the shape of `audio`.

    gains_db: stem -> dB, 0 dB if not named. automation: moves stems as the song goes on, and overrides gains_db for
    stems that it sets at the start; a move at sample k is heard from sample k on. quality: as for `separate`. If all
    faders stay at 0 dB, the network does not run.
    """
    processor = StemProcessor(load_model(model, quality), sample_rate, _num_channels(audio), gains_db, threads=threads)
    process, latency = remixing(processor, automation)
    if process != processor.pass_through:
        processor.hear_song([audio])
    return _whole(process, audio, latency, progress)


def remixing(
    processor: StemProcessor, automation: Automation | None
) -> tuple[Callable[[NDArray[Any]], NDArray[np.float32]], int]:
    """Return a function that remixes consecutive blocks of a song, and its latency in samples.

    If all faders stay at 0 dB, the function is `pass_through`, which needs no network. Takes and raises the same as
    `automated`.
    """
    process = automated(processor, automation)
    if any(processor.gains_db.values()) or moves_faders(automation, processor.gains_db):
        return process, processor.latency_samples
    return processor.pass_through, 0


def moves_faders(automation: Automation | None, gains_db: Mapping[str, float]) -> bool:
    """Return whether an automation may move any fader from its gain in `gains_db`, stem to dB."""
    return automation is not None and getattr(automation, "moves_faders", lambda _: True)(gains_db)


def automated(processor: StemProcessor, automation: Automation | None) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """`processor.process` for the consecutive blocks of a song, with the moves of each.

    The processor has heard nothing yet; its faders go to where the automation starts. Raises ValueError for what is no
    automation, or moves other stems.
    """
    if automation is None:
        return processor.process
    if not hasattr(automation, "starting"):
        raise ValueError(f"automation {automation!r} is none; read a file with Automation.from_csv or from_midi")
    automation = automation.starting(processor.gains_db)
    processor.set_gains_db(**automation.initial())
    processor.reset()
    position = 0

    def process(block: NDArray[Any]) -> NDArray[np.float32]:
        nonlocal position
        stop = position + block.shape[-1]
        out = processor.process(block, automation.moves(position, stop, processor.sample_rate))
        position = stop  # only now, because a refused block does not count
        return out

    return process


def _num_channels(audio: NDArray[Any]) -> int:
    shape = np.shape(audio)
    if len(shape) not in (1, 2) or (len(shape) == 2 and shape[0] > 2 >= shape[1]):
        raise ValueError(f"audio of shape {shape} is not (channels, n) or (n,); of (n, channels) pass audio.T")
    return 1 if len(shape) == 1 else shape[0]


def aligned(
    blocks: Iterable[NDArray[Any]], compute: Callable[[NDArray[Any]], NDArray[np.float32]], latency: int
) -> Iterator[NDArray[np.float32]]:
    """What `compute` makes of the blocks of a song: together as long as these, and without the latency.

    blocks: (..., n) each. compute: a block to (..., n), later by `latency` samples.
    """
    early = latency  # samples of output that are still before the song's start
    block = None
    for block in blocks:
        out = compute(block)
        yield out[..., early:]
        early -= min(early, out.shape[-1])
    if block is None:
        return
    silence = np.zeros((*block.shape[:-1], SLICE), block.dtype)
    for start in range(0, latency, SLICE):
        out = compute(silence[..., : latency - start])
        yield out[..., early:]
        early -= min(early, out.shape[-1])


def _whole(
    compute: Callable[[NDArray[Any]], NDArray[np.float32]],
    audio: NDArray[Any],
    latency: int,
    progress: Progress | None,
) -> NDArray[np.float32]:
    audio = np.asarray(audio)
    length, done = audio.shape[-1], 0
    out = np.empty((*compute(audio[..., :0]).shape[:-1], length), np.float32)
    for part in aligned((audio[..., i : i + SLICE] for i in range(0, length, SLICE)), compute, latency):
        out[..., done : done + part.shape[-1]] = part
        done += part.shape[-1]
        if progress:
            progress(done / length)
    return out
