"""Processors that a worker process can import."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

TREMOLO = """
import numpy as np

class Tremolo:
    parameters = {"depth": (0.0, 1.0, 0.5), "rate_hz": (0.1, 20.0, 5.0), "square": False}
    latency_samples = 0

    def __init__(self, sample_rate, title="untitled"):
        self._rate = sample_rate

    def reset(self):
        self._position = 0

    def process(self, block):
        seconds = (self._position + np.arange(block.shape[-1])) / self._rate
        self._position += block.shape[-1]
        wave = np.sin(2 * np.pi * self.rate_hz * seconds)
        wave = np.sign(wave) if self.square else wave
        return (block * (1 - self.depth * (0.5 + 0.5 * wave))).astype(np.float32)
"""
# The base class of processors that delay sound: `from half import Half`.
HALF = """
import numpy as np

class Half:
    "Half of the sound, 100 samples later."
    parameters = {"gain": (0.0, 2.0, 0.5)}
    latency_samples = 100

    def reset(self):
        self._tail = None

    def process(self, block):
        if self._tail is None:
            self._tail = np.zeros((len(block), self.latency_samples), np.float32)
        audio = np.concatenate([self._tail, block], axis=-1)
        self._tail = audio[:, block.shape[-1]:].copy()
        return np.float32(self.gain) * audio[:, :block.shape[-1]]
"""
numbers = itertools.count()


@pytest.fixture
def write_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Return a function that writes a module, found on this process's sys.path only, and returns its name."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "half.py").write_text(HALF)
    monkeypatch.syspath_prepend(folder)

    def write(source: str) -> str:
        name = f"processors_{next(numbers)}"
        (folder / f"{name}.py").write_text(source)
        return name

    return write


@pytest.fixture
def tremolo(write_module: Callable[[str], str]) -> str:
    """Write a processor; return its name for `load_processor`."""
    return f"{write_module(TREMOLO)}:Tremolo"
