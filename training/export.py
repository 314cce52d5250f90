"""Export PyTorch weights to an .onnx model, and read them back."""

import copy
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import torch
from torch import Tensor

from ..core.errors import DataError
from ..engine import StemProcessor
from ..models import MaskCard, Model, ModelError, load_model, save_model
from .data.songs import STEMS
from .graph import CHUNK, MIN_HALVED_SIZE, onnx_graph
from .inference import separate_clip
from .networks.base import MaskNetwork
from .networks.make import make_network
from .recipe import Recipe

MAX_DIFFERENCE = 1e-4  # between the engine's output and PyTorch's; full scale is 1


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
    graph = onnx_graph(network)
    with tempfile.TemporaryDirectory() as folder:  # a model that fails the check must not replace an existing one
        model = save_model(Path(folder) / path.name, graph, values)
        if (difference := parity(network, model)) > MAX_DIFFERENCE:
            raise ModelError(
                f"{path} was not written, because the engine differs from PyTorch by {difference:.2g} of full scale; "
                "report this as a bug"
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    return save_model(path, graph, values)


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
    """Return a network that streams with look-ahead, made from one without.

    A streaming network starts with nearly the masks that it had, `lookahead` frames later. A chunked one keeps those
    halves of its recurrent layers that look back, and must learn to do without the others. Its features then relate to
    the level so far instead of the level of the chunk.

    Args:
        recipe: Of a recurrent network without look-ahead.
        parameters: Its parameters.
        lookahead: In frames, at least 1.

    Returns:
        The recipe and parameters of the network with look-ahead. The weights of the features ahead are zero.

    Raises:
        DataError: The network has look-ahead already, or is not recurrent.
    """
    if recipe.lookahead or recipe.family != "recurrent":
        raise DataError("only a recurrent network without look-ahead can be given look-ahead; leave --lookahead out")
    if not recipe.causal:
        parameters = {name: value for name, value in parameters.items() if not name.endswith("_reverse")}
        for name, value in parameters.items():
            if name.endswith(("band_out.weight", "expand.weight")):  # of both directions, the one that looks back first
                parameters[name] = value[:, : value.size(1) // 2]
    weight = parameters["encode.weight"]
    # (bands, views of the frame and of the one ahead, size)
    weight = torch.cat([weight, torch.zeros_like(weight)], dim=1)
    return replace(recipe, causal=True, lookahead=lookahead), {**parameters, "encode.weight": weight}


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


def export_mean(models: Sequence[str | Path], path: str | Path, name: str) -> Model:
    """Write a model whose weights are the mean of those of several, which must have the same origin.

    If a network has learned from new songs, the mean of it and of the network it started from keeps most of what was
    learned, and most of what was known before. After M. Wortsman et al., "Robust fine-tuning of zero-shot models", 2022
    (arXiv:2109.01903). A model named twice counts twice.

    Args:
        models: Names of models that ship or were imported, or paths of .onnx files; at least two.
        path: The .onnx file to write.
        name: Name for the card.

    Returns:
        The written model. Its card has the terms and data of all.

    Raises:
        DataError: There are fewer than two models, or two have different recipes.
        FileExistsError: `path` exists already.
        ModelError: As `load_parameters` and `export_network` do.
    """
    path = Path(path)
    if len(models) < 2:
        raise DataError(f"a mean needs at least two models, but there are {len(models)}; give more")
    for written in path, path.with_suffix(".json"):
        if written.exists():
            raise FileExistsError(f"{written} exists already; choose another name")
    recipes, parameters = zip(*map(load_parameters, models), strict=True)
    for model, recipe in zip(models, recipes, strict=True):
        if recipe != recipes[0]:
            raise DataError(
                f"{model} has another recipe than {models[0]}; give networks that started from the same one"
            )
    network = make_network(recipes[0])
    network.load_state_dict({key: torch.stack([each[key] for each in parameters]).mean(dim=0) for key in parameters[0]})
    cards = [load_model(model).card for model in models]
    data = [entry for card in cards for entry in card.values.get("data", [])]
    values = {
        "name": name,
        "version": "1",
        "terms": "; and ".join(dict.fromkeys(str(card.values["terms"]) for card in cards)),
        "data": [entry for i, entry in enumerate(data) if entry not in data[:i]],
        "training": {"mean_of": [{key: card.values[key] for key in ("name", "version", "sha256")} for card in cards]},
    }
    return export_network(network, path, values)
