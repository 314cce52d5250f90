"""Models by name or by path, with their checksums verified."""

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .card import FORMAT, Card, ModelError, read_card

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
    try:
        graph = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot read the model ({error.strerror}); check the path") from error
    beside = path.with_suffix(".json")
    values = read_card(beside)
    card = Card.from_valid(values) if path.parent == SHIPPED else Card.from_dict(values, beside)
    checksum = hashlib.sha256(graph).hexdigest()
    if checksum != card.sha256:
        raise ModelError(
            f"{path}: its checksum {checksum[:12]}... is not the card's {card.sha256[:12]}...; "
            "the file is damaged or not the card's: get both anew"
        )
    return Model(card, graph, path)


def save_model(path: str | os.PathLike, graph: bytes, values: dict[str, Any]) -> Model:
    """Write a graph to `path` (.onnx) and its card, with the checksum filled in, beside it.

    values: the card's JSON object but for "format" and "sha256". Raises ModelError if it is not valid.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise ModelError(f"{path}: a graph is saved as .onnx, because its card goes beside it as .json")
    values = {"format": FORMAT, **values, "sha256": hashlib.sha256(graph).hexdigest()}
    card = Card.from_dict(values, path.with_suffix(".json"))
    contents = {path: graph, path.with_suffix(".json"): (json.dumps(values, indent=2) + "\n").encode()}
    for target, content in contents.items():
        temporary = target.with_name(f".{target.name}.tmp")
        try:
            temporary.write_bytes(content)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    return Model(card, graph, path)
