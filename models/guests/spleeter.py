"""Turn a checkpoint of Spleeter into ONNX graphs. Its network has a U-Net for each stem."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ...core.errors import ModelError
from .onnx_writer import graph, node
from .tf_checkpoint import read_checkpoint

STEMS_BY_COUNT = {
    2: ("vocals", "accompaniment"),
    4: ("vocals", "drums", "bass", "other"),
    5: ("vocals", "piano", "drums", "bass", "other"),
}
DEPTH = 6  # number of layers that halve the spectrum, and of those that double it
FRAMES, BINS = 512, 1024
EPSILON = 1e-3  # of Keras' batch normalisation
SAME_PADDING = [1, 1, 2, 2]  # TensorFlow's "same" padding of an even axis for 5 taps and stride 2

Weights = dict[str, NDArray[Any]]


def spleeter_graphs(index: Path) -> dict[str, bytes]:
    """Turn a checkpoint of Spleeter into ONNX files.

    Args:
        index: Path of the checkpoint's .index file.

    Returns:
        Stem to the content of a file, whose graph gives the magnitudes of that stem. For five stems "all" to one file,
        because the masks depend on each other.

    Raises:
        ModelError: The file is not a checkpoint, or not of Spleeter.
        OSError: A file cannot be read.
    """
    variables = read_checkpoint(index)
    count = sum(name.startswith("conv2d_transpose") and name.endswith("kernel") for name in variables) // DEPTH
    if count not in STEMS_BY_COUNT:
        raise ModelError(f"{index.name} is not a checkpoint of Spleeter: it has {len(variables)} variables")
    try:
        if count == 5:
            return {"all": _all_stems(variables)}
        return {stem: _one_stem(variables, number, elu=count > 2) for number, stem in enumerate(STEMS_BY_COUNT[count])}
    except (KeyError, ValueError) as error:
        raise ModelError(
            f"{index.name} is not a checkpoint of Spleeter: {error} is missing or has the wrong shape"
        ) from error


def _one_stem(variables: Mapping[str, NDArray[Any]], number: int, *, elu: bool) -> bytes:
    """Return the graph of one stem: magnitudes, (channels, 1, frames, bins), to magnitudes of the same shape."""
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
    """Return the graph of five stems, whose masks sum to 1.

    It turns magnitudes, (1, channels, frames, bins), into magnitudes, (stems, channels, frames, bins).
    """
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
    """Return the nodes and weights of a U-Net from the input `mix`, (1, channels, frames, bins), to its logits.

    Args:
        variables: Variables of the checkpoint. Its layers are numbered through all U-Nets.
        number: Index of the stem.
        prefix: Prefix of all names except `mix`.
        elu: Whether the activation is ELU everywhere.
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
        down.append(convolve("Conv", "conv2d", step, signal, f"{prefix}down{step}", strides=[2, 2], pads=SAME_PADDING))
        if step < DEPTH - 1:
            signal = activate(normalize(step, down[-1]), up=False)
    signal = down[-1]
    for step in range(DEPTH):
        if step:
            nodes.append(node("Concat", [down[DEPTH - 1 - step], signal], f"{prefix}both{step}", axis=1))
            signal = f"{prefix}both{step}"
        up = convolve(
            "ConvTranspose", "conv2d_transpose", step, signal, f"{prefix}up{step}", strides=[2, 2], pads=SAME_PADDING
        )
        signal = normalize(DEPTH + step, activate(up, up=True))
    convolve("Conv", "conv2d", DEPTH, signal, f"{prefix}logits", dilations=[2, 2], pads=[3, 3, 3, 3])
    return nodes, weights
