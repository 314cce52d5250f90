"""The mask network: band-split recurrent layers that end in a softmax over the stems.

All networks share one contract (docs/model-format.md); the two modes differ only in their direction in time.
"""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from ..engine.stft import FrameGrid


@dataclass(frozen=True)
class Bands:
    """How bins are grouped: runs of `count` bands, `width` bins each, with one mask value for every `step` bins.

    Low bands are narrow and fine because bass and voices need it; high ones are wide and coarse, where music has
    little energy and masks are smooth. The grid ends one bin short of the last, which follows the one below.
    """

    widths: tuple[int, ...]
    steps: tuple[int, ...]
    count: int

    @property
    def bins(self) -> int:
        """Bins covered, the last one included."""
        return self.count * sum(self.widths) + 1

    @property
    def cells(self) -> tuple[int, ...]:
        """Mask values a band has, per run."""
        return tuple(width // step for width, step in zip(self.widths, self.steps, strict=True))

    def pool(self, power: Tensor) -> Tensor:
        """Sum over the bins of each cell: (..., bins) to (..., cells)."""
        parts = power[..., :-1].split([self.count * width for width in self.widths], dim=-1)
        return torch.cat(
            [
                part if step == 1 else part.unflatten(-1, (-1, step)).sum(-1)
                for part, step in zip(parts, self.steps, strict=True)
            ],
            dim=-1,
        )

    def spread(self, cells: Tensor) -> Tensor:
        """Repeat each cell over its bins: (..., cells) to (..., bins)."""
        parts = cells.split([self.count * cells for cells in self.cells], dim=-1)
        parts = [
            part if step == 1 else part.unsqueeze(-1).expand(*[-1] * part.dim(), step).flatten(-2)
            for part, step in zip(parts, self.steps, strict=True)
        ]
        return torch.cat([*parts, parts[-1][..., -1:]], dim=-1)


@dataclass(frozen=True)
class Recipe:
    """What decides a network: its frame grid, its bands and its sizes.

    causal: streaming (looks only back) or chunked (looks both ways). blocks: how many pairs of recurrent layers.
    band_features: size of a band's vector. hidden: size of the layer that sees all bands at once.
    """

    causal: bool
    grid: FrameGrid
    bands: Bands
    blocks: int = 2
    band_features: int = 64
    summary_features: int = 8
    hidden: int = 256
    dropout: float = 0.2

    def as_dict(self) -> dict:
        """Plain values for a card or a checkpoint."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict) -> "Recipe":
        """The inverse of `as_dict`."""
        bands = values["bands"]
        return Recipe(
            **{
                **values,
                "grid": FrameGrid(**values["grid"]),
                "bands": Bands(tuple(bands["widths"]), tuple(bands["steps"]), bands["count"]),
            }
        )


RECIPES = {
    "streaming": Recipe(
        causal=True,
        grid=FrameGrid(44100, hop=256, window=2048, synthesis_window=512),
        bands=Bands(widths=(4, 8, 16, 32, 64, 132), steps=(1, 1, 1, 2, 4, 12), count=4),
        summary_features=12,
        dropout=0.05,
    ),
    "chunked": Recipe(
        causal=False,
        grid=FrameGrid(44100, hop=1024, window=4096, synthesis_window=4096),
        bands=Bands(widths=(4, 8, 16, 32, 64, 132), steps=(1, 1, 1, 2, 4, 12), count=8),
    ),
}


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


class Block(nn.Module):
    """A recurrent layer along time shared by all bands, then one that sees a summary of all bands at once."""

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

    def forward(self, x: Tensor, state: tuple | None) -> tuple[Tensor, tuple]:
        """x: (frames, batch, bands, features). state: ((h, c), (h, c)) of the two layers, or None for zeros."""
        bands = x.size(2)
        bands_state, whole_state = state or (None, None)
        y, bands_state = self.band_lstm(self.band_norm(x).flatten(1, 2), bands_state)
        x = x + self.band_out(self.drop(y)).unflatten(1, (-1, bands))
        y, whole_state = self.lstm(self.summarise(self.summary_norm(x)).flatten(2), whole_state)
        x = x + self.out(self.expand(self.drop(y)).unflatten(2, (bands, -1)))
        return x, (bands_state, whole_state)


class MaskNetwork(nn.Module):
    """Features in, softmax logits over the stems out, both per cell."""

    def __init__(self, recipe: Recipe, num_stems: int = 4) -> None:
        super().__init__()
        self.recipe, self.num_stems = recipe, num_stems
        bands, size = recipe.bands, recipe.band_features
        self.num_bands = bands.count * len(bands.widths)
        self.encode = BandLinear(bands.count, [4 * cells for cells in bands.cells], size, merge=False)
        self.blocks = nn.ModuleList(Block(recipe, self.num_bands) for _ in range(recipe.blocks))
        self.norm = nn.LayerNorm(size)
        self.decode = BandLinear(bands.count, [2 * num_stems * cells for cells in bands.cells], size, merge=True)

    def forward(self, x: Tensor, state: list | None = None) -> tuple[Tensor, list]:
        """Logits (frames, batch, stems, 2, cells) and the blocks' states. x: (frames, batch, 4, cells)."""
        batch = x.size(1)
        count, cells = self.recipe.bands.count, self.recipe.bands.cells
        runs = x.flatten(0, 1).split([count * n for n in cells], dim=-1)
        runs = [run.unflatten(-1, (count, n)).transpose(1, 2).flatten(2) for run, n in zip(runs, cells, strict=True)]
        y = torch.cat(self.encode(runs), dim=1).unflatten(0, (-1, batch))
        states = []
        for i, block in enumerate(self.blocks):
            y, block_state = block(y, state[i] if state else None)
            states.append(block_state)
        outs = self.decode(list(self.norm(y).flatten(0, 1).split(count, dim=1)))
        logits = [
            out.unflatten(-1, (2 * self.num_stems, n)).transpose(1, 2).flatten(2)
            for out, n in zip(outs, cells, strict=True)
        ]
        return torch.cat(logits, dim=-1).unflatten(1, (self.num_stems, 2)).unflatten(0, (-1, batch)), states
