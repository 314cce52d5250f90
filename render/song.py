"""One song: a file in, its remix or its stems out."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from math import log10
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..audio import AudioReader, create_audio, copy_tags, open_audio
from ..engine import StemProcessor
from ..models import Model
from .level import common_factor
from .outputs import Outputs

BLOCK = 65536

Progress = Callable[[str, float | None], None]
"""Called with the step, "rendering" or "writing", and the fraction of it that is done, None if it cannot be known."""


@dataclass(frozen=True)
class Rendered:
    """What was written. factor: what all files were multiplied by; warnings: one line each."""

    paths: tuple[Path, ...]
    seconds: float
    factor: float
    warnings: tuple[str, ...]


def remix_file(
    source: str | Path,
    target: str | Path,
    gains_db: dict[str, float],
    model: str | Path | Model = "studio",
    *,
    normalize: bool = False,
    sample_format: str | None = None,
    overwrite: bool = False,
    threads: int = 1,
    progress: Progress | None = None,
) -> Rendered:
    """Write `source` to `target` with its stems moved by `gains_db` (stem -> dB; a stem that is not named stays).

    The target has the source's length, rate, channels and tags; its suffix says the container. sample_format: int16,
    int24 or float32, by default the source's own. What would clip is turned down as a whole, with a warning;
    normalize: the peak goes to -1 dBFS. Memory is constant. Raises ValueError or OSError, one line, and leaves nothing
    half-written, whatever stops it.
    """
    with open_audio(source) as reader:
        processor = _processor(reader, gains_db, model, threads)
        with Outputs([Path(target)], Path(source), overwrite=overwrite) as outputs:
            return _render(
                reader,
                lambda block: processor.process(block)[np.newaxis],
                processor.latency_samples,
                outputs,
                sample_format,
                normalize,
                progress,
            )


def separate_file(
    source: str | Path,
    folder: str | Path,
    stems: Sequence[str] | None = None,
    model: str | Path | Model = "studio",
    *,
    suffix: str = ".wav",
    normalize: bool = False,
    sample_format: str | None = None,
    overwrite: bool = False,
    threads: int = 1,
    progress: Progress | None = None,
) -> Rendered:
    """Write stems of `source` to `folder`/<stem><suffix>; the folder is made if only its last part is missing.

    stems: names of the model's stems, or "no_<stem>" for the song without it; by default all stems. All of them together
    sum to the song, to 1 LSB a stem in integer formats. They appear together; the rest is as in `remix_file`.
    """
    with open_audio(source) as reader:
        processor = _processor(reader, None, model, threads)
        parts = _parts(processor.stems, stems)
        targets = [Path(folder, f"{name}{suffix}") for name in parts]

        def separate(block: NDArray) -> NDArray:
            separated = processor.separate(block)
            return np.stack([separated[rows].sum(0) for rows in parts.values()])

        with Outputs(targets, Path(source), overwrite=overwrite, make_folder=True) as outputs:
            return _render(reader, separate, processor.latency_samples, outputs, sample_format, normalize, progress)


def _processor(
    reader: AudioReader, gains_db: dict[str, float] | None, model: str | Path | Model, threads: int
) -> StemProcessor:
    if reader.num_channels > 2:
        raise ValueError(
            f"{reader.path} has {reader.num_channels} channels and StemBridge takes mono and stereo; "
            "mix it down first, for example: ffmpeg -i SONG -ac 2 stereo.wav"
        )
    return StemProcessor(model, reader.sample_rate, reader.num_channels, gains_db, threads=threads)


def _parts(stems: tuple[str, ...], names: Sequence[str] | None) -> dict[str, list[int]]:
    """Name of each file -> the rows of the stems that it is the sum of."""
    everything = range(len(stems))
    parts = {stem: [row] for row, stem in enumerate(stems)}
    without = {f"no_{stem}": [other for other in everything if other != row] for row, stem in enumerate(stems)}
    if names is None:
        return parts
    known = without | parts
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"unknown stem {unknown[0]!r}: choose from {', '.join([*parts, *without])}")
    if not names:
        raise ValueError(f"no stem to write: choose from {', '.join([*parts, *without])}")
    return {name: known[name] for name in names}


def _render(
    reader: AudioReader,
    compute: Callable[[NDArray], NDArray],
    latency: int,
    outputs: Outputs,
    sample_format: str | None,
    normalize: bool,
    progress: Progress | None,
) -> Rendered:
    """Compute all of the song into a scratch file, because the factor needs its peak; then write the outputs.

    compute: a block (channels, n) -> (outputs, channels, n), later by `latency` samples.
    """
    sample_format = _sample_format(reader, outputs.parts[0].suffix, sample_format)

    def blocks() -> Iterator[NDArray]:
        done = 0
        for block in reader.blocks(BLOCK):
            yield block
            done += block.shape[-1]
            if progress:
                progress("rendering", min(1.0, done / reader.num_frames) if reader.num_frames else None)

    with Scratch(outputs.scratch(".raw"), len(outputs.parts), reader.num_channels) as scratch:
        for block in aligned(blocks(), compute, latency):
            scratch.write(block)
        factor = common_factor(scratch.peak, clips=sample_format != "float32", normalize=normalize)
        with ExitStack() as stack:
            writers = [
                stack.enter_context(create_audio(part, reader.sample_rate, reader.num_channels, sample_format))
                for part in outputs.parts
            ]
            done = 0
            for block in scratch.blocks():
                for writer, samples in zip(writers, block * np.float32(factor), strict=True):
                    writer.write(samples)
                done += block.shape[-1]
                if progress:
                    progress("writing", done / scratch.frames)
    for part in outputs.parts:
        copy_tags(reader.path, part)
    outputs.commit()
    warnings = [reader.warning] if reader.warning else []
    if factor != 1 and not normalize:
        loudness = f"{-20 * log10(factor):.2f} dB"
        warnings.append(f"turned down by {loudness}, or it would clip; a 32-bit float WAV or --normalize ...")
    return Rendered(tuple(outputs.targets), scratch.frames / reader.sample_rate, factor, tuple(warnings))
