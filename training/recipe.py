"""The recipe of a network: its family, frame grid, bands and sizes."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

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

    @property
    def num_cells(self) -> int:
        """Mask values of a frame, in each channel."""
        return self.count * sum(self.cells)

    def runs(self, which: slice) -> "Bands":
        """Some of the runs alone."""
        return replace(self, widths=self.widths[which], steps=self.steps[which])

    def layout(self) -> Tensor:
        """Which cells each band has, (bands, most cells of any); -1 where a band has fewer."""
        layout = torch.full((self.count * len(self.widths), max(self.cells)), -1)
        band = cell = 0
        for cells in self.cells:
            for _ in range(self.count):
                layout[band, :cells] = torch.arange(cell, cell + cells)
                band, cell = band + 1, cell + cells
        return layout

    def pool(self, power: Tensor) -> Tensor:
        """Sum over the bins of each cell: (frames, ..., bins) to (frames, ..., cells)."""
        parts = power[..., :-1].split([self.count * width for width in self.widths], dim=-1)
        shape = [-1, *map(int, power.shape[1:-1])]  # numbers, not what the exporter would compute from frames
        return torch.cat(
            [
                part if step == 1 else part.reshape(*shape, self.count * cells, step).sum(-1)
                for part, step, cells in zip(parts, self.steps, self.cells, strict=True)
            ],
            dim=-1,
        )

    def spread(self, cells: Tensor) -> Tensor:
        """Repeat each cell over its bins: (frames, ..., cells) to (frames, ..., bins)."""
        parts = cells.split([self.count * cells for cells in self.cells], dim=-1)
        shape = [-1, *map(int, cells.shape[1:-1])]
        parts = [  # stacked, which ONNX Runtime does faster than to expand or to gather
            part if step == 1 else torch.stack([part] * step, dim=-1).reshape(*shape, self.count * width)
            for part, step, width in zip(parts, self.steps, self.widths, strict=True)
        ]
        return torch.cat([*parts, parts[-1][..., -1:]], dim=-1)


@dataclass(frozen=True)
class Recipe:
    """The recipe of a network.

    causal: whether it is streaming (looks only back, apart from look-ahead), or chunked (looks both ways). family: one
    of FAMILIES. blocks: how many of its building blocks; band_features: size of a band's vector, or of the finest
    layer's. summary_features, hidden: sizes that the family's module explains. spatial: whether masks use the places of
    stems too (spatial.py).
    lookahead: frames that a streaming network hears before it gives a frame's masks.
    """

    causal: bool
    grid: FrameGrid
    bands: Bands
    blocks: int = 2
    band_features: int = 64
    summary_features: int = 8
    hidden: int = 256
    dropout: float = 0.2
    family: str = "recurrent"
    spatial: bool = False
    lookahead: int = 0

    @property
    def views(self) -> int:
        """Features that a network sees of a cell: of left, right, middle and side, and of the same ahead."""
        return 8 if self.lookahead else 4

    @property
    def mode(self) -> str:
        """How the network meets time."""
        return "streaming" if self.causal else "chunked"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a card or a checkpoint."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> "Recipe":
        """The inverse of `as_dict`."""
        bands = values["bands"]
        return Recipe(
            **{
                **values,
                "grid": FrameGrid(**values["grid"]),
                "bands": Bands(tuple(bands["widths"]), tuple(bands["steps"]), bands["count"]),
            }
        )


STREAMING_GRID = FrameGrid(44100, hop=256, window=2048, synthesis_window=512)
CHUNKED_GRID = FrameGrid(44100, hop=1024, window=4096, synthesis_window=4096)
STREAMING_BANDS = Bands(widths=(4, 8, 16, 32, 64, 132), steps=(1, 1, 1, 2, 4, 12), count=4)
CHUNKED_BANDS = Bands(widths=(4, 8, 16, 32, 64, 132), steps=(1, 1, 1, 2, 4, 12), count=8)

_STREAMING = Recipe(True, STREAMING_GRID, STREAMING_BANDS, dropout=0.05, spatial=True)
_CHUNKED = Recipe(False, CHUNKED_GRID, CHUNKED_BANDS, spatial=True)

# (family, mode) -> recipe: the modes that suit each family.
RECIPES = {
    ("recurrent", "streaming"): replace(_STREAMING, summary_features=12),
    ("recurrent", "chunked"): _CHUNKED,
    ("transformer", "chunked"): replace(
        _CHUNKED, blocks=3, summary_features=16, hidden=128, dropout=0.1, family="transformer"
    ),
    ("u-net", "streaming"): replace(
        _STREAMING, blocks=4, band_features=12, summary_features=24, hidden=64, family="u-net"
    ),
    ("u-net", "chunked"): replace(
        _CHUNKED, blocks=4, band_features=16, summary_features=32, hidden=96, dropout=0.1, family="u-net"
    ),
}
FAMILIES = tuple(dict.fromkeys(family for family, _ in RECIPES))
