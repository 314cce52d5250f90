"""One song: a file in, its remix or its stems out."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from math import log10
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...audio import AudioError, AudioReader, AudioWriter, copy_tags, create_audio, create_video, open_audio
from ...audio.containers import CONTAINERS, VIDEO_CONTAINERS, kind_of
from ...core.protocols import Automation, Processor
from ...core.suggest import did_you_mean
from ...engine import StemProcessor, aligned, remixing
from ...engine.processor import MAX_RATE, MIN_RATE
from ...models import Model, load_model
from .level import Level, check_loudness, common_factor, loudness_factor
from .outputs import Outputs
from .overview import Envelope, Overview
from .processor import prepared

if TYPE_CHECKING:
    from ...audio.loudness import Loudness

Block = NDArray[np.float32]
BLOCK = 65536  # samples
UNTOUCHED = "all faders stay at 0 dB, so no stem was changed"
NOTHING_TO_DO = "all faders stay at 0 dB; move one, for example with --vocals -80, or copy the song with --force"
REPAIR = "repair the file, for example by clipping it: ffmpeg -i SONG -c:a pcm_s24le repaired.wav"
_LOWEST_FACTOR = 0.01  # -40 dB; if a few samples need a lower factor, they are errors, and the song would be inaudible

Progress = Callable[[str, float | None], None]
"""Called with the step, "rendering" or "writing", and the fraction of it that is done, None if it cannot be known."""


@dataclass(frozen=True)
class Rendered:
    """What was written. factor: what all files were multiplied by; warnings: one line each.

    before: the song's level. after: the files', in the order of paths. overview: what a picture of them needs. These
    three only if they were asked for. untouched: whether all faders stayed at 0 dB, so that no network ran.
    """

    paths: tuple[Path, ...]
    seconds: float
    factor: float
    warnings: tuple[str, ...]
    before: Level | None = None
    after: tuple[Level, ...] = ()
    overview: Overview | None = None
    untouched: bool = False


def remix_file(
    source: str | Path,
    target: str | Path,
    gains_db: dict[str, float],
    model: str | Path | Model = "studio",
    *,
    automation: Automation | None = None,
    processor: Processor | None = None,
    quality: str = "normal",
    normalize: bool = False,
    loudness: float | Literal["match"] | None = None,
    sample_format: str | None = None,
    bitrate: float | None = None,
    encoding_quality: float | None = None,
    stream: int | None = None,
    overwrite: bool = False,
    threads: int = 1,
    measure: bool = False,
    copy_untouched: bool = True,
    scratch: Path | None = None,
    progress: Progress | None = None,
) -> Rendered:
    """Write a song, or a video with the sound of its remix, in constant memory.

    The target has the song's length, sample rate, channels and tags. What would clip is turned down as a whole, with a
    warning. If all faders stay at 0 dB, the network does not run.

    Args:
        source: The song, or the video.
        target: The file to write; its suffix chooses the format. A .mp4, .m4v, .mov, .mkv or .webm is a copy of the
            video `source` with new sound.
        gains_db: Stem to gain in dB; a stem that is not named stays.
        model: Name of a shipped or imported network, path of an .onnx file, or a loaded Model.
        quality: "fast", "normal" or "best", for models that have them.
        automation: Moves stems as the song goes on, exact to the sample; see `stembridge.remix`.
        processor: Makes the sound in the place of a StemProcessor with the model, such as a StemRack.
        normalize: Bring the peak to -1 dBFS.
        loudness: In LUFS, or "match" for the song's own, as far as a true peak of -1 dBTP allows; a warning says by how
            much it falls short.
        sample_format: "int16", "int24" or "float32"; by default the song's own. An .m4a or .mp4 with one of the first
            two is ALAC.
        bitrate: Of a lossy target, in kbit/s.
        encoding_quality: Of a lossy target, from 0 (smallest) to 10 (best), instead of a bitrate.
        stream: Number of the audio stream, from 1; by default the one that the file marks as default, else the first.
        overwrite: Replace an existing target.
        copy_untouched: Copy a song whose faders all stay at 0 dB; otherwise that is a ValueError, unless `normalize`
            or `loudness` changes the level.
        threads: Number of ONNX Runtime threads.
        measure: Measure levels before and after, and an overview. Not for a `processor`.
        scratch: The folder for everything temporary, on the target's file system, made if it is missing; by default the
            target's own.
        progress: Called with each step and how much of it is done.

    Returns:
        What was written, with warnings.

    Raises:
        ValueError, OSError: In one line. Nothing is left half-written, whatever stops it.
    """
    check_loudness(loudness, normalize=normalize)
    if measure and processor is not None:
        raise ValueError("measure needs the stems of a model, and a processor of your own shows none; leave one out")
    with open_audio(source, stream) as reader:
        envelope, untouched = None, False
        if processor is None:
            faders = stem_processor(reader, gains_db, load_model(model, quality), threads)
            process, latency = remixing(faders, automation)
            untouched = process == faders.pass_through
            if untouched and not (copy_untouched or normalize or loudness is not None):
                raise ValueError(NOTHING_TO_DO)
            if measure and untouched:  # then the picture shows the song as one stem
                envelope = Envelope(("song",))
                process = _shown_to(envelope, process)
            elif measure:
                envelope = Envelope(faders.stems, latency)
                faders.on_stems = envelope.push
        else:
            _check_channels_and_rate(reader)
            process = prepared(processor, reader.sample_rate, reader.num_channels, gains_db, automation)
            latency = processor.latency_samples
        with Outputs([Path(target)], Path(source), overwrite=overwrite, beside=scratch) as outputs:
            if processor is None and not untouched:
                hear_song(faders, source, stream)
            rendered = _render(
                reader,
                latency,
                lambda block: process(block)[np.newaxis],
                outputs,
                envelope,
                coding=_Coding(sample_format, bitrate, encoding_quality),
                normalize=normalize,
                loudness=loudness,
                progress=progress,
            )
            return replace(rendered, untouched=untouched)


def _shown_to(envelope: Envelope, process: Callable[[Block], Block]) -> Callable[[Block], Block]:
    """Return `process`, which has no latency, with its output also sent to the envelope as the only stem."""
    gain = np.ones((1, 1), np.float32)

    def shown(block: Block) -> Block:
        out = process(block)
        envelope.push(out[np.newaxis], gain)
        return out

    return shown


def separate_file(
    source: str | Path,
    folder: str | Path,
    stems: Sequence[str] | None = None,
    model: str | Path | Model = "studio",
    *,
    suffix: str = ".wav",
    quality: str = "normal",
    normalize: bool = False,
    sample_format: str | None = None,
    bitrate: float | None = None,
    encoding_quality: float | None = None,
    stream: int | None = None,
    overwrite: bool = False,
    threads: int = 1,
    measure: bool = False,
    scratch: Path | None = None,
    progress: Progress | None = None,
) -> Rendered:
    """Write stems of a song, or of a video's sound, to `folder`/<stem><suffix>, all at once.

    Args:
        source: The song, or the video.
        folder: Made if only its last part is missing.
        stems: Names of the model's stems, "no_<stem>" for the song without it, or "instrumental" for the song without
            vocals; by default all stems, which together sum to the song, to 1 LSB a stem in integer formats.
        suffix: The format, such as ".wav".

    The other arguments, and what it returns and raises, are as in `remix_file`.
    """
    with open_audio(source, stream) as reader:
        processor = stem_processor(reader, None, load_model(model, quality), threads)
        parts = stem_parts(processor.stems, stems)
        targets = [Path(folder, f"{name}{suffix}") for name in parts]
        envelope = Envelope(processor.stems, processor.latency_samples) if measure else None
        if envelope:
            written = np.zeros((len(processor.stems), 1), np.float32)
            written[[row for rows in parts.values() for row in rows]] = 1
            processor.on_stems = lambda stems, _: envelope.push(stems, written)

        def separate(block: Block) -> Block:
            separated = processor.separate(block)
            return np.stack([separated[rows].sum(0) for rows in parts.values()])

        with Outputs(targets, Path(source), overwrite=overwrite, make_folder=True, beside=scratch) as outputs:
            hear_song(processor, source, stream)
            return _render(
                reader,
                processor.latency_samples,
                separate,
                outputs,
                envelope,
                coding=_Coding(sample_format, bitrate, encoding_quality),
                normalize=normalize,
                loudness=None,
                progress=progress,
            )


def stem_processor(
    reader: AudioReader, gains_db: dict[str, float] | None, model: str | Path | Model, threads: int
) -> StemProcessor:
    """A processor for the audio of `reader`. Raises ValueError for more than two channels, or a rate out of range."""
    _check_channels_and_rate(reader)
    return StemProcessor(model, reader.sample_rate, reader.num_channels, gains_db, threads=threads)


def hear_song(processor: StemProcessor, source: str | Path, stream: int | None) -> None:
    """Let a processor measure a song before it processes it, if that makes its stems better."""
    if processor.wants_song:
        with open_audio(source, stream) as reader:
            processor.hear_song(reader.blocks(BLOCK))


def _check_channels_and_rate(reader: AudioReader) -> None:
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


def stem_parts(stems: tuple[str, ...], names: Sequence[str] | None) -> dict[str, list[int]]:
    """Return the name of each file and the rows of the stems that it is the sum of.

    Args:
        stems: The model's.
        names: Of stems; "no_<stem>" is the song without that stem, and "instrumental" the song without vocals. None
            for all stems.

    Raises:
        ValueError: A name is unknown, or there are no names.
    """
    everything = range(len(stems))
    parts = {stem: [row] for row, stem in enumerate(stems)}
    without = {f"no_{stem}": [other for other in everything if other != row] for row, stem in enumerate(stems)}
    if names is None:
        return parts
    if "vocals" in stems:
        without["instrumental"] = without["no_vocals"]
    known = without | parts  # a model may have a stem of that name
    choices = f"choose from {', '.join(dict.fromkeys([*parts, *without]))}"
    if unknown := [name for name in names if name not in known]:
        name = f"{unknown[0]!r}{did_you_mean(unknown[0], known)}"
        raise ValueError(f"unknown stem {name}: {choices}")
    if not names:
        raise ValueError(f"no stem to write: {choices}")
    return {name: known[name] for name in names}


def _render(
    reader: AudioReader,
    latency: int,
    compute: Callable[[Block], Block],
    outputs: Outputs,
    envelope: Envelope | None,
    *,
    coding: "_Coding",
    normalize: bool,
    loudness: float | Literal["match"] | None,
    progress: Progress | None,
) -> Rendered:
    """Render the song to a scratch file, because the factor needs the peak of it all, and from there to the outputs.

    compute: a block (channels, n) -> (outputs, channels, n), later by `latency` samples.
    envelope: one that looks on, where levels and an overview are wanted.
    """
    rate, num_channels, num_files = reader.sample_rate, reader.num_channels, len(outputs.parts)
    scratch = outputs.scratch / "all files.wav"
    measured = envelope is not None or loudness is not None
    song = _meter(reader) if measured else None
    remix = _meter(reader, true_peak=True) if loudness is not None else None
    files = [_meter(reader) for _ in outputs.parts] if measured else []
    frames, peak = 0, 0.0
    with ExitStack() as stack:
        # Before the work: what a container cannot hold is known now.
        writers = [stack.enter_context(_create(part, reader, coding)) for part in outputs.parts]
        with create_audio(scratch, rate, num_files * num_channels, "float32") as writer:
            for block in aligned(counted(reader, song, progress), compute, latency):
                writer.write(block.reshape(num_files * num_channels, -1))
                frames += block.shape[-1]
                peak = max(peak, float(np.abs(block).max(initial=0)))
                if remix:
                    remix.push(block[0])
        if not frames:
            raise AudioError(reader.warning or f"{reader.path}: holds no audio")
        before = Level.measured(song) if song else None
        level = Level.measured(remix, true_peak=True) if remix else None
        if before and level and loudness is not None:
            factor, warning = loudness_factor(level, before.lufs if loudness == "match" else loudness)
        else:
            factor = common_factor(peak, clips=writers[0].sample_format != "float32", normalize=normalize)
            down = f"turned down by {-20 * log10(factor):.2f} dB, because it would clip; 32-bit float WAV can hold it"
            warning = down if factor < 1 and not normalize else ""
        if reader.outliers and factor < _LOWEST_FACTOR:
            raise AudioError(
                f"{reader.path}: {reader.outliers}, and the song would be turned down by {-20 * log10(factor):.0f} dB; "
                f"{REPAIR}"
            )
        done = 0
        with open_audio(scratch) as rendered:
            for block in rendered.blocks(BLOCK):
                parts = np.float32(factor) * block.reshape(num_files, num_channels, -1)
                for part, writer in zip(parts, writers, strict=True):
                    writer.write(part)
                for part, meter in zip(parts, files, strict=False):
                    meter.push(part)
                done += block.shape[-1]
                if progress:
                    progress("writing", done / frames)
    tags_left_out = [_copy_tags(reader.path, part) for part in outputs.parts]
    notes = [writer.note for writer in writers]
    warnings = [reader.stream_note, reader.warning, *tags_left_out, *notes, warning]
    outputs.commit()
    true_peak_db = level.true_peak_db if level else None
    if true_peak_db is not None:
        true_peak_db += 20 * log10(factor)
    return Rendered(
        tuple(outputs.targets),
        frames / rate,
        factor,
        tuple(dict.fromkeys(line for line in warnings if line)),
        before,
        tuple(replace(Level.measured(meter), true_peak_db=true_peak_db) for meter in files),
        envelope.overview(rate, factor) if envelope else None,
    )


class _Coding(NamedTuple):
    """How samples are stored, as asked for; None for the default."""

    sample_format: str | None
    bitrate: float | None
    encoding_quality: float | None


def _create(part: Path, reader: AudioReader, coding: _Coding) -> AudioWriter:
    """Open an output, by default in the source's sample format or the nearest that the container holds."""
    sample_format, bitrate, encoding_quality = coding
    kind = kind_of(part.suffix)
    container = CONTAINERS.get(kind) or VIDEO_CONTAINERS.get(kind)
    if container and sample_format and not container.sample_formats:
        raise ValueError(f"{part.suffix} files have no bits a sample to choose; leave that out or write .wav or .flac")
    if container and sample_format is None and reader.sample_format != "lossy":
        # An M4A may be lossless, and stays what it is unless it is to be smaller.
        is_kept = reader.path.suffix.lower() == part.suffix.lower() and (bitrate, encoding_quality) == (None, None)
        if container.sample_formats and (is_kept or not container.is_lossy):
            own = reader.sample_format
            sample_format = own if own in container.sample_formats else container.sample_formats[-1]
    if kind in VIDEO_CONTAINERS:
        return create_video(part, reader, sample_format, bitrate=bitrate, quality=encoding_quality)
    return create_audio(
        part, reader.sample_rate, reader.num_channels, sample_format, bitrate=bitrate, quality=encoding_quality
    )


def _copy_tags(source: Path, part: Path) -> str | None:
    """Copy tags to an output; a video has its chapters, and its tags too unless it is an MP4."""
    kind = kind_of(part.suffix)
    if kind in VIDEO_CONTAINERS and kind != ".mp4":
        return None
    return copy_tags(source, part, with_markers=kind not in VIDEO_CONTAINERS)


def _meter(reader: AudioReader, *, true_peak: bool = False) -> "Loudness":
    from ...audio.loudness import Loudness  # not earlier: FFmpeg takes a while to load

    return Loudness(reader.sample_rate, reader.num_channels, true_peak=true_peak)


def counted(reader: AudioReader, meter: "Loudness | None", progress: Progress | None) -> Iterator[Block]:
    """The blocks of a song, shown to a meter, and telling how much of it has been read."""
    done = 0
    for block in reader.blocks(BLOCK):
        if meter is not None:
            meter.push(block)
        yield block
        done += block.shape[-1]
        if progress:
            progress("rendering", min(1.0, done / reader.num_frames) if reader.num_frames else None)
