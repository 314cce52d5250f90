"""The convolutional U-Net family: levels of coarser and coarser frequencies, each with a layer across all frequencies.

After W. Choi et al., "Investigating U-Nets with various intermediate blocks for spectrogram-based singing voice
separation", 2020 (arXiv:1912.02591): convolutions in time and frequency, then linear layers along frequency. Time is
never made coarser; deeper levels reach further in it instead, so that the same network can stream.
"""

from collections.abc import Iterator
from itertools import repeat

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..recipe import Recipe
from .base import NUM_STEMS, MaskNetwork

KERNEL_FRAMES = 3  # of a convolution, before dilation


class UNet(MaskNetwork):
    """A network of `recipe.blocks` levels.

    The first level has `recipe.band_features` channels, and each next one twice as many, at most `recipe.hidden`.
    `recipe.summary_features` is the size of the layers across frequencies.

    Args:
        recipe: Its recipe.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        levels = recipe.blocks
        cells = recipe.bands.num_cells
        self.missing = -cells % 2 ** (levels - 1)  # cells to add, so that each level can be halved
        self.sizes = [(cells + self.missing) >> level for level in range(levels)]
        channels = [min(recipe.band_features << level, recipe.hidden) for level in range(levels)]
        self.first = nn.Conv2d(recipe.views, channels[0], 1)
        # So that the network can treat high and low cells differently.
        self.places = nn.Parameter(torch.zeros(channels[0], 1, self.sizes[0]))
        self.down, self.coarser, self.up, self.finer = (nn.ModuleList() for _ in range(4))
        for level, size in enumerate(self.sizes):
            self.down.append(Block(recipe, channels[level], size, 2**level))
            if level + 1 < levels:
                self.coarser.append(nn.Conv2d(channels[level], channels[level + 1], (1, 2), stride=(1, 2)))
                self.finer.append(nn.ConvTranspose2d(channels[level + 1], channels[level], (1, 2), stride=(1, 2)))
                self.up.append(Block(recipe, channels[level], size, 2**level))
        self.last = nn.Conv2d(channels[0], 2 * NUM_STEMS, 1)

    @property
    def state_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the state's tensors for one song; empty if the network is chunked."""
        if not self.recipe.causal:
            return []
        return [(1, block.channels, block.past, block.cells) for block in self._in_order()]

    def forward(self, x: Tensor, state: list[Tensor] | None = None) -> tuple[Tensor, list[Tensor]]:
        """Return logits and the next state, see `MaskNetwork.forward`.

        Args:
            x: Features.
            state: The state.
        """
        cells = x.size(-1)
        y = functional.pad(x.permute(1, 2, 0, 3), (0, self.missing))  # (batch, channels, frames, cells)
        y = self.first(y) + self.places
        before: Iterator[Tensor | None] = iter(state) if state else repeat(None)
        after: list[Tensor] = []
        passed: list[Tensor] = []
        for level, block in enumerate(self.down):
            y, kept = block(y, next(before))
            after.append(kept)
            if level < len(self.coarser):
                passed.append(y)
                y = self.coarser[level](y)
        for level in reversed(range(len(self.up))):
            y, kept = self.up[level](self.finer[level](y) + passed[level], next(before))
            after.append(kept)
        logits = self.last(y)[..., :cells]
        return logits.permute(2, 0, 1, 3).unflatten(2, (NUM_STEMS, 2)), after if self.recipe.causal else []

    def _in_order(self) -> list["Block"]:
        return [*self.down, *reversed(self.up)]


class Block(nn.Module):
    """A convolution over time and frequency, then a layer across all frequencies. Each is added to its input.

    Args:
        recipe: Recipe of the network.
        channels: Number of channels.
        cells: Number of cells.
        dilation: Dilation in time.
    """

    def __init__(self, recipe: Recipe, channels: int, cells: int, dilation: int) -> None:
        super().__init__()
        self.causal, self.channels, self.cells = recipe.causal, channels, cells
        self.past = (KERNEL_FRAMES - 1) * dilation  # frames
        self.conv_norm, self.across_norm = ChannelNorm(channels), ChannelNorm(channels)
        self.conv = nn.Conv2d(channels, channels, KERNEL_FRAMES, dilation=(dilation, 1), padding=(0, 1))
        self.mix = nn.Conv2d(channels, channels, 1)
        self.across = nn.Sequential(
            nn.Linear(cells, recipe.summary_features), nn.GELU(), nn.Linear(recipe.summary_features, cells)
        )
        self.drop = nn.Dropout2d(recipe.dropout)

    def forward(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return changed features, and the next state.

        Args:
            x: Shape (batch, channels, frames, cells).
            state: Normalised frames before these, None for zeros.

        Returns:
            Features of the same shape, and the last normalised frames.
        """
        y = self.conv_norm(x)
        if state is not None:
            y = torch.cat([state, y], dim=2)
        else:
            y = functional.pad(y, (0, 0, *((self.past, 0) if self.causal else (self.past // 2, self.past // 2))))
        kept = y[:, :, y.size(2) - self.past :]
        x = x + self.drop(self.mix(functional.gelu(self.conv(y))))
        return x + self.drop(self.across(self.across_norm(x))), kept


class ChannelNorm(nn.Module):
    """Normalises the channels of each cell and frame by their root mean square, so that it can stream.

    After B. Zhang and R. Sennrich, 2019 (arXiv:1910.07467).

    Args:
        channels: Number of channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return normalised features.

        Args:
            x: Shape (batch, channels, frames, cells).
        """
        return x * (self.gain.reshape(-1, 1, 1) * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-6))
