"""What an ONNX file says of its graph, read from the file itself: nothing in it is run or loaded."""

import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import ModelError

# Numbers of fields in onnx.proto.
GRAPH, FUNCTION = 7, 25  # of a model
FUNCTION_NODE = 7  # of a function
NODE, INITIALIZER, INPUT, OUTPUT = 1, 5, 11, 12  # of a graph
ATTRIBUTE = 5  # of a node
TENSOR, SUBGRAPH, TENSORS, SUBGRAPHS = 5, 6, 10, 11  # of an attribute
NAME, DATA_LOCATION = 8, 14  # of a tensor
EXTERNAL = 1
TYPES = {1: "float32", 10: "float16"}
LARGEST = (1 << 31) - 1  # bytes, of a file of protocol buffers

Message = memoryview | int


@dataclass(frozen=True)
class Port:
    """An input or output of a graph. shape: None for a size that is not fixed. type: "float32", "float16" or other."""

    name: str
    type: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        return f"{self.name} [{', '.join('?' if size is None else str(size) for size in self.shape)}]"


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a graph, in its order."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def __str__(self) -> str:
        return f"{', '.join(map(str, self.inputs))} -> {', '.join(map(str, self.outputs))}"


def read_signature(path: Path, shown: str) -> Signature:
    """Read the inputs and outputs of an ONNX file.

    Args:
        path: Path of the file.
        shown: What to call it in errors.

    Raises:
        ModelError: It is not an ONNX graph, too large, or has weights in other files.
        OSError: It cannot be read.
    """
    if (size := path.stat().st_size) > LARGEST:
        raise ModelError(
            f"{shown} has {size / 1e9:.1f} GB, and ONNX holds 2 GB at most in a file; export it as float16"
        )
    content = memoryview(b"")
    if size:
        with open(path, "rb") as file:
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    _refuse_weights(content[:512], shown)
    try:
        signature = _signature(next(_all(content, GRAPH)))
        external = _has_external_data(content)
    except (ValueError, IndexError, StopIteration, RecursionError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{shown} is not an ONNX graph, or is damaged; see docs/guests.md for what can be imported"
        ) from error
    if external:
        raise ModelError(
            f"{shown} keeps weights in other files, which its checksum would not cover; put them into the .onnx: "
            "onnx.save(onnx.load(file), file, save_as_external_data=False)"
        )
    return signature


def _refuse_weights(start: memoryview, shown: str) -> None:
    """Raise ModelError for files that hold weights without a graph."""
    begins = bytes(start)
    weights = (
        os.path.splitext(shown)[1].lower() in (".pth", ".pt", ".ckpt", ".th", ".safetensors", ".bin", ".h5", ".pkl")
        or begins.startswith((b"PK\x03\x04", b"\x89HDF", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"))
        or begins[8:10] == b'{"'
    )
    if weights:
        raise ModelError(
            f"{shown} has the weights of a network, but not what to do with them (and is never unpickled); "
            "export the network with torch.onnx.export, as docs/guests.md shows"
        )


def _signature(graph: Message) -> Signature:
    inputs, outputs, initializers = [], [], set()
    for number, value in _fields(graph):
        if number == INPUT:
            inputs.append(_port(value))
        elif number == OUTPUT:
            outputs.append(_port(value))
        elif number == INITIALIZER:
            initializers.add(_text(value, NAME))
    inputs = [port for port in inputs if port.name not in initializers]  # as older files have them
    if not (inputs and outputs):
        raise ValueError("a graph without inputs or outputs")
    return Signature(tuple(inputs), tuple(outputs))


def _port(value: Message) -> Port:
    tensor = _message(_message(value, 2), 1)  # ValueInfo.type, Type.tensor_type
    kind = next((number for field, number in _fields(tensor) if field == 1), 0)
    sizes = []
    for field, dimension in _fields(_message(tensor, 2)):
        if field == 1:
            known = [size for number, size in _fields(dimension) if number == 1]
            # Some exporters write 0 for what they do not know.
            sizes.append(known[0] if known and isinstance(known[0], int) and known[0] else None)
    return Port(_text(value, 1), TYPES.get(kind if isinstance(kind, int) else 0, "other"), tuple(sizes))


def _has_external_data(model: memoryview) -> bool:
    for number, value in _fields(model):
        if number == GRAPH and _graph_has_external_data(value):
            return True
        if number == FUNCTION and any(_node_has_external_data(node) for node in _all(value, FUNCTION_NODE)):
            return True
    return False


def _graph_has_external_data(graph: Message) -> bool:
    for number, value in _fields(graph):
        if number == INITIALIZER and _is_external(value):
            return True
        if number == NODE and _node_has_external_data(value):
            return True
    return False


def _node_has_external_data(node: Message) -> bool:
    for attribute in _all(node, ATTRIBUTE):
        for number, value in _fields(attribute):
            if number in (TENSOR, TENSORS) and _is_external(value):
                return True
            if number in (SUBGRAPH, SUBGRAPHS) and _graph_has_external_data(value):
                return True
    return False


def _is_external(tensor: Message) -> bool:
    return any(number == DATA_LOCATION and value == EXTERNAL for number, value in _fields(tensor))


def _all(message: Message, wanted: int) -> Iterator[Message]:
    return (value for number, value in _fields(message) if number == wanted)


def _message(message: Message, wanted: int) -> memoryview:
    """Return the first field of that number, empty if there is none."""
    found = next(_all(message, wanted), memoryview(b""))
    if not isinstance(found, memoryview):
        raise ValueError("a number where a message should be")
    return found


def _text(message: Message, wanted: int) -> str:
    return bytes(_message(message, wanted)).decode()


def _fields(message: Message) -> Iterator[tuple[int, Message]]:
    """The fields of a message of protocol buffers: number, and the integer or the bytes that it holds."""
    if not isinstance(message, memoryview):
        raise ValueError("a number where a message should be")
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        kind = key & 7
        if kind == 0:
            value, position = _varint(message, position)
            yield key >> 3, value
            continue
        if kind == 2:
            length, position = _varint(message, position)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError("not protocol buffers")
        if position + length > len(message):
            raise ValueError("cut short")
        yield key >> 3, message[position : position + length]
        position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = message[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise ValueError("not protocol buffers")
