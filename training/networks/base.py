"""Mask networks: one contract, three families.

All take features of the mix for each cell of the mask, and return logits of the stems for each cell (docs/training.md).
The state of a streaming network, which carries the past, is a list of tensors.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..data.songs import STEMS
from ..recipe import Recipe

NUM_STEMS = len(STEMS)


class MaskNetwork(nn.Module, ABC):
    """A network from features to softmax logits over the stems, both for each cell.

    Args:
        recipe: Its recipe.

    Attributes:
        recipe: Its recipe.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe

    @property
    @abstractmethod
    def state_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the state's tensors for one song; empty if the network is chunked."""

    @abstractmethod
    def forward(self, x: Tensor, state: list[Tensor] | None = None) -> tuple[Tensor, list[Tensor]]:
        """Return logits, and the next state.

        Args:
            x: Features, shape (frames, batch, recipe.views, cells).
            state: The state that the last call returned, None at the start of a song.

        Returns:
            Logits, shape (frames, batch, stems, 2, cells), and the next state.
        """


class BandLinear(nn.Module):
    """A linear layer for each band, all at once: (bands, n, in) to (bands, n, out).

    Args:
        used: Shape (bands, in, out): 1 where a band has a weight, 0 where it is narrower than others. There weights are
            zero and stay zero: inputs must be zero, and outputs must not be used.
    """

    def __init__(self, used: Tensor) -> None:
        super().__init__()
        inputs = used.amax(dim=2, keepdim=True).sum(dim=1, keepdim=True)
        self.weight = nn.Parameter(torch.randn_like(used) * used * inputs**-0.5)
        self.bias = nn.Parameter(torch.zeros(len(used), 1, used.size(2)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs.

        Args:
            x: Shape (bands, n, in).

        Returns:
            Shape (bands, n, out).
        """
        return torch.matmul(x, self.weight) + self.bias


class BandSplitNetwork(MaskNetwork):
    """A network with a vector for each band: `transform` changes the vectors, and each gives the masks of its band.

    Args:
        recipe: Its recipe.

    Attributes:
        num_bands: Number of bands.
    """

    into_bands: Tensor
    out_of_bands: Tensor

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        size, layout = recipe.band_features, recipe.bands.layout()
        self.num_bands, widest = layout.shape
        there = (layout >= 0).float()
        views, masks = recipe.views, 2 * NUM_STEMS  # values of a cell
        self.encode = BandLinear(there.repeat(1, views).unsqueeze(2).expand(-1, -1, size))
        self.norm = nn.LayerNorm(size)
        self.decode = BandLinear(there.repeat(1, masks).unsqueeze(1).expand(-1, size, -1))
        # Indices of each band's cells in each view, with a zero after all; then indices of each mask's cells.
        cells = recipe.bands.num_cells
        into = torch.arange(views).reshape(-1, 1, 1) * cells + layout
        into = torch.where(layout < 0, views * cells, into)
        self.register_buffer("into_bands", into.transpose(0, 1).flatten(), persistent=False)
        band, place = torch.nonzero(layout >= 0, as_tuple=True)
        place = band * masks * widest + torch.arange(masks).unsqueeze(1) * widest + place
        self.register_buffer("out_of_bands", place.flatten(), persistent=False)

    @abstractmethod
    def transform(self, y: Tensor, state: list[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        """Change the vectors of the bands.

        Args:
            y: Shape (frames, batch, bands, features).
            state: The state that the last call returned, None at the start of a song.

        Returns:
            Vectors of the same shape, and the next state.
        """

    def forward(self, x: Tensor, state: list[Tensor] | None = None) -> tuple[Tensor, list[Tensor]]:
        """Return logits and the next state, see `MaskNetwork.forward`.

        Args:
            x: Features.
            state: The state.
        """
        # Shapes as numbers, because the exporter would make the graph compute them for every frame.
        batch, cells, count, size = int(x.size(1)), int(x.size(3)), self.num_bands, self.recipe.band_features
        there = functional.pad(x.reshape(-1, self.recipe.views * cells), (0, 1)).index_select(1, self.into_bands)
        y = self.encode(there.reshape(-1, count, len(self.into_bands) // count).transpose(0, 1)).transpose(0, 1)
        y, state = self.transform(y.reshape(-1, batch, count, size), state)
        y = self.decode(self.norm(y).reshape(-1, count, size).transpose(0, 1))
        # A row has the values of all frames, so that rows can be picked in whole pieces of memory.
        logits = y.transpose(1, 2).reshape(count * int(y.size(2)), -1).index_select(0, self.out_of_bands).T
        return logits.reshape(-1, batch, NUM_STEMS, 2, cells), state
