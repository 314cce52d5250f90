"""Match a graph with a kind of network by the shapes of its inputs and outputs, because names differ."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import ModelError
from ..contract import runtime_error_text
from .onnx_file import Port, Signature

MAX_PORTS = 4  # no kind has more inputs, or more outputs


@dataclass(frozen=True)
class Match:
    """A graph that fits a kind.

    Attributes:
        kind: Name of the kind.
        tensors: "inputs" and "outputs" for the graph's entry on a card.
        sizes: Sizes that differ between graphs of the kind, by name.
        exact: Whether the graph declares all of its sizes.
    """

    kind: str
    tensors: dict[str, list[dict[str, Any]]]
    sizes: dict[str, int]
    exact: bool


def match_kind(kind: str, facts: dict[str, Any], signature: Signature) -> Match | None:
    """Match a graph's inputs and outputs with those of a kind.

    Args:
        kind: Name of the kind.
        facts: Facts of the kind, from `all_kinds`.
        signature: The graph's inputs and outputs.

    Returns:
        The match, or None if they do not fit.
    """
    wanted = [*facts["inputs"], *facts["outputs"]]
    matches = []
    for inputs in _bindings(signature.inputs, facts["inputs"]):
        for outputs in _bindings(signature.outputs, facts["outputs"]):
            ports = [*inputs, *outputs]
            if (sizes := _sizes(ports, wanted, facts)) is None:
                continue
            bound = [
                {"name": port.name, "holds": tensor["holds"], "axes": tensor["axes"]}
                for port, tensor in zip(ports, wanted, strict=True)
            ]
            tensors = {"inputs": bound[: len(inputs)], "outputs": bound[len(inputs) :]}
            exact = not any(None in port.shape[1:] for port in ports)
            matches.append((sum(map(_fits_its_name, bound)), Match(kind, tensors, sizes, exact)))
    return max(matches, key=lambda scored: scored[0])[1] if matches else None


def _bindings(ports: Sequence[Port], tensors: Sequence[dict[str, Any]]) -> Iterator[tuple[Port, ...]]:
    """Yield the orders in which ports fit tensors by rank and type, the order in the file first."""
    if len(ports) != len(tensors) or len(ports) > MAX_PORTS:
        return
    for ordered in permutations(ports):
        pairs = list(zip(ordered, tensors, strict=True))
        if all(len(port.shape) == len(tensor["shape"]) and port.type != "other" for port, tensor in pairs):
            yield ordered


def _sizes(ports: Sequence[Port], tensors: Sequence[dict[str, Any]], facts: dict[str, Any]) -> dict[str, int] | None:
    """Return the sizes that differ between graphs of the kind, if declared; None if the shapes do not fit."""
    sizes: dict[str, int] = {}
    for port, tensor in zip(ports, tensors, strict=True):
        for size, wanted in zip(port.shape, tensor["shape"], strict=True):
            if size is not None and size != (sizes.setdefault(wanted, size) if isinstance(wanted, str) else wanted):
                return None
    if "bins" in facts and sizes.setdefault("bins", facts["bins"][0]) not in facts["bins"]:
        return None
    return sizes


def _fits_its_name(tensor: dict[str, Any]) -> bool:
    """Return whether a tensor's name agrees with its content. Only names tell real parts from imaginary parts."""
    return tensor["holds"] not in ("real", "imaginary") or ("im" in tensor["name"].lower()) == (
        tensor["holds"] == "imaginary"
    )


def stems_of_a_run(path: Path, match: Match, facts: dict[str, Any], signature: Signature) -> int:
    """Run a graph on noise, and return the number of stems that it gives.

    Args:
        path: Path of the graph.
        match: The graph's match.
        facts: Facts of the matched kind.
        signature: The graph's inputs and outputs.

    Raises:
        ModelError: The graph does not run or gives another shape. The error does not name the file.
    """
    import onnxruntime

    sizes = facts.get("usual", {}) | match.sizes
    types = {port.name: port.type for port in signature.inputs}
    random = np.random.default_rng(0)
    feeds = {}
    for bound, tensor in zip(match.tensors["inputs"], facts["inputs"], strict=True):
        shape = [sizes[size] if isinstance(size, str) else size for size in tensor["shape"]]
        feeds[bound["name"]] = (0.1 * random.standard_normal(shape)).astype(types[bound["name"]])
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    name, shape = next(
        (bound["name"], tensor["shape"])
        for bound, tensor in zip(match.tensors["outputs"], facts["outputs"], strict=True)
        if "stems" in tensor["shape"]
    )
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        (result,) = session.run([name], feeds)
    except Exception as error:  # ONNX Runtime has many types of errors
        raise ModelError(f"does not run as {match.kind}: {runtime_error_text(error)}") from error
    if result.ndim != len(shape):
        raise ModelError(f"is not {match.kind}: its output {name} has the shape {list(result.shape)}")
    return int(result.shape[shape.index("stems")])
