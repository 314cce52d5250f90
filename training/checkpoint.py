"""Checkpoints: tensors in safetensors files, with the progress of training as metadata. Nothing is pickled."""

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from ..core.atomic import write_whole
from ..core.errors import DataError
from .recipe import Recipe


@dataclass
class Progress:
    """Progress of training.

    Attributes:
        step: Number of steps done.
        seconds: Wall-clock time spent.
        scored: The step of the last score.
        best: The best score on the songs held out, in dB.
        run: Options and songs that must not change between runs, as JSON values.
    """

    step: int = 0
    seconds: float = 0.0
    scored: int = -1
    best: float = -math.inf
    run: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(path: Path, tensors: dict[str, Tensor], progress: Progress, recipe: Recipe) -> None:
    """Write a checkpoint. The file appears whole or not at all.

    Args:
        path: The .safetensors file.
        tensors: Name to tensor.
        progress: Progress of training.
        recipe: Recipe of the network.

    Raises:
        OSError: The file cannot be written.
    """
    contents = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    metadata = {"progress": json.dumps(asdict(progress)), "recipe": json.dumps(recipe.as_dict())}
    write_whole(path, save(contents, metadata))  # `save_file` would hide that the disk is full


def load_checkpoint(path: Path, wanted: Recipe | None = None) -> tuple[dict[str, Tensor], Progress, Recipe]:
    """Read a checkpoint.

    Args:
        path: A file that `save_checkpoint` wrote.
        wanted: The recipe that it must have.

    Returns:
        The tensors by name, the progress, and the recipe.

    Raises:
        DataError: The file is not such a checkpoint, or has another recipe.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            progress = Progress(**json.loads(metadata["progress"]))
            recipe = Recipe.from_dict(json.loads(metadata["recipe"]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # safetensors raises its own error types, by version
        raise DataError(f"{path} is not a checkpoint ({error}); move it away to start again") from error
    if wanted and recipe != wanted:
        raise DataError(f"{path} is from another network; train to another output, or move it away")
    return tensors, progress, recipe
