"""Spectra and tensors of every layout are packed and unpacked without a change."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from stembridge import StemProcessor
from stembridge.engine.guests.tensors import pack, unpack
from stembridge.engine.guests.transform import SegmentTransform
from stembridge.models.stems_card import Transform

SAMPLES, SIZE, HOP = 8192, 512, 128
TRANSFORM = {"size": SIZE, "hop": HOP, "pad": [256, 256], "bins": 257}
FRAMES, LATENCY = SAMPLES // HOP + 1, SAMPLES
FACTORS = {"channel": 2, "part": 2, "frame": 5, "bin": 3, "stem": 4}


@given(st.permutations(list(FACTORS)), st.lists(st.booleans(), min_size=4, max_size=4), st.integers(0, 5))
def test_unpacking_reverses_packing(order, joined, batch):
    axes = [order[0]]
    for factor, join in zip(order[1:], joined, strict=True):
        axes = [*axes[:-1], f"{axes[-1]}*{factor}"] if join else [*axes, factor]
    axes.insert(min(batch, len(axes)), "batch")
    array = np.random.default_rng(0).standard_normal([*FACTORS.values()])
    packed = pack(array, [*FACTORS], axes)
    assert packed.ndim == len(axes)
    assert packed.flags.c_contiguous
    assert (unpack(packed, axes, [*FACTORS], FACTORS | {"batch": 1}) == array).all()


def test_the_last_factor_of_an_axis_varies_fastest():
    spectrum = np.arange(8).reshape(2, 2, 2)  # channel, part, bin
    assert pack(spectrum, ("channel", "part", "bin"), ("channel*part", "bin")).tolist() == [
        [0, 1],
        [2, 3],
        [4, 5],
        [6, 7],
    ]
    assert pack(spectrum, ("channel", "part", "bin"), ("bin*channel", "part"))[1].tolist() == [4, 6]


@pytest.mark.parametrize("window", ["hann", "hamming", "rectangle"])
@pytest.mark.parametrize("hop", [128, 100])
def test_the_transform_equals_torchs(noise, window, hop):
    samples = 20 * hop
    windows = {"hann": torch.hann_window, "hamming": torch.hamming_window, "rectangle": torch.ones}
    audio, weights = noise(2, samples), windows[window](SIZE)
    transform = SegmentTransform(Transform(SIZE, hop, window, (256, 256), bins=257, scale=0.5), samples)
    wanted = torch.stft(torch.from_numpy(audio), SIZE, hop, window=weights, return_complex=True).numpy()
    spectra = transform.forward(audio)
    np.testing.assert_allclose(spectra.transpose(0, 2, 1), 0.5 * wanted, rtol=0, atol=1e-4)
    changed = (spectra * np.linspace(0, 1, 257)).astype(np.complex64)
    there = torch.from_numpy(changed.transpose(0, 2, 1).copy()) / 0.5
    back = torch.istft(there, SIZE, hop, window=weights, length=samples).numpy()
    np.testing.assert_allclose(transform.inverse(changed), back, rtol=0, atol=1e-5)


@settings(max_examples=50)
@given(
    size=st.sampled_from([16, 30, 64]),
    parts=st.sampled_from([2, 3, 4]),
    pad=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    samples=st.integers(100, 300),
    scale=st.sampled_from([1.0, 1 / 64, 100.0]),
)
def test_the_transform_restores_all_samples_that_windows_cover(size, parts, pad, samples, scale):
    hop = max(1, size // parts)
    transform = Transform(size, hop, "hamming", pad, bins=size // 2 + 1, scale=scale)
    audio = np.random.default_rng(0).standard_normal((2, samples)).astype(np.float32)
    made = SegmentTransform(transform, samples)
    spectra = made.forward(audio)
    assert spectra.shape == (2, transform.frames(samples), size // 2 + 1)
    covered = min(samples, (transform.frames(samples) - 1) * hop + size - pad[0])
    back = made.inverse(spectra)
    assert back.shape == audio.shape
    np.testing.assert_allclose(back[:, :covered], audio[:, :covered], rtol=0, atol=1e-4)
    assert not back[:, covered:].any()


def half_of(shape, outputs, *, kind=TensorProto.FLOAT):
    """Return a graph whose outputs are half of its inputs, with the stem as a new axis 1."""
    nodes, constants = [], [helper.make_tensor("half", kind, [], [0.5])]
    constants.append(helper.make_tensor("axis", TensorProto.INT64, [1], [1]))
    inputs = [helper.make_tensor_value_info(f"in{k}", kind, shape) for k in range(outputs)]
    for k in range(outputs):
        nodes.append(helper.make_node("Mul", [f"in{k}", "half"], [f"halved{k}"]))
        nodes.append(helper.make_node("Unsqueeze", [f"halved{k}", "axis"], [f"out{k}"]))
    gives = [helper.make_tensor_value_info(f"out{k}", kind, None) for k in range(outputs)]
    graph = helper.make_graph(nodes, "half", inputs, gives, constants)
    opset = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def check_half(path, noise, rate=44100):
    audio = noise(2, 30_000)
    vocals = StemProcessor(path, rate).separate(audio)[0]
    np.testing.assert_allclose(vocals[:, LATENCY:], 0.5 * audio[:, :-LATENCY], rtol=0, atol=2e-3)


@pytest.mark.parametrize(
    ("axes", "shape"),
    [
        (["batch", "channel*part", "bin", "frame"], [1, 4, 257, FRAMES]),
        (["batch", "frame", "bin", "part*channel"], [1, FRAMES, 257, 4]),
        (["batch", "bin*channel", "frame", "part"], [1, 514, FRAMES, 2]),
    ],
)
@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16])
def test_a_spectrum(make_guest, noise, axes, shape, kind):
    about = {
        "stems": ["vocals"],
        "inputs": [{"name": "in0", "holds": "spectrum", "axes": axes}],
        "outputs": [{"name": "out0", "holds": "spectrum", "axes": [axes[0], "stem", *axes[1:]]}],
    }
    path = make_guest((half_of(shape, 1, kind=kind), about), stems=["vocals", "other"], transform=TRANSFORM)
    check_half(path, noise)


def test_separate_real_and_imaginary_parts(make_guest, noise):
    axes = ["batch", "channel", "bin", "frame"]
    holds, given = ["real", "imaginary"], ["batch", "stem", *axes[1:]]
    about = {
        "stems": ["vocals"],
        "inputs": [{"name": f"in{k}", "holds": each, "axes": axes} for k, each in enumerate(holds)],
        "outputs": [{"name": f"out{k}", "holds": each, "axes": given} for k, each in enumerate(holds)],
    }
    path = make_guest((half_of([1, 2, 257, FRAMES], 2), about), stems=["vocals", "other"], transform=TRANSFORM)
    check_half(path, noise)


def test_a_magnitude_with_the_phase_of_the_mix(make_guest, noise):
    axes = ["batch", "channel", "bin", "frame"]
    about = {
        "stems": ["vocals"],
        "inputs": [{"name": "in0", "holds": "magnitude", "axes": axes}],
        "outputs": [{"name": "out0", "holds": "magnitude", "axes": ["batch", "stem", *axes[1:]]}],
    }
    path = make_guest(
        (half_of([1, 2, 257, FRAMES], 1), about),
        stems=["vocals", "other"],
        transform=TRANSFORM,
        masks={"kind": "phase"},
    )
    check_half(path, noise)


@pytest.mark.parametrize("window", ["triangle", "hann", "rectangle"])
def test_every_window_adds_up(make_guest, noise, window):
    graph = half_of([1, 2, SAMPLES], 1)
    about = {
        "stems": ["vocals"],
        "inputs": [{"name": "in0", "holds": "waveform", "axes": ["batch", "channel", "sample"]}],
        "outputs": [{"name": "out0", "holds": "waveform", "axes": ["batch", "stem", "channel", "sample"]}],
    }
    for overlap in (0, 2048, 7000):
        segment = {"samples": SAMPLES, "overlap": overlap, "window": window}
        check_half(make_guest((graph, about), stems=["vocals", "other"], segment=segment), noise)
