"""Models by name or by path, with their checksums verified."""

import hashlib
import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.atomic import final_path, publish, write_whole
from ..core.errors import ModelError
from .card import FORMAT, Card, read_card

SHIPPED = Path(__file__).parent


@dataclass(frozen=True)
class Model:
    """A card and the ONNX graph that belongs to it. path: of the .onnx file."""

    card: Card
    graph: bytes
    path: Path

    @property
    def shipped(self) -> bool:
        """Whether it came with StemBridge: then tests/models has checked its card and its graph, for every start."""
        return self.path.parent == SHIPPED


def model_names() -> list[str]:
    """Names of the models that ship with StemBridge."""
    return sorted(path.stem for path in SHIPPED.glob("*.onnx"))


def load_model(model: str | os.PathLike) -> Model:
    """A shipped model by name ("live", "studio"), or any by the path of its .onnx file, card beside it.

    Raises ModelError if it is unknown, missing, not what its card's checksum says, or its card is not valid.
    """
    path = Path(model)
    if isinstance(model, str) and re.fullmatch(r"[a-z0-9][a-z0-9_-]*", model):
        path = SHIPPED / f"{model}.onnx"
        if model not in (names := model_names()):
            shipped = ", ".join(names) or "none"
            raise ModelError(f"unknown model {model!r}; shipped models: {shipped}; or give the path of an .onnx file")
    elif path.suffix != ".onnx" or "\0" in path.name:
        raise ModelError(f"{str(model)!r} is no model; give the name of a shipped one or the path of an .onnx file")
    beside = path.with_suffix(".json")
    try:
        graph = path.read_bytes()
    except OSError as error:
        if not os.path.isfile(beside):  # if there is a card, a save may have been stopped
            raise ModelError(f"{path}: cannot read the model ({error.strerror}); check the path") from error
        graph = b""
    values = read_card(beside)
    card = Card.from_valid(values) if path.parent == SHIPPED else Card.from_dict(values, beside)
    if (checksum := _checksum(graph)) != card.sha256:
        with suppress(OSError):  # a save was stopped after it had written the card
            graph = _waiting(path, card.sha256).read_bytes()
    if not (graph or path.exists()):
        raise ModelError(f"{path}: cannot read the model (No such file or directory); check the path")
    if _checksum(graph) != card.sha256:
        raise ModelError(
            f"{path}: its checksum {checksum[:12]}... is not the card's {card.sha256[:12]}...; "
            "the file is damaged or not the card's: get both anew"
        )
    return Model(card, graph, path)


def save_model(path: str | os.PathLike, graph: bytes, values: dict[str, Any]) -> Model:
    """Write a graph to `path` (.onnx) and its card, with the checksum filled in, next to it.

    If it is stopped at any moment, even by SIGKILL, the old model or the new one is left, never a mixture.

    Args:
        path: Path of the graph.
        graph: The ONNX file.
        values: The card's JSON object without "format" and "sha256".

    Raises:
        ModelError: The card is not valid, or `path` does not end in .onnx.
        OSError: A file cannot be written.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise ModelError(f"{path}: a graph is saved as .onnx, because its card goes beside it as .json")
    values = {"format": FORMAT, **values, "sha256": _checksum(graph)}
    card = Card.from_dict(values, path.with_suffix(".json"))
    waiting = _waiting(path, card.sha256)
    try:
        # The card decides: the old graph is used until the new card is written, then the new graph, under either name.
        write_whole(waiting, graph)
        write_whole(path.with_suffix(".json"), (json.dumps(values, indent=2) + "\n").encode())
        publish([waiting], [path])
    finally:
        _remove_waiting(path)
    return Model(card, graph, path)


def _waiting(path: Path, checksum: str) -> Path:
    """Return the hidden path of a new graph until its card is written."""
    place = final_path(path)
    return place.with_name(f".{place.name}-{checksum[:16]}")


def _remove_waiting(path: Path) -> None:
    """Remove hidden graphs of this save and of stopped ones, except a graph that the card still needs."""
    needed = ""
    with suppress(ModelError):
        needed = read_card(path.with_suffix(".json"))["sha256"]
    if path.exists() and _checksum(path.read_bytes()) == needed:
        needed = ""
    every = _waiting(path, "")
    for left_over in every.parent.iterdir():
        if left_over.name.startswith(every.name) and (not needed or left_over != _waiting(path, needed)):
            left_over.unlink(missing_ok=True)


def _checksum(graph: bytes) -> str:
    return hashlib.sha256(graph).hexdigest()
