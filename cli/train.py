"""`stembridge train`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..core.extras import install_extra
from .options import DataFolders, Force, MoreFolders, check_new, is_given

MOST_MINUTES = 1e6  # two years
MOST_SEEDS = 2**32 - 1


class Mode(StrEnum):
    """How the network meets time."""

    streaming = "streaming"
    chunked = "chunked"


class Loss(StrEnum):
    """What training minimises."""

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
    data: DataFolders,
    minutes: Annotated[
        float,
        typer.Option(min=0.01, max=MOST_MINUTES, help="Time to train in all, earlier runs included."),
    ],
    more: MoreFolders = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="The .onnx to write (default: my-MODE.onnx)."),
    ] = None,
    mode: Annotated[Mode, typer.Option("--mode", help="Low latency, or whole chunks offline.")] = Mode.chunked,
    network: Annotated[Network, typer.Option("--network", help="The family of the network.")] = Network.recurrent,
    loss: Annotated[Loss, typer.Option("--loss", help="What is minimised, see `stembridge docs training`.")] = Loss.sdr,
    init: Annotated[
        str | None, typer.Option("--init", metavar="MODEL", help="Start from this model's weights (and its mode).")
    ] = None,
    cache: Annotated[Path | None, typer.Option("--cache", metavar="DIR", help="Where decoded songs are kept.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=MOST_SEEDS, help="Of all random choices.")] = 0,
    threads: Annotated[int, typer.Option("--threads", min=0, help="Processor cores, 0 for all.")] = 0,
    terms: Annotated[
        str, typer.Option("--terms", help="What the weights may be used for, for the card.")
    ] = "not stated",
    force: Force = False,
) -> None:
    """Train a network on songs with stems, and export it.

    Goes on where it was stopped: checkpoints and log.csv lie beside the output, in FILE.training/. Needs PyTorch:
    pip install '.[train]' in a clone.
    """
    if init is not None:
        for option in ("mode", "network"):
            if is_given(context, option):
                raise ValueError(f"--{option} is that of the model that --init names; leave it out")
    output = output or Path(f"my-{mode if init is None else Path(init).stem}.onnx")
    if output.suffix != ".onnx":
        raise ValueError(f"{output}: the output is a model, so its name must end in .onnx")
    check_new(output, force=True)  # what is there already may be the run that this one goes on from
    try:
        from ..training.session import train_model
    except ModuleNotFoundError as error:
        raise ValueError(f"training needs {error.name}, which is not here: {install_extra('train')}") from error
    model = train_model(
        [*data, *(more or ())],
        output,
        minutes,
        mode=mode,
        family=network,
        loss=loss,
        init=init,
        cache=cache,
        seed=seed,
        threads=threads,
        terms=terms,
        overwrite=force,
    )
    print(f"{model.path}: {model.card.mode}, latency {model.card.latency_samples} samples")
