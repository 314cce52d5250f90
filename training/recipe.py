"""The recipe of a network: its family, frame grid, bands and sizes."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..engine.stft import FrameGrid


@dataclass(frozen=True)
class Bands:
    """Groups of bins: runs of `count` bands with `width` bins each, and with one mask value for every `step` bins.

    Low bands are narrow and fine, as bass and voices need. High bands are wide and coarse, because music has little
    energy there, and masks are smooth. The last bin belongs to no band, and has the mask of the bin below.

    Attributes:
        widths: Bins in a band, for each run.
        steps: Bins in a cell, for each run.
        count: Bands in each run.
    """

    widths: tuple[int, ...]
    steps: tuple[int, ...]
    count: int

    @property
    def bins(self) -> int:
        """Number of bins, including the last one."""
        return self.count * sum(self.widths) + 1

    @property
    def cells(self) -> tuple[int, ...]:
        """Mask values in a band, for each run."""
        return tuple(width // step for width, step in zip(self.widths, self.steps, strict=True))

    @property
    def num_cells(self) -> int:
        """Mask values in a frame, for each channel."""
        return self.count * sum(self.cells)

    def runs(self, which: slice) -> "Bands":
        """Return some of the runs.

        Args:
            which: Slice of the runs.
        """
        return replace(self, widths=self.widths[which], steps=self.steps[which])

    def layout(self) -> Tensor:
        """Return the cells of each band, shape (bands, largest number of cells in a band), filled up with -1."""
        layout = torch.full((self.count * len(self.widths), max(self.cells)), -1)
        band = cell = 0
        for cells in self.cells:
            for _ in range(self.count):
                layout[band, :cells] = torch.arange(cell, cell + cells)
                band, cell = band + 1, cell + cells
        return layout

    def pool(self, power: Tensor) -> Tensor:
        """Sum over the bins of each cell.

        Args:
            power: Shape (frames, ..., bins).

        Returns:
            Sums, shape (frames, ..., cells).
        """
        parts = power[..., :-1].split([self.count * width for width in self.widths], dim=-1)
        shape = [-1, *map(int, power.shape[1:-1])]  # numbers, because the exporter would compute shapes in the graph
        return torch.cat(
            [
                part if step == 1 else part.reshape(*shape, self.count * cells, step).sum(-1)
                for part, step, cells in zip(parts, self.steps, self.cells, strict=True)
            ],
            dim=-1,
        )

    def spread(self, cells: Tensor) -> Tensor:
        """Repeat each cell for all its bins.

        Args:
            cells: Shape (frames, ..., cells).

        Returns:
            Values, shape (frames, ..., bins).
        """
        parts = cells.split([self.count * cells for cells in self.cells], dim=-1)
        shape = [-1, *map(int, cells.shape[1:-1])]
        parts = [  # stacked, because that is faster in ONNX Runtime than Expand or Gather
            part if step == 1 else torch.stack([part] * step, dim=-1).reshape(*shape, self.count * width)
            for part, step, width in zip(parts, self.steps, self.widths, strict=True)
        ]
        return torch.cat([*parts, parts[-1][..., -1:]], dim=-1)


@dataclass(frozen=True)
class Recipe:
    """The recipe of a network.

    Attributes:
        causal: Whether it is streaming, which looks only back except for its look-ahead, or chunked, which looks both
            ways.
        grid: Frame grid.
        bands: Groups of bins.
        blocks: Number of building blocks.
        band_features: Size of a band's vector, or of the finest layer.
        summary_features: A size that the family's module explains.
        hidden: A size that the family's module explains.
        dropout: Share of values that are dropped in training.
        family: One of FAMILIES.
        spatial: Whether masks also use the positions of stems between left and right, see spatial.py.
        lookahead: Frames that a streaming network hears before it gives the masks of a frame.
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
        """Features of a cell: left, right, middle and side; with look-ahead also those of a later frame."""
        return 8 if self.lookahead else 4

    @property
    def mode(self) -> str:
        """Kind of network: "streaming" or "chunked"."""
        return "streaming" if self.causal else "chunked"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for a card or a checkpoint."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> "Recipe":
        """Return the recipe that `as_dict` stored.

        Args:
            values: What `as_dict` returned.
        """
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

# (family, mode) to recipe, for the modes that each family has.
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
