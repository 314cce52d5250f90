"""Write an ONNX graph of nodes and weights, without the package `onnx`, which users do not have."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .wire import encode

IR_VERSION, OPSET = 8, 17
FLOAT, INT64 = 1, 7  # types of tensors
ATTRIBUTE_FLOAT, ATTRIBUTE_INT, ATTRIBUTE_INTS = 1, 2, 7  # types of attributes

Attribute = int | float | Sequence[int]


def node(operator: str, inputs: Sequence[str], output: str, **attributes: Attribute) -> bytes:
    """Return a node with one output, encoded for `graph`.

    Args:
        operator: Name of the ONNX operator.
        inputs: Names of its inputs.
        output: Name of its output.
        attributes: Its attributes.
    """
    parts: list[tuple[int, int | bytes | str]] = [(1, name) for name in inputs]
    parts += [(2, output), (4, operator)]
    parts += [(5, _attribute(name, value)) for name, value in attributes.items()]
    return encode(*parts)


def graph(
    nodes: Sequence[bytes],
    weights: Mapping[str, NDArray[Any]],
    inputs: Mapping[str, Sequence[int]],
    outputs: Mapping[str, Sequence[int]],
) -> bytes:
    """Return the content of an ONNX file.

    Args:
        nodes: The nodes, in the order in which they run.
        weights: Name to values, float32 or int64.
        inputs: Name to shape; all inputs are float32.
        outputs: Name to shape; all outputs are float32.
    """
    parts: list[tuple[int, bytes | str]] = [(1, each) for each in nodes]
    parts += [(2, "stembridge"), *((5, _tensor(name, values)) for name, values in weights.items())]
    parts += [(11, _port(name, shape)) for name, shape in inputs.items()]
    parts += [(12, _port(name, shape)) for name, shape in outputs.items()]
    return encode((1, IR_VERSION), (2, "stembridge"), (7, encode(*parts)), (8, encode((2, OPSET))))


def _attribute(name: str, value: Attribute) -> bytes:
    if isinstance(value, int):
        return encode((1, name), (3, value), (20, ATTRIBUTE_INT))
    if isinstance(value, float):
        return encode((1, name), (2, value), (20, ATTRIBUTE_FLOAT))
    return encode((1, name), *((8, number) for number in value), (20, ATTRIBUTE_INTS))


def _tensor(name: str, values: NDArray[Any]) -> bytes:
    kind = INT64 if values.dtype == np.int64 else FLOAT
    content = np.ascontiguousarray(values, "<i8" if kind == INT64 else "<f4").tobytes()
    return encode(*((1, size) for size in values.shape), (2, kind), (8, name), (9, content))


def _port(name: str, shape: Sequence[int]) -> bytes:
    sizes = encode(*((1, encode((1, size))) for size in shape))
    return encode((1, name), (2, encode((1, encode((1, FLOAT), (2, sizes))))))
