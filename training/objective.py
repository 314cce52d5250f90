"""What a network is judged by."""

from typing import NamedTuple

import torch
from torch import Tensor

from .features import input_features, spectra
from .networks import Recipe

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


@torch.no_grad()
def example(stems: Tensor, responses: Tensor, recipe: Recipe) -> Example:
    """Analyse stems (batch, stems, 2, samples) whose sum is the mix, each through an equaliser (batch, stems, bins)."""
    stem_spectra = spectra(stems, recipe.grid).permute(3, 0, 1, 2, 4)
    real, imag = stem_spectra.real * responses.unsqueeze(2), stem_spectra.imag * responses.unsqueeze(2)
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
