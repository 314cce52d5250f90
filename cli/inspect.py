"""`stembridge inspect`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from .options import Force, ModelName, ProviderName, Stream, Threads


def inspect_song(
    song: Annotated[
        Path, typer.Argument(metavar="SONG", help="Any audio file: WAV, FLAC, AIFF, MP3, Ogg, Opus, M4A ...")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="A .png, .svg or .html file.")],
    dark: Annotated[bool, typer.Option("--dark", help="On dark ground; .html is as its reader likes.")] = False,
    model: ModelName = "studio",
    stream: Stream = None,
    force: Force = False,
    threads: Threads = 1,
    provider: ProviderName = None,
) -> None:
    """Draw what is in a song: waveform, spectrogram, each stem's level over time, and how loud they are."""
    from ..render.inspect.figure import draw_file
    from .rendering import progress_bar

    with progress_bar() as progress:
        seen = draw_file(
            song, output, model, dark=dark, stream=stream, overwrite=force, threads=threads, progress=progress
        )
    if seen.warning:
        print(f"stembridge: warning: {seen.warning}", file=sys.stderr)
    parts = ", ".join(f"{name} {loud}" for name, loud in {"song": seen.song, **seen.stems}.items())
    print(f"wrote {output}: {parts}")
