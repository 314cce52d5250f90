"""`stembridge inspect`."""

from typing import Annotated

import typer

from .options import Force, ModelName, ProviderName, Stream, Threads


def inspect_song(
    song: Annotated[
        str, typer.Argument(metavar="SONG", help="Any audio file: WAV, FLAC, AIFF, MP3, Ogg, Opus, M4A ...")
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            show_default=False,
            help="A .png, .svg or .html file, or a folder, like out/; default: SONG.html, with --dark SONG.png, in the "
            "current folder.",
        ),
    ] = None,
    dark: Annotated[
        bool, typer.Option("--dark", help="Use the dark theme (HTML follows the browser's setting).")
    ] = False,
    model: ModelName = "studio",
    stream: Stream = None,
    force: Force = False,
    threads: Threads = 1,
    provider: ProviderName = None,
) -> None:
    """Draw a song: its waveform and spectrogram, and the level and loudness of each stem."""
    from ..render.inspect.figure import draw_file
    from .lines import complain
    from .outputs import new_folder, picture_path
    from .rendering import progress_bar
    from .table import printable

    target = picture_path(song, output, ".png" if dark else ".html")
    with new_folder(output), progress_bar() as progress:
        seen = draw_file(
            song, target, model, dark=dark, stream=stream, overwrite=force, threads=threads, progress=progress
        )
    if seen.warning:
        complain(f"warning: {seen.warning}")
    parts = ", ".join(f"{name} {loud}" for name, loud in {"song": seen.song, **seen.stems}.items())
    print(f"wrote {printable(str(target))}: {parts}")
