"""Measures of separation."""

from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

FRAMES_PER_S = 20  # spectra without overlap, for `remaining_db`
SILENT_DB = -60.0  # quieter references have no meaningful score


def rms_db(audio: NDArray[Any]) -> float:
    """Return the RMS level in dBFS, -inf for silence.

    Args:
        audio: Samples of any shape.
    """
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(np.mean(np.square(audio, dtype=np.float64))))


def clip_sdr(reference: NDArray[Any], estimate: NDArray[Any]) -> float | None:
    """Return the SDR over a whole clip, 10 log10(|s|^2 / |s - e|^2), in dB.

    Args:
        reference: The true stem s, shape (channels, n).
        estimate: The separated stem e, shape (channels, n).

    Returns:
        The SDR, None if the reference is below -60 dBFS.
    """
    if rms_db(reference) < SILENT_DB:
        return None
    error = np.sum(np.square(reference.astype(np.float64) - estimate))
    return float(10 * np.log10(np.sum(np.square(reference, dtype=np.float64)) / max(error, 1e-20)))


def frame_sdr(reference: NDArray[Any], estimate: NDArray[Any], sample_rate: float) -> float | None:
    """Return the median of the SDR over frames of one second, in dB. Frames with a quiet reference are left out.

    Args:
        reference: The true stem, shape (channels, n).
        estimate: The separated stem, shape (channels, n).
        sample_rate: In Hz.

    Returns:
        The median, None if all frames are quiet or the clip is shorter than a second.
    """
    length = round(sample_rate)
    starts = range(0, reference.shape[-1] - length + 1, length)
    scores = [clip_sdr(reference[:, i : i + length], estimate[:, i : i + length]) for i in starts]
    heard = [score for score in scores if score is not None]
    return float(np.median(heard)) if heard else None


def remaining_db(reference: NDArray[Any], estimate: NDArray[Any], sample_rate: float) -> float | None:
    """Return how much of a stem remains in the mix when its estimate is subtracted, in dB of the stem: 0 is all of it.

    The error of an estimate has a part that sounds like the stem, and a part that damages other stems. This measures
    the part that follows the stem's own spectrum, in each third octave and second.

    Args:
        reference: The true stem, shape (channels, n).
        estimate: The separated stem, shape (channels, n).
        sample_rate: In Hz.

    Returns:
        The level, None if the reference is below -60 dBFS.
    """
    if rms_db(reference) < SILENT_DB:
        return None
    stem, missed = (_spectra(audio, sample_rate) for audio in (reference, reference - estimate))
    power, common = (_by_area(values) for values in (np.abs(stem) ** 2, missed * stem.conj()))
    if not (total := np.sum(power)):  # of a few samples, the window leaves nothing
        return None
    remaining = np.sum(np.abs(common) ** 2 / (power + 1e-12)) / total
    return float(10 * np.log10(max(remaining, 1e-8)))


def _spectra(audio: NDArray[Any], sample_rate: float) -> NDArray[np.complex128]:
    """Return spectra (channels, frames, bins) of audio (channels, n), in frames of 50 ms that overlap by half."""
    size = round(sample_rate / FRAMES_PER_S) // 2 * 2
    padded = np.pad(audio, ((0, 0), (0, size)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size, axis=1)[:, :: size // 2]
    return np.fft.rfft(frames * np.hanning(size))


def _by_area(values: NDArray[Any]) -> NDArray[Any]:
    """Sum over channels, seconds and third octaves: (channels, frames, bins) to (seconds, bands)."""
    bins = values.shape[-1]
    edges = np.unique(np.round(2 ** np.arange(0, np.log2(bins), 1 / 3)).astype(int))
    seconds = np.arange(0, values.shape[1], 2 * FRAMES_PER_S)
    return np.add.reduceat(np.add.reduceat(values.sum(axis=0), edges[edges < bins], axis=1), seconds, axis=0)


def sir_sar(references: NDArray[Any], estimates: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return SIR and SAR of BSS Eval v4 over whole clips, in dB. Needs museval.

    The window is as long as the clip, because museval's usual windows of one second make its filters ill-conditioned on
    short clips.

    Args:
        references: The true stems, none silent, shape (stems, channels, n).
        estimates: The separated stems, shape (stems, channels, n).

    Returns:
        SIR and SAR of each stem, shape (stems,) each.
    """
    # museval expects (stems, n, channels).
    _, _, sir, sar, _ = _museval_metrics().bss_eval(
        references.transpose(0, 2, 1).astype(np.float64), estimates.transpose(0, 2, 1).astype(np.float64), window=np.inf
    )
    return sir[:, 0], sar[:, 0]


@cache
def _museval_metrics() -> ModuleType:
    """Return museval's module of metrics without its package, which would need an ffmpeg program on the machine."""
    package = find_spec("museval")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("No module named 'museval'", name="museval")
    spec = spec_from_file_location("museval_metrics", Path(package.origin).with_name("metrics.py"))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(np.linalg, "linalg"):  # museval 0.4.1 uses np.linalg.linalg.LinAlgError, which NumPy 2.4 removed
        np.linalg.linalg = np.linalg  # type: ignore[attr-defined]
    return module
