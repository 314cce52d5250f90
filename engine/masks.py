"""Between the spectra of songs and the masks of networks, which may have fewer bins and other channels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_MASK = 1e6  # 120 dB; larger values become 0


def graph_input(spectra: NDArray[np.complex64], bins: int) -> NDArray[np.float32]:
    """Arrange spectra as a graph's input.

    A mono song goes into both channels, and so does a frame with only one audible channel.

    Args:
        spectra: (frames, channels, bins of the song).
        bins: Number of bins of the network. The song's highest bins are left out; missing bins are 0.

    Returns:
        float32, (frames, 2, bins, 2); the last axis is real and imaginary part.
    """
    frames, _, here = spectra.shape
    sounds = np.any(spectra, axis=2, keepdims=True)
    one_sided = sounds[:, :1] != sounds[:, -1:]
    if one_sided.any():
        spectra = np.where(one_sided, spectra.sum(axis=1, keepdims=True), spectra)
    if spectra.shape[1:] == (2, bins):
        return np.ascontiguousarray(spectra).view(np.float32).reshape(frames, 2, bins, 2)
    fitted = np.zeros((frames, 2, bins), np.complex64)
    fitted[..., : min(bins, here)] = spectra[..., : min(bins, here)]
    return fitted.view(np.float32).reshape(frames, 2, bins, 2)


def fit_masks(masks: NDArray[Any], num_channels: int, bins: int) -> NDArray[Any]:
    """Arrange a graph's masks for spectra.

    Values that are not finite or absurdly large become 0.

    Args:
        masks: (frames, stems - 1, 2, bins of the network), or with another axis of 2 for real and imaginary part.
        num_channels: 1 or 2. Mono gets the mean of both channels.
        bins: Number of bins of the spectra.

    Returns:
        (frames, stems - 1, channels, bins), or the network's number of bins if that is smaller.
    """
    if not (masks.max(initial=0) < MAX_MASK and masks.min(initial=0) > -MAX_MASK):  # also if one is NaN
        masks = np.where(np.abs(masks) < MAX_MASK, masks, np.float32(0))
    if masks.ndim == 5:
        masks = np.ascontiguousarray(masks).view(np.complex64)[..., 0]
    if num_channels == 1:
        masks = masks.mean(axis=2, keepdims=True)
    return masks[..., :bins]


def apply_masks(
    masks: NDArray[Any], spectra: NDArray[np.complex64], above: NDArray[Any] | None
) -> NDArray[np.complex64]:
    """Multiply spectra by masks.

    Args:
        masks: Masks of the lowest bins, (..., bins).
        spectra: Spectra with all bins, whose other axes fit those of the masks.
        above: Masks of all higher bins, (..., 1); None for 0.

    Returns:
        Spectra with the masks' axes and all bins.
    """
    known = masks.shape[-1]
    result = np.zeros((*masks.shape[:-1], spectra.shape[-1]), np.complex64)
    np.multiply(masks, spectra[..., :known], out=result[..., :known])
    if above is not None:
        np.multiply(above, spectra[..., known:], out=result[..., known:])
    return result
