"""From folders of songs to an exported model: one training session."""

import hashlib
import os
import platform
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from ..core.errors import DataError
from ..models import Model, load_model
from .checkpoint import load_checkpoint
from .data.songs import StemCache, find_songs
from .export import export_network, load_parameters
from .networks.make import make_network
from .recipe import RECIPES
from .train import Settings, split, train_network


def train_model(
    folders: Sequence[str | os.PathLike],
    output: Path,
    minutes: float,
    *,
    mode: str = "chunked",
    family: str = "recurrent",
    loss: str = "sdr",
    init: str | None = None,
    cache: Path | None = None,
    seed: int = 0,
    threads: int = 0,
    terms: str = "not stated",
    overwrite: bool = False,
    report: Callable[[str], None] = print,
) -> Model:
    """Train for `minutes` and write `output` (.onnx) with its card.

    folders: see `find_songs`. family, mode: a key of RECIPES. loss: one of LOSSES. init: a model to start from, whose
    recipe is then kept. cache: where decoded stems are kept, by default the user's cache folder. terms: what the card
    says of the weights, before the terms of those they were started from. overwrite: whether another model may be
    replaced. Checkpoints and the log lie in `<output>.training/`; a later call with the same output goes on from there.
    Raises DataError, ModelError or OSError, in one line, for what it cannot use.
    """
    from platformdirs import user_cache_path

    work = output.with_name(output.name + ".training")
    for path in output, output.with_suffix(".json"):
        if os.path.exists(path) and not (overwrite or (work / "last.safetensors").exists()):
            raise FileExistsError(f"{path} exists already; choose another name, or overwrite it with --force")
    if not terms.strip():
        raise DataError("terms '' say nothing; say what the weights may be used for, or leave them out")
    songs = find_songs(folders)
    if (family, mode) not in RECIPES:
        modes = " or ".join(mode for each, mode in RECIPES if each == family)
        raise DataError(f"a {family} network cannot be {mode}; choose {modes}, or another family")
    recipe, initial = load_parameters(init) if init else (RECIPES[family, mode], None)
    settings = Settings(minutes=minutes, loss=loss, init=init, seed=seed, threads=threads)
    data = [{"name": str(folder), "terms": terms} for folder in folders]
    if init:
        settings.learning_rate /= 10  # what is learnt already should be kept
        start = load_model(init).card.values
        terms = f"{terms}; and those of {start['name']}, whose weights it was started from: {start['terms']}"
        data = [*start.get("data", []), *data]
    stems = StemCache(cache or user_cache_path("stembridge") / "stems")
    best = train_network(songs, recipe, work, stems, settings, initial, report)
    weights, progress, recipe = load_checkpoint(best)
    network = make_network(recipe)
    network.load_state_dict(weights)
    made_of = ["--init", init] if init else ["--mode", mode, "--network", family]
    command = ["train", "--data", *folders, *made_of, "--loss", loss, "--minutes", f"{minutes:g}", "--seed", str(seed)]
    command += ["--threads", str(threads)] if threads else []
    card: dict[str, Any] = {
        "name": _card_name(output.stem),
        "version": "1",
        "terms": terms,
        "data": data,
        "training": {
            "minutes": round(progress.seconds / 60, 1),
            "steps": progress.step,
            "processor": torch.cuda.get_device_name() if settings.device == "cuda" else _processor(),
            "threads": torch.get_num_threads(),
            "seed": seed,
            "loss": loss,
            "torch": torch.__version__,
            "started_from": init,
            "command": shlex.join(["stembridge", *map(str, command), "-o", str(output)]),
        },
    }
    if split(songs)[1]:  # else the best was chosen by the mixes that it learnt from
        card["training"]["held_apart_sdr_db"] = round(progress.best, 2)
    return export_network(network, output, card)


def _card_name(stem: str) -> str:
    """The file's name as a card may have it; one that cannot be kept is replaced by its checksum."""
    name = "".join(c if c.isascii() and c.isalnum() else "-" for c in stem.lower()).strip("-")
    return name or hashlib.sha256(stem.encode()).hexdigest()[:8]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.machine()
