"""`stembridge models import`."""

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, cast

import typer

from ..core.errors import StemBridgeError
from .options import Force

if TYPE_CHECKING:
    from ..models import Model
    from ..models.guests import GuestFile
    from ..render import Progress

CHUNK_BYTES = 1 << 20  # copied at a time
NOISE_PEAK = 0.1  # of the noise that a network is tried with; full scale is 1


def import_model(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="An .onnx file or its URL; several for a model of several graphs, such as one for each stem. If a "
            "card lies next to it (`stembridge docs model-format`), that is used. Also a card (.json) with its graphs "
            "next to it, or a folder with a Spleeter checkpoint.",
        ),
    ],
    name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Name of the model (default: the first file's name).")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            metavar="KIND",
            help="Kind of network, if the graph does not show it; see `stembridge docs guests`.",
        ),
    ] = None,
    stems: Annotated[
        str | None,
        typer.Option(
            "--stems", metavar="NAMES", help="Stems of the network in order, or of each file: `vocals,drums`."
        ),
    ] = None,
    terms: Annotated[
        str | None, typer.Option("--terms", metavar="TEXT", help="Terms of the weights, for the card.")
    ] = None,
    overwrite: Force = False,
) -> None:
    """Import a separator made by others, so that --model finds it by name.

    The network is recognised by the shapes of its inputs and outputs, and run once on noise.
    """
    from ..core.places import as_place
    from ..models import load_model
    from ..models.guests import adopt_model, check_name, publish_model, recognise, stage_model, staging
    from .rendering import progress_bar

    sources = [as_place(source) for source in sources]
    called = _usual_name(sources[0]) if name is None else name
    check_name(called, overwrite)
    for source in sources:
        _check_suffix(source)
    if len(sources) == 1 and kind is None and stems is None and _has_card(sources[0]):
        with progress_bar() as progress:
            model = load_model(Path(sources[0]))
            _try_on_noise(model, progress)
            adopt_model(model, called, overwrite, terms)
        _say_imported(model, called)
        return
    with staging() as staged, progress_bar() as progress:
        files = [file for source in sources for file in _fetch(source, staged, progress)]
        values = recognise(
            files, called, kind=kind, stems=None if stems is None else re.split(r"\s*,\s*", stems.strip()), terms=terms
        )
        model = stage_model(staged, values, [file.path for file in files])
        _try_on_noise(model, progress)
        publish_model(model, overwrite)
    _say_imported(model, called)


def _say_imported(model: "Model", name: str) -> None:
    from .table import printable

    card = model.card
    description = card.values.get("description", f"a network that gives {card.mode}")
    about = f"{description}; stems {', '.join(card.stems)}; terms of the weights: {card.values['terms']}"
    print(printable(f"imported {name}: {about}; use it with --model {name}"))
    for graph in model.graphs:
        print(f"  {graph.path.name} has the SHA-256 {graph.sha256}")


def _usual_name(source: str) -> str:
    """Return a model's name made of its file's.

    >>> _usual_name("https://example.org/HTDemucs FT.onnx?download=1")
    'htdemucs-ft'
    """
    from ..render.storage import file_name

    place = os.path.dirname(os.path.abspath(source)) if source.endswith(".index") else source.rstrip("/")
    stem = os.path.splitext(file_name(place))[0].lower()
    return re.sub(r"[^a-z0-9_-]+", "-", stem).strip("-_")


def _has_card(source: str) -> bool:
    """Return whether a source is a card, or has one next to it, and not only another program's JSON file."""
    from ..core.errors import ModelError
    from ..models.card import read_card

    path = Path(source)
    if path.suffix == ".onnx":
        with suppress(ModelError):
            values = read_card(path.with_suffix(".json"))
            return isinstance(values, dict) and "format" in values
    return path.suffix == ".json"


def _check_suffix(source: str) -> None:
    """Refuse files that cannot be graphs before they are downloaded."""
    from ..models.guests import refuse_weights
    from ..render.storage import file_name

    refuse_weights(b"", file_name(source))


def _fetch(source: str, folder: Path, progress: "Progress | None") -> "list[GuestFile]":
    """Bring the graphs of a source into a folder."""
    from ..models.guests import GuestFile, spleeter_graphs

    indices = sorted(Path(source).glob("*.index")) if os.path.isdir(source) else [Path(source)]
    if len(indices) != 1:
        raise StemBridgeError(f"{source} is a folder without a TensorFlow checkpoint; give an .onnx file")
    number = len(list(folder.iterdir()))
    if indices[0].suffix != ".index" or not indices[0].is_file():
        return [_copy(source, folder / str(number), progress)]
    files = []
    for stem, graph in spleeter_graphs(indices[0]).items():
        path = folder / f"{number} {stem}"
        path.write_bytes(graph)
        files.append(GuestFile(path, f"{stem}.onnx", hashlib.sha256(graph).hexdigest()))
    return files


def _copy(source: str, target: Path, progress: "Progress | None") -> "GuestFile":
    """Copy or download a graph. Raises OSError or ValueError, in one line, if it does not arrive whole."""
    from ..core.places import is_url
    from ..models.guests import GuestFile
    from ..render.storage import file_name, reason_for, system_of

    shown = file_name(source)
    digest = hashlib.sha256()
    done = 0
    with open(target, "wb") as copy:
        try:
            if is_url(source):
                system, path = system_of(source)
                size = system.info(path).get("size")
                stream = cast(BinaryIO, system.open(path, "rb"))
            else:
                size, stream = os.path.getsize(source), open(source, "rb")  # noqa: SIM115
            with stream:
                while chunk := stream.read(CHUNK_BYTES):
                    copy.write(chunk)
                    digest.update(chunk)
                    done += len(chunk)
                    if progress:
                        progress(shown, done / size if size else None)
        except Exception as error:  # every kind of storage fails in its own way
            if not is_url(source) or isinstance(error, MemoryError):
                raise
            raise OSError(
                f"{source} cannot be downloaded: {reason_for(error)}; check the address, or try again"
            ) from error
    if size is not None and done != size:
        raise OSError(f"{source}: only {done} of {size} bytes arrived; try again")
    return GuestFile(target, shown, digest.hexdigest())


def _try_on_noise(model: "Model", progress: "Progress | None") -> None:
    """Run a network on noise through the engine, which checks its output. Raises ModelError."""
    import numpy as np

    from ..engine import StemProcessor
    from ..models import ModelError

    if progress:
        progress("running it once on noise", None)
    try:
        processor = StemProcessor(model, model.card.sample_rate, 2)
        length = processor.latency_samples + 1  # so that one sample must come from the network
        processor.separate(NOISE_PEAK * np.random.default_rng(0).uniform(-1, 1, (2, length)).astype(np.float32))
    except ModelError as error:
        raise ModelError(str(error).replace(f"{model.path.parent}{os.sep}", "")) from error  # a hidden folder
