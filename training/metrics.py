"""How good a separation is."""

import numpy as np
from numpy.typing import NDArray

SILENT_DB = -60.0  # references quieter than this have no meaningful score


def rms_db(audio: NDArray) -> float:
    """Level in dB of full scale, -inf for silence."""
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(np.mean(np.square(audio, dtype=np.float64))))


def clip_sdr(reference: NDArray, estimate: NDArray) -> float | None:
    """10 log10(|s|^2 / |s - e|^2) over a whole clip, both (channels, n); None if the reference is below -60 dBFS."""
    if rms_db(reference) < SILENT_DB:
        return None
    error = np.sum(np.square(reference.astype(np.float64) - estimate))
    return float(10 * np.log10(np.sum(np.square(reference, dtype=np.float64)) / max(error, 1e-20)))
