"""The band-split transformer family: attention along time, and attention across bands, with rotary positions.

After W.-T. Lu et al., "Music source separation with band-split RoPE transformer", 2023 (arXiv:2309.02612), but far
smaller.
Rotary positions: J. Su et al., "RoFormer", 2021 (arXiv:2104.09864).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...core.errors import StemBridgeError
from ..recipe import Recipe
from .base import BandSplitNetwork


class TransformerNetwork(BandSplitNetwork):
    """A chunked network of `recipe.blocks` pairs of layers.

    `recipe.summary_features` is the size of a head, and `recipe.hidden` that of the layer after the attention.

    Args:
        recipe: Its recipe.

    Raises:
        ValueError: The recipe is for streaming.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        if recipe.causal:
            raise StemBridgeError("a transformer cannot be streaming, because its state would grow; make it chunked")
        self.along_time = nn.ModuleList(Layer(recipe) for _ in range(recipe.blocks))
        self.across_bands = nn.ModuleList(Layer(recipe) for _ in range(recipe.blocks))

    @property
    def state_shapes(self) -> list[tuple[int, ...]]:
        """Empty, because the network is chunked."""
        return []

    def transform(self, y: Tensor, state: list[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        """Change the vectors of the bands, see `BandSplitNetwork.transform`.

        Args:
            y: Vectors.
            state: Not used.
        """
        y = y.permute(1, 2, 0, 3)  # (batch, bands, frames, features)
        for along_time, across_bands in zip(self.along_time, self.across_bands, strict=True):
            y = along_time(y)
            y = across_bands(y.transpose(1, 2)).transpose(1, 2)
        return y.permute(2, 0, 1, 3), []


class Layer(nn.Module):
    """Attention along the positions of each group, then a layer for each position. Each is added to its input.

    Args:
        recipe: Recipe of the network.
    """

    turns: Tensor

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        size, head = recipe.band_features, recipe.summary_features
        self.heads, self.drop = size // head, nn.Dropout(recipe.dropout)
        self.norm, self.ask, self.answer = nn.LayerNorm(size), nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.think = nn.Sequential(
            nn.LayerNorm(size), nn.Linear(size, recipe.hidden), nn.GELU(), self.drop, nn.Linear(recipe.hidden, size)
        )
        self.register_buffer("turns", 10_000.0 ** -(torch.arange(0, head, 2) / head), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return changed features.

        Args:
            x: Shape (batch, groups, positions, features).

        Returns:
            Features of the same shape.
        """
        asked = self.ask(self.norm(x)).unflatten(-1, (3, self.heads, -1)).permute(3, 0, 1, 4, 2, 5)
        query, key, value = asked[0], asked[1], asked[2]  # (batch, groups, heads, positions, head)
        heard = functional.scaled_dot_product_attention(self._turned(query), self._turned(key), value)
        x = x + self.drop(self.answer(heard.transpose(2, 3).flatten(3)))
        thought: Tensor = self.drop(self.think(x))
        return x + thought

    def _turned(self, x: Tensor) -> Tensor:
        """Turn each pair of features by an angle that grows with the position."""
        # 0, 1, ... counted from the data, because the exporter would make arange a constant.
        places = torch.cumsum((x[..., :1].abs() >= 0).to(x.dtype), dim=-2) - 1
        cos, sin = torch.cos(places * self.turns), torch.sin(places * self.turns)
        even, odd = x.chunk(2, dim=-1)
        return torch.cat([even * cos - odd * sin, even * sin + odd * cos], dim=-1)
