"""The short-time Fourier transform of a segment, as a card describes it."""

import numpy as np
from numpy.typing import NDArray

from ...models.stems_card import Transform

MIN_WEIGHT = 1e-11  # where the windows sum to less, the audio cannot be restored


class SegmentTransform:
    """Turns segments into spectra and back.

    Args:
        transform: The card's description of the transform.
        samples: Length of a segment.
    """

    def __init__(self, transform: Transform, samples: int) -> None:
        self._transform, self._samples = transform, samples
        self._window = _window(transform.window, transform.size)
        frames = transform.frames(samples) + sum(transform.drop)
        weights = np.zeros((frames - 1) * transform.hop + transform.size)
        for start in range(0, frames * transform.hop, transform.hop):
            weights[start : start + transform.size] += self._window.astype(np.float64) ** 2
        self._weights = np.where(weights > MIN_WEIGHT, weights, 1).astype(np.float32)

    def forward(self, audio: NDArray[np.float32]) -> NDArray[np.complex64]:
        """Turn a segment, (channels, samples), into spectra, (channels, frames, size // 2 + 1)."""
        transform = self._transform
        padded = np.pad(audio, [(0, 0), transform.pad], "reflect" if transform.pad_mode == "reflect" else "constant")
        first, last = transform.drop
        segments = np.lib.stride_tricks.sliding_window_view(padded, transform.size, axis=-1)[:, :: transform.hop]
        segments = segments[:, first : segments.shape[1] - last]
        return np.fft.rfft(segments * self._window).astype(np.complex64, copy=False) * np.float32(transform.scale)

    def inverse(self, spectra: NDArray[np.complex64]) -> NDArray[np.float32]:
        """Turn spectra, (channels, frames, bins), into audio, (channels, samples). Missing high bins count as 0."""
        transform = self._transform
        first = transform.drop[0] * transform.hop  # dropped frames count as silence
        segments = np.fft.irfft(spectra, transform.size) * (self._window / np.float32(transform.scale))
        padded = np.zeros((len(spectra), max(len(self._weights), transform.pad[0] + self._samples)), np.float32)
        for k in range(segments.shape[1]):
            start = first + k * transform.hop
            padded[:, start : start + transform.size] += segments[:, k]
        padded[:, : len(self._weights)] /= self._weights
        return padded[:, transform.pad[0] : transform.pad[0] + self._samples]


def _window(kind: str, size: int) -> NDArray[np.float32]:
    """Return a periodic window."""
    turn = np.cos(2 * np.pi * np.arange(size) / size)
    shapes = {"hann": 0.5 - 0.5 * turn, "hamming": 0.54 - 0.46 * turn, "rectangle": np.ones(size)}
    return shapes[kind].astype(np.float32)
