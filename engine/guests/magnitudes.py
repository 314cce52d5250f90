"""Makes spectra of stems from magnitudes of stems."""

import numpy as np
from numpy.typing import NDArray

from ...models.stems_card import Masks

TINY = 1e-10
LOUDEST = 10.0  # that a Wiener filter works with
BINS = 64  # worked on at a time, to need little memory

Spectra = NDArray[np.complex64]


def to_spectra(magnitudes: NDArray[np.float32], mix: Spectra, masks: Masks, above: str) -> Spectra:
    """Return the spectra of stems, (stems, channels, frames, all bins).

    Args:
        magnitudes: Magnitudes of stems, (stems, channels, frames, bins).
        mix: The spectrum of the mix, (channels, frames, all bins), of which the networks may know the lowest bins only.
        masks: What to do.
        above: "zero" or "mean": the masks in the bins that the networks do not see.
    """
    known = mix[..., : magnitudes.shape[-1]]
    if masks.kind == "wiener":
        return _wiener(magnitudes, known, masks.iterations)
    if masks.kind == "phase":
        return magnitudes * _phase(known)
    powers = np.maximum(magnitudes, 0) ** np.float32(masks.power)
    shares = (powers + TINY / len(powers)) / (powers.sum(axis=0) + TINY)
    return apply_masks(shares, mix, above)


def apply_masks(masks: NDArray, mix: Spectra, above: str) -> Spectra:
    """Return the mix, (channels, frames, all bins), through masks, (stems, channels, frames, bins)."""
    known = masks.shape[-1]
    result = np.zeros((len(masks), *mix.shape), np.complex64)
    np.multiply(masks, mix[..., :known], out=result[..., :known])
    if above == "mean":
        np.multiply(masks.mean(axis=-1, keepdims=True), mix[..., known:], out=result[..., known:])
    return result


def _phase(spectra: Spectra) -> Spectra:
    """Return spectra of magnitude 1; silence has phase 0."""
    size = np.abs(spectra)
    return np.where(size > 0, spectra / np.where(size > 0, size, 1), 1).astype(np.complex64)


def _wiener(magnitudes: NDArray[np.float32], mix: Spectra, iterations: int) -> Spectra:
    """Filter the mix so that it is the sum of stems with these magnitudes, each with one place between the channels.

    Expectation maximization after A. Nugraha, A. Liutkus and E. Vincent, "Multichannel audio source separation with
    deep neural networks", IEEE/ACM TASLP 24.9 (2016), with the constants of Open-Unmix.
    """
    scale = max(1.0, float(np.abs(mix).max()) / LOUDEST)
    result = np.empty(magnitudes.shape, np.complex64)
    for start in range(0, mix.shape[-1], BINS):
        band = slice(start, start + BINS)
        x = (mix[..., band] / scale).astype(np.complex128)
        y = magnitudes[..., band] * _phase(mix[..., band]) / scale
        for _ in range(iterations):
            y = _maximize(y.astype(np.complex128), x)
        result[..., band] = y * scale
    return result


def _maximize(y: NDArray[np.complex128], x: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Return better stems, (stems, channels, frames, bins), of a mix x, (channels, frames, bins)."""
    channels = len(x)
    power = np.square(np.abs(y)).mean(axis=1)  # (stems, frames, bins)
    places = np.einsum("sctb,sdtb->sbcd", y, y.conj()) / (TINY + power.sum(axis=1))[..., None, None]
    model = np.einsum("stb,sbcd->tbcd", power, places) + np.sqrt(TINY) * np.eye(channels)
    whitened = np.einsum("tbcd,dtb->tbc", np.linalg.inv(model), x)
    return np.einsum("stb,sbcd,tbd->sctb", power, places, whitened, optimize=True)
