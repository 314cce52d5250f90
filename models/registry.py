"""Find, load and save models by name or path, and verify their checksums."""

import hashlib
import json
import os
import re
import warnings
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..core.atomic import final_path, publish, write_whole
from ..core.errors import ModelError, file_reason
from ..core.suggest import did_you_mean
from .card import Card, parse_card, read_card
from .mask_card import MaskCard
from .stems_card import StemsCard

SHIPPED = Path(__file__).parent
MODEL_NAME = re.compile("[a-z0-9][a-z0-9_-]*")


@dataclass(frozen=True)
class GraphFile:
    """An ONNX graph on disk.

    Attributes:
        path: Path of the file.
        sha256: Checksum on the card.
        content: Its bytes, if they have been read and verified already.
    """

    path: Path
    sha256: str
    content: bytes | None = field(default=None, repr=False, compare=False)

    def read(self) -> bytes:
        """Return the graph's bytes.

        Raises:
            ModelError: The file cannot be read, or does not have the card's checksum.
        """
        if self.content is not None:
            return self.content
        try:
            graph = self.path.read_bytes()
        except OSError as error:
            raise ModelError(f"{self.path}: cannot read the model ({error.strerror}); import it again") from error
        _verify(graph, self.sha256, self.path)
        return graph


@dataclass(frozen=True)
class Model:
    """A card and its ONNX graphs.

    Attributes:
        card: The card.
        path: Path of the .onnx file, or of the card if it is of format 2.
        graphs: The graphs.
    """

    card: Card
    path: Path
    graphs: tuple[GraphFile, ...]

    @property
    def shipped(self) -> bool:
        """Whether it came with StemBridge. Tests have checked such models, so they are not checked again."""
        return self.path.parent == SHIPPED

    @property
    def graph(self) -> bytes:
        """The bytes of the first graph. Mask networks have only one."""
        return self.graphs[0].read()

    @property
    def size_bytes(self) -> int:
        """Size of all graphs on disk."""
        return sum(graph.path.stat().st_size for graph in self.graphs)

    def at_quality(self, quality: str) -> "Model":
        """Return the model at a quality.

        Args:
            quality: "fast", "normal" or "best".

        Raises:
            ValueError: The model does not have this quality; networks that give masks have only "normal".
        """
        if isinstance(self.card, StemsCard):
            return replace(self, card=self.card.at_quality(quality))
        if quality != "normal":
            raise ModelError(f"model {self.card.name} has no quality {quality!r}; choose from: normal")
        return self


def shipped_models() -> dict[str, Path]:
    """Return the models that ship with StemBridge: name to the path of the .onnx file."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.onnx"))}


def own_models() -> dict[str, Path]:
    """Return the models in the user's folder: name to the path of the card. Names of shipped models are left out."""
    shipped, folder = shipped_models(), user_folder()
    try:
        found = sorted(folder.glob("*.json"))
    except OSError as error:  # which must not stop the models that come with StemBridge
        warnings.warn(f"your models in {folder} cannot be read: {file_reason(error)}", stacklevel=1)
        found = []
    return {path.stem: path for path in found if MODEL_NAME.fullmatch(path.stem) and path.stem not in shipped}


def model_names() -> list[str]:
    """Return the names of all models, shipped and the user's own, sorted."""
    return sorted(shipped_models() | own_models())


def user_folder() -> Path:
    """Return the folder of the user's own models, which may not exist; on Linux ~/.local/share/stembridge/models."""
    from platformdirs import user_data_path

    return user_data_path("stembridge") / "models"


def load_model(model: "str | os.PathLike[str] | Model", quality: str = "normal") -> Model:
    """Load a model by name or path.

    Args:
        model: Name of a shipped model ("live", "mix", "studio") or an imported one; path of an .onnx file with its card
            next to it, or of a card (.json) with its graphs next to it; or a Model.
        quality: "fast", "normal" or "best": how much the segments of an imported network overlap. Networks that give
            masks have only "normal".

    Raises:
        ValueError: The model does not have this quality.
        ModelError: The model is unknown or missing, its card is not valid, or its graph does not have the card's
            checksum. Graphs of a card of format 2 can be large, so their checksums are verified only when they are
            used.
    """
    return (model if isinstance(model, Model) else _load(model)).at_quality(quality)


def _load(model: str | os.PathLike[str]) -> Model:
    if not isinstance(model, str | os.PathLike):
        raise ModelError(f"model {model!r} does not work; give a name, or the path of an .onnx file or a card")
    path = Path(model)
    if isinstance(model, str) and MODEL_NAME.fullmatch(model):
        # The name is looked up, never joined to a folder, so it cannot lead out of the folder.
        named = (own_models() | shipped_models()).get(model)
        if named is None:
            names = model_names()
            raise ModelError(
                f"unknown model {model!r}{did_you_mean(model, names)}; models: {', '.join(names)}; "
                "or give the path of an .onnx file"
            )
        path = named
    elif path.suffix not in (".onnx", ".json") or "\0" in path.name:
        raise ModelError(
            f"{str(model)!r} is not a model; give a name (see `stembridge models`) or the path of an .onnx file"
        )
    card_path = path.with_suffix(".json")
    if path.suffix == ".onnx" and not os.path.isfile(card_path):
        try:
            path.open("rb").close()
        except OSError as error:
            raise ModelError(f"{path}: cannot read the model ({error.strerror}); check the path") from error
    values = read_card(card_path)
    card = MaskCard.from_valid(values) if path.parent == SHIPPED else parse_card(values, card_path)
    if isinstance(card, MaskCard):
        return _with_mask_graph(card, path.with_suffix(".onnx"))
    graphs = tuple(GraphFile(card_path.parent / graph.file, graph.sha256) for graph in card.graphs)
    for graph in graphs:
        if not os.path.isfile(graph.path):
            raise ModelError(f"{graph.path}: cannot read the model (No such file or directory); import it again")
    return Model(card, card_path, graphs)


def _with_mask_graph(card: MaskCard, path: Path) -> Model:
    graph, reason = b"", "No such file or directory"
    try:
        graph = path.read_bytes()
    except OSError as error:  # a save may have been killed
        reason = error.strerror or reason
    if _checksum(graph) != card.sha256:
        with suppress(OSError):  # a save was killed after it had written the card
            graph = _waiting(path, card.sha256).read_bytes()
    if not (graph or path.exists()):
        raise ModelError(f"{path}: cannot read the model ({reason}); check the path")
    _verify(graph, card.sha256, path)
    return Model(card, path, (GraphFile(path, card.sha256, graph),))


def save_model(path: str | os.PathLike[str], graph: bytes, values: dict[str, Any]) -> Model:
    """Write the graph and card of a mask network.

    If this is interrupted at any moment, even by SIGKILL, the old model or the new one is there, never a mixture.

    Args:
        path: Path of the graph, which ends in .onnx. The card is written next to it, as .json.
        graph: Content of the .onnx file.
        values: The card's JSON object without "format" and "sha256", which are filled in.

    Raises:
        ModelError: The card is not valid, or `path` does not end in .onnx.
        OSError: A file cannot be written.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise ModelError(f"{path}: the file of a model must end in .onnx; its card is saved next to it as .json")
    values = {"format": 1, **values, "sha256": _checksum(graph)}
    card = MaskCard.from_dict(values, path.with_suffix(".json"))
    waiting = _waiting(path, card.sha256)
    try:
        # The card decides. Until it is replaced, the old graph is used; from then on the new one, under either name.
        write_whole(waiting, graph)
        write_whole(path.with_suffix(".json"), (json.dumps(values, indent=2) + "\n").encode())
        publish([waiting], [path])
    finally:
        _remove_waiting(path)
    return Model(card, path, (GraphFile(path, card.sha256, graph),))


def _waiting(path: Path, checksum: str) -> Path:
    """Return the hidden path where a new graph waits until its card is written."""
    place = final_path(path)
    return place.with_name(f".{place.name}-{checksum[:16]}")


def _remove_waiting(path: Path) -> None:
    """Remove hidden graphs of this save and of saves that were killed, except a graph that the card still needs."""
    needed = ""
    with suppress(ModelError):
        needed = read_card(path.with_suffix(".json"))["sha256"]
    if path.exists() and _checksum(path.read_bytes()) == needed:
        needed = ""
    prefix = _waiting(path, "")
    for file in prefix.parent.iterdir():
        if file.name.startswith(prefix.name) and (not needed or file != _waiting(path, needed)):
            file.unlink(missing_ok=True)


def _verify(graph: bytes, expected: str, path: Path) -> None:
    if (checksum := _checksum(graph)) != expected:
        raise ModelError(
            f"{path}: its checksum {checksum[:12]}... is not the card's {expected[:12]}...; "
            "the file is damaged or belongs to another card; get both files again"
        )


def _checksum(graph: bytes) -> str:
    return hashlib.sha256(graph).hexdigest()
