"""Options that several commands have."""

import os
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, Any

import typer

from ..core.errors import StemBridgeError
from ..render.settings import BATCH, NETWORK, RemixSettings, RunSettings, SongSettings
from .complete import gains_from, map_names_from
from .settings import option_info

Songs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SONG",
        show_default=False,
        help="Any audio or video file: WAV, FLAC, AIFF, MP3, Ogg, Opus, M4A, MP4 ... Many songs: files, folders, "
        "'globs/**/*.flac', playlists (.m3u, .m3u8, .pls) and URLs (s3://...).",
    ),
]
Fader = Annotated[str | None, typer.Option(metavar="DB", help="Gain in dB, -80 (silence) to 20.")]
Gains = Annotated[
    list[str] | None,
    typer.Option(
        "--gain", metavar="STEM=DB", autocompletion=gains_from, help="Gain of any stem; may be given several times."
    ),
]
PresetName = Annotated[str | None, option_info(RemixSettings, "preset")]
ModelName = Annotated[str, option_info(RunSettings, "model")]
Stream = Annotated[int | None, option_info(SongSettings, "stream")]
Force = Annotated[bool, option_info(RunSettings, "overwrite")]
Threads = Annotated[int, option_info(RunSettings, "threads")]


class Provider(StrEnum):
    """The execution provider that runs the networks."""

    cpu = "cpu"
    cuda = "cuda"
    coreml = "coreml"
    directml = "directml"
    openvino = "openvino"


def _use_provider(provider: Provider | None) -> None:
    from ..engine.providers import PROVIDER_VARIABLE

    if provider is not None:
        os.environ[PROVIDER_VARIABLE] = provider.value  # for worker processes too


def _provider_option(help: str) -> Any:
    return typer.Option("--provider", rich_help_panel=NETWORK, callback=_use_provider, expose_value=False, help=help)


ProviderName = Annotated[
    Provider | None,
    _provider_option("Hardware that runs the network, see `stembridge docs networks` (default: the processor, cpu)."),
]
TeacherProviderName = Annotated[
    Provider | None,
    _provider_option(
        "Training uses a CUDA card if PyTorch finds one; this option sets the hardware that runs the teacher (default: "
        "the processor, cpu)."
    ),
]
MapName = typer.Option(
    "--map",
    metavar="NAME",
    autocompletion=map_names_from,
    help="A MIDI map (see `stembridge midi maps`), or a .json file.",
)
Recipe = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=BATCH,
        help="A .toml file with songs and options; options given here override it.",
    ),
]
Reports = Annotated[
    list[Path] | None,
    typer.Option(
        "--report",
        metavar="FILE",
        rich_help_panel=BATCH,
        show_default=False,
        help="Write a report as .html, .json or .csv; may be given several times.",
    ),
]

DataFolders = Annotated[
    list[Path],
    typer.Option("--data", metavar="DIR...", help="Folders of songs with stems, see `stembridge docs training`."),
]
OptionalDataFolders = Annotated[
    list[Path] | None,
    typer.Option("--data", metavar="DIR...", help="Folders of songs with stems, see `stembridge docs training`."),
]
MoreFolders = Annotated[list[Path] | None, typer.Argument(metavar="", hidden=True)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]


def given_faders(gains: list[str] | None = None, **faders: str | None) -> dict[str, float]:
    """Return the gains that were given, stem to dB.

    Args:
        gains: Texts such as "piano=-6".
        faders: Stem to gain as text, None if it was not given.

    Raises:
        ValueError: A gain is out of range, a text is not STEM=DB, or a stem has two gains.
    """
    from ..core.gains import gain_from_text

    gains_db = {stem: gain_from_text(f"--{stem}", gain) for stem, gain in faders.items() if gain is not None}
    for text in gains or []:
        stem, _, value = text.rpartition("=")
        if not stem:
            raise StemBridgeError(f"--gain {text}: give it as STEM=DB, such as piano=-6")
        if stem in gains_db:
            raise StemBridgeError(f"--gain {text}: {stem} was given {gains_db[stem]:g} dB already; give one gain")
        gains_db[stem] = gain_from_text(f"--gain {stem}", value)
    return gains_db


def check_new(path: Path, force: bool) -> None:
    """Check that a file can be written.

    Args:
        path: Its path.
        force: Allow to replace an existing file.

    Raises:
        OSError: The file cannot be created, or it exists and `force` is False.
    """
    from ..core.atomic import final_path

    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file in it")
    try:
        place = final_path(path)
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror}; choose another name") from error
    folder = place.absolute().parent
    if not folder.is_dir():
        raise FileNotFoundError(f"the folder {place.parent} does not exist; make it first")
    try:
        with TemporaryFile(dir=folder):  # fail now, not after hours of work
            pass
    except OSError as error:
        reason = f"cannot write in the folder {place.parent}: {error.strerror}; choose another folder"
        raise OSError(reason) from error
    if place.exists() and not force:
        raise FileExistsError(f"{path} exists already; choose another name, or overwrite it with --force")


def is_given(context: typer.Context, name: str) -> bool:
    """Return whether an option was given on the command line.

    Args:
        context: The command.
        name: Name of the option's parameter.
    """
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
