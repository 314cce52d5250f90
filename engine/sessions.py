"""ONNX Runtime's sessions, shared by all that run the same graph."""

import ctypes
import os
from threading import Lock, Thread
from typing import Any
from weakref import WeakValueDictionary

from ..models import Card, GraphFile, MaskCard, Model, ModelError, check_graph, check_stems_graph
from .providers import check_available, check_used, default_providers

# A card's shorter floats would be heard: sums in a network's filters cancel.
EXACT = {"CUDAExecutionProvider": {"use_tf32": "0"}}

_sessions: WeakValueDictionary[tuple, Any] = WeakValueDictionary()  # those in use, by what they were made of
_opening = Lock()
_checked: set[tuple[Card, int]] = set()  # graphs of cards that were seen to keep the contract in this process


def open_session(model: Model, threads: int = 1, providers: list[str] | None = None, *, graph: int = 0) -> Any:
    """Return an ONNX Runtime session for a graph of the model; equal calls return the same session.

    It holds no state, and any number of threads may run it at once. The graph of a model that did not ship is checked
    against the contract the first time.
    threads: number of threads within one operator. providers: ONNX Runtime's execution providers, None for
    `default_providers`. graph: index of the graph in the model.
    Raises ModelError if the graph cannot be loaded or breaks the contract.
    """
    threads = max(1, min(threads, os.cpu_count() or 1))  # more only cost memory
    providers = providers or default_providers()
    # A forked child makes its own session, because it does not have its parent's threads and the locks that they hold.
    key = (os.getpid(), model.card, graph, threads, *providers)
    with _opening:
        session = _sessions.get(key)
        if session is None:
            session = _new_session(model.card, model.graphs[graph], threads, providers)
            if not model.shipped and (model.card, graph) not in _checked:
                if isinstance(model.card, MaskCard):
                    check_graph(session, model.card, model.path)
                else:
                    check_stems_graph(session, model.card, model.card.graphs[graph], model.graphs[graph].path)
                _checked.add((model.card, graph))
            _sessions[key] = session
    return session


def _new_session(card: Card, graph: GraphFile, threads: int, providers: list[str]) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # A plan of the memory that a run needs saves time with single frames; with chunks it only costs 24 MB.
    options.enable_mem_pattern = card.realtime
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    if threads > 1:
        # Threads that spin between the small operators of a hop would take the processor from the host.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    check_available(providers, onnxruntime.get_available_providers())
    made: Any = None

    def make() -> None:
        nonlocal made
        try:
            exact = [(name, EXACT.get(name, {})) for name in providers]
            made = onnxruntime.InferenceSession(graph.read(), options, providers=exact)
        except Exception as error:  # ONNX Runtime raises many types of its own
            made = error

    # ONNX Runtime turns denormals off for good on the thread that makes its first session: let that be a thread of our
    # own, because the caller's arithmetic is not ours to change.
    thread = Thread(target=make)
    thread.start()
    thread.join()
    if isinstance(made, ModelError):  # of the file, which was not read
        raise made
    if isinstance(made, Exception):
        reason = " ".join(str(made).split())[:200]
        if "bad_alloc" in reason:
            raise MemoryError(f"{graph.path}: not enough memory for this model") from made
        raise ModelError(f"{graph.path}: ONNX Runtime cannot load this graph: {reason}") from made
    check_used(providers, made.get_providers())
    # What it took to optimise the graph is free again, 50 MB for `studio`, but the C library keeps it for that thread.
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
    return made
