"""From logits to masks, with or without what the places of the stems between left and right tell.

Stems that share a cell often come from different places. Each is taken for a random source with the power that its mask
leaves of the mix, and with the covariance of left and right that it has where its mask is large; a Wiener filter of
both channels follows. After N. Q. K. Duong, E. Vincent and R. Gribonval, "Under-determined reverberant audio source
separation using a full-rank spatial covariance model", 2010 (arXiv:0912.0171), and A. A. Nugraha, A. Liutkus and
E. Vincent, "Multichannel audio source separation with deep neural networks", 2016. In the graph it is a complex mask.

A covariance ((left, re + i im), (re - i im, right)) is written as s + x X + y Y + z Z with Pauli's matrices, in which
products and inverses are short: https://en.wikipedia.org/wiki/Pauli_matrices.
"""

import torch
from torch import Tensor
from torch.nn import functional

from ..recipe import Bands, Recipe
from .features import decay_of, frames_of, on

MEMORY = 3.0  # s in which a streaming network forgets 63 % of where the stems were
SPREAD = 0.01  # of a stem's power counts as coming from everywhere, so that no filter is sharper than is known
SPAN = 64  # frames summed at once outside of the graph
NEIGHBOURS = 3  # cells that share what is known of places
NOTHING = 1e-12  # power of a cell that counts as silence (-120 dB)
EDGE = 1e-4  # of the other channel's power: where a channel has less (-40 dB) nothing is brought over from the other

# From (left, right, re, im) to (s, x, y, z).
PAULI = torch.tensor([[0.5, 0.5, 0, 0], [0, 0, 1, 0], [0, 0, 0, -1], [0.5, -0.5, 0, 0]])
INVERTED = torch.tensor([[1.0], [-1.0], [-1.0], [-1.0]])  # the inverse, but for the determinant
# From (left, right, re, im) of a bin to what the other channel is worth in terms of this one, times its power: real
# parts for left and right, imaginary parts, and the same times i.
OTHER = torch.tensor([[0.0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, -1], [0, 0, 0, 1]])
OTHER_TURNED = torch.tensor([[0.0, 0, 0, 1], [0, 0, 0, -1], [0, 0, 1, 0], [0, 0, 1, 0]])
EVERYWHERE = torch.tensor([[SPREAD], [0.0], [0.0], [0.0]])
POWER = torch.tensor([[1.0, EDGE, 0, 0], [EDGE, 1.0, 0, 0]])


def _filters_of_products() -> Tensor:
    """From the products of (s, x, y, z) with those of an inverse, (16,), to what `filters_from` returns: (8, 16)."""
    products = torch.eye(16).reshape(4, 4, 16)
    whole = products[0, 0] + products[1, 1] + products[2, 2] + products[3, 3]
    x, y, z = (products[0, i] + products[i, 0] for i in (1, 2, 3))
    turned_x, turned_y, turned_z = (products[i, j] - products[j, i] for i, j in ((2, 3), (3, 1), (1, 2)))
    return torch.stack(
        [whole + z, whole - z, turned_z, -turned_z, x + turned_y, x - turned_y, turned_x - y, turned_x + y]
    )


FILTERS = _filters_of_products()


def place_shapes(recipe: Recipe, stems: int) -> list[tuple[int, ...]]:
    """The state's tensors, for one song, that remember where stems were: none for chunks, or without places."""
    if not (recipe.spatial and recipe.causal):
        return []
    return [(1, stems, 4, low_runs(recipe.bands).num_cells)]


def masks_from(
    logits: Tensor,
    mix: Tensor,
    recipe: Recipe,
    before: Tensor | None = None,
    *,
    stems: int | None = None,
    frames: slice = slice(None),
) -> tuple[Tensor, list[Tensor]]:
    """Masks of the first `stems` stems (all by default) in some frames, and what is to be remembered of places.

    logits: (frames, batch, stems, 2, cells). mix: features.covariance of the mix, (frames, batch, 4, bins).
    before: what the call before remembered, (batch, stems, 4, cells), or None for the start of a song.
    Returns masks (frames, batch, stems, 2, bins), or with `recipe.spatial` complex ones, (frames, ..., bins, 2).
    """
    masks = softmax(logits)
    if not recipe.spatial:
        return recipe.bands.spread(masks[frames, :, :stems]), []
    low, high = low_runs(recipe.bands), recipe.bands.runs(slice(-1, None))
    low_mix = mix[..., : low.bins]
    filters, after = filters_from(
        masks[..., : low.num_cells], low.pool(low_mix), recipe, before, stems=stems, frames=frames
    )
    low_masks = _at_bins(low.spread(filters), low_mix[frames])
    # The first bin of the highest run goes with the cell below, as a grid's last bin does: no copy to cut it off.
    high_masks = high.spread(masks[frames, :, :stems, :, low.num_cells :])[..., 1:]
    # 0 times, because the exporter would take zeros_like for a constant.
    return torch.cat([low_masks, torch.stack([high_masks, 0 * high_masks], dim=-1)], dim=-2), after


def softmax(logits: Tensor) -> Tensor:
    """Over the stems, dim 2. ONNX Runtime's own is slow along any dimension but the last."""
    powers = (logits - logits.amax(dim=2, keepdim=True)).exp()
    return powers / powers.sum(dim=2, keepdim=True)


def low_runs(bands: Bands) -> Bands:
    """Places count in all runs but the highest: above 10.7 kHz there is too little to be heard to be worth the work."""
    return bands.runs(slice(-1))


def filters_from(
    masks: Tensor,
    mix: Tensor,
    recipe: Recipe,
    before: Tensor | None = None,
    *,
    stems: int | None = None,
    frames: slice = slice(None),
) -> tuple[Tensor, list[Tensor]]:
    """For each cell what of both channels makes a stem's channels, (frames, batch, stems, 8, cells).

    The eight are the factors on the channel itself, real parts for left and right, then imaginary parts, and those on
    the other channel. masks: (frames, batch, stems, 2, cells). mix: covariance of the cells, (frames, batch, 4, cells).
    The rest is as for `masks_from`.
    """
    places, after = _places(masks, mix, recipe, before, frames)
    audible = mix[frames, :, :2] + NOTHING
    share = (masks[frames] * audible.unsqueeze(2)).sum(3, keepdim=True) / audible.sum(2, keepdim=True).unsqueeze(2)
    places = share * places
    whole = places.sum(dim=2, keepdim=True)
    inverse = on(mix.device, INVERTED) * whole
    inverse = inverse / (inverse * whole).sum(dim=3, keepdim=True)
    products = places[:, :, :stems].unsqueeze(4) * inverse.unsqueeze(3)
    return on(mix.device, FILTERS) @ products.flatten(3, 4), after


@torch.no_grad()  # each is a mean of so much that a single mask hardly moves it
def _places(
    masks: Tensor, mix: Tensor, recipe: Recipe, before: Tensor | None, frames: slice
) -> tuple[Tensor, list[Tensor]]:
    """The stems' covariances (s, x, y, z) where s is 1, (frames, batch, stems, 4, cells); one frame for a chunk."""
    places = masks.mean(dim=3, keepdim=True).square() * (on(mix.device, PAULI) @ mix).unsqueeze(2)
    after = []
    if recipe.causal:
        places = _running_sum(places, before, recipe.grid.hop / recipe.grid.sample_rate / MEMORY)
        places, after = places[frames], [places[-1]]
    else:
        places = places.sum(dim=0, keepdim=True)
    places = functional.avg_pool2d(  # over cells alone
        places.flatten(0, 1), (1, NEIGHBOURS), 1, (0, NEIGHBOURS // 2), count_include_pad=False
    ).reshape(-1, *map(int, places.shape[1:]))
    return places * ((1 - SPREAD) / (places[..., :1, :] + NOTHING**2)) + on(mix.device, EVERYWHERE), after


def _at_bins(filters: Tensor, mix: Tensor) -> Tensor:
    """Complex masks, (frames, batch, stems, 2, bins, 2), that do to each channel what the filters do to both.

    filters: as `filters_from` returns, but of bins. mix: (frames, batch, 4, bins).
    """
    batch, bins = map(int, (mix.size(1), mix.size(3)))
    power = (on(mix.device, POWER) @ mix + NOTHING**2).reshape(-1, batch, 1, 1, 2, bins)
    other, turned = (
        (on(mix.device, rows) @ mix).reshape(-1, batch, 1, 2, 2, bins) / power for rows in (OTHER, OTHER_TURNED)
    )
    own, real, imag = filters.reshape(-1, *map(int, filters.shape[1:3]), 4, 2, bins).split([2, 1, 1], dim=3)
    masks: Tensor = own + real * other + imag * turned
    return masks.permute(0, 1, 2, 4, 5, 3)


def _running_sum(values: Tensor, before: Tensor | None, fall: float) -> Tensor:
    """Sums over all frames so far, (frames, ...), that forget exp(-fall) a frame. before: the sum before the first.

    A closed form over the frames of a call, so that frames one by one give the same; its work grows with their square,
    so long calls are cut (while exporting, which is done with few frames, none is).
    """
    if int(values.size(0)) > SPAN:
        spans = []
        for span in values.split(SPAN):
            spans.append(_running_sum(span, before, fall))
            before = spans[-1][-1]
        return torch.cat(spans)
    frames = frames_of(values)
    sums = (decay_of(frames, fall) @ values.flatten(1)).reshape(-1, *map(int, values.shape[1:]))
    if before is None:
        return sums
    return sums + torch.exp(-fall * frames).reshape(-1, 1, 1, 1, 1) * before
