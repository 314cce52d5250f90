"""Read the inputs and outputs of a graph from its ONNX file, without ONNX Runtime."""

import mmap
import os
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import ModelError, StemBridgeError
from .wire import Message, all_of, fields, first_message, first_number, first_text

# Numbers of fields in onnx.proto.
GRAPH, FUNCTION = 7, 25  # of a model
FUNCTION_NODE = 7  # of a function
NODE, INITIALIZER, INPUT, OUTPUT, SPARSE_INITIALIZER = 1, 5, 11, 12, 15  # of a graph
ATTRIBUTE = 5  # of a node
TENSOR, SUBGRAPH, TENSORS, SUBGRAPHS, SPARSE_TENSOR, SPARSE_TENSORS = 5, 6, 10, 11, 22, 23  # of an attribute
VALUES, INDICES = 1, 2  # of a sparse tensor
NAME, DATA_LOCATION = 8, 14  # of a tensor
EXTERNAL = 1
TENSOR_TYPES = {1: "float32", 10: "float16"}
DAMAGED = ValueError, IndexError, StopIteration, RecursionError, UnicodeDecodeError  # raised by a damaged file
MAX_FILE_BYTES = (1 << 31) - 1  # the limit of protocol buffers


@dataclass(frozen=True)
class Port:
    """An input or output of a graph.

    Attributes:
        name: Its name.
        type: "float32", "float16" or "other".
        shape: Its sizes; None for a size that is not fixed.
    """

    name: str
    type: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        return f"{self.name} [{', '.join('?' if size is None else str(size) for size in self.shape)}]"


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a graph, in the order of the file."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def __str__(self) -> str:
        return f"{', '.join(map(str, self.inputs))} -> {', '.join(map(str, self.outputs))}"


def read_signature(path: Path, shown: str) -> Signature:
    """Read the inputs and outputs of an ONNX file.

    Args:
        path: Path of the file.
        shown: How errors call the file.

    Raises:
        ModelError: The file is not an ONNX graph, is too large, or keeps weights in other files.
        OSError: The file cannot be read.
    """
    if (size := path.stat().st_size) > MAX_FILE_BYTES:
        raise ModelError(
            f"{shown} is {size / 1e9:.1f} GB large, but an ONNX file can have at most 2 GB; export it as float16"
        )
    content = memoryview(b"")
    if size:
        with open(path, "rb") as file:
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    refuse_weights(bytes(content[:512]), shown)
    try:
        signature = _signature(next(all_of(content, GRAPH)))
    except DAMAGED as error:
        raise _not_a_graph(shown) from error
    refuse_external_data(content, shown)
    return signature


def refuse_external_data(content: memoryview, shown: str) -> None:
    """Refuse a graph that keeps weights in other files.

    Args:
        content: The ONNX file.
        shown: How errors call the file.

    Raises:
        ModelError: It does, or is not an ONNX graph.
    """
    try:
        external = _has_external_data(content)
    except DAMAGED as error:
        raise _not_a_graph(shown) from error
    if external:
        raise ModelError(
            f"{shown} keeps weights in other files, which its checksum would not cover; put them into the .onnx: "
            "onnx.save(onnx.load(file), file, save_as_external_data=False)"
        )


def _not_a_graph(shown: str) -> ModelError:
    return ModelError(
        f"{shown} is not an ONNX graph, or is damaged; see `stembridge docs guests` for what can be imported"
    )


def refuse_weights(begins: bytes, shown: str) -> None:
    """Refuse files with the weights of a network but without its graph.

    Args:
        begins: The first bytes of the file, as many as are known; 10 are enough.
        shown: Name of the file.

    Raises:
        ModelError: The name or the first bytes are those of such a file.
    """
    weights = (
        os.path.splitext(shown)[1].lower() in (".pth", ".pt", ".ckpt", ".th", ".safetensors", ".bin", ".h5", ".pkl")
        or begins.startswith((b"PK\x03\x04", b"\x89HDF", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"))
        or begins[8:10] == b'{"'
    )
    if weights:
        raise ModelError(
            f"{shown} has the weights of a network but not its graph, and StemBridge never unpickles files; "
            "export the network with torch.onnx.export, as `stembridge docs guests` shows"
        )


def _signature(graph: Message) -> Signature:
    inputs, outputs, initializers = [], [], set()
    for number, value in fields(graph):
        if number == INPUT:
            inputs.append(_port(value))
        elif number == OUTPUT:
            outputs.append(_port(value))
        elif number == INITIALIZER:
            initializers.add(first_text(value, NAME))
    inputs = [port for port in inputs if port.name not in initializers]  # older files list weights as inputs too
    if not (inputs and outputs):
        raise StemBridgeError("a graph without inputs or outputs")
    return Signature(tuple(inputs), tuple(outputs))


def _port(value: Message) -> Port:
    tensor = first_message(first_message(value, 2), 1)  # ValueInfo.type, Type.tensor_type
    kind = first_number(tensor, 1)
    sizes = []
    for field, dimension in fields(first_message(tensor, 2)):
        if field == 1:
            known = [size for number, size in fields(dimension) if number == 1]
            # Some exporters write 0 for a size that they do not know.
            sizes.append(known[0] if known and isinstance(known[0], int) and known[0] else None)
    return Port(first_text(value, 1), TENSOR_TYPES.get(kind, "other"), tuple(sizes))


def _has_external_data(model: memoryview) -> bool:
    for number, value in fields(model):
        if number == GRAPH and _graph_has_external_data(value):
            return True
        if number == FUNCTION and any(_node_has_external_data(node) for node in all_of(value, FUNCTION_NODE)):
            return True
    return False


def _graph_has_external_data(graph: Message) -> bool:
    for number, value in fields(graph):
        if number == INITIALIZER and _is_external(value):
            return True
        if number == SPARSE_INITIALIZER and _sparse_is_external(value):
            return True
        if number == NODE and _node_has_external_data(value):
            return True
    return False


def _node_has_external_data(node: Message) -> bool:
    for attribute in all_of(node, ATTRIBUTE):
        for number, value in fields(attribute):
            if number in (TENSOR, TENSORS) and _is_external(value):
                return True
            if number in (SPARSE_TENSOR, SPARSE_TENSORS) and _sparse_is_external(value):
                return True
            if number in (SUBGRAPH, SUBGRAPHS) and _graph_has_external_data(value):
                return True
    return False


def _sparse_is_external(tensor: Message) -> bool:
    return any(number in (VALUES, INDICES) and _is_external(value) for number, value in fields(tensor))


def _is_external(tensor: Message) -> bool:
    return any(number == DATA_LOCATION and value == EXTERNAL for number, value in fields(tensor))
