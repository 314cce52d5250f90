"""What a network is judged by: three losses, of which training minimises one."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .features import covariance, input_features, parts_of, spectra, waveforms
from .recipe import Recipe

QUIET = 1e-3  # errors this far below the mix (-30 dB, in power) are good enough, and a silent stem asks for no more
RESOLUTIONS = 512, 2048, 8192  # samples of the windows that a multi-resolution loss looks through


class Example(NamedTuple):
    """A batch of mixes.

    Per cell of the mask: seen: features (frames, batch, 4, cells). mix: power of the mix (frames, batch, 2, cells).
    match: real part of stem times conjugate mix (frames, batch, stems, 2, cells). stem_power: (batch, stems).
    Whole: stems: their spectra, complex (frames, batch, stems, 2, bins).
    """

    seen: Tensor
    mix: Tensor
    match: Tensor
    stem_power: Tensor
    stems: Tensor


@torch.no_grad()
def example(stems: Tensor, responses: Tensor, recipe: Recipe) -> Example:
    """Analyse stems (batch, stems, 2, samples) whose sum is the mix, each through an equaliser (batch, stems, bins)."""
    whole = spectra(stems, recipe.grid).permute(3, 0, 1, 2, 4) * responses.unsqueeze(2)
    real, imag, mix = whole.real, whole.imag, whole.sum(2)
    cells = recipe.bands.pool(covariance(parts_of(mix)))
    seen, _ = input_features(cells, recipe, torch.zeros(stems.shape[0], 1, device=stems.device))
    stem_power = (real.square() + imag.square()).sum(dim=(0, 3, 4))
    match = recipe.bands.pool(real * mix.real.unsqueeze(2) + imag * mix.imag.unsqueeze(2))
    return Example(seen, match.sum(2), match, stem_power, whole)


def error_db(logits: Tensor, example: Example, recipe: Recipe) -> Tensor:
    """Energy of each stem's error in dB, (batch, stems): of mask * mix - stem, over the whole crop.

    The mask is real, so |m X - S|^2 = m^2 |X|^2 - 2 m Re(S X*) + |S|^2, of which only sums over cells are needed.
    Its mean is the negative SDR but for a constant, which is what a network is scored by.
    """
    masks = logits.softmax(dim=2)
    energy = ((masks * example.mix.unsqueeze(2) - 2 * example.match) * masks).sum(dim=(0, 3, 4)) + example.stem_power
    floor = QUIET * example.mix.sum(dim=(0, 2, 3)).unsqueeze(-1) + 1e-9
    return 10 * torch.log10(energy.clamp_min(0) + floor)


def waveform_error(logits: Tensor, example: Example, recipe: Recipe) -> Tensor:
    """Mean absolute error of each stem's samples, (batch, stems), as a share of the mix's mean absolute sample."""
    error, mix = _error_and_mix(logits, example, recipe)
    return error.abs().mean(dim=(2, 3)) / (mix.abs().mean(dim=(1, 2)).unsqueeze(1) + 1e-6)


def spectrogram_error(logits: Tensor, example: Example, recipe: Recipe) -> Tensor:
    """Mean absolute error of each stem's complex spectra through windows of three lengths, (batch, stems).

    As a share of the mix's mean magnitude, and the mean of the three. After A. Defossez et al., 2022 (EnCodec,
    arXiv:2210.13438) and others, but of complex differences, so that phases count.
    """
    error, mix = _error_and_mix(logits, example, recipe)
    shares = []
    for length in RESOLUTIONS:
        missed, there = (_magnitudes(audio, length) for audio in (error, mix))
        shares.append(missed.mean(dim=(2, 3, 4)) / (there.mean(dim=(1, 2, 3)).unsqueeze(1) + 1e-6))
    return torch.stack(shares).mean(dim=0)


def _error_and_mix(logits: Tensor, example: Example, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Waveforms of mask * mix - stem, (batch, stems, 2, n), and of the mix, (batch, 2, n)."""
    mix = example.stems.sum(dim=2)
    wrong = recipe.bands.spread(logits.softmax(dim=2)) * mix.unsqueeze(2) - example.stems
    return waveforms(wrong.permute(1, 2, 3, 0, 4), recipe.grid), waveforms(mix.permute(1, 2, 0, 3), recipe.grid)


def _magnitudes(audio: Tensor, length: int) -> Tensor:
    """(..., n) to (..., frames, bins)."""
    window = torch.hann_window(length, device=audio.device)
    return torch.fft.rfft(audio.unfold(-1, length, length // 4) * window).abs()


Loss = Callable[[Tensor, Example, Recipe], Tensor]
LOSSES: dict[str, Loss] = {"sdr": error_db, "waveform": waveform_error, "spectrogram": spectrogram_error}
