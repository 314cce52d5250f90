"""The contract of graphs, docs/model-format.md, as code."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ModelError
from .mask_card import MaskCard
from .stems_card import Graph, StemsCard

TYPES = "tensor(float)", "tensor(float16)"
TOLERANCE = 1e-3  # between frames in one call and one by one: far below hearing, far above rounding


def check_graph(session: Any, card: MaskCard, source: object) -> None:
    """Check that an ONNX Runtime session keeps the contract of its card, by running it on noise.

    Raises ModelError with the first thing that is wrong, among them a streaming graph that looks across the frames of
    a call other than through its state. source: what to call the model in the error.
    """
    inputs = {node.name: node for node in session.get_inputs()}
    outputs = [node.name for node in session.get_outputs()]
    streaming = card.mode == "streaming"
    wanted_inputs = ["spectrum", "state"] if streaming else ["spectrum"]
    wanted_outputs = ["masks", "next_state"] if streaming else ["masks"]
    if sorted(inputs) != wanted_inputs or sorted(outputs) != wanted_outputs:
        raise ModelError(
            f"{source}: a {card.mode} graph takes {wanted_inputs} and gives {wanted_outputs}, "
            f"but this one takes {sorted(inputs)} and gives {sorted(outputs)}"
        )
    state = initial_state(session, source) if streaming else None
    frames = 6 if card.chunk is None else card.chunk.left + card.chunk.frames + card.chunk.right
    random = np.random.default_rng(0)
    spectrum = (0.01 * random.standard_normal((frames, 2, card.bins, 2))).astype(np.float32)
    spectrum[: frames // 2] *= 0.1  # a step in level, which a graph that normalises over a call would show
    together, after = _run(session, source, spectrum, state)
    shape = (frames, len(card.stems) - 1, 2, card.bins)
    counts = {frames, card.chunk.frames} if card.chunk else {frames}  # a chunk's context needs no masks
    if len(together) not in counts or together.shape[1:] not in (shape[1:], (*shape[1:], 2)):
        raise ModelError(f"{source}: masks have shape {together.shape}, not {shape} or {(*shape, 2)}")
    if together.dtype != np.float32:
        raise ModelError(f"{source}: masks are of type {together.dtype}; export a graph that gives float32")
    if not np.isfinite(together).all():
        raise ModelError(f"{source}: masks of plain noise are not finite; the network is damaged")
    if state is None or after is None:
        return
    if after.shape != state.shape:
        raise ModelError(f"{source}: next_state has shape {after.shape}, but state has {state.shape}")
    singly = []
    for frame in spectrum:
        masks, state = _run(session, source, frame[None], state)
        singly.append(masks[0])
    difference = float(np.abs(np.stack(singly) - together).max())
    if not difference <= TOLERANCE:
        raise ModelError(
            f"{source}: frames in one call and one by one differ by {difference:.2g}; the graph looks across the "
            "frames of a call, but a streaming graph may carry the past only in its state"
        )


def check_stems_graph(session: Any, card: StemsCard, graph: Graph, source: object) -> None:
    """Check that an ONNX Runtime session has the inputs and outputs that a card says, as far as it tells them.

    Nothing is run: that takes seconds. Raises ModelError with the first thing that is wrong. source: what to call the
    graph in the error.
    """
    for side, nodes, tensors in [
        ("input", session.get_inputs(), graph.inputs),
        ("output", session.get_outputs(), graph.outputs),
    ]:
        there = {node.name: node for node in nodes}
        wanted = [tensor.name for tensor in tensors]
        if missing := [name for name in wanted if name not in there]:
            raise ModelError(f"{source}: the card names the {side} {missing[0]}, but the graph has {', '.join(there)}")
        if side == "input" and (unknown := [name for name in there if name not in wanted]):
            raise ModelError(f"{source}: the card does not say what the input {unknown[0]} takes")
        for tensor in tensors:
            node, shape = there[tensor.name], card.shape(graph, tensor)
            if node.type not in TYPES:
                raise ModelError(f"{source}: {side} {node.name} is {node.type}; export float32 or float16")
            if not _may_be(node.shape, shape, known=side == "input"):
                raise ModelError(
                    f"{source}: {side} {node.name} has shape {node.shape}, but the card says {list(shape)}"
                )


def _may_be(declared: list[Any], shape: tuple[int, ...], known: bool) -> bool:
    """Return whether a declared shape may be this one.

    Exports do not always know a size: they say a name, None or 0, and for outputs often no shape at all.
    """
    if not declared and not known:
        return True
    sizes = [size if isinstance(size, int) and size > 0 else None for size in declared]
    return len(sizes) == len(shape) and all(size in (None, here) for size, here in zip(sizes, shape, strict=True))


def initial_state(session: Any, source: object = "this model") -> NDArray[np.float32]:
    """The zero state of a streaming session, of the shape that its graph declares; ModelError if that is not fixed."""
    shape = next(node.shape for node in session.get_inputs() if node.name == "state")
    if not all(isinstance(size, int) for size in shape):
        raise ModelError(f"{source}: the graph's state has no fixed shape, but {shape}; export it with fixed sizes")
    return np.zeros(shape, np.float32)


def _run(
    session: Any, source: object, spectrum: NDArray[Any], state: NDArray[Any] | None
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    feeds = {"spectrum": spectrum} if state is None else {"spectrum": spectrum, "state": state}
    names = ["masks"] if state is None else ["masks", "next_state"]
    try:
        masks, *after = session.run(names, feeds)
    except Exception as error:  # ONNX Runtime raises many types of its own
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{source}: the graph does not run on {spectrum.shape[0]} frames: {reason}") from error
    return masks, after[0] if after else None
