"""From stems to what a network sees and is judged by."""

from typing import NamedTuple

import torch
from torch import Tensor

from .networks import Recipe, features, running_level, spectra

QUIET = 1e-3  # errors this far below the mix (-30 dB, in power) are good enough, and a silent stem asks for no more


class Example(NamedTuple):
    """A batch of mixes, per cell of the mask.

    seen: features (frames, batch, 4, cells).
    mix: power of the mix (frames, batch, 2, cells).
    match: real part of stem times conjugate mix (frames, batch, stems, 2, cells).
    stem_power: (batch, stems).
    """

    seen: Tensor
    mix: Tensor
    match: Tensor
    stem_power: Tensor


def input_features(spectrum_real: Tensor, spectrum_imag: Tensor, recipe: Recipe, level_before: Tensor) -> tuple:
    """What the network sees of a mix, and the level after its last frame.

    spectrum_real, spectrum_imag: (frames, batch, 2, bins). level_before: (batch, 1); only causal recipes use it.
    Returns features (frames, batch, 4, cells) and the level (batch, 1).
    """
    power = recipe.bands.pool(spectrum_real.square() + spectrum_imag.square())
    cross = spectrum_real[:, :, 0] * spectrum_real[:, :, 1] + spectrum_imag[:, :, 0] * spectrum_imag[:, :, 1]
    total = power.sum(dim=(2, 3)).unsqueeze(-1) + 1e-12
    if recipe.causal:
        level = running_level(total, level_before, recipe.grid.sample_rate / recipe.grid.hop)
        last = level[-1]
    else:
        level, last = total.mean(dim=0, keepdim=True), level_before
    return features(power[:, :, 0], power[:, :, 1], recipe.bands.pool(cross), level), last


@torch.no_grad()
def example(stems: Tensor, recipe: Recipe, band_limits: Tensor) -> Example:
    """Analyse stems (batch, stems, 2, samples) whose sum is the mix.

    band_limits: (batch,) where each mix ends, as a share of half the sampling rate.
    """
    stem_spectra = spectra(stems, recipe.grid).permute(3, 0, 1, 2, 4)
    for i in torch.nonzero(band_limits < 1).flatten().tolist():
        stem_spectra[:, i, ..., int(band_limits[i] * recipe.grid.bins) :] = 0
    real, imag = stem_spectra.real.contiguous(), stem_spectra.imag.contiguous()
    mix_real, mix_imag = real.sum(2), imag.sum(2)
    seen, _ = input_features(mix_real, mix_imag, recipe, torch.zeros(stems.shape[0], 1, device=stems.device))
    stem_power = (real.square() + imag.square()).sum(dim=(0, 3, 4))
    match = recipe.bands.pool(real * mix_real.unsqueeze(2) + imag * mix_imag.unsqueeze(2))
    return Example(seen, match.sum(2), match, stem_power)


def error_db(logits: Tensor, example: Example) -> Tensor:
    """Energy of each stem's error in dB, (batch, stems): of mask * mix - stem, over the whole crop.

    The mask is real, so |m X - S|^2 = m^2 |X|^2 - 2 m Re(S X*) + |S|^2, of which only sums over cells are needed.
    Its mean is the training loss: minus the SDR but for a constant, which is what a network is scored by.
    """
    masks = logits.softmax(dim=2)
    energy = ((masks * example.mix.unsqueeze(2) - 2 * example.match) * masks).sum(dim=(0, 3, 4)) + example.stem_power
    floor = QUIET * example.mix.sum(dim=(0, 2, 3)).unsqueeze(-1) + 1e-9
    return 10 * torch.log10(energy.clamp_min(0) + floor)
