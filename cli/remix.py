"""`stembridge remix`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from .complete import map_names_from
from .options import (
    BATCH,
    Bitrate,
    BitsOption,
    Dask,
    DryRun,
    EncodingQuality,
    Fader,
    Force,
    Format,
    Gains,
    Jobs,
    ModelName,
    Name,
    Normalize,
    PresetName,
    ProviderName,
    Quality,
    QualityOption,
    Recipe,
    Reports,
    Songs,
    Stream,
    Threads,
    given_faders,
    is_given,
)


def remix_song(
    context: typer.Context,
    songs: Songs = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            show_default=False,
            help="A .wav, .flac, .aiff, .mp3, .ogg, .opus or .m4a file, for a video .mp4, .mov, .mkv or .webm, or a "
            "folder, like out/; default: a name that says what was done, such as 'song (no vocals).mp3', in the "
            "current folder.",
        ),
    ] = None,
    vocals: Fader = None,
    drums: Fader = None,
    bass: Fader = None,
    other: Fader = None,
    gain: Gains = None,
    preset: PresetName = None,
    automation: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Moves in time from a .csv or .mid file, see `stembridge docs automation`."),
    ] = None,
    map: Annotated[
        str | None,
        typer.Option(
            "--map",
            metavar="NAME",
            autocompletion=map_names_from,
            help="How a MIDI file moves the faders: a map (see `stembridge midi maps`), or a .json file.",
        ),
    ] = None,
    rack: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.py:NAME",
            help="A processor of your own in place of the model's, like a StemRack; also package.module:NAME.",
        ),
    ] = None,
    model: ModelName = "studio",
    quality: QualityOption = Quality.normal,
    normalize: Normalize = False,
    loudness: Annotated[
        str | None, typer.Option(metavar="match|LUFS", help="Keep the song's loudness, or bring it to LUFS, like -14.")
    ] = None,
    sample_format: BitsOption = None,
    bitrate: Bitrate = None,
    encoding_quality: EncodingQuality = None,
    stream: Stream = None,
    overwrite: Force = False,
    threads: Threads = 1,
    provider: ProviderName = None,
    name: Name = None,
    format: Annotated[
        Format | None, typer.Option("--format", rich_help_panel=BATCH, help="Of the files; default: as each song.")
    ] = None,
    jobs: Jobs = 1,
    dask: Dask = None,
    recipe: Recipe = None,
    report: Reports = None,
    dry_run: DryRun = False,
) -> None:
    """Move the stems of a song, or of many, and write the result.

    Faders given here override the preset; automation overrides both.
    """
    from ..core.places import is_url
    from ..presets import load_preset
    from ..render import remix_file
    from ..render.batch.job import is_midi, read_automation
    from ..render.song.song import NOTHING_TO_DO
    from .batch import batch_arguments, is_batch, run_batch
    from .outputs import new_folder, remix_path
    from .rack import load_rack
    from .rendering import one_song, run_with_progress

    faders = given_faders(gain, vocals=vocals, drums=drums, bass=bass, other=other)
    goal = _check_loudness(loudness)
    if map is not None and recipe is None and (automation is None or not is_midi(automation)):
        raise ValueError("--map says how a MIDI file moves the faders; give one with --automation, or leave --map out")
    if is_batch(context, songs) or (output is not None and is_url(output)):
        from ..render import remix_files

        if rack is not None:
            raise ValueError(f"--rack {rack} is for one song and a file to write; give one of each")
        arguments = batch_arguments(
            context,
            recipe,
            songs=songs,
            output=output,
            preset=preset,
            model=model,
            quality=quality.value,
            automation=automation,
            map=map,
            name=name,
            format=format and format.value,
            normalize=normalize,
            loudness=goal,
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
        recipes_gains = {} if preset is not None else arguments.get("gains_db") or {}
        given = preset, recipe, automation, goal
        if not (any(faders.values()) or normalize or overwrite or any(value is not None for value in given)):
            raise ValueError(NOTHING_TO_DO)
        return run_batch(remix_files, arguments | {"gains_db": recipes_gains | faders}, report)
    song = one_song(context, songs, output)
    moved_by = automation.stem if automation else rack and rack.rpartition(":")[2]
    target = remix_path(song, output, faders, preset=preset, moved_by=moved_by, format=format and format.value)
    gains_db = (load_preset(preset) if preset is not None else {}) | faders
    moves = None if automation is None else read_automation(automation, "general" if map is None else map, gains_db)
    processor = None
    if rack is not None:
        for option in ("model", "quality", "threads"):
            if is_given(context, option):
                raise ValueError(f"--{option} is for the rack to choose, in {rack}; leave it out")
        processor = load_rack(rack, song, stream)
    with new_folder(output):
        run_with_progress(
            lambda progress: remix_file(
                song,
                target,
                gains_db,
                model,
                automation=moves,
                processor=processor,
                quality=quality.value,
                normalize=normalize,
                loudness=goal,
                sample_format=sample_format and sample_format.name,
                bitrate=bitrate,
                encoding_quality=encoding_quality,
                stream=stream,
                overwrite=overwrite,
                copy_untouched=overwrite,
                threads=threads,
                progress=progress,
            )
        )


def _check_loudness(text: str | None) -> float | Literal["match"] | None:
    if text is None:
        return None
    if text == "match":
        return "match"
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"--loudness {text}: give `match`, or LUFS from -70 to 0") from None
