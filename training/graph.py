"""Networks as ONNX graphs in the form of docs/model-format.md."""

import math
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import torch
from torch import Tensor, nn

from .data.songs import STEMS
from .networks.base import MaskNetwork
from .networks.features import covariance, delayed, input_features
from .networks.spatial import masks_from, place_shapes

OPSET = 18
# Frames of a chunk: 6 s whose masks are used, context of 1.1 s on both sides, cross-fades of 0.6 s.
CHUNK = {"left": 48, "frames": 256, "right": 48, "overlap": 24}
MIN_HALVED_SIZE = 1024  # tensors with at least so many values are stored in half precision


def onnx_graph(network: MaskNetwork) -> bytes:
    """Return a network as the content of an .onnx file, with large parameters in half precision.

    Args:
        network: The network, on the processor.
    """
    return _packed(_exported(Graph(network).eval()))


class Graph(nn.Module):
    """A MaskNetwork with a graph's inputs and outputs. Its state is one vector: the level, then the network's state.

    Args:
        network: The network.
    """

    def __init__(self, network: MaskNetwork) -> None:
        super().__init__()
        self.network, self.recipe = network, network.recipe
        recipe = network.recipe
        # Features and covariances of frames whose masks are still to come.
        waiting = [(recipe.lookahead, 1, 4, size) for size in (recipe.bands.num_cells, recipe.grid.bins)]
        self.waiting = waiting if recipe.lookahead else []
        self.shapes = [*network.state_shapes, *place_shapes(recipe, len(STEMS)), *self.waiting]
        # Equal shapes are next to each other in the state, so that each hop needs fewer steps to split and join it.
        self.groups = {
            shape: [i for i, other in enumerate(self.shapes) if other == shape] for shape in dict.fromkeys(self.shapes)
        }

    @property
    def state_size(self) -> int:
        """Length of the state vector."""
        return 1 + sum(int(np.prod(shape)) for shape in self.shapes)

    def forward(self, spectrum: Tensor, state: Tensor | None = None) -> Any:
        """Return the masks of a spectrum, and the next state if there is one.

        Args:
            spectrum: Real and imaginary parts, shape (frames, 2, bins, 2).
            state: Shape (state_size,).

        Returns:
            Masks, shape (frames, stems - 1, 2, bins) or (..., bins, 2), for a chunk without its context.
        """
        mix = covariance(spectrum.transpose(2, 3).reshape(-1, 1, 4, self.recipe.grid.bins))
        parts, level = None, torch.zeros(1, 1)
        if state is not None:
            level, parts = self._parts_of(state)
        own = len(self.network.state_shapes)
        places = parts[own] if parts is not None and self.recipe.spatial else None
        seen, level = input_features(self.recipe.bands.pool(mix), self.recipe, level)
        waiting: list[Tensor] = []
        if parts is not None and self.waiting:
            late, seen_after = delayed(seen, parts[-2])
            mix, mix_after = delayed(mix, parts[-1])
            seen, waiting = torch.cat([late, seen], dim=2), [seen_after, mix_after]
        logits, after = self.network(seen, parts and parts[:own])
        wanted = slice(None) if self.recipe.causal else slice(CHUNK["left"], CHUNK["left"] + CHUNK["frames"])
        masks, places_after = masks_from(logits, mix, self.recipe, places, stems=len(STEMS) - 1, frames=wanted)
        if state is None:
            return _without_batch(masks)
        return _without_batch(masks), self._state_of(level, [*after, *places_after, *waiting])

    def _parts_of(self, state: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The level, (1, 1), and tensors of `self.shapes`."""
        sizes = [len(places) * int(np.prod(shape)) for shape, places in self.groups.items()]
        level, *joined = state.split([1, *sizes])
        parts: dict[int, Tensor] = {}
        for (shape, places), flat in zip(self.groups.items(), joined, strict=True):
            together = flat.reshape(len(places) * shape[0], *shape[1:])
            parts |= zip(places, together.split(shape[0]) if len(places) > 1 else [together], strict=True)
        return level.reshape(1, 1), [parts[i] for i in range(len(parts))]

    def _state_of(self, level: Tensor, parts: list[Tensor]) -> Tensor:
        """The inverse of `_parts_of`."""
        groups = ([parts[i] for i in places] for places in self.groups.values())
        joined = (torch.cat(group) if len(group) > 1 else group[0] for group in groups)
        return torch.cat([part.reshape(-1) for part in (level, *joined)])


def _without_batch(masks: Tensor) -> Tensor:
    return masks.reshape(-1, *map(int, masks.shape[2:]))  # which copies nothing, unlike an index


def _exported(graph: Graph) -> bytes:
    recipe = graph.recipe
    frames = 8 if recipe.causal else sum(CHUNK[part] for part in ("left", "frames", "right"))
    inputs: tuple[Tensor, ...] = (torch.randn(frames, 2, recipe.grid.bins, 2),)
    outputs = ["masks"]
    if recipe.causal:
        inputs, outputs = (*inputs, torch.zeros(graph.state_size)), ["masks", "next_state"]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter recommends its successor, which renames parameters
        path = Path(folder) / "graph.onnx"
        torch.onnx.export(
            graph,
            inputs,
            str(path),
            dynamo=False,
            opset_version=OPSET,
            do_constant_folding=False,  # folding would merge parameters of the recurrent layers
            input_names=["spectrum", "state"][: len(inputs)],
            output_names=outputs,
            dynamic_axes={"spectrum": {0: "frames"}, "masks": {0: "frames" if recipe.causal else "masked"}},
        )
        return path.read_bytes()


def _packed(graph: bytes) -> bytes:
    """Return the graph with shared constants, and with large tensors in half precision."""
    model = onnx.load_model_from_string(graph)
    tensors, casts = model.graph.initializer, []
    for tensor in tensors:
        if tensor.data_type == onnx.TensorProto.FLOAT and math.prod(tensor.dims) >= MIN_HALVED_SIZE:
            name = tensor.name
            values = onnx.numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, f"{name}.half"))
            casts.append(onnx.helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT))
    _set_nodes(model.graph, [*casts, *model.graph.node])
    _share_constants(model.graph)
    _join_reshapes(model.graph)
    packed: bytes = model.SerializeToString()
    return packed


def _share_constants(graph: onnx.GraphProto) -> None:
    """Keep equal constants once, because the exporter repeats them, and they take a fifth of the time to load."""
    kept: dict[tuple[Any, ...], str] = {}
    names, nodes = {}, []
    for node in graph.node:
        if node.op_type != "Constant":
            nodes.append(node)
            continue
        tensor = node.attribute[0].t
        key = tensor.data_type, *tensor.dims, onnx.numpy_helper.to_array(tensor).tobytes()
        if key not in kept:
            kept[key] = tensor.name = node.output[0]
            graph.initializer.append(tensor)
        names[node.output[0]] = kept[key]
    for node in nodes:
        node.input[:] = [names.get(name, name) for name in node.input]
    _set_nodes(graph, nodes)


def _join_reshapes(graph: onnx.GraphProto) -> None:
    """Remove changes of shape that a later Reshape overrides, because each takes time to run."""
    made = {name: node for node in graph.node for name in node.output}
    fixed = {tensor.name for tensor in graph.initializer if 0 not in onnx.numpy_helper.to_array(tensor)}
    for node in graph.node:
        while node.op_type == "Reshape" and node.input[1] in fixed and node.input[0] in made:
            before = made[node.input[0]]
            if before.op_type not in ("Reshape", "Squeeze", "Unsqueeze", "Flatten"):
                break
            node.input[0] = before.input[0]
    wanted = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    _set_nodes(graph, kept[::-1])


def _set_nodes(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    del graph.node[:]
    graph.node.extend(nodes)
