"""Export PyTorch weights to an .onnx model, and read them back."""

import copy
import math
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import torch
from torch import Tensor, nn

from ..core.errors import DataError
from ..engine import StemProcessor
from ..models import MaskCard, Model, ModelError, load_model, save_model
from .data.songs import STEMS
from .inference import separate_clip
from .networks.base import MaskNetwork
from .networks.features import covariance, delayed, input_features
from .networks.make import make_network
from .networks.spatial import masks_from, place_shapes
from .recipe import Recipe

OPSET = 18
# Frames of a chunk: 6 s whose masks are used, context of 1.1 s on both sides, cross-fades of 0.6 s.
CHUNK = {"left": 48, "frames": 256, "right": 48, "overlap": 24}
MIN_HALVED_SIZE = 1024  # tensors with at least so many values are stored in half precision
MAX_DIFFERENCE = 1e-4  # between the engine's output and PyTorch's; full scale is 1


class Graph(nn.Module):
    """A MaskNetwork in the form of docs/model-format.md. Its state is one vector: the level, then the network's state.

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
        # Equal shapes lie together in the state: to cut and join them takes fewer steps, which a hop has to do all.
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


def export_network(network: MaskNetwork, path: Path, card: dict[str, Any]) -> Model:
    """Write a network as a model, and check that the engine gives the same output as PyTorch.

    The graph keeps the names of the parameters, in half precision, so that `load_parameters` can read them.

    Args:
        network: The network.
        path: The .onnx file.
        card: Fields that the recipe does not have: name, version, terms, data, scores, training.

    Returns:
        The written model.

    Raises:
        ModelError: The engine's output differs from PyTorch's.
    """
    network, recipe = rounded(network), network.recipe
    values = {
        **card,
        "mode": recipe.mode,
        "stems": list(STEMS),
        "sample_rate": recipe.grid.sample_rate,
        "window": recipe.grid.window,
        "synthesis_window": recipe.grid.synthesis_window,
        "hop": recipe.grid.hop,
    }
    if not recipe.causal:
        values["chunk"] = CHUNK
    if recipe.lookahead:
        values["lookahead"] = recipe.lookahead
    values["training"] = {**card.get("training", {}), "recipe": recipe.as_dict()}
    graph = _packed(_onnx_graph(Graph(network).eval()))
    with tempfile.TemporaryDirectory() as folder:  # a model that fails the check must not replace an existing one
        model = save_model(Path(folder) / path.name, graph, values)
        if (difference := parity(network, model)) > MAX_DIFFERENCE:
            raise ModelError(
                f"{path} was not written, because the engine differs from PyTorch by {difference:.2g} of full scale; "
                "report this as a bug"
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    return save_model(path, graph, values)


def _onnx_graph(graph: Graph) -> bytes:
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


def rounded(network: MaskNetwork) -> MaskNetwork:
    """Return a copy on the processor whose large weights are rounded to half precision, 11 bits each.

    Args:
        network: The network, on any device.
    """
    network = copy.deepcopy(network).eval().cpu()
    for parameter in network.parameters():
        if parameter.numel() >= MIN_HALVED_SIZE:
            parameter.data = parameter.data.half().float()
    return network


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
    """Leave out what a Reshape makes undone: other shapes of the same values, each of which takes time to run."""
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


def parity(network: MaskNetwork, model: Model) -> float:
    """Return the largest difference between the engine's stems and PyTorch's, for half a chunk or a second of noise.

    Args:
        network: The network.
        model: The same network, exported.
    """
    grid = network.recipe.grid
    assert isinstance(model.card, MaskCard)
    frames = CHUNK["frames"] // 2 if model.card.chunk else round(grid.sample_rate / grid.hop)
    random = np.random.default_rng(0)
    audio = random.standard_normal((2, frames * grid.hop)) * np.linspace(0.05, 0.3, frames * grid.hop)
    audio[1] = 0.5 * audio[0] + 0.5 * audio[1]
    processor = StemProcessor(model, grid.sample_rate, 2)
    latency = processor.latency_samples
    padded = np.pad(audio, ((0, 0), (0, latency))).astype(np.float32)
    got = processor.separate(padded)[..., latency:]
    if model.card.chunk:
        # The first chunk has silence before and after the noise, so PyTorch needs it too.
        chunk = model.card.chunk
        before = chunk.left * grid.hop
        after = (chunk.frames + chunk.right - frames) * grid.hop - grid.window  # separate_clip adds a window
        wanted = separate_clip(network, np.pad(audio, ((0, 0), (before, after))).astype(np.float32))
        wanted = wanted[..., before : before + audio.shape[1]]
    else:
        wanted = separate_clip(network, padded)[..., : audio.shape[1]]
    return float(np.abs(got - wanted).max())


def load_parameters(model: str | Path) -> tuple[Recipe, dict[str, Tensor]]:
    """Return the recipe and parameters of an exported model, as a start for training.

    Args:
        model: Name or path.

    Returns:
        The recipe, and the parameters by name.

    Raises:
        ModelError: The model cannot be used.
        DataError: `export_network` did not write it.
    """
    loaded = load_model(model)
    recipe_values = loaded.card.values.get("training", {}).get("recipe")
    if recipe_values is None:
        raise DataError(f"{loaded.path}: the card has no recipe for training; give a model that `train` made")
    try:
        recipe = Recipe.from_dict(recipe_values)
        wanted = make_network(recipe).state_dict()
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{loaded.path}: the recipe in the card does not work ({error!r}); give a model that `train` made"
        ) from error
    graph = onnx.load_model_from_string(loaded.graph).graph
    found = {tensor.name: torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy()) for tensor in graph.initializer}
    for node in graph.node:  # the exporter keeps equal parameters once, and large ones are in half precision
        if node.op_type in ("Identity", "Cast") and node.input[0] in found:
            found[node.output[0]] = found[node.input[0]].float()
    found = {name.removeprefix("network."): value for name, value in found.items()}
    if missing := [name for name in wanted if name not in found]:
        raise DataError(
            f"{loaded.path} lacks the parameter {missing[0]}; give a model that `train` of this version made"
        )
    if other := [name for name, value in wanted.items() if found[name].numel() != value.numel()]:
        raise DataError(
            f"{loaded.path}: {other[0]} has another size than in the card's recipe; give a model that `train` made"
        )
    return recipe, {name: found[name].reshape(value.shape) for name, value in wanted.items()}


def hear_ahead(recipe: Recipe, parameters: dict[str, Tensor], lookahead: int) -> tuple[Recipe, dict[str, Tensor]]:
    """Give a streaming network look-ahead: it starts with nearly the masks that it had, `lookahead` frames later.

    Args:
        recipe: Of a streaming network without look-ahead.
        parameters: Its parameters.
        lookahead: In frames, at least 1.

    Returns:
        The recipe and parameters of the network with look-ahead. The weights of the features ahead are zero.

    Raises:
        DataError: The network is chunked, has look-ahead already, or belongs to a family without bands.
    """
    if not recipe.causal or recipe.lookahead or "encode.weight" not in parameters:
        raise DataError("only a recurrent streaming network without look-ahead can be given one; leave --lookahead out")
    weight = parameters["encode.weight"]
    weight = torch.cat(
        [weight, torch.zeros_like(weight)], dim=1
    )  # (bands, views of the frame and of the one ahead, size)
    return replace(recipe, lookahead=lookahead), {**parameters, "encode.weight": weight}


def export_again(model: str | Path, path: Path) -> Model:
    """Write a model that training exported once more: the same network and card, in the graph that this version makes.

    Args:
        model: Name of a shipped or imported model, or the path of an .onnx file.
        path: The .onnx file to write.

    Raises:
        ModelError, DataError: As `load_parameters` and `export_network` do.
    """
    recipe, parameters = load_parameters(model)
    network = make_network(recipe)
    network.load_state_dict(parameters)
    return export_network(network, path, load_model(model).card.values)
