"""The user's folder of models: an imported model appears whole or not at all, even if the import is killed."""

import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ...core.errors import ModelError
from ..card import parse_card
from ..mask_card import MaskCard
from ..registry import NAME, GraphFile, Model, own_models, save_model, shipped_models, user_folder

STAGED = ".import-"
IMPORTED = re.compile(r"[a-z0-9][a-z0-9_-]*\.[0-9a-f]{12}\.onnx")  # file names of graphs, by model and checksum


def check_name(name: str, overwrite: bool) -> None:
    """Raise ModelError if a model cannot have this name, or has it already and may not be overwritten."""
    if not NAME.fullmatch(name):
        raise ModelError(f"{name!r} is no name for a model; use small letters, digits, - and _, such as --as htdemucs")
    if name in shipped_models():
        raise ModelError(f"{name!r} is a model that comes with StemBridge; choose another name with --as")
    if name in own_models() and not overwrite:
        raise ModelError(f"model {name!r} exists already; choose another name with --as, or replace it with --force")


@contextmanager
def staging() -> Iterator[Path]:
    """Yield an empty hidden folder in the user's folder for an import, and remove it at the end."""
    folder = user_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        for left_over in folder.glob(f"{STAGED}*"):
            with (
                suppress(BlockingIOError, FileNotFoundError),
                _locked(left_over, fcntl.LOCK_NB),
            ):  # its import was killed
                shutil.rmtree(left_over)
        staged = Path(tempfile.mkdtemp(prefix=STAGED, dir=folder))
        lock = os.open(staged, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield staged
    finally:
        shutil.rmtree(staged, ignore_errors=True)
        os.close(lock)


def stage_model(staged: Path, values: dict[str, Any], files: list[Path]) -> Model:
    """Make a model of a card and its graphs in a folder of `staging`, for `publish_model`.

    Args:
        staged: The folder.
        values: JSON object of a card of format 2.
        files: The graphs, in the order of the card, in the same folder; they get the names that the card has.

    Raises:
        ModelError: The card is not valid.
    """
    path = staged / f"{values['name']}.json"
    card = parse_card(values, values["name"])
    assert not isinstance(card, MaskCard)
    for file, graph in zip(files, card.graphs, strict=True):
        if file.exists():  # two graphs may be the same file
            file.rename(staged / graph.file)
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return Model(card, path, tuple(GraphFile(staged / graph.file, graph.sha256) for graph in card.graphs))


def publish_model(model: Model, overwrite: bool) -> None:
    """Move a staged model into the user's folder, where its name finds it.

    Raises:
        ModelError: There is a model of this name by now, and `overwrite` is False.
        OSError: A file cannot be moved.
    """
    name, folder = model.card.name, user_folder()
    with _locked(folder):
        check_name(name, overwrite)
        for graph in model.graphs:
            if graph.path.exists():
                os.replace(graph.path, folder / graph.path.name)
        os.replace(model.path, folder / f"{name}.json")  # from here on it is the new model
        _remove_unused(folder)


def adopt_model(model: Model, name: str, overwrite: bool, terms: str | None = None) -> None:
    """Copy a model that has a card already into the user's folder. Raises as `publish_model`, and for a bad graph.

    Args:
        model: The model.
        name: What to call the copy.
        overwrite: Whether it may replace a model of this name.
        terms: What the weights may be used for; by default as on its card.
    """
    check_name(name, overwrite)
    values = {**model.card.values, "name": name} | ({} if terms is None else {"terms": terms})
    with staging() as staged:
        if isinstance(model.card, MaskCard):
            with _locked(user_folder()):
                check_name(name, overwrite)
                save_model(user_folder() / f"{name}.onnx", model.graph, values)
                _remove_unused(user_folder())
            return
        files = []
        for number, graph in enumerate(model.graphs):
            files.append(staged / str(number))
            files[-1].write_bytes(graph.read())
        renamed = [{**graph, "file": imported_name(name, graph["sha256"])} for graph in values["graphs"]]
        publish_model(stage_model(staged, values | {"graphs": renamed}, files), overwrite)


def remove_model(name: str) -> None:
    """Remove one of the user's models. Raises ModelError if there is no such model."""
    folder = user_folder()
    if name in shipped_models():
        raise ModelError(f"{name!r} comes with StemBridge and cannot be removed")
    if name not in own_models():
        own = ", ".join(own_models()) or "not any"
        raise ModelError(f"there is no imported model {name!r}; there are: {own}")
    with _locked(folder):
        (folder / f"{name}.json").unlink(missing_ok=True)  # from here on the model is gone
        (folder / f"{name}.onnx").unlink(missing_ok=True)
        _remove_unused(folder)


def imported_name(name: str, checksum: str) -> str:
    """Return the file name of a graph: by its content, so that a model can be replaced without losing the old one."""
    return f"{name}.{checksum[:12]}.onnx"


def _remove_unused(folder: Path) -> None:
    """Remove graphs that no card has: of models that were replaced, and of imports that were killed."""
    used: set[str] = set()
    for path in folder.glob("*.json"):
        try:
            used |= {graph["file"] for graph in json.loads(path.read_text("utf-8")).get("graphs", [])}
        except (OSError, ValueError, AttributeError, TypeError, KeyError):
            return  # a card that was edited by hand: nobody knows what belongs to it
    for path in folder.glob("*.onnx"):
        if IMPORTED.fullmatch(path.name) and path.name not in used:
            path.unlink(missing_ok=True)


@contextmanager
def _locked(folder: Path, flags: int = 0) -> Iterator[None]:
    """Wait until no other process has locked a folder. Raises BlockingIOError if the flags say not to wait."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | flags)
        yield
    finally:
        os.close(lock)
