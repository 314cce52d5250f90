"""Graphs with the inputs and outputs of published exports, and no layers."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper
from stembridge.models.guests import GuestFile

Shape = Sequence[int | str]


def empty_graph(
    inputs: Mapping[str, Shape], outputs: Mapping[str, Shape], real: Mapping[str, Shape] | None = None, type: int = 1
) -> bytes:
    """Return an ONNX file whose outputs are zeros. real: the actual shapes, if not as declared."""
    nodes = []
    for name in outputs:
        sizes = [size if isinstance(size, int) else 1 for size in (real or outputs)[name]]
        tensor = helper.make_tensor(f"{name}_shape", TensorProto.INT64, [len(sizes)], sizes)
        nodes.append(helper.make_node("Constant", [], [f"{name}_shape"], value=tensor))
        zero = helper.make_tensor("zero", type, [1], [0.0])
        nodes.append(helper.make_node("ConstantOfShape", [f"{name}_shape"], [name], value=zero))
    ins, outs = (
        [helper.make_tensor_value_info(name, type, list(shape)) for name, shape in side.items()]
        for side in (inputs, outputs)
    )
    model = helper.make_model(helper.make_graph(nodes, "guest", ins, outs), opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 8
    return model.SerializeToString()


@pytest.fixture
def guest(tmp_path: Path) -> Callable[..., GuestFile]:
    """Return a function that writes a graph to import: (name, bytes or the arguments of `empty_graph`)."""

    def guest(name: str, *arguments: Any, **options: Any) -> GuestFile:
        content = arguments[0] if isinstance(arguments[0], bytes) else empty_graph(*arguments, **options)
        path = tmp_path / name
        path.write_bytes(content)
        return GuestFile(path, name, hashlib.sha256(content).hexdigest())

    return guest


def save_external(path: Path, in_attribute: bool) -> None:
    """Write a graph with weights in another file, either of an initializer or of a constant in a branch."""
    weights = TensorProto(data_type=1, dims=[4], name="weights", data_location=TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value="weights.bin")
    out = helper.make_tensor_value_info("out", 1, [4])
    if in_attribute:
        constant = helper.make_node("Constant", [], ["out"], value=weights)
        branch = helper.make_graph([constant], "branch", [], [out])
        nodes, initializers = [helper.make_node("If", ["yes"], ["out"], then_branch=branch, else_branch=branch)], []
        inputs = [helper.make_tensor_value_info("yes", TensorProto.BOOL, [])]
    else:
        nodes, initializers = [helper.make_node("Add", ["in", "weights"], ["out"])], [weights]
        inputs = [helper.make_tensor_value_info("in", 1, [4])]
    onnx.save(helper.make_model(helper.make_graph(nodes, "external", inputs, [out], initializers)), path)
