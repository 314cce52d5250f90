"""`stembridge separate`."""

from typing import Annotated

import typer

from .complete import stem_names_from
from .options import (
    Bitrate,
    BitsOption,
    Dask,
    DryRun,
    EncodingQuality,
    Force,
    Format,
    Jobs,
    ModelName,
    Name,
    Normalize,
    ProviderName,
    Quality,
    QualityOption,
    Recipe,
    Reports,
    Songs,
    Stream,
    Threads,
)


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
            help="Folder for vocals.wav, drums.wav ...; default: one named after the song, in the current folder.",
        ),
    ] = None,
    stems: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            autocompletion=stem_names_from,
            help="Like `vocals,instrumental`, or `no_drums` for all but the drums; default: all.",
        ),
    ] = None,
    format: Annotated[Format, typer.Option("--format", help="Of the files.")] = Format.wav,
    model: ModelName = "studio",
    quality: QualityOption = Quality.normal,
    normalize: Normalize = False,
    sample_format: BitsOption = None,
    bitrate: Bitrate = None,
    encoding_quality: EncodingQuality = None,
    stream: Stream = None,
    overwrite: Force = False,
    threads: Threads = 1,
    provider: ProviderName = None,
    name: Name = None,
    jobs: Jobs = 1,
    dask: Dask = None,
    recipe: Recipe = None,
    report: Reports = None,
    dry_run: DryRun = False,
) -> None:
    """Write the stems of a song, or of many, a file each. Together they sum to the song."""
    from ..core.places import is_url
    from ..render import separate_file
    from .batch import batch_arguments, is_batch, run_batch
    from .outputs import stems_folder
    from .rendering import one_song, run_with_progress

    names = None if stems is None else [stem.strip() for stem in stems.split(",")]
    if is_batch(context, songs) or (output is not None and is_url(output)):
        from ..render import separate_files

        arguments = batch_arguments(
            context,
            recipe,
            songs=songs,
            output=output,
            stems=names,
            model=model,
            quality=quality.value,
            name=name,
            format=format.value,
            normalize=normalize,
            sample_format=sample_format and sample_format.name,
            bitrate=bitrate,
            encoding_quality=encoding_quality,
            stream=stream,
            overwrite=overwrite,
            jobs=jobs,
            dask=dask,
            threads=threads,
            dry_run=dry_run,
        )
        return run_batch(separate_files, arguments, report)
    song = one_song(context, songs, output)
    folder = stems_folder(song, output)
    run_with_progress(
        lambda progress: separate_file(
            song,
            folder,
            names,
            model,
            suffix=f".{format.value}",
            quality=quality.value,
            normalize=normalize,
            sample_format=sample_format and sample_format.name,
            bitrate=bitrate,
            encoding_quality=encoding_quality,
            stream=stream,
            overwrite=overwrite,
            threads=threads,
            progress=progress,
        )
    )
