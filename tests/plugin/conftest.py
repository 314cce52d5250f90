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
numbers = itertools.count()


@pytest.fixture
def write_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """A function that writes source into a module, which is found on this process's sys.path only; returns its name."""
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)

    def write(source: str) -> str:
        name = f"processors_{next(numbers)}"
        (folder / f"{name}.py").write_text(source)
        return name

    return write


@pytest.fixture
def tremolo(write_module: Callable[[str], str]) -> str:
    """A processor as `load_processor` names it."""
    return f"{write_module(TREMOLO)}:Tremolo"
