"""The band-split recurrent family: layers along time, and layers that see all bands at once.

After Y. Luo and J. Yu, "Music source separation with band-split RNN", 2022 (arXiv:2209.15174); here a summary of all
bands goes through one recurrent layer, which costs less than one that walks from band to band.
"""

from torch import Tensor, nn

from ..recipe import Recipe
from .base import BandSplitNetwork


class RecurrentNetwork(BandSplitNetwork):
    """A network of `recipe.blocks` blocks.

    `recipe.summary_features` is the size of a band's summary for the layer that sees all bands, and `recipe.hidden` the
    size of that layer.

    Args:
        recipe: Its recipe.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.blocks = nn.ModuleList(Block(recipe, self.num_bands) for _ in range(recipe.blocks))

    @property
    def state_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the state's tensors for one song; empty if the network is chunked."""
        if not self.recipe.causal:
            return []
        band, whole = (1, self.num_bands, self.recipe.band_features), (1, 1, self.recipe.hidden)
        return [band, band, whole, whole] * self.recipe.blocks

    def transform(self, y: Tensor, state: list[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        """Change the vectors of the bands, see `BandSplitNetwork.transform`.

        Args:
            y: Vectors.
            state: The state.
        """
        after: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            y, block_state = block(y, state[4 * i : 4 * i + 4] if state else None)
            after += block_state
        return y, after


class Block(nn.Module):
    """A recurrent layer along time that all bands share, then one that sees a summary of all bands.

    Args:
        recipe: Recipe of the network.
        num_bands: Number of bands.
    """

    def __init__(self, recipe: Recipe, num_bands: int) -> None:
        super().__init__()
        size, summary, hidden = recipe.band_features, recipe.summary_features, recipe.hidden
        both = not recipe.causal
        self.band_norm = nn.LayerNorm(size)
        self.band_lstm = nn.LSTM(size, size, bidirectional=both)
        self.band_out = nn.Linear(size * (1 + both), size)
        self.summary_norm = nn.LayerNorm(size)
        self.summarise = nn.Linear(size, summary)
        self.lstm = nn.LSTM(num_bands * summary, hidden, bidirectional=both)
        self.expand = nn.Linear(hidden * (1 + both), num_bands * summary)
        self.out = nn.Linear(summary, size)
        self.drop = nn.Dropout(recipe.dropout)

    def forward(self, x: Tensor, state: list[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        """Change the vectors of the bands.

        Args:
            x: Shape (frames, batch, bands, features).
            state: h and c of the two layers, None for zeros.

        Returns:
            Vectors of the same shape, and the next state.
        """
        # Rows of all bands, because a graph's linear layers add their bias in one step only where they get a matrix.
        batch, bands, size = map(int, x.shape[1:])
        bands_state, whole_state = (tuple(state[:2]), tuple(state[2:])) if state else (None, None)
        rows = x.reshape(-1, size)
        y, bands_state = self.band_lstm(self.band_norm(rows).reshape(-1, batch * bands, size), bands_state)
        rows = rows + self.band_out(self.drop(y).reshape(-1, int(y.size(2))))
        summary = self.summarise(self.summary_norm(rows))
        y, whole_state = self.lstm(summary.reshape(-1, batch, bands * int(summary.size(1))), whole_state)
        whole = self.expand(self.drop(y).reshape(-1, int(y.size(2))))
        rows = rows + self.out(whole.reshape(-1, int(summary.size(1))))
        return rows.reshape(-1, batch, bands, size), [*bands_state, *whole_state]
