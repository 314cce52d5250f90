"""Checkpoints: tensors in safetensors files, with how far training is as metadata. Nothing is pickled."""

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..core.atomic import new_file
from ..core.errors import DataError
from .recipe import Recipe


@dataclass
class Progress:
    """How far training is, and what is trained.

    step: steps done. seconds: wall-clock time spent. scored: the step of the last score. best: the best score on the
    songs held apart. run: what must not change on the way, as JSON has it.
    """

    step: int = 0
    seconds: float = 0.0
    scored: int = -1
    best: float = -math.inf
    run: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(path: Path, tensors: dict[str, Tensor], progress: Progress, recipe: Recipe) -> None:
    """Write a checkpoint; the file appears whole or not at all."""
    contents = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    metadata = {"progress": json.dumps(asdict(progress)), "recipe": json.dumps(recipe.as_dict())}
    with new_file(path) as part:
        save_file(contents, part, metadata)


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], Progress, Recipe]:
    """The inverse of `save_checkpoint`. Raises DataError if the file is no checkpoint of ours."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            progress = Progress(**json.loads(metadata["progress"]))
            recipe = Recipe.from_dict(json.loads(metadata["recipe"]))
            return {name: file.get_tensor(name) for name in file.keys()}, progress, recipe  # noqa: SIM118
    except Exception as error:  # safetensors raises its own error types, by version
        raise DataError(f"{path}: not a checkpoint ({error}); move it away to begin anew") from error
