"""`stembridge train`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..core.errors import StemBridgeError
from ..core.extras import install_extra
from .complete import model_names_from
from .options import Force, MoreFolders, OptionalDataFolders, TeacherProviderName, check_new, is_given

MAX_MINUTES = 1e6  # two years
MAX_SEED = 2**32 - 1


class Mode(StrEnum):
    """Whether the network works frame by frame, or on whole chunks."""

    streaming = "streaming"
    chunked = "chunked"


class Loss(StrEnum):
    """The loss that training minimises."""

    sdr = "sdr"
    waveform = "waveform"
    spectrogram = "spectrogram"


class Network(StrEnum):
    """Families of networks, see docs/training.md."""

    recurrent = "recurrent"
    transformer = "transformer"
    u_net = "u-net"


def run_training(
    context: typer.Context,
    minutes: Annotated[
        float,
        typer.Option(min=0.01, max=MAX_MINUTES, help="Total training time, including earlier runs."),
    ] = 60.0,
    data: OptionalDataFolders = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            "--teacher",
            metavar="MODEL",
            autocompletion=model_names_from,
            help="A model that separates the songs in --songs.",
        ),
    ] = None,
    songs: Annotated[
        list[Path] | None,
        typer.Option("--songs", metavar="DIR...", help="Folders of songs without stems, which --teacher separates."),
    ] = None,
    songs_share: Annotated[
        float,
        typer.Option(
            "--songs-share",
            min=0.0,
            max=1.0,
            help="Share of mixes from --songs, if --data is given too.",
        ),
    ] = 0.5,
    more: MoreFolders = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="The .onnx file to write (default: my-MODE.onnx)."),
    ] = None,
    mode: Annotated[
        Mode, typer.Option("--mode", help="Frame by frame with low latency, or in whole chunks offline.")
    ] = Mode.chunked,
    network: Annotated[Network, typer.Option("--network", help="Family of the network.")] = Network.recurrent,
    lookahead: Annotated[
        int,
        typer.Option(
            "--lookahead",
            min=0,
            metavar="N",
            help="Frames that a streaming network hears ahead (5.8 ms each; 23 ms with --init studio). They add to its "
            "latency, at most 150 ms in all.",
        ),
    ] = 0,
    loss: Annotated[Loss, typer.Option("--loss", help="Loss to minimise, see `stembridge docs training`.")] = Loss.sdr,
    init: Annotated[
        str | None,
        typer.Option(
            "--init",
            metavar="MODEL",
            autocompletion=model_names_from,
            help="Start from the weights of this model, and use its mode; with --lookahead the new network streams.",
        ),
    ] = None,
    cache: Annotated[Path | None, typer.Option("--cache", metavar="DIR", help="Folder for decoded songs.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=MAX_SEED, help="Random seed.")] = 0,
    threads: Annotated[int, typer.Option("--threads", min=0, help="Processor cores, 0 for all.")] = 0,
    terms: Annotated[str, typer.Option("--terms", help="Terms of the weights, for the card.")] = "not stated",
    force: Force = False,
    provider: TeacherProviderName = None,
) -> None:
    """Train a network on songs with stems, or on songs whose stems another network finds, and export it.

    If training was stopped, the same command continues it: checkpoints and log.csv are next to the output, in
    FILE.training/. Needs PyTorch: pip install '.[train]' in a clone.
    """
    true_folders, folders = _folders(data or [], songs or [], more or [])
    if folders and teacher is None:
        raise StemBridgeError("--songs needs a model that separates the songs; name one with --teacher")
    if teacher is not None and not folders:
        raise StemBridgeError("--teacher needs songs; give folders of songs without stems to --songs")
    if not (true_folders or folders):
        raise StemBridgeError("no songs to learn from; give songs with stems to --data, or songs without to --songs")
    if is_given(context, "songs_share") and not (true_folders and folders):
        raise StemBridgeError("--songs-share needs both --data and --songs; leave it out")
    if init is not None:
        for option in ("mode", "network"):
            if is_given(context, option):
                raise StemBridgeError(f"--{option} does not go with --init, whose model sets it; leave it out")
    if lookahead and mode is not Mode.streaming and init is None:
        raise StemBridgeError("--lookahead is for streaming networks; add --mode streaming, or leave it out")
    ahead = "-ahead" if init and lookahead else ""
    output = output or Path(f"my-{mode if init is None else Path(init).stem}{ahead}.onnx")
    if output.suffix != ".onnx":
        raise StemBridgeError(f"{output}: the output is a model, so its name must end in .onnx")
    from .table import printable

    check_new(output, force=True)  # an existing file may be from a run that this one continues
    try:
        from ..training.session import train_model
    except ModuleNotFoundError as error:
        raise StemBridgeError(
            f"training needs {error.name}, which is not installed: {install_extra('train')}"
        ) from error
    model = train_model(
        true_folders,
        output,
        minutes,
        mode=mode,
        family=network,
        lookahead=lookahead,
        loss=loss,
        init=init,
        teacher=teacher,
        songs=folders,
        songs_share=songs_share,
        cache=cache,
        seed=seed,
        threads=threads,
        terms=terms,
        overwrite=force,
        report=lambda line: print(printable(line), flush=True),
    )
    print(printable(f"{model.path}: {model.card.mode}, latency {model.card.latency_samples} samples"))


def _folders(data: list[Path], songs: list[Path], more: list[Path]) -> tuple[list[Path], list[Path]]:
    """Return the folders of --data and of --songs.

    Args:
        data: One folder for each --data.
        songs: One folder for each --songs.
        more: Further folders, which belong to the option that was given.

    Raises:
        ValueError: Both options were given, so that further folders may belong to either.
    """
    if data and songs and more:
        raise StemBridgeError(f"{more[0]} may belong to --data or --songs; write the option again before each folder")
    return [*data, *more] if data else data, [*songs, *more] if songs else songs
