"""Separation with PyTorch, for validation during training and for the check of exports."""

import numpy as np
import torch
from numpy.typing import NDArray

from ..engine.stft import Analysis, Synthesis
from .networks.base import MaskNetwork
from .networks.features import covariance, input_features, parts_of, with_ahead
from .networks.spatial import masks_from


@torch.no_grad()
def separate_clip(network: MaskNetwork, audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Separate a clip at once.

    Args:
        network: The network.
        audio: Samples at the network's rate, shape (2, n).

    Returns:
        All stems, aligned with the clip, shape (stems, 2, n).
    """
    grid, length, device = network.recipe.grid, audio.shape[-1], next(network.parameters()).device
    ahead = network.recipe.lookahead
    spectrum = Analysis(grid, 2).push(np.pad(audio, ((0, 0), (0, grid.window + ahead * grid.hop))))
    mix = covariance(parts_of(torch.from_numpy(spectrum).unsqueeze(1).to(device)))
    seen, _ = input_features(network.recipe.bands.pool(mix), network.recipe, torch.zeros(1, 1, device=device))
    logits, _ = network(with_ahead(seen, ahead))
    spectrum = spectrum[: len(spectrum) - ahead]
    found, _ = masks_from(logits[ahead:], mix[: len(spectrum)], network.recipe)
    masks = (torch.view_as_complex(found.contiguous()) if network.recipe.spatial else found)[:, 0].cpu().numpy()
    stems = Synthesis(grid, masks.shape[1:3]).push(masks * spectrum[:, None])
    early = grid.synthesis_window - grid.hop
    return stems[..., early : early + length]
