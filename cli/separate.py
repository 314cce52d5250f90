"""`stembridge separate`."""

from typing import Annotated, Any

import typer

from ..core.settings import names_of
from ..render.settings import SeparateFile, SeparateFiles
from .complete import stem_names_from
from .options import ProviderName, Recipe, Reports, Songs
from .settings import with_settings


@with_settings(SeparateFiles, after="stems")
def separate_song(
    context: typer.Context,
    songs: Songs = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            show_default=False,
            help="Folder for vocals.wav, drums.wav ... (default: one with the song's name, in the current folder). If "
            "it already has stems, a new folder is made.",
        ),
    ] = None,
    stems: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            autocompletion=stem_names_from,
            help="Stems to write, like `vocals,instrumental`, or `no_drums` for all except the drums (default: all).",
        ),
    ] = None,
    provider: ProviderName = None,
    recipe: Recipe = None,
    report: Reports = None,
    **settings: Any,
) -> None:
    """Write each stem of a song, or of many, to a file. The stems sum to the song."""
    from ..core.places import is_url
    from ..core.stems import stem_parts
    from ..models import load_model
    from ..render import separate_file
    from .batch import batch_arguments, is_batch, run_batch
    from .outputs import stems_folder
    from .rendering import one_song, run_with_progress

    names = None if stems is None else [stem.strip() for stem in stems.split(",")]
    if is_batch(context, songs) or (output is not None and is_url(output)):
        from ..render import separate_files

        arguments = batch_arguments(context, recipe, "separate", songs=songs, output=output, stems=names, **settings)
        return run_batch(separate_files, arguments, report, recipe)
    song = one_song(context, songs)
    suffix = f".{settings['format']}"
    parts = [] if settings["overwrite"] else stem_parts(load_model(settings["model"]).card.stems, names)
    folder = stems_folder(song, output, [f"{part}{suffix}" for part in parts])
    arguments = {name: value for name, value in settings.items() if name in names_of(SeparateFile)}
    run_with_progress(
        lambda progress: separate_file(song, folder, names, suffix=suffix, progress=progress, **arguments)
    )
