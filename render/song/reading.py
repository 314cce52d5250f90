"""Read a song for a processor."""

from collections.abc import Iterator
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...audio import AudioReader, open_audio
from ...audio.reader import check_channels
from ...core.errors import StemBridgeError
from ...engine import StemProcessor
from ...engine.processor import MAX_RATE_HZ, MIN_RATE_HZ
from ...models import Model
from ..settings import Progress

if TYPE_CHECKING:
    from ...audio.loudness import Loudness

BLOCK_SAMPLES = 65536
REPAIR_REMEDY = "repair the file, for example by clipping it: ffmpeg -i SONG -c:a pcm_s24le repaired.wav"


def stem_processor(
    reader: AudioReader, gains_db: dict[str, float] | None, model: str | PathLike[str] | Model, threads: int
) -> StemProcessor:
    """Return a processor for a song.

    Args:
        reader: The song.
        gains_db: Stem to gain in dB.
        model: A model, its name, or the path of an .onnx file.
        threads: Processor cores for the network.

    Raises:
        ValueError: The song has more than two channels, or its sample rate is out of range.
        ModelError: The model cannot be used.
    """
    check_channels_and_rate(reader)
    return StemProcessor(model, reader.sample_rate, reader.num_channels, gains_db, threads=threads)


def hear_song(processor: StemProcessor, source: str | PathLike[str], stream: int | None) -> None:
    """Let a processor measure a song before it processes it, if its network needs that.

    Args:
        processor: The processor.
        source: Path of the song.
        stream: Number of its audio stream, from 1; None for the default one.
    """
    if processor.wants_song:
        with open_audio(source, stream) as reader:
            processor.hear_song(reader.blocks(BLOCK_SAMPLES))


def check_channels_and_rate(reader: AudioReader) -> None:
    """Check that a song can be processed.

    Args:
        reader: The song.

    Raises:
        ValueError: It has more than two channels, or its sample rate is out of range.
    """
    check_channels(reader.path, reader.num_channels)
    if not MIN_RATE_HZ <= reader.sample_rate <= MAX_RATE_HZ:
        raise StemBridgeError(
            f"{reader.path} has a sample rate of {reader.sample_rate} Hz, but StemBridge works with {MIN_RATE_HZ} to "
            f"{MAX_RATE_HZ} Hz only; resample it first, for example: ffmpeg -i SONG -ar 48000 song48.wav"
        )


def read_with_progress(
    reader: AudioReader, meter: "Loudness | None", progress: Progress | None
) -> Iterator[NDArray[np.float32]]:
    """Yield the blocks of a song, and report progress.

    Args:
        reader: The song.
        meter: Receives each block.
        progress: Receives the step "rendering" and its fraction.
    """
    done = 0
    for block in reader.blocks(BLOCK_SAMPLES):
        if meter is not None:
            meter.push(block)
        yield block
        done += block.shape[-1]
        if progress:
            progress("rendering", min(1.0, done / reader.num_frames) if reader.num_frames else None)
