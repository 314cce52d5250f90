"""Songs to render: short, with loud bursts, and different in every channel."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile


def noise(frames: int, num_channels: int, peak: float = 0.9) -> np.ndarray:
    """Make bursts of noise, (n, channels)."""
    random = np.random.default_rng(frames)
    audio = random.standard_normal((frames, num_channels)) * (0.2 + (np.arange(frames) // 1000 % 3 == 0))[:, None]
    return peak * audio / np.abs(audio).max()


@pytest.fixture
def make_song(tmp_path: Path) -> Callable[..., Path]:
    """Write a song of noise: make_song("song.wav", frames, rate, channels, subtype, peak)."""

    def make(
        name: str = "song.wav",
        frames: int = 30_000,
        sample_rate: int = 44100,
        num_channels: int = 2,
        subtype: str | None = None,
        peak: float = 0.9,
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, noise(frames, num_channels, peak), sample_rate, subtype=subtype)
        return path

    return make
