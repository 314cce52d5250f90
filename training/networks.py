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
            part if step == 1 else part.unsqueeze(-1).expand(*part.shape, step).flatten(-2)
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
    ),
    "chunked": Recipe(
        causal=False,
        grid=FrameGrid(44100, hop=1024, window=4096, synthesis_window=4096),
        bands=Bands(widths=(4, 8, 16, 32, 64, 132), steps=(1, 1, 1, 2, 4, 12), count=8),
    ),
}

RELEASE_DB = 3.0  # per second: how fast the level a streaming network measures its input against falls
FLOOR = 1e-4  # relative to that level: what lies lower (-80 dB) looks like silence


def features(left: Tensor, right: Tensor, cross: Tensor, level: Tensor) -> Tensor:
    """What the network sees: log magnitudes of left, right, mid and side, relative to the level.

    left, right: power (..., cells); cross: real part of left times conjugate right; level: power (..., 1).
    Returns (..., 4, cells) in about -2..2.
    """
    mid, side = (left + right) / 4 + cross / 2, (left + right) / 4 - cross / 2
    power = torch.stack([left, right, mid, side], dim=-2) / level.unsqueeze(-2)
    return 0.5 * torch.log10(power.clamp_min(0) + FLOOR**2) + 2


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

    def forward(self, x: Tensor, state: tuple | None) -> tuple[Tensor, tuple]:
        """x: (frames, batch, bands, features). state: ((h, c), (h, c)) of the two layers, or None for zeros."""
        frames, batch, bands, size = x.shape
        bands_state, whole_state = state or (None, None)
        y, bands_state = self.band_lstm(self.band_norm(x).reshape(frames, batch * bands, size), bands_state)
        x = x + self.band_out(y).reshape(x.shape)
        summary = self.summarise(self.summary_norm(x)).reshape(frames, batch, -1)
        y, whole_state = self.lstm(summary, whole_state)
        x = x + self.out(self.expand(y).reshape(frames, batch, bands, -1))
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
        """x: (frames, batch, 4, cells) from `features`; returns logits (frames, batch, stems, 2, cells) and states."""
        frames, batch = x.shape[:2]
        count, cells = self.recipe.bands.count, self.recipe.bands.cells
        runs = x.split([count * n for n in cells], dim=-1)
        runs = [
            run.reshape(frames * batch, 4, count, n).transpose(1, 2).reshape(frames * batch, count, 4 * n)
            for run, n in zip(runs, cells, strict=True)
        ]
        y = torch.cat(self.encode(runs), dim=1).reshape(frames, batch, self.num_bands, -1)
        states = []
        for i, block in enumerate(self.blocks):
            y, block_state = block(y, state[i] if state else None)
            states.append(block_state)
        y = self.norm(y).reshape(frames * batch, self.num_bands, -1)
        outs = self.decode(list(y.split(count, dim=1)))
        logits = [
            out.reshape(frames * batch, count, self.num_stems * 2, n).transpose(1, 2).flatten(2)
            for out, n in zip(outs, cells, strict=True)
        ]
        return torch.cat(logits, dim=-1).reshape(frames, batch, self.num_stems, 2, -1), states


def running_level(power: Tensor, before: Tensor, frames_per_second: float) -> Tensor:
    """The level a causal network measures against: the highest power so far, falling by RELEASE_DB a second.

    power: (frames, ...) of each frame; before: (...) the level before the first. Returns the shape of `power`.
    A closed form over the frames of a call, so that frames one by one give the same.
    """
    fall = RELEASE_DB / 10 * torch.log(torch.tensor(10.0)) / frames_per_second
    frames = torch.arange(power.shape[0], dtype=power.dtype)
    age = frames.unsqueeze(1) - frames.unsqueeze(0)  # (now, then)
    decay = torch.where(age >= 0, torch.exp(-fall * age.clamp_min(0)), torch.zeros_like(age))
    decay = decay.reshape(*decay.shape, *[1] * (power.dim() - 1))
    level = (decay * power.unsqueeze(0)).amax(dim=1)
    gone = torch.exp(-fall * (frames + 1)).reshape(-1, *[1] * (power.dim() - 1))
    return torch.maximum(level, gone * before)


def spectra(audio: Tensor, grid: FrameGrid) -> Tensor:
    """What engine.stft.Analysis gives from silence, for batches: (..., n) to (..., frames, bins), complex."""
    window = torch.from_numpy((grid.analysis * grid.spectrum_scale).astype("float32")).to(audio.device)
    padded = nn.functional.pad(audio, (grid.window - grid.hop, 0))
    return torch.fft.rfft(padded.unfold(-1, grid.window, grid.hop) * window)
