"""Whole songs in one call, aligned to the sample."""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import StemBridgeError
from ..core.protocols import Automation
from ..core.stems import stem_parts
from ..models import Model, load_model
from ..presets.gains import Gains
from .processor import SLICE_SAMPLES, StemProcessor

Progress = Callable[[float], None]


def separate(
    audio: NDArray[Any],
    sample_rate: float,
    model: str | os.PathLike[str] | Model = "studio",
    *,
    stems: Sequence[str] | None = None,
    quality: str = "normal",
    threads: int = 1,
    progress: Progress | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Separate a song into stems.

    Args:
        audio: Samples in -1..1, (channels, n) or (n,), as for StemProcessor.process.
        sample_rate: In Hz, 8000 to 192000.
        model: Name of a shipped or imported model, the path of an .onnx file, or a Model.
        stems: Names of stems, "no_<stem>" for the song without one, or "instrumental" for the song without vocals; by
            default all stems, which sum to the song.
        quality: "fast", "normal" or "best", where the model has them.
        threads: Processor cores for the network.
        progress: Called with the share done, 0 to 1.

    Returns:
        Stem to float32 samples of the shape of `audio`, aligned with it to the sample.

    Raises:
        ModelError: The model cannot be used.
        ValueError: The audio or a stem cannot be used.
    """
    num_channels = _num_channels(audio, "separate_file")
    processor = StemProcessor(load_model(model, quality), sample_rate, num_channels, threads=threads)
    parts = stem_parts(processor.stems, stems)

    def compute(block: NDArray[Any]) -> NDArray[np.float32]:
        separated = processor.separate(block)
        return separated if stems is None else np.stack([separated[rows].sum(0) for rows in parts.values()])

    processor.hear_song([audio])
    return dict(zip(parts, _whole(compute, audio, processor.latency_samples, progress), strict=True))


def remix(
    audio: NDArray[Any],
    sample_rate: float,
    gains_db: Gains | None = None,
    model: str | os.PathLike[str] | Model = "studio",
    *,
    preset: str | os.PathLike[str] | None = None,
    automation: Automation | None = None,
    quality: str = "normal",
    threads: int = 1,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Change the gains of a song's stems. If all faders stay at 0 dB, the network does not run.

    Args:
        audio: Samples in -1..1, (channels, n) or (n,), as for StemProcessor.process.
        sample_rate: In Hz, 8000 to 192000.
        gains_db: Stem to gain in dB, 0 dB if not named; or a preset, by name or path.
        model: Name of a shipped or imported model, the path of an .onnx file, or a Model.
        preset: Gains that `gains_db` overrides stem by stem: a preset's name or path.
        automation: Moves faders during the song, and overrides the gains of stems that it sets at the start. A move at
            sample k is heard from sample k on.
        quality: "fast", "normal" or "best", where the model has them.
        threads: Processor cores for the network.
        progress: Called with the share done, 0 to 1.

    Returns:
        float32 samples of the shape of `audio`.

    Raises:
        ModelError: The model cannot be used.
        ValueError: The audio, a stem, a gain, the preset or the automation cannot be used.
    """
    num_channels = _num_channels(audio, "remix_file")
    processor = StemProcessor(
        load_model(model, quality), sample_rate, num_channels, gains_db, preset=preset, threads=threads
    )
    if line := too_late(automation, processor.gains_db, np.shape(audio)[-1], sample_rate):
        warnings.warn(line, stacklevel=2)
    process, latency = remixing(processor, automation)
    if process != processor.pass_through:
        processor.hear_song([audio])
    return _whole(process, audio, latency, progress)


def remixing(
    processor: StemProcessor, automation: Automation | None
) -> tuple[Callable[[NDArray[Any]], NDArray[np.float32]], int]:
    """Choose the function that remixes a song's blocks.

    Args:
        processor: A new or reset processor. Its faders go to the gains at which the automation starts.
        automation: Moves faders during the song.

    Returns:
        A function for the consecutive blocks of the song, and its latency in samples. If all faders stay at 0 dB, the
        function is `pass_through`, which needs no network.

    Raises:
        ValueError: As `with_automation`.
    """
    process = with_automation(processor, automation)
    if any(processor.gains_db.values()) or moves_faders(automation, processor.gains_db):
        return process, processor.latency_samples
    return processor.pass_through, 0


def moves_faders(automation: Automation | None, gains_db: Mapping[str, float]) -> bool:
    """Return whether an automation may move any fader.

    Args:
        automation: The automation.
        gains_db: Where the faders start, stem to dB.
    """
    return automation is not None and getattr(automation, "moves_faders", lambda _: True)(gains_db)


def too_late(automation: Automation | None, gains_db: Mapping[str, float], num_frames: int, sample_rate: float) -> str:
    """Return a warning if an automation moves faders, but all of them only after the end of a song, else "".

    Args:
        automation: The automation.
        gains_db: Where the faders start, stem to dB.
        num_frames: Length of the song, in samples.
        sample_rate: In Hz.
    """
    line: str = getattr(automation, "too_late", lambda *_: "")(gains_db, num_frames, sample_rate)
    return line


def with_automation(
    processor: StemProcessor, automation: Automation | None
) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """Return a function that processes the consecutive blocks of a song with the automation's moves.

    Args:
        processor: A new or reset processor. Its faders go to the gains at which the automation starts.
        automation: Moves faders during the song; None for `processor.process` itself.

    Raises:
        ValueError: `automation` is not an automation, or moves stems that the model does not have.
    """
    if automation is None:
        return processor.process
    if not hasattr(automation, "starting"):
        raise StemBridgeError(
            f"automation must be an Automation, not {automation!r}; read a file with Automation.from_csv or from_midi"
        )
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


def _num_channels(audio: NDArray[Any], for_files: str) -> int:
    if isinstance(audio, str | os.PathLike):
        raise StemBridgeError(
            f"audio {os.fspath(audio)!r} is a path, not samples; use stembridge.{for_files} for a file"
        )
    if audio is None:
        raise StemBridgeError("audio is None; give samples of shape (channels, n) or (n,)")
    shape = np.shape(audio)
    if len(shape) not in (1, 2) or (len(shape) == 2 and shape[0] > 2 >= shape[1]):
        raise StemBridgeError(
            f"audio of shape {shape} is not (channels, n) or (n,); if it is (n, channels), pass audio.T"
        )
    return 1 if len(shape) == 1 else shape[0]


def compensate_latency(
    blocks: Iterable[NDArray[Any]], compute: Callable[[NDArray[Any]], NDArray[np.float32]], latency: int
) -> Iterator[NDArray[np.float32]]:
    """Process the blocks of a song, and remove the latency from the output.

    Args:
        blocks: The song's blocks, (..., n).
        compute: A function that turns a block into as many samples of output, (..., n), delayed by `latency`.
        latency: In samples.

    Yields:
        Blocks of output, (..., n), together as long as the song.
    """
    early = latency  # samples of output that still belong before the song's start
    block = None
    for block in blocks:
        out = compute(block)
        yield out[..., early:]
        early -= min(early, out.shape[-1])
    if block is None:
        return
    silence = np.zeros((*block.shape[:-1], SLICE_SAMPLES), block.dtype)
    for start in range(0, latency, SLICE_SAMPLES):
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
    for part in compensate_latency(
        (audio[..., i : i + SLICE_SAMPLES] for i in range(0, length, SLICE_SAMPLES)), compute, latency
    ):
        out[..., done : done + part.shape[-1]] = part
        done += part.shape[-1]
        if progress:
            progress(done / length)
    return out
