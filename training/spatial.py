"""From logits to masks, with or without what the places of the stems between left and right tell.

Stems that share a cell often come from different places. Each is taken for a random source with the power that its mask
leaves of the mix, and with the covariance of left and right that it has where its mask is large; a Wiener filter of
both channels follows. After N. Q. K. Duong, E. Vincent and R. Gribonval, "Under-determined reverberant audio source
separation using a full-rank spatial covariance model", 2010 (arXiv:0912.0171), and A. A. Nugraha, A. Liutkus and
E. Vincent, "Multichannel audio source separation with deep neural networks", 2016. In the graph it is a complex mask.
"""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from .recipe import Bands, Recipe

MEMORY = 3.0  # s in which a streaming network forgets 63 % of where the stems were
SPREAD = 0.01  # of a stem's power counts as coming from everywhere, so that no filter is sharper than is known
NEIGHBOURS = 3  # cells that share what is known of places
NOTHING = 1e-12  # power of a cell that counts as silence (-120 dB)
EDGE = 1e-4  # of the other channel's power: where a channel has less (-40 dB) nothing is brought over from the other


def place_shapes(recipe: Recipe, stems: int) -> list[tuple[int, ...]]:
    """The state's tensors, for one song, that remember where stems were: none for chunks, or without places."""
    if not (recipe.spatial and recipe.causal):
        return []
    return [(1, stems, 4, _runs(recipe.bands, slice(-1)).num_cells)]


def masks_from(
    logits: Tensor,
    real: Tensor,
    imag: Tensor,
    recipe: Recipe,
    before: Tensor | None = None,
    *,
    stems: int | None = None,
    frames: slice = slice(None),
) -> tuple[Tensor, list[Tensor]]:
    """Masks of the first `stems` stems (all by default) in some frames, and what is to be remembered of places.

    logits: (frames, batch, stems, 2, cells). real, imag: the mix's spectra, (frames, batch, 2, bins).
    before: what the call before remembered, (batch, stems, 4, cells), or None for the start of a song.
    Returns masks (frames, batch, stems, 2, bins), or with `recipe.spatial` complex ones, (frames, ..., bins, 2).
    """
    masks = logits.softmax(dim=2)
    if not recipe.spatial:
        return recipe.bands.spread(masks[frames, :, :stems]), []
    low, high = _runs(recipe.bands, slice(-1)), _runs(recipe.bands, slice(-1, None))
    real, imag = real[..., : low.bins], imag[..., : low.bins]
    filters, after = _filters(masks[..., : low.num_cells], real, imag, recipe, before, stems, frames)
    low_masks = _at_bins([low.spread(each) for each in filters], real[frames], imag[frames])
    # The first bin of the highest run goes with the cell below, as a grid's last bin does: no copy to cut it off.
    high_masks = high.spread(masks[frames, :, :stems, :, low.num_cells :])[..., 1:]
    # 0 times, because the exporter would take zeros_like for a constant.
    return torch.cat([low_masks, torch.stack([high_masks, 0 * high_masks], dim=-1)], dim=-2), after


def _runs(bands: Bands, which: slice) -> Bands:
    """Places count in all runs but the highest: above 10.7 kHz there is too little to be heard to be worth the work."""
    return replace(bands, widths=bands.widths[which], steps=bands.steps[which])


def _filters(
    masks: Tensor,
    real: Tensor,
    imag: Tensor,
    recipe: Recipe,
    before: Tensor | None,
    stems: int | None,
    frames: slice,
) -> tuple[list[Tensor], list[Tensor]]:
    """For each cell what of both channels makes a stem's channel, four times (frames, batch, stems, 2, cells).

    The four are the factors on the channel itself and on the other one, real parts, then imaginary ones.
    """
    bands = _runs(recipe.bands, slice(-1))
    # In middle and side, where what is alike in both channels, as much is, leaves nothing that rounding could blow up.
    real, imag = (0.5**0.5 * torch.cat([x.sum(2, keepdim=True), x[:, :, :1] - x[:, :, 1:]], 2) for x in (real, imag))
    cross = [real[:, :, :1] * real[:, :, 1:] + imag[:, :, :1] * imag[:, :, 1:]]
    cross += [imag[:, :, :1] * real[:, :, 1:] - real[:, :, :1] * imag[:, :, 1:]]
    mix = torch.cat([bands.pool(real.square() + imag.square()), bands.pool(torch.cat(cross, dim=2))], dim=2)
    sums = masks.mean(dim=3, keepdim=True).square() * mix.unsqueeze(2)  # (frames, batch, stems, 4, cells)
    if recipe.causal:
        sums = _running_sum(sums, before, recipe.grid.hop / recipe.grid.sample_rate / MEMORY)
        sums, after = sums[frames], [sums[-1]]
    else:
        sums, after = sums.sum(dim=0, keepdim=True), []
    sums = functional.avg_pool2d(  # over cells alone
        sums.flatten(0, 1), (1, NEIGHBOURS), 1, (0, NEIGHBOURS // 2), count_include_pad=False
    ).reshape(-1, *map(int, sums.shape[1:]))
    # Each stem's covariance is ((own[0], b + ic), (b - ic, own[1])).
    sums = sums * ((1 - SPREAD) / (sums[..., :2, :].mean(dim=-2, keepdim=True) + NOTHING**2))
    own, b, c = sums[..., :2, :] + SPREAD, sums[..., 2:3, :], sums[..., 3:, :]
    sign = torch.tensor([[1.0], [-1.0]], device=masks.device)
    audible = (mix[frames, :, :2].mean(2, keepdim=True) + sign * mix[frames, :, 2:3]).clamp_min(0) + NOTHING
    share = (masks[frames] * audible.unsqueeze(2)).sum(dim=3, keepdim=True) / audible.sum(2, keepdim=True).unsqueeze(2)
    mix_own, mix_b, mix_c = ((share * each).sum(dim=2, keepdim=True) for each in (own, b, c))
    area = mix_own[..., :1, :] * mix_own[..., 1:, :] - mix_b.square() - mix_c.square()
    # The inverse of the mix's covariance is ((p[1], -q - ir), (-q + ir, p[0])).
    p, q, r = mix_own / area, mix_b / area, mix_c / area
    share, own, b, c = (each[:, :, :stems] for each in (share, own, b, c))
    filters = []
    for same, other in (
        (own * p.flip(-2) - (b * q + c * r), b * p - own * q),  # real parts
        (sign * (b * r - c * q), sign * (c * p - own * r)),  # imaginary parts
    ):
        # From middle and side back to left and right.
        filters.append(share * 0.5 * (same.sum(-2, keepdim=True) + sign * other.sum(-2, keepdim=True)))
        from_other = same[..., :1, :] - same[..., 1:, :] + sign * (other[..., 1:, :] - other[..., :1, :])
        filters.append(share * 0.5 * from_other)
    return filters, after


def _running_sum(values: Tensor, before: Tensor | None, fall: float) -> Tensor:
    """Sums over all frames so far, (frames, ...), that forget exp(-fall) a frame. before: the sum before the first.

    A closed form over the frames of a call, so that frames one by one give the same.
    """
    # 1, 2, ...: counted from the data, because the exporter would take arange or ones_like for a constant.
    frames = torch.cumsum((values[:, 0, 0, 0, 0] >= 0).to(values.dtype), dim=0)
    age = frames.unsqueeze(1) - frames.unsqueeze(0)  # (now, then)
    decay = torch.exp(-fall * age.clamp_min(0)) * (age >= 0)
    sums = (decay @ values.flatten(1)).reshape(-1, *map(int, values.shape[1:]))
    if before is None:
        return sums
    return sums + torch.exp(-fall * frames).reshape(-1, 1, 1, 1, 1) * before


def _at_bins(filters: list[Tensor], real: Tensor, imag: Tensor) -> Tensor:
    """Complex masks, (frames, batch, stems, 2, bins, 2), that do to each channel what the filters do to both."""
    own_real, other_real, own_imag, other_imag = filters
    there_real, there_imag = real.flip(2), imag.flip(2)
    power = real.square() + imag.square()
    floor = power + EDGE * power.flip(2) + NOTHING**2
    over_real = ((there_real * real + there_imag * imag) / floor).unsqueeze(2)  # the other channel over this one
    over_imag = ((there_imag * real - there_real * imag) / floor).unsqueeze(2)
    return torch.stack(
        [
            own_real + other_real * over_real - other_imag * over_imag,
            own_imag + other_real * over_imag + other_imag * over_real,
        ],
        dim=-1,
    )
