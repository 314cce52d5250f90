"""The shell in real-time mode, in a small native host: one hop later, in time, in step whatever happens."""

import itertools
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from stembridge import StemProcessor
from stembridge.models import load_model
from stembridge.plugin.bridge.bundle import bundle_library, import_folders, write_bundle
from stembridge.plugin.hosted import describe_processor
from stembridge.plugin.stemmix import describe_stem_mix

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="the host is built with g++")

NATIVE = Path(__file__).parent / "native"
SHELL = Path(__file__).parents[2] / "plugin" / "bridge" / "native"
FADE = 0.005  # seconds from dry to wet or back
LATE = 100  # samples of latency of the processor below
PROCESSORS = f"""
import os, time
import numpy as np

class Half:
    "Half of the sound, {LATE} samples later. From its second life on it takes long to start."
    parameters = {{"gain": (0.0, 2.0, 0.5)}}
    latency_samples = {LATE}

    def __init__(self, hop=256, marks="", start=0.0):
        if hop:
            self.hop_samples = hop
        if marks:
            if os.listdir(marks):
                time.sleep(start)
            open(f"{{marks}}/{{os.getpid()}}", "w").close()

    def reset(self):
        self._tail = None

    def process(self, block):
        if self._tail is None:
            self._tail = np.zeros((len(block), {LATE}), np.float32)
        audio = np.concatenate([self._tail, block], axis=-1)
        self._tail = audio[:, block.shape[-1]:].copy()
        return np.float32(self.gain) * audio[:, :block.shape[-1]]

class Drift(Half):
    "Its gain tells how many samples went by since the reset."
    def reset(self):
        super().reset()
        self._count = 0

    def process(self, block):
        gain = 0.5 + 1e-6 * (self._count + np.arange(block.shape[-1]))
        self._count += block.shape[-1]
        return (2 * gain * super().process(block)).astype(np.float32)
"""


@dataclass
class Played:
    """What the host has to tell."""

    out: np.ndarray
    latency: int
    dry: list[tuple[int, int]]  # first sample and length of blocks that went out dry
    longest_ms: float
    late: int
    stderr: str


@pytest.fixture(scope="session")
def host(tmp_path_factory):
    program = tmp_path_factory.mktemp("host") / "host"
    source = ["-std=c++17", "-O1", "-I", SHELL, NATIVE / "host.cpp", "-ldl", "-o", program]
    subprocess.run(["g++", *source], check=True)
    return program


@pytest.fixture
def play(host, tmp_path):
    """(descriptor, audio, what happens meanwhile to the worker, settings of the host) -> Played."""
    numbers = itertools.count()

    def play(
        descriptor, audio, meanwhile: Callable[[psutil.Process], None] = lambda worker: None, moves=(), **settings
    ) -> Played:
        folder = tmp_path / f"played{next(numbers)}"
        folder.mkdir()
        write_bundle(folder / "it.vst3", descriptor)
        audio.tofile(folder / "in")
        command = [host, bundle_library(folder / "it.vst3"), folder / "in", folder / "out", f"channels={len(audio)}"]
        command += [f"{name}={value}" for name, value in settings.items()] + [f"move={move}" for move in moves]
        with open(folder / "stderr", "w") as stderr, subprocess.Popen(command, stdout=-1, stderr=stderr) as process:
            lines = [process.stdout.readline().decode().split()]
            if children := psutil.Process(process.pid).children():
                meanwhile(children[0])
            lines += [line.decode().split() for line in process.stdout]
        assert process.returncode == 0
        told = {line[0]: line[1] for line in lines}
        return Played(
            np.fromfile(folder / "out", np.float32).reshape(audio.shape),
            int(told["latency"]),
            [(int(start), int(length)) for name, start, *rest in lines if name == "dry" for length in rest],
            float(told["longest_ms"]),
            int(told["late"]),
            (folder / "stderr").read_text(),
        )

    return play


@pytest.fixture
def half(write_module):
    """A descriptor of a processor above: (name, arguments)."""
    module = write_module(PROCESSORS)
    return lambda name="Half", **kwargs: describe_processor(f"{module}:{name}", kwargs, import_folders())[0]


def stem_mix(model):
    return describe_stem_mix(load_model(model), "StemMix", import_folders())


def sine(seconds, rate):
    """Slow enough that any jump is heard; two channels that differ and begin at 0."""
    wave = np.sin(2 * np.pi * 60 * np.arange(int(seconds * rate)) / rate)
    return (np.array([[0.5], [-0.4]]) * wave).astype(np.float32)


def undisturbed(played, rate):
    """Where no block near went out dry, which a busy machine may do at times: (n,)."""
    there = np.ones(played.out.shape[1], bool)
    for start, length in played.dry:
        there[start : start + length + int(2 * FADE * rate) + 2] = False
    return there


@pytest.fixture
def play_undisturbed(play):
    """The same, if need be more slowly, until most of it is wet: what is tested is no speed."""

    def play_undisturbed(descriptor, audio, rate=44100, **settings) -> Played:
        for slower in (1, 2, 4, 8, 16):
            played = play(descriptor, audio, rate=rate, slower=slower, **settings)
            if undisturbed(played, rate).mean() > 0.5:
                return played
        pytest.fail(f"dry: {played.stderr}")

    return play_undisturbed


def largest_jump(audio):
    return np.abs(np.diff(audio)).max()


@pytest.mark.parametrize(
    ("model", "block", "num_channels", "rate"),
    [
        ("live", 256, 2, 48000),
        ("tiny_live", 64, 2, 44100),
        ("tiny_live", 64, 1, 96000),
        ("tiny_live", 100, 2, 96000),
        ("tiny_live", 128, 1, 48000),
        ("tiny_live", 256, 1, 44100),
        ("tiny_live", 512, 2, 44100),
        ("tiny_live", 1000, 1, 48000),
        ("tiny_live", 2048, 2, 96000),
        ("tiny_studio", 64, 1, 44100),
        ("tiny_studio", 512, 2, 96000),
        ("tiny_studio", 1000, 2, 48000),
    ],
)
def test_it_sounds_like_stem_processor_one_hop_later(
    request, noise, delayed, play_undisturbed, model, block, num_channels, rate
):
    model = model if model == "live" else request.getfixturevalue(f"{model}_model")
    processor = StemProcessor(model, rate, num_channels, {"vocals": -80})
    hop, audio = processor.hop_samples, noise(num_channels, int(0.4 * rate))
    played = play_undisturbed(stem_mix(model), audio, rate=rate, block=block, moves=["0:Vocals:0"])
    assert played.latency == processor.latency_samples + hop
    there = undisturbed(played, rate)
    wet = delayed(processor.process(audio), hop)
    np.testing.assert_allclose(played.out[:, there], wet[:, there], rtol=0, atol=1e-6)
    assert np.abs(wet - delayed(audio, played.latency)).max() > 0.05, "no dry signal could pass for it"


def test_a_processor_without_a_hop_has_a_block_more(half, noise, delayed, play_undisturbed):
    audio = noise(1, 20000)
    played = play_undisturbed(half(hop=0), audio, block=300)
    assert played.latency == LATE + 300
    there = undisturbed(played, 44100)
    np.testing.assert_allclose(played.out[:, there], 0.5 * delayed(audio, LATE + 300)[:, there], rtol=0, atol=1e-6)


@pytest.mark.parametrize("realtime", [0, 1])
def test_parameters_move_at_their_sample(tiny_live_model, noise, delayed, play_undisturbed, realtime):
    processor = StemProcessor(tiny_live_model, 44100, 2)
    ahead, audio, end = realtime * processor.hop_samples, noise(2, 20000), 15000
    moves = ["1003:Vocals:0.68", "4000:Drums mute:1", "4001:Bass:0.95", "6007:Drums mute:0", f"{end}:Bypass:1"]
    played = play_undisturbed(stem_mix(tiny_live_model), audio, moves=moves, realtime=realtime, block=500)
    assert played.latency == processor.latency_samples + ahead
    moves = [(1003, "vocals", -12), (4000, "drums", -80), (4001, "bass", 15), (6007, "drums", 0)]
    wet, dry = delayed(processor.process(audio, moves), ahead), delayed(audio, played.latency)
    there = undisturbed(played, 44100)
    heard, gone = end + played.latency, end + played.latency + int(44100 * FADE) + 2
    before, after = there & (np.arange(20000) < heard), there & (np.arange(20000) >= gone)
    np.testing.assert_allclose(played.out[:, before], wet[:, before], rtol=0, atol=1e-6)
    assert (played.out[:, after] == dry[:, after]).all()
    fade = slice(heard, gone)
    share = (played.out - dry)[:, fade] / (wet - dry)[:, fade]
    assert (there[fade].sum() < 50) or np.median(share[:, there[fade]]) == pytest.approx(0.5, abs=0.05)


def test_offline_there_is_no_more_latency(tiny_live_model, noise, play):
    processor = StemProcessor(tiny_live_model, 44100, 2, {"vocals": -80})
    audio = noise(2, 30000)
    played = play(stem_mix(tiny_live_model), audio, realtime=0, block=700, moves=["0:Vocals:0"])
    assert (played.latency, played.dry) == (processor.latency_samples, [])
    np.testing.assert_allclose(played.out, processor.process(audio), rtol=0, atol=1e-6)


def hold_up(after, seconds):
    def meanwhile(worker):
        time.sleep(after)
        worker.suspend()
        time.sleep(seconds)
        worker.resume()

    return meanwhile


def test_a_worker_that_is_held_up_catches_up_and_nothing_shifts(half, delayed, play):
    audio = sine(1.6, 44100)
    played = play(half("Drift"), audio, hold_up(0.4, 0.3), block=256)
    dry = delayed(audio, LATE + 256)
    wet = dry * (0.5 + 1e-6 * (np.arange(audio.shape[1]) - 256)).astype("float32")
    there = undisturbed(played, 44100)
    assert there[-8000:].any(), "it is wet again"
    np.testing.assert_allclose(played.out[:, there], wet[:, there], rtol=0, atol=1e-6)
    is_dry = (np.abs(played.out - dry) < 1e-6).all(axis=0)
    assert is_dry[~there].sum() > 0.2 * 44100
    assert largest_jump(played.out) < 1.3 * largest_jump(dry)
    assert "Drift: dry from 0." in played.stderr
    assert "in time" in played.stderr


def test_short_hold_ups_do_not_click(half, delayed, play):
    """Sound that is back in the middle of a fade to dry."""

    def meanwhile(worker):
        time.sleep(0.2)
        for _ in range(20):
            hold_up(0.02, 0.008)(worker)

    audio = sine(1.2, 44100)
    played = play(half(), audio, meanwhile, block=64)
    dry = delayed(audio, LATE + 256)
    assert played.dry
    assert largest_jump(played.out) < 1.3 * largest_jump(dry)
    there = undisturbed(played, 44100)
    np.testing.assert_allclose(played.out[:, there], 0.5 * dry[:, there], rtol=0, atol=1e-6)


def test_a_worker_that_fell_too_far_behind_begins_again_in_step(half, delayed, play):
    rate = 192000  # where what it is held up by is longest
    audio = sine(2.0, rate)
    played = play(half(hop=1024), audio, hold_up(0.4, 0.7), block=512, rate=rate)
    dry = delayed(audio, LATE + 1024)
    there = undisturbed(played, rate)
    assert there[-rate // 4 :].any()
    np.testing.assert_allclose(played.out[:, there], 0.5 * dry[:, there], rtol=0, atol=1e-6)
    assert (np.abs(played.out - dry) < 1e-6).all(axis=0)[~there].sum() > 0.5 * rate


def test_a_killed_worker_is_replaced_while_blocks_go_on_in_time(half, delayed, play, tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()

    def meanwhile(worker):
        time.sleep(0.5)
        worker.kill()

    audio = sine(4.0, 44100)
    played = play(half(marks=str(marks), start=1.5), audio, meanwhile, block=2048)
    assert len(list(marks.iterdir())) == 2
    assert played.longest_ms < 1200, "no call waits for the new one, which takes longer"
    dry = delayed(audio, LATE + 256)
    there = undisturbed(played, 44100)
    assert there[-10000:].any(), "it is wet again"
    np.testing.assert_allclose(played.out[:, there], 0.5 * dry[:, there], rtol=0, atol=1e-6)
    assert (np.abs(played.out - dry) < 1e-6).all(axis=0)[~there].sum() > 1.4 * 44100
    assert largest_jump(played.out) < 1.3 * largest_jump(dry)
    assert "was killed by signal 9" in played.stderr


@pytest.mark.parametrize("realtime", [0, 1])
@pytest.mark.parametrize(("program", "why"), [("/nowhere/python", "No such file"), ("/bin/false", "exit code 1")])
def test_a_worker_that_cannot_start_leaves_the_sound_dry(half, noise, play, program, why, realtime):
    audio = noise(2, 8000)
    descriptor = replace(half(), arguments=(program,))
    played = play(descriptor, audio, realtime=realtime)
    assert played.latency == 0
    assert (played.out == audio).all()
    assert sum(length for _, length in played.dry) == audio.shape[1]
    (line,) = played.stderr.splitlines()
    assert line.startswith("stembridge: Half: dry from 0.000 s on, because")
    assert why in line
