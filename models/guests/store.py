"""The user's folder of models. An imported model appears whole or not at all, even if the import is killed."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from ...core.errors import OVERWRITE, ModelError
from ...core.locks import locked
from ...core.suggest import did_you_mean
from ..card import parse_card
from ..mask_card import MaskCard
from ..registry import MODEL_NAME, GraphFile, Model, own_models, save_model, shipped_models, user_folder

STAGING_PREFIX = ".import-"
IMPORTED_GRAPH = re.compile(r"[a-z0-9][a-z0-9_-]*\.[0-9a-f]{12}\.onnx")  # model, checksum and suffix of a graph's file


def check_name(name: str, overwrite: bool) -> None:
    """Check that an imported model can have a name.

    Args:
        name: The name.
        overwrite: Whether an imported model of this name may be replaced.

    Raises:
        ModelError: The name has other characters, or belongs to another model.
    """
    if not MODEL_NAME.fullmatch(name):
        raise ModelError(
            f"{name!r} cannot be the name of a model; use lower-case letters, digits, - and _, such as --as htdemucs"
        )
    if name in shipped_models():
        raise ModelError(f"model {name!r} comes with StemBridge; choose another name with --as")
    if name in own_models() and not overwrite:
        raise ModelError(f"model {name!r} exists already; choose another name with --as, or {OVERWRITE}")


@contextmanager
def staging() -> Iterator[Path]:
    """Yield an empty hidden folder for an import, in the user's folder of models, and remove it at the end."""
    folder = user_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        for orphan in folder.glob(f"{STAGING_PREFIX}*"):
            # A folder that is not locked belongs to an import that was killed.
            with suppress(BlockingIOError, FileNotFoundError):
                with locked(orphan, wait=False):
                    pass
                shutil.rmtree(orphan, ignore_errors=True)
        staged = Path(tempfile.mkdtemp(prefix=STAGING_PREFIX, dir=folder))
        lock = ExitStack()
        lock.enter_context(locked(staged))
    try:
        yield staged
    finally:
        lock.close()  # first, because Windows removes no file that is open
        shutil.rmtree(staged, ignore_errors=True)


def stage_model(staged: Path, values: dict[str, Any], files: list[Path]) -> Model:
    """Make a model of a card and its graphs in a folder from `staging`, for `publish_model`.

    Args:
        staged: The folder.
        values: JSON object of a card of format 2.
        files: The graphs in this folder, in the order of the card. They are renamed as the card says.

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
    """Move a staged model into the user's folder of models.

    Args:
        model: A model from `stage_model`.
        overwrite: Whether it may replace an imported model of the same name.

    Raises:
        ModelError: The name belongs to another model by now.
        OSError: A file cannot be moved.
    """
    name, folder = model.card.name, user_folder()
    with locked(folder):
        check_name(name, overwrite)
        for graph in model.graphs:
            if graph.path.exists():
                os.replace(graph.path, folder / graph.path.name)
        os.replace(model.path, folder / f"{name}.json")  # from now on the name stands for the new model
        (folder / f"{name}.onnx").unlink(missing_ok=True)  # the graph of a mask network that had the name
        _remove_unused(folder)


def adopt_model(model: Model, name: str, overwrite: bool, terms: str | None = None) -> None:
    """Copy a model that already has a card into the user's folder of models.

    Args:
        model: The model.
        name: Name of the copy.
        overwrite: Whether it may replace an imported model of the same name.
        terms: Permitted uses of the weights; by default as on its card.

    Raises:
        ModelError: The name belongs to another model, or a graph does not have the card's checksum.
        OSError: A file cannot be read or written.
    """
    check_name(name, overwrite)
    values = {**model.card.values, "name": name} | ({} if terms is None else {"terms": terms})
    with staging() as staged:
        if isinstance(model.card, MaskCard):
            with locked(user_folder()):
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
    """Remove an imported model.

    Args:
        name: Its name.

    Raises:
        ModelError: No imported model has this name.
    """
    folder = user_folder()
    if name in shipped_models():
        raise ModelError(f"{name!r} comes with StemBridge and cannot be removed")
    if name not in (imported := own_models()):
        choices = f"choose from {', '.join(imported)}" if imported else "no model has been imported"
        raise ModelError(f"no imported model {name!r}{did_you_mean(name, imported)}; {choices}")
    with locked(folder):
        (folder / f"{name}.json").unlink(missing_ok=True)  # from now on the model is gone
        (folder / f"{name}.onnx").unlink(missing_ok=True)
        _remove_unused(folder)


def imported_name(name: str, checksum: str) -> str:
    """Return the file name of an imported graph. It depends on the content, so a new graph never replaces an old one.

    Args:
        name: Name of the model.
        checksum: SHA-256 of the graph.
    """
    return f"{name}.{checksum[:12]}.onnx"


def _remove_unused(folder: Path) -> None:
    """Remove graphs that no card lists: those of replaced models and of imports that were killed."""
    used: set[str] = set()
    for path in folder.glob("*.json"):
        try:
            used |= {graph["file"] for graph in json.loads(path.read_text("utf-8")).get("graphs", [])}
        except (OSError, ValueError, AttributeError, TypeError, KeyError):
            return  # a card that was edited by hand may need any of the graphs
    for path in folder.glob("*.onnx"):
        if IMPORTED_GRAPH.fullmatch(path.name) and path.name not in used:
            path.unlink(missing_ok=True)
