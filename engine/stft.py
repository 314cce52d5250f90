"""A streaming short-time Fourier transform with two windows of different lengths that reconstruct perfectly.

Frame k (counted from 1) ends after k * hop samples and is as long as the analysis window. The synthesis window covers
the newest end of the frame and may be much shorter. The analysis window determines the frequency resolution, and the
synthesis window the latency.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

PIECE_FRAMES = 16  # frames turned into audio at a time, to need little memory


@dataclass(frozen=True)
class FrameGrid:
    """Lengths of hop and windows, in samples at a sample rate.

    Attributes:
        sample_rate: In Hz.
        hop: From one frame to the next.
        window: Length of the analysis window and the FFT.
        synthesis_window: Length of the synthesis window.
    """

    sample_rate: float
    hop: int
    window: int
    synthesis_window: int

    def at(self, sample_rate: float) -> "FrameGrid":
        """Return a grid for another sample rate, with nearly the same times in seconds.

        The hop is at most 1 % longer or shorter than exact, and the windows are the same multiples of the hop. Within
        this range, the hop is the integer whose largest prime factor is smallest, because FFTs of lengths with large
        prime factors are slow, and the nearest to exact if there are several.

        Args:
            sample_rate: In Hz.
        """
        if sample_rate == self.sample_rate:
            return self
        exact = self.hop * Fraction(float(sample_rate)) / Fraction(float(self.sample_rate))  # 1 % is an exact limit
        candidates = range(ceil(exact * 99 / 100), floor(exact * 101 / 100) + 1) or [max(1, round(exact))]
        hop = min(candidates, key=lambda n: (_largest_prime_factor(n), abs(n - exact)))
        scale = hop / self.hop
        return FrameGrid(sample_rate, hop, round(self.window * scale), round(self.synthesis_window * scale))

    @property
    def bins(self) -> int:
        """Number of frequency bins of a spectrum."""
        return self.window // 2 + 1

    @cached_property
    def analysis(self) -> NDArray[np.float64]:
        """Analysis window, shape (window,).

        The falling slope is a root Hann half as long as the synthesis window. The rising slope fills the rest of the
        window. If both windows are equally long, this is the periodic root Hann window. After D. Mauler and R. Martin,
        "A low delay, variable resolution, perfect reconstruction spectral analysis-synthesis system for speech
        enhancement", EUSIPCO 2007.
        """
        fall = self.synthesis_window // 2
        rise = self.window - fall
        rising = np.sin(np.pi / 2 * np.arange(rise) / rise)
        falling = np.cos(np.pi / 2 * np.arange(fall) / fall)
        return np.concatenate([rising, falling])

    @cached_property
    def synthesis(self) -> NDArray[np.float64]:
        """Synthesis window, shape (synthesis_window,). Its products with the analysis window overlap-add to 1."""
        n = self.synthesis_window
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
        product = hann * (2 * self.hop / n)
        analysis = self.analysis[-n:]
        return np.divide(product, analysis, out=np.zeros(n), where=analysis > 0)

    @property
    def spectrum_scale(self) -> float:
        """Factor that makes spectra independent of the sample rate: a full-scale sine peaks at 0.5."""
        return 1.0 / float(self.analysis.sum())


def _largest_prime_factor(n: int) -> int:
    largest, factor = 1, 2
    while n > 1:
        while n % factor == 0:
            largest, n = factor, n // factor
        factor += 1
    return largest


class Analysis:
    """Turns audio into spectra.

    Args:
        grid: The frame grid.
        num_channels: Number of channels of the audio.
    """

    def __init__(self, grid: FrameGrid, num_channels: int) -> None:
        self.grid = grid
        self._window = (grid.analysis * grid.spectrum_scale).astype(np.float32)
        self._tail = np.zeros((num_channels, 0), np.float32)
        self.reset()

    def reset(self) -> None:
        """Forget the past, as if silence had come before."""
        self._tail = np.zeros((len(self._tail), self.grid.window - self.grid.hop), np.float32)

    def push(self, block: NDArray[np.float32]) -> NDArray[np.complex64]:
        """Add a block, (channels, n), and return the spectra that it completes, (frames, channels, bins)."""
        grid = self.grid
        audio = np.concatenate([self._tail, block], axis=-1)
        frames = (audio.shape[-1] - (grid.window - grid.hop)) // grid.hop
        self._tail = audio[:, frames * grid.hop :]
        if frames == 0:
            return np.zeros((0, len(audio), grid.bins), np.complex64)
        # A view of overlapping segments. sliding_window_view does the same, but takes too long for short hops.
        strides = (grid.hop * audio.itemsize, *audio.strides)
        segments = np.ndarray((frames, len(audio), grid.window), audio.dtype, audio, strides=strides)
        return np.fft.rfft(segments * self._window).astype(np.complex64, copy=False)


class Synthesis:
    """Turns spectra into audio, `hop` samples for each frame.

    The first output sample belongs to the time `synthesis_window - hop` samples before the first input sample.

    Args:
        grid: The frame grid.
        shape: Shape of a spectrum without its bins, for example (stems, channels).
    """

    def __init__(self, grid: FrameGrid, shape: tuple[int, ...]) -> None:
        self.grid = grid
        self._window = (grid.synthesis / grid.spectrum_scale).astype(np.float32)
        self._overlap = np.zeros((*shape, grid.synthesis_window - grid.hop), np.float32)

    def reset(self) -> None:
        """Forget the past, as if silence had come before."""
        self._overlap[:] = 0

    def push(self, spectra: NDArray[np.complex64]) -> NDArray[np.float32]:
        """Add spectra, (frames, ..., bins), and return their audio, (..., frames * hop)."""
        grid, frames = self.grid, len(spectra)
        audio = np.zeros((*self._overlap.shape[:-1], frames * grid.hop + self._overlap.shape[-1]), np.float32)
        audio[..., : self._overlap.shape[-1]] = self._overlap
        for start in range(0, frames, PIECE_FRAMES):
            segments = np.fft.irfft(spectra[start : start + PIECE_FRAMES], grid.window)[..., -grid.synthesis_window :]
            for k, segment in enumerate(segments * self._window, start):
                audio[..., k * grid.hop : k * grid.hop + grid.synthesis_window] += segment
        self._overlap = audio[..., frames * grid.hop :].copy()
        return audio[..., : frames * grid.hop]
