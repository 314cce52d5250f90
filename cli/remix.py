"""`stembridge remix`."""

from pathlib import Path
from typing import Annotated

import typer

from .options import BitsOption, Force, ModelName, Normalize, Song, Threads

Fader = Annotated[str | None, typer.Option(metavar="DB", help="Gain in dB, -80 (silence) to 20.")]


def remix_song(
    song: Song,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="A .wav, .flac, .mp3 or .ogg file.")],
    vocals: Fader = None,
    drums: Fader = None,
    bass: Fader = None,
    other: Fader = None,
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Gains by name (see `presets`) or from a .json file.")
    ] = None,
    model: ModelName = "studio",
    normalize: Normalize = False,
    bits: BitsOption = None,
    force: Force = False,
    threads: Threads = 1,
) -> None:
    """Move the stems of a song and write the result.

    A fader that is given goes before the preset's.
    """
    from ..engine.gains import check_gain_db
    from ..presets import load_preset
    from ..render import remix_file
    from .rendering import run_with_progress

    faders = {"vocals": vocals, "drums": drums, "bass": bass, "other": other}
    gains_db = load_preset(preset) if preset is not None else {}
    for stem, gain in faders.items():
        if gain is not None:
            gains_db[stem] = check_gain_db(f"--{stem}", gain)
    run_with_progress(
        lambda progress: remix_file(
            song,
            output,
            gains_db,
            model,
            normalize=normalize,
            sample_format=bits and bits.name,
            overwrite=force,
            threads=threads,
            progress=progress,
        )
    )
