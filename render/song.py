"""One song: a file in, its remix or its stems out."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import log10
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..audio import AudioError, AudioReader, AudioWriter, copy_tags, create_audio, open_audio
from ..engine import StemProcessor, aligned
from ..engine.processor import MAX_RATE, MIN_RATE
from ..models import Model
from .level import common_factor
from .outputs import Outputs

Block = NDArray[np.float32]
BLOCK = 65536  # samples

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

    stems: names of the model's stems, or "no_<stem>" for the song without it; by default all stems, which together sum
    to the song, to 1 LSB a stem in integer formats. All files appear at once. The rest is as in `remix_file`.
    """
    with open_audio(source) as reader:
        processor = _processor(reader, None, model, threads)
        parts = _parts(processor.stems, stems)
        targets = [Path(folder, f"{name}{suffix}") for name in parts]

        def separate(block: Block) -> Block:
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
    if not MIN_RATE <= reader.sample_rate <= MAX_RATE:
        raise ValueError(
            f"{reader.path} has a sample rate of {reader.sample_rate} Hz; {MIN_RATE} to {MAX_RATE} Hz work; "
            "resample it first, for example: ffmpeg -i SONG -ar 48000 song48.wav"
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
    compute: Callable[[Block], Block],
    latency: int,
    outputs: Outputs,
    sample_format: str | None,
    normalize: bool,
    progress: Progress | None,
) -> Rendered:
    """Render the song to a scratch file, because the factor needs the peak of it all, and from there to the outputs.

    compute: a block (channels, n) -> (outputs, channels, n), later by `latency` samples.
    """
    rate, num_channels, num_files = reader.sample_rate, reader.num_channels, len(outputs.parts)
    scratch = outputs.scratch / "all files.wav"
    frames, peak = 0, 0.0
    with ExitStack() as stack:
        # Before the work: what a container cannot hold is known now.
        writers = [stack.enter_context(_create(part, reader, sample_format)) for part in outputs.parts]
        with create_audio(scratch, rate, num_files * num_channels, "float32") as writer:
            for block in aligned(_counted(reader, progress), compute, latency):
                writer.write(block.reshape(num_files * num_channels, -1))
                frames += block.shape[-1]
                peak = max(peak, float(np.abs(block).max(initial=0)))
        if not frames:
            raise AudioError(reader.warning or f"{reader.path}: holds no audio")
        factor = common_factor(peak, clips=writers[0].sample_format != "float32", normalize=normalize)
        done = 0
        with open_audio(scratch) as rendered:
            for block in rendered.blocks(BLOCK):
                files = np.float32(factor) * block.reshape(num_files, num_channels, -1)
                for file, writer in zip(files, writers, strict=True):
                    writer.write(file)
                done += block.shape[-1]
                if progress:
                    progress("writing", done / frames)
    warnings = [reader.warning, *(copy_tags(reader.path, part) for part in outputs.parts)]
    if factor < 1 and not normalize:
        warnings.append(
            f"turned down by {-20 * log10(factor):.2f} dB, because it would clip; 32-bit float WAV can hold it"
        )
    outputs.commit()
    lines = tuple(dict.fromkeys(line for line in warnings if line))
    return Rendered(tuple(outputs.targets), frames / rate, factor, lines)


def _create(part: Path, reader: AudioReader, sample_format: str | None) -> AudioWriter:
    """Open an output, in the source's sample format or the nearest that the container holds if none is asked for."""
    default = {"lossy": "int16"}.get(reader.sample_format, reader.sample_format)
    if part.suffix.lower() == ".flac" and default == "float32":
        default = "int24"
    writer = create_audio(part, reader.sample_rate, reader.num_channels, sample_format or default)
    if sample_format and writer.sample_format != sample_format:
        writer.close()
        raise ValueError(f"{part.suffix} files have no bits a sample to choose; leave that out or write .wav or .flac")
    return writer


def _counted(reader: AudioReader, progress: Progress | None) -> Iterator[Block]:
    done = 0
    for block in reader.blocks(BLOCK):
        yield block
        done += block.shape[-1]
        if progress:
            progress("rendering", min(1.0, done / reader.num_frames) if reader.num_frames else None)
