"""Check that graphs keep the contract of docs/model-format.md."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ModelError, one_line
from .mask_card import MaskCard
from .stems_card import Graph, StemsCard

FLOAT_TYPES = "tensor(float)", "tensor(float16)"
# Greatest difference of masks between one call for many frames and a call for each: inaudible, but far above rounding.
MASK_TOLERANCE = 1e-3
MAX_STATE = 10**8  # values; today's networks need some ten thousand
MAX_REASON_LETTERS = 200  # of an error of ONNX Runtime, which may be as long as a page


def check_graph(session: Any, card: MaskCard, source: object) -> None:
    """Check that the graph of a mask network keeps the contract of its card, by running it on noise.

    Args:
        session: An ONNX Runtime session of the graph.
        card: The card.
        source: How errors call the model: usually its path.

    Raises:
        ModelError: The graph does not keep the contract. A streaming graph must also give the same masks for frames in
            one call as for frames one by one.
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
    for node in (*session.get_inputs(), *session.get_outputs()):
        if node.type != "tensor(float)":
            raise ModelError(f"{source}: {node.name} is of type {node.type}; export a graph with float32 tensors")
    state = initial_state(session, source) if streaming else None
    frames = 6 if card.chunk is None else card.chunk.left + card.chunk.frames + card.chunk.right
    random = np.random.default_rng(0)
    spectrum = (0.01 * random.standard_normal((frames, 2, card.bins, 2))).astype(np.float32)
    spectrum[: frames // 2] *= 0.1  # a step in level exposes a graph that normalises over the frames of a call
    together, after = run_graph(session, card, source, spectrum, state)
    if not np.isfinite(together).all():
        raise ModelError(f"{source}: masks of plain noise are not finite; the network is damaged")
    if state is None or after is None:
        return
    singly = []
    for frame in spectrum:
        masks, state = run_graph(session, card, source, frame[None], state)
        singly.append(masks[0])
    difference = float(np.abs(np.stack(singly) - together).max())
    if not difference <= MASK_TOLERANCE:
        raise ModelError(
            f"{source}: frames in one call and one by one differ by {difference:.2g}; the graph looks across the "
            "frames of a call, but a streaming graph may carry the past only in its state"
        )


def check_stems_graph(session: Any, card: StemsCard, graph: Graph, source: object) -> None:
    """Check that the inputs and outputs of a graph that gives stems are as its card says.

    The graph is not run, because that takes seconds. Sizes that it does not declare are not checked.

    Args:
        session: An ONNX Runtime session of the graph.
        card: The card.
        graph: The card's description of the graph.
        source: How errors call the graph: usually its path.

    Raises:
        ModelError: An input or output is missing, unknown, or has another type or shape.
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
            if node.type not in FLOAT_TYPES:
                raise ModelError(f"{source}: {side} {node.name} is {node.type}; export float32 or float16")
            if not _may_be(node.shape, shape, known=side == "input"):
                raise ModelError(
                    f"{source}: {side} {node.name} has shape {node.shape}, but the card says {list(shape)}"
                )


def _may_be(declared: list[Any], shape: tuple[int, ...], known: bool) -> bool:
    """Return whether a declared shape is compatible with a known one.

    Exporters write a name, None or 0 for a size that they do not know, and often no shape at all for an output.
    """
    if not declared and not known:
        return True
    sizes = [size if isinstance(size, int) and size > 0 else None for size in declared]
    return len(sizes) == len(shape) and all(size in (None, here) for size, here in zip(sizes, shape, strict=True))


def initial_state(session: Any, source: object = "this model") -> NDArray[np.float32]:
    """Return the state with which a streaming graph starts: zeros of the shape that it declares.

    Args:
        session: An ONNX Runtime session of the graph.
        source: How errors call the model.

    Raises:
        ModelError: The graph does not declare a fixed shape, or a huge one.
    """
    shape = next(node.shape for node in session.get_inputs() if node.name == "state")
    if not all(isinstance(size, int) for size in shape):
        raise ModelError(f"{source}: the graph's state has the shape {shape}; export it with fixed sizes")
    if math.prod(shape) > MAX_STATE:
        raise ModelError(f"{source}: the graph's state has the shape {shape}, more than {MAX_STATE:,} values")
    return np.zeros(shape, np.float32)


def run_graph(
    session: Any, card: MaskCard, source: object, spectrum: NDArray[Any], state: NDArray[Any] | None = None
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Run the graph of a mask network.

    Args:
        session: An ONNX Runtime session of the graph.
        card: The card.
        source: How errors call the model: usually its path.
        spectrum: float32, shape (frames, 2, bins, 2).
        state: The state; None for a chunked graph.

    Returns:
        Masks, shape (frames, stems - 1, 2, bins) or (..., bins, 2), and the next state. Masks of a chunk may be those
        without its context.

    Raises:
        ModelError: The graph does not run, or gives arrays of other shapes.
        MemoryError: There is not enough memory.
    """
    feeds = {"spectrum": spectrum} if state is None else {"spectrum": spectrum, "state": state}
    names = ["masks"] if state is None else ["masks", "next_state"]
    try:
        masks, *after = session.run(names, feeds)
    except Exception as error:  # ONNX Runtime has many types of errors
        reason = runtime_error_text(error)
        if "bad_alloc" in reason:
            raise MemoryError(f"{source}: not enough memory for this model") from error
        raise ModelError(f"{source}: the graph does not run on {len(spectrum)} frames: {reason}") from error
    shape = (len(spectrum), len(card.stems) - 1, 2, card.bins)
    counts = (shape[0], card.chunk.frames) if card.chunk else shape[:1]  # masks for the context are optional
    if masks.shape[:1] not in [(count,) for count in counts] or masks.shape[1:] not in (shape[1:], (*shape[1:], 2)):
        raise ModelError(f"{source}: masks have shape {masks.shape}, not {shape} or {(*shape, 2)}")
    if state is None:
        return masks, None
    if after[0].shape != state.shape:
        raise ModelError(f"{source}: next_state has shape {after[0].shape}, but state has {state.shape}")
    return masks, after[0]


def runtime_error_text(error: BaseException) -> str:
    """Return the text of an error of ONNX Runtime in one line, without the end of a long one."""
    return one_line(error)[:MAX_REASON_LETTERS]
