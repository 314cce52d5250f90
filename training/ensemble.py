"""Several networks of one recipe that answer together: where each is wrong in its own way, their mean is less so."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .networks import MaskNetwork
from .recipe import Recipe


class Ensemble(MaskNetwork):
    """The mean of the logits of `recipe.members` networks, each of which `make` makes."""

    def __init__(self, recipe: Recipe, make: Callable[[Recipe], MaskNetwork]) -> None:
        super().__init__(recipe)
        self.members = nn.ModuleList(make(recipe) for _ in range(recipe.members))

    @property
    def state_shapes(self) -> list[tuple[int, ...]]:
        return [shape for member in self.members for shape in member.state_shapes]  # type: ignore[union-attr]

    def forward(self, x: Tensor, state: list[Tensor] | None = None) -> tuple[Tensor, list[Tensor]]:
        share = len(self.state_shapes) // len(self.members)
        answers, after = [], []
        for i, member in enumerate(self.members):
            logits, kept = member(x, state and state[i * share : (i + 1) * share])
            answers.append(logits)
            after += kept
        return torch.stack(answers).mean(dim=0), after
