"""Mask networks: one contract, three families.

All take features of the mix, per cell of the mask, and give logits of the stems, per cell (docs/training.md). What a
family knows of the past when it streams is a list of tensors, its state.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from .data import STEMS
from .recipe import Recipe

NUM_STEMS = len(STEMS)


class MaskNetwork(nn.Module, ABC):
    """Features in, softmax logits over the stems out, both per cell."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe

    @property
    @abstractmethod
    def state_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the state's tensors for one song; empty if the network is chunked."""

    @abstractmethod
    def forward(self, x: Tensor, state: list[Tensor] | None = None) -> tuple[Tensor, list[Tensor]]:
        """Logits (frames, batch, stems, 2, cells) and the next state. x: (frames, batch, 4, cells).

        state: what the call before returned, or None for the start of a song.
        """


class BandLinear(nn.Module):
    """One linear layer a band, run by run: (..., run features) to (..., bands, out), or back if `merge`."""

    def __init__(self, count: int, sizes: list[int], size: int, merge: bool) -> None:
        super().__init__()
        self.merge = merge
        ends = [(size, width) if merge else (width, size) for width in sizes]
        self.weights = nn.ParameterList(torch.randn(count, a, b) * a**-0.5 for a, b in ends)
        self.biases = nn.ParameterList(torch.zeros(count, b) for _, b in ends)

    def forward(self, parts: list[Tensor]) -> list[Tensor]:
        """parts: one tensor a run, (n, bands of the run, in); returns the same with out."""
        return [
            torch.matmul(part.transpose(0, 1), weight).transpose(0, 1) + bias
            for part, weight, bias in zip(parts, self.weights, self.biases, strict=True)
        ]


class BandSplitNetwork(MaskNetwork):
    """A vector for each band, which `transform` works on, and a band's masks out of each."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        bands, size = recipe.bands, recipe.band_features
        self.num_bands = bands.count * len(bands.widths)
        self.encode = BandLinear(bands.count, [4 * cells for cells in bands.cells], size, merge=False)
        self.norm = nn.LayerNorm(size)
        self.decode = BandLinear(bands.count, [2 * NUM_STEMS * cells for cells in bands.cells], size, merge=True)

    @abstractmethod
    def transform(self, y: Tensor, state: list[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        """(frames, batch, bands, features) to the same, and the next state."""

    def forward(self, x: Tensor, state: list[Tensor] | None = None) -> tuple[Tensor, list[Tensor]]:
        # Shapes as numbers: the exporter would compute them anew for every frame, and a hop has no time for it.
        bands = self.recipe.bands
        batch, count, cells = int(x.size(1)), bands.count, bands.cells
        runs = x.reshape(-1, 4, bands.num_cells).split([count * n for n in cells], dim=-1)
        runs = [
            run.reshape(-1, 4, count, n).transpose(1, 2).reshape(-1, count, 4 * n)
            for run, n in zip(runs, cells, strict=True)
        ]
        y = torch.cat(self.encode(runs), dim=1).reshape(-1, batch, self.num_bands, self.recipe.band_features)
        y, state = self.transform(y, state)
        y = self.norm(y).reshape(-1, self.num_bands, self.recipe.band_features)
        outs = self.decode(list(y.split(count, dim=1)))
        logits = [
            out.reshape(-1, count, 2 * NUM_STEMS, n).transpose(1, 2).reshape(-1, 2 * NUM_STEMS, count * n)
            for out, n in zip(outs, cells, strict=True)
        ]
        return torch.cat(logits, dim=-1).reshape(-1, batch, NUM_STEMS, 2, bands.num_cells), state


def make_network(recipe: Recipe) -> MaskNetwork:
    """The network of a recipe, with random weights."""
    from .recurrent import RecurrentNetwork
    from .transformer import TransformerNetwork
    from .unet import UNet

    families: dict[str, type[MaskNetwork]] = {
        "recurrent": RecurrentNetwork,
        "transformer": TransformerNetwork,
        "u-net": UNet,
    }
    return families[recipe.family](recipe)
