"""`stembridge separate`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .options import BitsOption, Force, ModelName, Normalize, Song, Threads


class Format(StrEnum):
    """Containers that can be written."""

    wav = "wav"
    flac = "flac"
    mp3 = "mp3"
    ogg = "ogg"


def separate_song(
    song: Song,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for vocals.wav, drums.wav ...")],
    stems: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Like `vocals,no_vocals`, which is all but the vocals; default: all."),
    ] = None,
    format: Annotated[Format, typer.Option("--format", help="Of the files.")] = Format.wav,
    model: ModelName = "studio",
    normalize: Normalize = False,
    bits: BitsOption = None,
    force: Force = False,
    threads: Threads = 1,
) -> None:
    """Write the stems of a song, a file each. Together they sum to the song."""
    from ..render import separate_file
    from .rendering import run_with_progress

    names = None if stems is None else [name.strip() for name in stems.split(",")]
    run_with_progress(
        lambda progress: separate_file(
            song,
            output,
            names,
            model,
            suffix=f".{format.value}",
            normalize=normalize,
            sample_format=bits and bits.name,
            overwrite=force,
            threads=threads,
            progress=progress,
        )
    )
