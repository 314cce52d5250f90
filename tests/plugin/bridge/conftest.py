"""A native host, and processors whose output shows what happened to the input."""

import itertools
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
from stembridge.models import load_model
from stembridge.plugin.bridge.bundle import bundle_library, import_folders, write_bundle
from stembridge.plugin.processors import describe_processor
from stembridge.plugin.stemmix import describe_stem_mix

NATIVE = Path(__file__).parent / "native"
FADE = 0.005  # seconds from dry to wet or back
LATE = 100  # samples of latency of the processors below

PROCESSORS = f"""
import os, time
import numpy as np
import half

class Half(half.Half):
    "Half of the sound, `late` samples later, times a factor. From its second life on it takes long to start."

    def __init__(self, hop=256, marks="", start=0.0, late={LATE}, factor=1.0):
        self.latency_samples, self._factor = late, factor
        if hop:
            self.hop_samples = hop
        if marks:
            if os.listdir(marks):
                time.sleep(start)
            open(f"{{marks}}/{{os.getpid()}}", "w").close()

    def process(self, block):
        return np.float32(self._factor) * super().process(block)

class Drift(Half):
    "Its gain tells how many samples went by since the reset."
    def reset(self):
        super().reset()
        self._count = 0

    def process(self, block):
        gain = 0.5 + 1e-6 * (self._count + np.arange(block.shape[-1]))
        self._count += block.shape[-1]
        return (2 * gain * super().process(block)).astype(np.float32)

class Renders(Half):
    "Its gain is 1 where it is told that it works offline, and 0 where it is told that it does not."
    offline = False

    def process(self, block):
        return np.float32(2 * self.offline) * super().process(block)
"""


@dataclass
class Played:
    """The results of the host."""

    out: np.ndarray
    latency: int
    dry: list[tuple[int, int]]  # first sample and length of blocks that went out dry
    silent: list[tuple[int, int]]  # and of blocks that the plugin reported as silent
    shown: list[tuple[int, str, str]]  # a block's first sample, a parameter's title, and the text shown for it
    changed: list[tuple[int, int]]  # blocks before which the plugin reported a new latency, and that latency
    longest_ms: float
    late: int
    stderr: str

    def undisturbed(self, rate=44100, context=0.0):
        """Return a mask, (n,), of samples with no dry block nearby. A busy machine may play some blocks dry.

        context: seconds of input that a restarted network needs to sound as before.
        """
        there = np.ones(self.out.shape[1], bool)
        for start, length in self.dry:
            there[start : start + length + int((2 * FADE + context) * rate) + 2] = False
        return there


@pytest.fixture(scope="session")
def host(tmp_path_factory):
    if shutil.which("g++") is None:
        pytest.skip("the host is built with g++")
    program = tmp_path_factory.mktemp("host") / "host"
    subprocess.run([sys.executable, NATIVE / "build.py", program], check=True)
    return program


@pytest.fixture
def play(host, tmp_path):
    """(descriptor, audio, function to call meanwhile with the worker, settings of the host) -> Played."""
    numbers = itertools.count()

    def play(
        descriptor,
        audio,
        meanwhile: Callable[[psutil.Process], None] = lambda worker: None,
        moves=(),
        modes=(),
        playheads=(),
        choices=(),
        connects=(),
        **settings,
    ) -> Played:
        folder = tmp_path / f"played{next(numbers)}"
        folder.mkdir()
        write_bundle(folder / "it.vst3", descriptor)
        audio.tofile(folder / "in")
        command = [host, bundle_library(folder / "it.vst3"), "play", folder / "in", folder / "out"]
        command.append(f"channels={len(audio)}")
        command += [f"{name}={value}" for name, value in settings.items()] + [f"move={move}" for move in moves]
        command += [f"mode={mode}" for mode in modes] + [f"playhead={playhead}" for playhead in playheads]
        command += [f"choose={choice}" for choice in choices]
        command += [f"connect={connect}" for connect in connects]
        with open(folder / "stderr", "w") as stderr, subprocess.Popen(command, stdout=-1, stderr=stderr) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline().decode().split()]
            if children := psutil.Process(process.pid).children():
                meanwhile(children[0])
            rest = process.stdout.read().decode().splitlines()
        assert process.returncode == 0, (folder / "stderr").read_text()
        lines += [line.split() for line in rest if not line.startswith("shown")]
        shown = [line.removeprefix("shown ").split("|") for line in rest if line.startswith("shown")]
        told = {line[0]: line[1] for line in lines}

        def blocks(kind: str) -> list[tuple[int, int]]:
            return [(int(start), int(length)) for name, start, *rest in lines if name == kind for length in rest]

        return Played(
            np.fromfile(folder / "out", np.float32).reshape(-1, audio.shape[1]),
            int(told["latency"]),
            blocks("dry"),
            blocks("silent"),
            [(int(start), title, text) for start, title, text in shown],
            [(int(line[1]), int(line[2])) for line in lines if line[0] == "changed"],
            float(told["longest_ms"]),
            int(told["late"]),
            (folder / "stderr").read_text(),
        )

    return play


@pytest.fixture
def half(write_module):
    """Return a function that describes a processor above: (name, arguments)."""
    module = write_module(PROCESSORS)
    return lambda name="Half", **kwargs: describe_processor(f"{module}:{name}", kwargs, import_folders())[0]


@pytest.fixture
def stem_mix():
    """(model) -> the descriptor that `stembridge vst3 install` writes for it."""
    return lambda model: describe_stem_mix(load_model(model), "StemMix", import_folders())
