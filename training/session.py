"""A training session, from folders of songs to an exported model."""

import hashlib
import os
import platform
import shlex
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ..core.errors import OVERWRITE, DataError
from ..core.log import say
from ..engine.sessions import open_session
from ..models import Model, load_model
from .checkpoint import Progress, load_checkpoint
from .data.labels import Labels
from .data.songs import Song, StemCache, find_mixtures, find_songs
from .export import export_network, hear_ahead, load_parameters
from .learner import Settings
from .networks.make import make_network
from .recipe import RECIPES, Recipe
from .teaching import LabelledSongs
from .train import check_folder, split, train_network

MAX_LATENCY_S = 0.15  # of a streaming network: hosts compensate it, but meters and faders lag behind by it


def train_model(
    folders: Sequence[str | os.PathLike[str]],
    output: Path,
    minutes: float,
    *,
    mode: str = "chunked",
    family: str = "recurrent",
    lookahead: int = 0,
    loss: str = "sdr",
    init: str | None = None,
    teacher: str | None = None,
    songs: Sequence[str | os.PathLike[str]] = (),
    songs_share: float = 0.5,
    cache: Path | None = None,
    seed: int = 0,
    threads: int = 0,
    terms: str = "not stated",
    overwrite: bool = False,
    report: Callable[[str], None] = say,
) -> Model:
    """Train for `minutes`, and write `output` (.onnx) with its card.

    Checkpoints and the log are in `<output>.training/`. A later call with the same output continues from there. If
    nothing is left to train, it leaves the model and its card as they are, unless `overwrite` is set.

    Args:
        folders: Songs with stems, see `find_songs`. May be empty if there are `songs`.
        output: The .onnx file to write.
        minutes: Total training time, including earlier runs.
        mode: "streaming" or "chunked"; together with `family` a key of RECIPES.
        family: One of FAMILIES.
        lookahead: Frames that a streaming network hears before it gives the masks of a frame; its latency is at most
            150 ms.
        loss: One of LOSSES.
        init: A model to start from, with its recipe. With `lookahead` the new network streams, see `hear_ahead`.
        teacher: A model that separates `songs`.
        songs: Folders of songs without stems, see `find_mixtures`.
        songs_share: Share of mixes from `songs`, 0 to 1, if there are `folders` too.
        cache: Folder for decoded songs and labels, by default the user's cache folder.
        seed: Random seed.
        threads: Processor cores, 0 for all.
        terms: Terms of the weights, for the card. Those of `init` and `teacher` are added.
        overwrite: Replace an existing model.
        report: Called with lines about the progress.

    Raises:
        DataError: Songs, a setting or a checkpoint cannot be used.
        ModelError: A model cannot be used.
        OSError: A file cannot be read or written.
    """
    from platformdirs import user_cache_path

    work = output.with_name(output.name + ".training")
    _check_output(output, work, overwrite)
    if not terms.strip():
        raise DataError("the terms are empty; say what the weights may be used for, or leave --terms out")
    for text in map(str, (output, terms, *folders, *songs, init or "", teacher or "")):
        if not _is_unicode(text):
            raise DataError(f"{text!r} is not valid Unicode text, which a card has to be; use another name")
    true_songs = find_songs(folders)
    recipe, initial = _start(family, mode, init, lookahead)
    settings = Settings(
        minutes=minutes, loss=loss, init=init, teacher=teacher, songs_share=songs_share, seed=seed, threads=threads
    )
    data = [{"name": str(folder), "terms": terms} for folder in (*folders, *songs)]
    started_from, taught_by = (load_model(name).card if name else None for name in (init, teacher))
    if started_from:
        settings.learning_rate /= 4 if lookahead or teacher else 10  # to keep what the network has learnt already
        start = started_from.values
        terms = f"{terms}; and those of {start['name']}, whose weights it was started from: {start['terms']}"
        data = [*start.get("data", []), *data]
    is_its_own_teacher = (
        started_from
        and taught_by
        and started_from.sha256 == taught_by.sha256
        and started_from.mode == recipe.mode
        and not lookahead
    )
    if is_its_own_teacher and not split(true_songs)[1]:
        raise DataError(
            f"{init} cannot be both the start and the teacher, because no other weights would agree better "
            "with it; choose another model for --init or --teacher, or add two songs with stems to --data"
        )
    open_session(load_model(teacher or "live"))  # fails now, not after hours of work, if the provider cannot be used
    if check_folder(work, recipe, settings, true_songs) and _has_result(work, output) and not overwrite:
        report(f"nothing is left to train: {output} stays as it is; give more --minutes, or write it anew with --force")
        return load_model(output)
    stems = StemCache(cache or user_cache_path("stembridge") / "stems")
    labelled = None
    if teacher and taught_by:
        terms += f"; and those of {taught_by.name}, which found the stems of songs: {taught_by.values['terms']}"
        labelled = _labelled(teacher, songs, true_songs, stems, report)
        if is_its_own_teacher:
            labelled.held_out = []  # useless, because the teacher agrees best with itself
    with labelled.labelling(teacher) if labelled and teacher else nullcontext():
        best = train_network(true_songs, recipe, work, stems, settings, initial, report, labelled)
    weights, progress, recipe = load_checkpoint(best)
    if init and progress.step == 0:  # only weights to start from are scored before the first step
        has = "the weights it started with" if lookahead else f"the weights of {init}"
        report(f"no better than {init} on the songs held out: {output} has {has}")
    network = make_network(recipe)
    network.load_state_dict(weights)
    training = _facts(settings, progress) | {
        "teacher": taught_by and {key: taught_by.values[key] for key in ("name", "version", "terms")},
        "command": _command(settings, folders, songs, ["--mode", mode, "--network", family], lookahead, output),
    }
    # Otherwise the weights were chosen by the mixes that they learnt from.
    if split(true_songs)[1] or (labelled and labelled.held_out):
        training["held_out_sdr_db"] = round(progress.best, 2)
    card = {"name": _card_name(output.stem), "version": "1", "terms": terms, "data": data, "training": training}
    return export_network(network, output, card)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_output(output: Path, work: Path, overwrite: bool) -> None:
    """Raise FileExistsError if the model or its card exists, except if its training can continue in `work`."""
    for path in output, output.with_suffix(".json"):
        if os.path.exists(path) and not (overwrite or (work / "last.safetensors").exists()):
            raise FileExistsError(f"{path} exists already; choose another name, or {OVERWRITE}")


def _start(family: str, mode: str, init: str | None, lookahead: int) -> tuple[Recipe, dict[str, torch.Tensor] | None]:
    """Return the recipe of the network, and the weights to start from, if any."""
    if (family, mode) not in RECIPES:
        modes = " or ".join(mode for each, mode in RECIPES if each == family)
        raise DataError(f"a {family} network cannot be {mode}; choose {modes}, or another family")
    recipe, initial = load_parameters(init) if init else (replace(RECIPES[family, mode], lookahead=lookahead), None)
    if initial is not None and lookahead:
        recipe, initial = hear_ahead(recipe, initial, lookahead)
    if lookahead:
        _check_latency(recipe)
    return recipe, initial


def _facts(settings: Settings, progress: Progress) -> dict[str, Any]:
    """Return what a card says about a training that has ended."""
    return {
        "minutes": round(progress.seconds / 60, 1),
        "steps": progress.step,
        "processor": torch.cuda.get_device_name() if settings.device == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
        "seed": settings.seed,
        "loss": settings.loss,
        "torch": torch.__version__,
        "started_from": settings.init,
    }


def _command(
    settings: Settings,
    folders: Sequence[str | os.PathLike[str]],
    songs: Sequence[str | os.PathLike[str]],
    network: list[str],
    lookahead: int,
    output: Path,
) -> str:
    """Return the command line that trains such a model, with the options `network` unless it starts from another."""
    command: list[Any] = ["train", "--data", *folders] if folders else ["train"]
    if settings.teacher:
        command = ["train", *(part for folder in folders for part in ("--data", folder)), "--teacher", settings.teacher]
        command += [part for folder in songs for part in ("--songs", folder)]
        command += ["--songs-share", f"{settings.songs_share:g}"] if folders else []
    command += ["--init", settings.init] if settings.init else network
    command += ["--lookahead", lookahead] if lookahead else []
    command += ["--loss", settings.loss, "--minutes", f"{settings.minutes:g}", "--seed", settings.seed]
    command += ["--threads", settings.threads] if settings.threads else []
    return shlex.join(["stembridge", *map(str, command), "-o", str(output)])


def _has_result(work: Path, output: Path) -> bool:
    """Return whether a model and its card were written after the last checkpoint."""
    trained = (work / "last.safetensors").stat().st_mtime
    return output.with_suffix(".json").exists() and output.exists() and output.stat().st_mtime >= trained


def _check_latency(recipe: Recipe) -> None:
    grid = recipe.grid
    most = max(0, int((MAX_LATENCY_S * grid.sample_rate - grid.synthesis_window) / grid.hop))
    if recipe.lookahead > most:
        raise DataError(
            f"a look-ahead of {recipe.lookahead} frames makes the latency longer than {1000 * MAX_LATENCY_S:.0f} ms; "
            f"give --lookahead {most} or less"
        )


def _labelled(
    teacher: str,
    folders: Sequence[str | os.PathLike[str]],
    true_songs: list[Song],
    stems: StemCache,
    report: Callable[[str], None],
) -> LabelledSongs:
    """Label the songs below `folders`, without those whose true stems are in `true_songs`."""
    known = {song.name.casefold() for song in true_songs}
    found = find_mixtures(folders)
    songs = [song for song in found if song.name.casefold() not in known]
    if not songs:
        raise DataError("--data has songs with the names of all songs in --songs; give others to --songs")
    if len(songs) < len(found):
        report(f"left out: {len(found) - len(songs)} of {len(found)} songs in --songs, because --data has their names")
    return LabelledSongs(songs, Labels(load_model(teacher), stems.folder / "labels"), report)


def _card_name(stem: str) -> str:
    """Return a file name with the characters that cards allow, or its checksum if none of them is allowed."""
    name = "".join(c if c.isascii() and c.isalnum() else "-" for c in stem.lower()).strip("-")
    return name or hashlib.sha256(stem.encode()).hexdigest()[:8]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.machine()
