"""ONNX Runtime sessions. Everything that runs the same graph shares one."""

import atexit
import ctypes
import os
import sys
from contextlib import closing, nullcontext
from threading import Condition, Lock, current_thread, main_thread
from typing import Any
from weakref import WeakValueDictionary

from ..core.background import BackgroundWorker
from ..core.errors import StemBridgeError
from ..models import Card, GraphFile, MaskCard, Model, ModelError, check_graph, check_stems_graph
from ..models.contract import runtime_error_text
from ..models.guests.onnx_file import refuse_external_data
from .providers import check_available, check_used, default_providers

# A graphics card's shorter floats would be audible, because large terms cancel in a network's filters.
EXACT_OPTIONS = {"CUDAExecutionProvider": {"use_tf32": "0"}}

_sessions: WeakValueDictionary[tuple[Any, ...], "Session"] = WeakValueDictionary()  # in use, by graph and options
_opening = Lock()
_checked: set[tuple[Card, int]] = set()  # card and number of each graph that was checked in this process


class Session:
    """A session of ONNX Runtime that other threads may be using when the program ends.

    A thread that comes back from C++ after Python has ended would abort the program. So the end of the program waits
    for runs in other threads, and ends threads that begin another one.

    Args:
        session: The onnxruntime.InferenceSession.
    """

    def __init__(self, session: Any) -> None:
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, names: list[str] | None, feeds: dict[str, Any]) -> list[Any]:
        """Return outputs.

        Args:
            names: Names of outputs; None for all.
            feeds: Name of each input to its array.
        """
        with nullcontext() if current_thread() is main_thread() else _runs:
            results: list[Any] = self._session.run(names, feeds)
        return results


class _Runs:
    """The runs in threads other than the main thread: `with` this, one is under way."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._count, self._ended = 0, False

    def __enter__(self) -> None:
        with self._changed:
            if self._ended:
                sys.exit()  # only ends this thread
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def end(self) -> None:
        """Wait for all runs, and let no other begin."""
        with self._changed:
            self._ended = True
            while self._count:
                self._changed.wait()


_runs = _Runs()
atexit.register(lambda: _runs.end())


def _forget_parent() -> None:
    """Start afresh in a forked child, which has the locks of its parent's threads, but not the threads."""
    global _opening, _runs
    for session in [*_sessions.values()]:
        # Never freed, because that would wait for threads that do not exist here.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))
    _sessions.clear()
    _opening, _runs = Lock(), _Runs()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)


def open_session(model: Model, threads: int = 1, providers: list[str] | None = None, *, graph: int = 0) -> Session:
    """Return an ONNX Runtime session for a graph of a model. Equal calls return the same session.

    A session holds no state, and any number of threads may run it at once. The first time, a graph is checked against
    its contract, unless it came with StemBridge.

    Args:
        model: The model.
        threads: Number of threads within one operator.
        providers: Execution providers of ONNX Runtime, None for `default_providers`.
        graph: Index of the graph in the model.

    Raises:
        ModelError: The graph cannot be loaded or breaks its contract, or a provider cannot be used.
        StemBridgeError: `providers` are not names.
    """
    threads = max(1, min(threads, os.cpu_count() or 1))  # more threads would only cost memory
    providers = providers or default_providers()
    if isinstance(providers, str) or not all(isinstance(name, str) for name in providers):
        raise StemBridgeError(
            f"providers {providers!r} do not work; give a list of names, such as ['CPUExecutionProvider']"
        )
    key = (model.card, graph, threads, *providers)
    with _opening:
        session = _sessions.get(key)
        if session is None:
            content = model.graphs[graph].read()
            if not model.shipped:
                refuse_external_data(memoryview(content), str(model.graphs[graph].path))
            session = _new_session(model.card, model.graphs[graph], content, threads, providers)
            if not model.shipped and (model.card, graph) not in _checked:
                if isinstance(model.card, MaskCard):
                    check_graph(session, model.card, model.path)
                else:
                    check_stems_graph(session, model.card, model.card.graphs[graph], model.graphs[graph].path)
                _checked.add((model.card, graph))
            _sessions[key] = session
    return session


def _new_session(card: Card, graph: GraphFile, content: bytes, threads: int, providers: list[str]) -> Session:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Planning the memory of a run saves time with single frames. With chunks it only costs 24 MB.
    options.enable_mem_pattern = card.realtime
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    if threads > 1:
        # Threads that spin while they wait would take the CPU from the host.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    check_available(providers, onnxruntime.get_available_providers())
    exact = [(name, EXACT_OPTIONS.get(name, {})) for name in providers]

    def make() -> Any:
        return onnxruntime.InferenceSession(content, options, providers=exact)

    # ONNX Runtime turns denormals off for good on the thread that makes its first session. Use a new thread, so that
    # the caller's arithmetic does not change. After Ctrl-C wait for its end, because a program that ends in the middle
    # would crash.
    try:
        with closing(BackgroundWorker()) as thread:
            made = thread.call(make)
    except Exception as error:  # ONNX Runtime raises many types of its own
        reason = runtime_error_text(error)
        if "bad_alloc" in reason:
            raise MemoryError(f"{graph.path}: not enough memory for this model") from error
        raise ModelError(f"{graph.path}: ONNX Runtime cannot load this graph: {reason}") from error
    check_used(providers, made.get_providers())
    # The C library keeps the memory that optimising the graph took (50 MB for `studio`); give it back to the system.
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)
    return Session(made)
