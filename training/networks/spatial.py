"""From logits to masks, which may also use the positions of the stems between left and right.

Stems that share a cell often have different positions. Each stem is modelled as a random source. Its power is the mix
times its mask, and its covariance of left and right is measured where its mask is large. From these follows a Wiener
filter of both channels. After N. Q. K. Duong, E. Vincent and R. Gribonval, "Under-determined reverberant audio source
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

MEMORY_S = 3.0  # a streaming network forgets 63 % of the positions in this time
SPREAD_SHARE = 0.01  # of a stem's power comes from everywhere, so that filters are not sharper than the estimates
SPAN_FRAMES = 64  # summed at once outside of the graph
NEIGHBOUR_CELLS = 3  # whose positions are averaged
SILENT_POWER = 1e-12  # of a cell (-120 dB)
EDGE_SHARE = 1e-4  # a channel with less than this of the other's power (-40 dB) gets nothing from the other

# From (left, right, re, im) to (s, x, y, z).
PAULI = torch.tensor([[0.5, 0.5, 0, 0], [0, 0, 1, 0], [0, 0, 0, -1], [0.5, -0.5, 0, 0]])
SIGNS = torch.tensor([[1.0, -1, -1, -1]])  # of (s, x, y, z) in the inverse; and of their squares in the determinant
# From (left, right, re, im) of a bin to the other channel divided by this one, times this one's power: real parts for
# left and right, imaginary parts, and the same times i.
OTHER = torch.tensor(
    [[0.0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, -1], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, -1], [0, 0, 1, 0], [0, 0, 1, 0]]
)
CERTAIN = torch.tensor(1 - SPREAD_SHARE)
EVERYWHERE = torch.tensor([[SPREAD_SHARE], [0.0], [0.0], [0.0]])
POWER = torch.tensor([[1.0, EDGE_SHARE, 0, 0], [EDGE_SHARE, 1.0, 0, 0]])


def _filters_of_products() -> Tensor:
    """Return the matrix from products of (s, x, y, z) with those of another, (16,), to `filters_from`: (8, 16).

    It includes the signs that the other has in its inverse.
    """
    products = torch.eye(16).reshape(4, 4, 16) * SIGNS.unsqueeze(-1)
    whole = products[0, 0] + products[1, 1] + products[2, 2] + products[3, 3]
    x, y, z = (products[0, i] + products[i, 0] for i in (1, 2, 3))
    turned_x, turned_y, turned_z = (products[i, j] - products[j, i] for i, j in ((2, 3), (3, 1), (1, 2)))
    return torch.stack(
        [whole + z, whole - z, turned_z, -turned_z, x + turned_y, x - turned_y, turned_x - y, turned_x + y]
    )


FILTERS = _filters_of_products()


def place_shapes(recipe: Recipe, stems: int) -> list[tuple[int, ...]]:
    """Return the shapes of the state's tensors with the stems' positions, empty for chunked or not spatial recipes.

    Args:
        recipe: Recipe of the network.
        stems: Number of stems.
    """
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
    """Return masks, and the state with the stems' positions.

    Args:
        logits: Shape (frames, batch, stems, 2, cells).
        mix: features.covariance of the mix, shape (frames, batch, 4, bins).
        recipe: Recipe of the network.
        before: State from the last call, shape (batch, stems, 4, cells); None at the start of a song.
        stems: Return only the first so many stems.
        frames: Return only these frames.

    Returns:
        Masks, shape (frames, batch, stems, 2, bins), or complex ones for spatial recipes, shape (frames, ..., bins, 2);
        and the next state.
    """
    masks = softmax(logits)
    if not recipe.spatial:
        return recipe.bands.spread(masks[frames, :, :stems]), []
    low, step = low_runs(recipe.bands), recipe.bands.steps[-1]
    cells = recipe.bands.pool(mix)
    low_cells, high_cells = masks.split([low.num_cells, recipe.bands.num_cells - low.num_cells], dim=-1)
    filters, after = filters_from(
        low_cells,
        cells[..., : low.num_cells],
        recipe,
        before,
        stems=stems,
        frames=frames,
        clock=frames_of(cells),
    )
    low_masks = _at_bins(low.spread(filters), mix[frames, ..., : low.bins])
    # Each high cell over its bins, with imaginary parts of 0.
    high_cells = high_cells[frames, :, :stems]
    high_masks = high_cells.unsqueeze(-1) * masks.new_tensor([1.0, 0.0] * step)
    high_masks = high_masks.reshape(-1, *map(int, high_cells.shape[1:4]), step * int(high_cells.size(4)), 2)
    # The first bin of the highest run goes with the cell below, and the grid's last one with the one below.
    return torch.cat([low_masks, high_masks[..., 1:, :], high_masks[..., -1:, :]], dim=-2), after


def softmax(logits: Tensor) -> Tensor:
    """Return the softmax over the stems, dim 2. ONNX Runtime's own softmax is slow except along the last dimension.

    Args:
        logits: Shape (frames, batch, stems, ...).
    """
    powers = (logits - logits.amax(dim=2, keepdim=True)).exp()
    return powers / powers.sum(dim=2, keepdim=True)


def low_runs(bands: Bands) -> Bands:
    """Return the runs of bands that use positions: all except the highest, from 10.7 kHz on.

    Args:
        bands: All bands.
    """
    return bands.runs(slice(-1))


def filters_from(
    masks: Tensor,
    mix: Tensor,
    recipe: Recipe,
    before: Tensor | None = None,
    *,
    stems: int | None = None,
    frames: slice = slice(None),
    clock: Tensor | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Return the filters of each cell, which make the channels of a stem from both channels of the mix.

    Args:
        masks: Shape (frames, batch, stems, 2, cells).
        mix: Covariance of the cells, shape (frames, batch, 4, cells).
        recipe: Recipe of the network.
        before: As for `masks_from`.
        stems: As for `masks_from`.
        frames: As for `masks_from`.
        clock: What `frames_of` returns, if it is known already.

    Returns:
        Filters, shape (frames, batch, stems, 8, cells), and the next state. The eight are factors on the channel
        itself, real parts for left and right, then imaginary parts, and then the same for the other channel.
    """
    places, after = _places(masks, mix, recipe, before, frames, clock)
    audible = mix[frames, :, :2] + SILENT_POWER
    weight = (audible / audible.sum(2, keepdim=True)).unsqueeze(2)
    places = (masks[frames] * weight).sum(3, keepdim=True) * places
    whole = places.sum(dim=2, keepdim=True)
    whole = whole / (on(mix.device, SIGNS) @ whole.square())
    products = places[:, :, :stems].unsqueeze(4) * whole.unsqueeze(3)
    batch, stems, _, _, cells = map(int, products.shape[1:])
    return on(mix.device, FILTERS) @ products.reshape(-1, batch, stems, 16, cells), after


@torch.no_grad()  # each is a mean of so many values that one mask hardly changes it
def _places(
    masks: Tensor, mix: Tensor, recipe: Recipe, before: Tensor | None, frames: slice, clock: Tensor | None
) -> tuple[Tensor, list[Tensor]]:
    """Return the stems' covariances (s, x, y, z), scaled to s = 1: (frames, batch, stems, 4, cells), or one frame."""
    places = masks.mean(dim=3, keepdim=True).square() * (on(mix.device, PAULI) @ mix).unsqueeze(2)
    after = []
    if recipe.causal:
        clock = frames_of(mix) if clock is None else clock
        places = _running_sum(places, before, recipe.grid.hop / recipe.grid.sample_rate / MEMORY_S, clock)
        places, after = places[frames], [places[-1]]
    else:
        places = places.sum(dim=0, keepdim=True)
    batch, stems, _, cells = map(int, places.shape[1:])
    rows = places.reshape(-1, 1, batch * stems * 4, cells)
    # Means of cells alone, without the padding.
    rows = functional.avg_pool2d(rows, (1, NEIGHBOUR_CELLS), 1, (0, NEIGHBOUR_CELLS // 2), count_include_pad=False)
    places = rows.reshape(-1, batch, stems, 4, cells)
    certain = on(mix.device, CERTAIN) / (places[..., :1, :] + SILENT_POWER**2)
    return places * certain + on(mix.device, EVERYWHERE), after


def _at_bins(filters: Tensor, mix: Tensor) -> Tensor:
    """Return complex masks, (frames, batch, stems, 2, bins, 2), with the same result as filters of both channels.

    Args:
        filters: As from `filters_from`, but for bins.
        mix: Covariance of the mix, shape (frames, batch, 4, bins).
    """
    batch, bins = map(int, (mix.size(1), mix.size(3)))
    power = (on(mix.device, POWER) @ mix + SILENT_POWER**2).reshape(-1, batch, 1, 1, 2, bins)
    other, turned = ((on(mix.device, OTHER) @ mix).reshape(-1, batch, 1, 4, 2, bins) / power).split(2, dim=3)
    own, real, imag = filters.reshape(-1, *map(int, filters.shape[1:3]), 4, 2, bins).split([2, 1, 1], dim=3)
    masks: Tensor = own + real * other + imag * turned
    return masks.permute(0, 1, 2, 4, 5, 3)


def _running_sum(values: Tensor, before: Tensor | None, fall: float, clock: Tensor) -> Tensor:
    """Return sums over all frames so far, (frames, ...), that decay by exp(-fall) in each frame.

    It is a closed form over the frames of a call, so that frames one by one give the same. Its work grows with the
    square of their number, so long calls are cut. (Exports use few frames, so that nothing is cut in the graph.)

    Args:
        values: Shape (frames, ...).
        before: Sum before the first frame.
        fall: Decay in each frame.
        clock: As `frames_of` returns.
    """
    if int(values.size(0)) > SPAN_FRAMES:
        spans = []
        for span in values.split(SPAN_FRAMES):
            spans.append(_running_sum(span, before, fall, clock[: len(span)]))
            before = spans[-1][-1]
        return torch.cat(spans)
    before = torch.zeros_like(values[0]) if before is None else before
    heard = torch.cat([before.reshape(1, -1), values.flatten(1)])
    return (decay_of(clock, fall) @ heard).reshape(-1, *map(int, values.shape[1:]))
