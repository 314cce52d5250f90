"""`stembridge remix`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ..core.errors import StemBridgeError
from ..core.settings import names_of
from ..render.settings import NETWORK, RemixFile, RemixFiles
from .options import Fader, Gains, PresetName, ProviderName, Recipe, Reports, Songs, given_faders, is_given
from .settings import with_settings


@with_settings(RemixFiles, after="gain")
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
            "folder, like out/; default: a name that describes the remix, such as 'song (no vocals).mp3', in the "
            "current folder.",
        ),
    ] = None,
    preset: PresetName = None,
    vocals: Fader = None,
    drums: Fader = None,
    bass: Fader = None,
    other: Fader = None,
    gain: Gains = None,
    rack: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.py:NAME",
            rich_help_panel=NETWORK,
            help="A StemRack or your own processor, used instead of a model (one song only); FILE.py:NAME or "
            "package.module:NAME.",
        ),
    ] = None,
    provider: ProviderName = None,
    recipe: Recipe = None,
    report: Reports = None,
    **settings: Any,
) -> None:
    """Move the faders of a song, or of many songs, and write the result.

    Faders given here override the preset; automation overrides both.
    """
    from ..core.places import is_url
    from ..render import remix_file
    from ..render.song.song import NOTHING_TO_DO
    from .batch import batch_arguments, is_batch, run_batch
    from .outputs import new_folder, remix_path
    from .rack import load_rack
    from .rendering import one_song, run_with_progress

    settings["preset"] = preset
    faders = given_faders(gain, vocals=vocals, drums=drums, bass=bass, other=other)
    automation = settings["automation"]
    if is_batch(context, songs) or (output is not None and is_url(output)):
        from ..render import remix_files

        if rack is not None:
            raise StemBridgeError(f"--rack {rack} is for one song and one output file; give one of each")
        arguments = batch_arguments(context, recipe, "remix", songs=songs, output=output, **settings)
        _check_map(arguments, recipe if not is_given(context, "map") else None)
        recipes_gains = {} if is_given(context, "preset") else arguments.get("gains_db") or {}
        given = [settings[name] for name in ("preset", "automation", "loudness", "normalize", "overwrite")]
        if recipe is None and not any(faders.values()) and all(value is None or value is False for value in given):
            raise StemBridgeError(NOTHING_TO_DO)
        return run_batch(remix_files, arguments | {"gains_db": recipes_gains | faders}, report, recipe)
    _check_map({name: value for name, value in settings.items() if is_given(context, name)})
    song = one_song(context, songs)
    moved_by = Path(automation).stem if automation else rack and rack.rpartition(":")[2]
    target = remix_path(song, output, faders, preset=preset, moved_by=moved_by, format=settings["format"])
    processor = None
    if rack is not None:
        for option in ("model", "quality", "threads"):
            if is_given(context, option):
                raise StemBridgeError(f"--{option} has no effect on a rack; set it in {rack}, and leave the option out")
        processor = load_rack(rack, song, settings["stream"])
    arguments = {name: value for name, value in settings.items() if name in names_of(RemixFile)}
    arguments |= {"processor": processor, "copy_untouched": settings["overwrite"]}
    with new_folder(output):
        run_with_progress(lambda progress: remix_file(song, target, faders, progress=progress, **arguments))


def _check_map(arguments: Mapping[str, Any], recipe: Path | None = None) -> None:
    """Check that a map has a MIDI file to read.

    Args:
        arguments: The arguments that were given, with a recipe's.
        recipe: The recipe, if the map can only be from there.

    Raises:
        StemBridgeError: There is a map, but no automation is a MIDI file.
        OSError: An automation cannot be read.
    """
    from ..render.song.faders import is_midi

    tables = [arguments, *arguments.get("overrides", ())]
    maps = [table["map"] for table in tables if "map" in table]
    if not maps or any(is_midi(table["automation"]) for table in tables if table.get("automation")):
        return
    if recipe is None:
        raise StemBridgeError("--map is for a MIDI file; give one with --automation, or leave --map out")
    raise StemBridgeError(
        f"recipe {recipe}: map {maps[0]!r} is for a MIDI file; name one as automation, or leave map out"
    )
