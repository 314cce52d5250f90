"""Turn magnitudes of stems into spectra of stems."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...models.stems_card import Masks
from ..masks import apply_masks

EPSILON = 1e-10  # added to powers, so that silence is not divided by 0
WIENER_PEAK = 10.0  # louder spectra are scaled down to this magnitude for the Wiener filter
BAND_BINS = 64  # processed at a time, to need little memory

Spectra = NDArray[np.complex64]


def to_spectra(magnitudes: NDArray[np.float32], mix: Spectra, masks: Masks, above: str) -> Spectra:
    """Return the spectra of stems, (stems, channels, frames, all bins).

    Args:
        magnitudes: Magnitudes of stems, (stems, channels, frames, bins).
        mix: The spectrum of the mix, (channels, frames, all bins). The networks may know only the lowest bins.
        masks: The method, from the card.
        above: Masks in the bins that the networks do not know: "zero", or "mean" for the mean over the bins they know.
    """
    known = mix[..., : magnitudes.shape[-1]]
    if masks.kind == "wiener":
        return _wiener(magnitudes, known, masks.iterations)
    if masks.kind == "phase":
        return magnitudes * _phase(known)
    powers = np.maximum(magnitudes, 0) ** np.float32(masks.power)
    shares = (powers + EPSILON / len(powers)) / (powers.sum(axis=0) + EPSILON)
    return masked(shares, mix, above)


def masked(masks: NDArray[Any], mix: Spectra, above: str) -> Spectra:
    """Return the spectra of stems, (stems, channels, frames, all bins).

    Args:
        masks: (stems, channels, frames, bins).
        mix: The spectrum of the mix, (channels, frames, all bins).
        above: As for `to_spectra`.
    """
    return apply_masks(masks, mix, masks.mean(axis=-1, keepdims=True) if above == "mean" else None)


def _phase(spectra: Spectra) -> Spectra:
    """Return spectra of magnitude 1 and the same phase, or phase 0 where they are silent."""
    size = np.abs(spectra)
    return np.where(size > 0, spectra / np.where(size > 0, size, 1), 1).astype(np.complex64)


def _wiener(magnitudes: NDArray[np.float32], mix: Spectra, iterations: int) -> Spectra:
    """Filter the mix into stems of about these magnitudes that sum to it, each with a fixed place between the channels.

    Expectation maximization after A. Nugraha, A. Liutkus and E. Vincent, "Multichannel audio source separation with
    deep neural networks", IEEE/ACM TASLP 24.9 (2016), with the constants of Open-Unmix.
    """
    scale = max(1.0, float(np.abs(mix).max()) / WIENER_PEAK)
    result = np.empty(magnitudes.shape, np.complex64)
    for start in range(0, mix.shape[-1], BAND_BINS):
        band = slice(start, start + BAND_BINS)
        x = (mix[..., band] / scale).astype(np.complex128)
        y = magnitudes[..., band] * _phase(mix[..., band]) / scale
        for _ in range(iterations):
            y = _maximize(y.astype(np.complex128), x)
        result[..., band] = y * scale
    return result


def _maximize(y: NDArray[np.complex128], x: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Improve the stems y, (stems, channels, frames, bins), of a mix x, (channels, frames, bins)."""
    channels = len(x)
    power = np.square(np.abs(y)).mean(axis=1)  # (stems, frames, bins)
    spatial = np.einsum("sctb,sdtb->sbcd", y, y.conj()) / (EPSILON + power.sum(axis=1))[..., None, None]
    model = np.einsum("stb,sbcd->tbcd", power, spatial) + np.sqrt(EPSILON) * np.eye(channels)
    whitened = np.einsum("tbcd,dtb->tbc", np.linalg.inv(model), x)
    stems: NDArray[np.complex128] = np.einsum("stb,sbcd,tbd->sctb", power, spatial, whitened, optimize=True)
    return stems
