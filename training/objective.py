"""The losses: training minimises one of three."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .networks.features import covariance, input_features, parts_of, spectra, waveforms, with_ahead
from .networks.spatial import filters_from, low_runs, masks_from, softmax
from .recipe import Recipe

ERROR_FLOOR = 1e-3  # of the mix's power (-30 dB): smaller errors are good enough, also for silent stems
WINDOW_LENGTHS = 512, 2048, 8192  # samples, of the multi-resolution loss


class Example(NamedTuple):
    """A batch of mixes.

    Attributes:
        seen: Features of each cell, shape (frames, batch, recipe.views, cells). With look-ahead there are as many more
            frames, and the first logits are for frames before the start.
        mix: Covariance of each cell, shape (frames, batch, 4, cells).
        match: Real part of mix times conjugate stem, shape (frames, batch, stems, 2, cells).
        crossed: For spatial recipes, minus the imaginary part of the same, and both parts for the mix's other channel,
            shape (frames, batch, stems, 3 x 2, cells).
        stem_power: Power of each stem, shape (batch, stems).
        stems: Complex spectra, shape (frames, batch, stems, 2, bins).
    """

    seen: Tensor
    mix: Tensor
    match: Tensor
    crossed: Tensor
    stem_power: Tensor
    stems: Tensor


@torch.no_grad()
def example(stems: Tensor, responses: Tensor, recipe: Recipe) -> Example:
    """Analyse a batch of mixes.

    Args:
        stems: Samples of stems whose sum is the mix, shape (batch, stems, 2, samples).
        responses: Equalisers of the stems, factors of shape (batch, stems, bins).
        recipe: Recipe of the network.
    """
    whole = spectra(stems, recipe.grid).permute(3, 0, 1, 2, 4) * responses.unsqueeze(2)
    mix = whole.sum(2)
    cells = recipe.bands.pool(covariance(parts_of(mix)))
    seen, _ = input_features(cells, recipe, torch.zeros(stems.shape[0], 1, device=stems.device))
    seen = with_ahead(seen, recipe.lookahead)
    # The last frames have no masks, because the frames ahead of them are not in the mix.
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
    """Return the energy of each stem's error: of the masked mix minus the stem, over the whole mix.

    The mean of this is the negative SDR, the score of a network, plus a constant.

    Args:
        logits: Shape (frames, batch, stems, 2, cells).
        example: The batch.
        recipe: Recipe of the network.

    Returns:
        Energy in dB, shape (batch, stems).
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
    floor = ERROR_FLOOR * example.mix[:, :, :2].sum(dim=(0, 2, 3)).unsqueeze(-1) + 1e-9
    return 10 * torch.log10(energy.clamp_min(0) + floor)


def _masked_energy(masks: Tensor, mix: Tensor, match: Tensor) -> Tensor:
    """Return the energy of m X - S minus that of S, (batch, stems): m^2 |X|^2 - 2 m Re(X S*) for a real mask m."""
    return ((masks * mix[:, :, :2].unsqueeze(2) - 2 * match) * masks).sum(dim=(0, 3, 4))


def _filtered_energy(filters: Tensor, mix: Tensor, match: Tensor) -> Tensor:
    """Return the energy of w X + u Y - S minus that of S, (batch, stems). Y is the mix's other channel.

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
    """Return the mean absolute error of each stem's samples.

    Args:
        logits: Shape (frames, batch, stems, 2, cells).
        example: The batch.
        recipe: Recipe of the network.

    Returns:
        Errors as shares of the mix's mean absolute sample, shape (batch, stems).
    """
    error, mix = _error_and_mix(logits, example, recipe)
    return error.abs().mean(dim=(2, 3)) / (mix.abs().mean(dim=(1, 2)).unsqueeze(1) + 1e-6)


def spectrogram_error(logits: Tensor, example: Example, recipe: Recipe) -> Tensor:
    """Return the mean absolute error of each stem's complex spectra, with windows of three lengths.

    After A. Defossez et al., 2022 (EnCodec, arXiv:2210.13438) and others, but with complex differences, so that phases
    count.

    Args:
        logits: Shape (frames, batch, stems, 2, cells).
        example: The batch.
        recipe: Recipe of the network.

    Returns:
        Errors as shares of the mix's mean magnitude, averaged over the windows, shape (batch, stems).
    """
    error, mix = _error_and_mix(logits, example, recipe)
    shares = []
    for length in WINDOW_LENGTHS:
        missed, there = (_magnitudes(audio, length) for audio in (error, mix))
        shares.append(missed.mean(dim=(2, 3, 4)) / (there.mean(dim=(1, 2, 3)).unsqueeze(1) + 1e-6))
    return torch.stack(shares).mean(dim=0)


def _error_and_mix(logits: Tensor, example: Example, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Return the waveforms of mask * mix - stem, (batch, stems, 2, n), and of the mix, (batch, 2, n)."""
    mix = example.stems.sum(dim=2)
    masks, _ = masks_from(logits, covariance(parts_of(mix)), recipe)
    wrong = (torch.view_as_complex(masks) if recipe.spatial else masks) * mix.unsqueeze(2) - example.stems
    return waveforms(wrong.permute(1, 2, 3, 0, 4), recipe.grid), waveforms(mix.permute(1, 2, 0, 3), recipe.grid)


def _magnitudes(audio: Tensor, length: int) -> Tensor:
    """Return magnitudes (..., frames, bins) of audio (..., n)."""
    window = torch.hann_window(length, device=audio.device)
    spectra: Tensor = torch.fft.rfft(audio.unfold(-1, length, length // 4) * window)
    return spectra.abs()


Loss = Callable[[Tensor, Example, Recipe], Tensor]
LOSSES: dict[str, Loss] = {"sdr": error_db, "waveform": waveform_error, "spectrogram": spectrogram_error}
