"""The losses: training minimises one of three."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .networks.features import covariance, input_features, parts_of, spectra, waveforms, with_ahead
from .networks.spatial import filters_from, low_runs, masks_from, softmax
from .recipe import Recipe

QUIET = 1e-3  # errors this far below the mix (-30 dB, in power) are good enough, and a silent stem asks for no more
RESOLUTIONS = 512, 2048, 8192  # samples of the windows that a multi-resolution loss looks through


class Example(NamedTuple):
    """A batch of mixes.

    Per cell of the mask: seen: features (frames, batch, recipe.views, cells); with look-ahead there are as many frames
    more, and the first logits are for frames before the start. mix: its covariance (frames, batch, 4, cells).
    match: real part of mix times conjugate stem (frames, batch, stems, 2, cells). crossed, where places count: minus
    the imaginary part, and the same two of the mix's other channel (frames, batch, stems, 3 x 2, cells).
    stem_power: (batch, stems). Whole: stems: their spectra, complex (frames, batch, stems, 2, bins).
    """

    seen: Tensor
    mix: Tensor
    match: Tensor
    crossed: Tensor
    stem_power: Tensor
    stems: Tensor


@torch.no_grad()
def example(stems: Tensor, responses: Tensor, recipe: Recipe) -> Example:
    """Analyse stems (batch, stems, 2, samples) whose sum is the mix, each through an equaliser (batch, stems, bins)."""
    whole = spectra(stems, recipe.grid).permute(3, 0, 1, 2, 4) * responses.unsqueeze(2)
    mix = whole.sum(2)
    cells = recipe.bands.pool(covariance(parts_of(mix)))
    seen, _ = input_features(cells, recipe, torch.zeros(stems.shape[0], 1, device=stems.device))
    seen = with_ahead(seen, recipe.lookahead)
    # The last frames have no masks: what is ahead of them is not in the mix.
    whole, mix, cells = (part[: len(part) - recipe.lookahead] for part in (whole, mix, cells))
    stem_power = (whole.real.square() + whole.imag.square()).sum(dim=(0, 3, 4))
    own = mix.unsqueeze(2) * whole.conj()
    match = recipe.bands.pool(own.real)
    low = low_runs(recipe.bands)
    other = mix[..., : low.bins].flip(2).unsqueeze(2) * whole[..., : low.bins].conj()
    parts = -own[..., : low.bins].imag, other.real, -other.imag
    crossed = torch.cat([low.pool(part) for part in parts], dim=3) if recipe.spatial else match[..., :0]
    return Example(seen, cells, match, crossed, stem_power, whole)


def error_db(logits: Tensor, example: Example, recipe: Recipe) -> Tensor:
    """Energy of each stem's error in dB, (batch, stems): of the masked mix less the stem, over the whole crop.

    Its mean is the negative SDR but for a constant, which is what a network is scored by.
    """
    masks = softmax(logits)
    first = low_runs(recipe.bands).num_cells if recipe.spatial else 0
    energy = example.stem_power + _masked_energy(
        masks[..., first:], example.mix[..., first:], example.match[..., first:]
    )
    if recipe.spatial:
        filters, _ = filters_from(masks[..., :first], example.mix[..., :first], recipe)
        match = torch.cat([example.match[..., :first], example.crossed], dim=3)
        energy = energy + _filtered_energy(filters, example.mix[..., :first], match)
    floor = QUIET * example.mix[:, :, :2].sum(dim=(0, 2, 3)).unsqueeze(-1) + 1e-9
    return 10 * torch.log10(energy.clamp_min(0) + floor)


def _masked_energy(masks: Tensor, mix: Tensor, match: Tensor) -> Tensor:
    """Energy of m X - S less that of S, (batch, stems): for a real mask m it is m^2 |X|^2 - 2 m Re(X S*)."""
    return ((masks * mix[:, :, :2].unsqueeze(2) - 2 * match) * masks).sum(dim=(0, 3, 4))


def _filtered_energy(filters: Tensor, mix: Tensor, match: Tensor) -> Tensor:
    """Energy of w X + u Y - S less that of S, (batch, stems), where Y is the mix's other channel; w and u are complex.

    It is |w|^2 |X|^2 + |u|^2 |Y|^2 + 2 Re(w u* X Y*) - 2 Re(w X S* + u Y S*).
    """
    own_real, own_imag, other_real, other_imag = filters.unflatten(3, (4, 2)).unbind(3)
    power, real, imag = (mix[:, :, part].unsqueeze(2) for part in (slice(2), slice(2, 3), slice(3, 4)))
    imag = torch.cat([imag, -imag], dim=3)  # left times conjugate right, and the reverse
    both = (own_real * other_real + own_imag * other_imag) * real - (
        own_imag * other_real - own_real * other_imag
    ) * imag
    energy: Tensor = (own_real.square() + own_imag.square()) * power + 2 * both
    energy = energy + (other_real.square() + other_imag.square()) * power.flip(3)
    return energy.sum(dim=(0, 3, 4)) - 2 * (filters * match).sum(dim=(0, 3, 4))


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
    masks, _ = masks_from(logits, covariance(parts_of(mix)), recipe)
    wrong = (torch.view_as_complex(masks) if recipe.spatial else masks) * mix.unsqueeze(2) - example.stems
    return waveforms(wrong.permute(1, 2, 3, 0, 4), recipe.grid), waveforms(mix.permute(1, 2, 0, 3), recipe.grid)


def _magnitudes(audio: Tensor, length: int) -> Tensor:
    """(..., n) to (..., frames, bins)."""
    window = torch.hann_window(length, device=audio.device)
    spectra: Tensor = torch.fft.rfft(audio.unfold(-1, length, length // 4) * window)
    return spectra.abs()


Loss = Callable[[Tensor, Example, Recipe], Tensor]
LOSSES: dict[str, Loss] = {"sdr": error_db, "waveform": waveform_error, "spectrogram": spectrogram_error}
