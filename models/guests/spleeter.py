"""Spleeter's networks as ONNX graphs, made of a checkpoint: a U-Net for each stem, one after the other."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ...core.errors import ModelError
from .onnx_writer import graph, node
from .tf_checkpoint import read_checkpoint

STEMS = {
    2: ("vocals", "accompaniment"),
    4: ("vocals", "drums", "bass", "other"),
    5: ("vocals", "piano", "drums", "bass", "other"),
}
DEPTH = 6  # halvings, and as many doublings
FRAMES, BINS = 512, 1024
EPSILON = 1e-3  # of Keras' batch normalisation
SAME = [1, 1, 2, 2]  # what TensorFlow pads at both ends of an even axis: 5 taps, every second one

Weights = dict[str, NDArray[Any]]


def spleeter_graphs(index: Path) -> dict[str, bytes]:
    """Make ONNX files of a Spleeter checkpoint.

    Args:
        index: Path of its file that ends in .index.

    Returns:
        Stem to a graph of its magnitudes; with five stems "all" to one graph, since their masks depend on each other.

    Raises:
        ModelError: It is no checkpoint, or not one of Spleeter's.
        OSError: A file cannot be read.
    """
    variables = read_checkpoint(index)
    count = sum(name.startswith("conv2d_transpose") and name.endswith("kernel") for name in variables) // DEPTH
    if count not in STEMS:
        raise ModelError(f"{index.name} is not a checkpoint of Spleeter's: it has {len(variables)} variables")
    try:
        if count == 5:
            return {"all": _all_stems(variables)}
        return {stem: _one_stem(variables, number, elu=count > 2) for number, stem in enumerate(STEMS[count])}
    except (KeyError, ValueError) as error:
        raise ModelError(
            f"{index.name} is not a checkpoint of Spleeter's: {error} is missing, or of a wrong shape"
        ) from error


def _one_stem(variables: Mapping[str, NDArray[Any]], number: int, *, elu: bool) -> bytes:
    """The graph of a stem: magnitudes (channels, 1, frames, bins) to magnitudes."""
    nodes, weights = _unet(variables, number, "", elu=elu)
    nodes = [
        node("Transpose", ["magnitude"], "mix", perm=[1, 0, 2, 3]),
        *nodes,
        node("Sigmoid", ["logits"], "mask"),
        node("Mul", ["mask", "mix"], "stem"),
        node("Transpose", ["stem"], "stem_magnitude", perm=[1, 0, 2, 3]),
    ]
    shape = [2, 1, FRAMES, BINS]
    return graph(nodes, weights, {"magnitude": shape}, {"stem_magnitude": shape})


def _all_stems(variables: Mapping[str, NDArray[Any]]) -> bytes:
    """The graph of stems whose masks sum to one: (1, channels, frames, bins) to (stems, channels, frames, bins)."""
    nodes: list[bytes] = []
    weights: Weights = {}
    for number in range(5):
        more_nodes, more_weights = _unet(variables, number, f"{number}_", elu=True)
        nodes += more_nodes
        weights |= more_weights
    nodes += [
        node("Concat", [f"{number}_logits" for number in range(5)], "logits", axis=0),
        node("Softmax", ["logits"], "masks", axis=0),
        node("Mul", ["masks", "mix"], "stem_magnitudes"),
    ]
    return graph(nodes, weights, {"mix": [1, 2, FRAMES, BINS]}, {"stem_magnitudes": [5, 2, FRAMES, BINS]})


def _unet(variables: Mapping[str, NDArray[Any]], number: int, prefix: str, *, elu: bool) -> tuple[list[bytes], Weights]:
    """Nodes and weights of a U-Net from `mix`, (1, channels, frames, bins), to `logits`. prefix: of all other names.

    number: of the stem; layers are numbered through all U-Nets.
    """
    nodes: list[bytes] = []
    weights: Weights = {}

    def take(layer: str, index: int, name: str) -> NDArray[Any]:
        return variables[f"{layer}_{index}/{name}" if index else f"{layer}/{name}"]

    def convolve(operator: str, layer: str, index: int, source: str, output: str, **attributes: list[int]) -> str:
        index, inputs = index + number * (DEPTH + (layer == "conv2d")), [source, f"{output}_kernel", f"{output}_bias"]
        weights[inputs[1]] = take(layer, index, "kernel").transpose(3, 2, 0, 1)
        weights[inputs[2]] = take(layer, index, "bias")
        nodes.append(node(operator, inputs, output, **attributes))
        return output

    def normalize(index: int, source: str) -> str:
        output, inputs = f"{source}_normal", [source]
        for name in ("gamma", "beta", "moving_mean", "moving_variance"):
            inputs.append(f"{output}_{name}")
            weights[inputs[-1]] = take("batch_normalization", index + number * 2 * DEPTH, name)
        nodes.append(node("BatchNormalization", inputs, output, epsilon=EPSILON))
        return output

    def activate(source: str, up: bool) -> str:
        operator, attributes = ("Elu", {}) if elu else ("Relu", {}) if up else ("LeakyRelu", {"alpha": 0.2})
        nodes.append(node(operator, [source], f"{source}_active", **attributes))
        return f"{source}_active"

    down = []
    signal = "mix"
    for step in range(DEPTH):
        down.append(convolve("Conv", "conv2d", step, signal, f"{prefix}down{step}", strides=[2, 2], pads=SAME))
        if step < DEPTH - 1:
            signal = activate(normalize(step, down[-1]), up=False)
    signal = down[-1]
    for step in range(DEPTH):
        if step:
            nodes.append(node("Concat", [down[DEPTH - 1 - step], signal], f"{prefix}both{step}", axis=1))
            signal = f"{prefix}both{step}"
        up = convolve("ConvTranspose", "conv2d_transpose", step, signal, f"{prefix}up{step}", strides=[2, 2], pads=SAME)
        signal = normalize(DEPTH + step, activate(up, up=True))
    convolve("Conv", "conv2d", DEPTH, signal, f"{prefix}logits", dilations=[2, 2], pads=[3, 3, 3, 3])
    return nodes, weights
