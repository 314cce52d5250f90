"""Blocks of samples that callers give: what they may be, and what the network gets of them."""

import os
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import StemBridgeError
from ..core.gains import MAX_MUSIC

# The network hears samples outside these limits as 0. They stay in the mix.
MAX_ANALYSED = np.float32(MAX_MUSIC)  # louder samples would mask everything else
MIN_ANALYSED = np.float32(1e-8)  # samples below -160 dB would make spectra of denormal numbers, which are slow
NOT_FINITE = "some samples are NaN or infinite, and count as silence; look for the fault where the audio comes from"


def as_channels(block: NDArray[Any], num_channels: int) -> NDArray[np.float32]:
    """Return a block as finite float32, (channels, n). Samples that are not finite give a RuntimeWarning.

    Args:
        block: As for `StemProcessor.process`.
        num_channels: 1 or 2.

    Returns:
        An array that may share memory with the block, so it must not be modified.

    Raises:
        ValueError: The block has a wrong shape or type.
    """
    if isinstance(block, str | os.PathLike):
        raise StemBridgeError(
            f"block {os.fspath(block)!r} is a path, not samples; for files use remix_file or separate_file"
        )
    audio = np.asarray(block)
    if audio.dtype.kind == "i" and audio.dtype.itemsize == 2:
        audio = audio.astype(np.float32) / np.float32(32768)
    elif audio.dtype.kind != "f":
        raise StemBridgeError(f"audio of type {audio.dtype} does not work; give floats in -1..1, or int16")
    if audio.ndim == 1 and num_channels == 1:
        audio = audio[None]
    if audio.ndim != 2 or audio.shape[0] != num_channels:
        turned = "; this looks like (n, channels): pass block.T" if _is_turned(audio, num_channels) else ""
        raise StemBridgeError(f"block of shape {audio.shape} is not ({num_channels}, n){turned}")
    if audio.dtype != np.float32:
        with np.errstate(over="ignore", under="ignore"):
            audio = audio.astype(np.float32)
    if not np.isfinite(audio).all():
        # Always the same text, so that Python shows it once for a stream.
        warnings.warn(NOT_FINITE, RuntimeWarning, stacklevel=3)
        audio = np.where(np.isfinite(audio), audio, np.float32(0))
    return audio


def limited(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return audio for the network, in which samples that are too faint or too loud are 0."""
    size = np.abs(audio)
    within = (size >= MIN_ANALYSED) & (size <= MAX_ANALYSED)
    return audio if within.all() else np.where(within, audio, np.float32(0))


def _is_turned(audio: NDArray[Any], num_channels: int) -> bool:
    return audio.ndim == 2 and audio.shape[1] == num_channels
