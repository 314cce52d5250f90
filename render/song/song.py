"""One song: read a file, write its remix or its stems."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from math import log10
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from ...audio import AudioError, AudioReader, AudioWriter, copy_tags, create_audio, create_video, open_audio
from ...audio.containers import CONTAINERS, VIDEO_CONTAINERS, kind_of
from ...core.errors import StemBridgeError
from ...core.protocols import Automation
from ...core.settings import arguments_from
from ...core.stems import stem_parts
from ...engine import compensate_latency, remixing, too_late
from ...models import load_model
from ...presets.gains import read_gains
from ..settings import RemixFile, SeparateFile, SongSettings
from .faders import read_faders
from .level import Level, common_factor, loudness_factor
from .outputs import Outputs
from .overview import Envelope, Overview
from .processor import prepared
from .reading import (
    BLOCK_SAMPLES,
    REPAIR_REMEDY,
    check_channels_and_rate,
    hear_song,
    read_with_progress,
    stem_processor,
)

if TYPE_CHECKING:
    from ...audio.loudness import Loudness

Block = NDArray[np.float32]
UNTOUCHED = "all faders stay at 0 dB, so no stem was changed"
NOTHING_TO_DO = (
    "all faders stay at 0 dB; move one, for example with --vocals -80, or copy the song with --force (in Python, "
    "copy_untouched=True)"
)
_LOWEST_FACTOR = 0.01  # -40 dB; if a few samples need a lower factor, they are errors, and the song would be inaudible


@dataclass(frozen=True)
class Rendered:
    """The written files.

    Attributes:
        paths: Their paths.
        seconds: Length of the song.
        factor: Factor by which all of them were multiplied.
        warnings: One line each.
        before: Level of the song, if it was measured.
        after: Levels of the files, in the order of `paths`, if they were measured.
        overview: Data for a picture, if it was measured.
        untouched: Whether all faders stayed at 0 dB, so that no network ran.
        replaced_song: Whether the file was written in place of the song.
    """

    paths: tuple[Path, ...]
    seconds: float
    factor: float
    warnings: tuple[str, ...]
    before: Level | None = None
    after: tuple[Level, ...] = ()
    overview: Overview | None = None
    untouched: bool = False
    replaced_song: bool = False


@arguments_from(RemixFile)
def remix_file(settings: RemixFile) -> Rendered:
    """Write a song with other gains of its stems, or a video with the remixed sound.

    The target has the source's length, rate, channels and tags; its suffix chooses the format. If `overwrite` is set,
    it may be the source, which is then replaced once the result is complete. A .mp4, .m4v, .mov, .mkv or .webm file is
    a copy of the video with new sound. Without `sample_format` it has the source's own; an .m4a or .mp4 file with int16
    or int24 is ALAC. An output that would clip is turned down as a whole, with a warning. With `loudness`, the true
    peak stays at or below -1 dBTP; if the loudness falls short because of that, a warning says by how much. Levels and
    an overview need the stems of a model, so they cannot be measured with your own processor. If all faders stay at 0
    dB, the network does not run. Memory does not grow with the song. If the call is stopped, no file is half-written.

    Returns:
        The written file, its levels and warnings.

    Raises:
        ValueError: The song or a setting cannot be used.
        OSError: A file cannot be read or written.
    """
    if settings.measure and settings.processor is not None:
        raise StemBridgeError(
            "measure needs the stems of a model, which your own processor does not have; leave one out"
        )
    settings = read_faders(settings)
    gains_db, automation = read_gains(settings.gains_db), cast("Automation | None", settings.automation)
    with open_audio(settings.source, settings.stream) as reader:
        start_db = {**getattr(settings.processor, "gains_db", {}), **gains_db}
        envelope, untouched = None, False
        if settings.processor is None:
            faders = stem_processor(reader, gains_db, load_model(settings.model, settings.quality), settings.threads)
            process, latency = remixing(faders, automation)
            untouched = process == faders.pass_through
            if untouched and not (settings.copy_untouched or settings.normalize or settings.loudness is not None):
                raise StemBridgeError(NOTHING_TO_DO)
            if settings.measure and untouched:  # then the picture shows the song as one stem
                envelope = Envelope(("song",))
                process = _shown_to(envelope, process)
            elif settings.measure:
                envelope = Envelope(faders.stems, latency)
                faders.on_stems = envelope.push
        else:
            check_channels_and_rate(reader)
            process = prepared(settings.processor, reader.sample_rate, reader.num_channels, gains_db, automation)
            latency = settings.processor.latency_samples
        with _outputs(settings, [Path(settings.target)], replace_source=True) as outputs:
            if settings.processor is None and not untouched:
                hear_song(faders, settings.source, settings.stream)
            rendered = _render(reader, latency, lambda block: process(block)[np.newaxis], outputs, envelope, settings)
            num_frames = round(rendered.seconds * reader.sample_rate)
            late = too_late(automation, start_db, num_frames, reader.sample_rate)
            lines = (*rendered.warnings, late) if late else rendered.warnings
            return replace(rendered, warnings=lines, untouched=untouched, replaced_song=outputs.replaces_source)


def _shown_to(envelope: Envelope, process: Callable[[Block], Block]) -> Callable[[Block], Block]:
    """Return `process`, which has no latency, changed to send its output to the envelope too, as the only stem."""
    gain = np.ones((1, 1), np.float32)

    def shown(block: Block) -> Block:
        out = process(block)
        envelope.push(out[np.newaxis], gain)
        return out

    return shown


@arguments_from(SeparateFile)
def separate_file(settings: SeparateFile) -> Rendered:
    """Write stems of a song to a folder, each to <stem><suffix>. The folder is made if its parent exists.

    All stems sum to the song; in integer formats the error is up to 1 LSB for each stem. All files appear at once.
    Everything else is as in `remix_file`.

    Returns:
        The written files, their levels and warnings.

    Raises:
        ValueError: The song or a setting cannot be used.
        OSError: A file cannot be read or written.
    """
    with open_audio(settings.source, settings.stream) as reader:
        processor = stem_processor(reader, None, load_model(settings.model, settings.quality), settings.threads)
        parts = stem_parts(processor.stems, settings.stems)
        targets = [Path(settings.target, f"{name}{settings.suffix}") for name in parts]
        envelope = Envelope(processor.stems, processor.latency_samples) if settings.measure else None
        if envelope:
            written = np.zeros((len(processor.stems), 1), np.float32)
            written[[row for rows in parts.values() for row in rows]] = 1
            processor.on_stems = lambda stems, _: envelope.push(stems, written)

        def separate(block: Block) -> Block:
            separated = processor.separate(block)
            return np.stack([separated[rows].sum(0) for rows in parts.values()])

        with _outputs(settings, targets, make_folder=True) as outputs:
            hear_song(processor, settings.source, settings.stream)
            return _render(reader, processor.latency_samples, separate, outputs, envelope, settings)


def _outputs(settings: RemixFile | SeparateFile, targets: list[Path], **more: bool) -> Outputs:
    overwrite, scratch = settings.overwrite, settings.scratch
    return Outputs(targets, Path(settings.source), overwrite=overwrite, beside=scratch, **more)


def _render(
    reader: AudioReader,
    latency: int,
    compute: Callable[[Block], Block],
    outputs: Outputs,
    envelope: Envelope | None,
    settings: RemixFile | SeparateFile,
) -> Rendered:
    """Render the song to a scratch file, find the factor from its peak, and write the outputs.

    Args:
        reader: The song.
        latency: Latency of `compute`, in samples.
        compute: Returns (outputs, channels, n) for a block (channels, n).
        outputs: The files to write.
        envelope: Collects the overview inside `compute`, if levels and an overview are wanted.
        settings: All settings.
    """
    loudness = settings.loudness if isinstance(settings, RemixFile) else None
    progress = settings.progress
    rate, num_channels, num_files = reader.sample_rate, reader.num_channels, len(outputs.parts)
    scratch = outputs.scratch / "all files.wav"
    measured = envelope is not None or loudness is not None
    song = _meter(reader) if measured else None
    remix = _meter(reader, true_peak=True) if loudness is not None else None
    files = [_meter(reader) for _ in outputs.parts] if measured else []
    frames, peak = 0, 0.0
    with ExitStack() as stack:
        # Opened before the work, so that a container that cannot hold something fails now.
        writers = [stack.enter_context(_create(part, reader, settings)) for part in outputs.parts]
        with create_audio(scratch, rate, num_files * num_channels, "float32") as writer:
            for block in compensate_latency(read_with_progress(reader, song, progress), compute, latency):
                writer.write(block.reshape(num_files * num_channels, -1))
                frames += block.shape[-1]
                peak = max(peak, float(np.abs(block).max(initial=0)))
                if remix:
                    remix.push(block[0])
        if not frames:
            raise AudioError(reader.warning or f"{reader.path} contains no audio; give another file")
        before = Level.measured(song) if song else None
        level = Level.measured(remix, true_peak=True) if remix else None
        if before and level and loudness is not None:
            factor, warning = loudness_factor(level, before.lufs if loudness == "match" else loudness)
        else:
            factor = common_factor(peak, clips=writers[0].sample_format != "float32", normalize=settings.normalize)
            down = f"turned down by {-20 * log10(factor):.2f} dB, because it would clip; 32-bit float WAV can hold it"
            warning = down if factor < 1 and not settings.normalize else ""
        if reader.outliers and factor < _LOWEST_FACTOR:
            raise AudioError(
                f"{reader.path}: {reader.outliers}, and the song would be turned down by {-20 * log10(factor):.0f} dB; "
                f"{REPAIR_REMEDY}"
            )
        done = 0
        with open_audio(scratch) as rendered:
            for block in rendered.blocks(BLOCK_SAMPLES):
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


def _create(part: Path, reader: AudioReader, settings: SongSettings) -> AudioWriter:
    """Open an output, by default in the source's sample format or the nearest that the container holds."""
    sample_format: str | None = settings.sample_format
    bitrate, quality = settings.bitrate, settings.encoding_quality
    kind = kind_of(part.suffix)
    container = CONTAINERS.get(kind) or VIDEO_CONTAINERS.get(kind)
    if container and sample_format and not container.sample_formats:
        raise StemBridgeError(
            f"{part.suffix} files have no choice of bits per sample; leave it out, or use .wav or .flac"
        )
    if container and sample_format is None and reader.sample_format != "lossy":
        # A lossless M4A file stays lossless unless a bitrate or a quality is given.
        is_kept = reader.path.suffix.lower() == part.suffix.lower() and (bitrate, quality) == (None, None)
        if container.sample_formats and (is_kept or not container.is_lossy):
            own = reader.sample_format
            sample_format = own if own in container.sample_formats else container.sample_formats[-1]
    if kind in VIDEO_CONTAINERS:
        return create_video(part, reader, sample_format, bitrate=bitrate, quality=quality)
    return create_audio(part, reader.sample_rate, reader.num_channels, sample_format, bitrate=bitrate, quality=quality)


def _copy_tags(source: Path, part: Path) -> str | None:
    """Copy tags to an output. Videos already have their chapters, and except MP4 their tags."""
    kind = kind_of(part.suffix)
    if kind in VIDEO_CONTAINERS and kind != ".mp4":
        return None
    return copy_tags(source, part, with_markers=kind not in VIDEO_CONTAINERS)


def _meter(reader: AudioReader, *, true_peak: bool = False) -> "Loudness":
    from ...audio.loudness import Loudness  # here, because FFmpeg takes a while to load

    return Loudness(reader.sample_rate, reader.num_channels, true_peak=true_peak)
