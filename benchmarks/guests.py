"""Costs of an imported network in the engine, compared with its graphs alone; for benchmarks/networks.py."""

import time
from typing import Any
from unittest.mock import patch

import numpy as np
from measuring import BLOCK, RATE, alone, music, peak_mib

SEGMENTS = 3  # that are timed


def measure_guest(path: str) -> dict[str, Any]:
    """Measure an imported network on one core.

    Args:
        path: Path of the model.

    Returns:
        latency in seconds; speed in times real time, with all stems moved; one, the same with only the first stem
        moved; added, the time that the engine adds in per cent of the graphs' time; graphs_mib, the peak memory with
        the graphs alone; and engine_mib, the memory that the engine adds.
    """
    graphs = alone(1, _run_graphs, path)
    every, one = (alone(1, _run_engine, path, moved) for moved in (None, 1))
    return {
        "latency": every["latency"],
        "speed": every["speed"],
        "one": one["speed"],
        "added": every["added"],
        "graphs_mib": graphs,
        "engine_mib": every["peak"] - graphs,
    }


def count_parameters(path: str) -> int:
    """Count the weights of an imported network.

    Args:
        path: Path of the model.
    """
    import onnx
    from stembridge.models import load_model

    graphs = [onnx.load_model_from_string(graph.read()).graph for graph in load_model(path).graphs]
    floats = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
    return sum(
        int(np.prod(tensor.dims)) for graph in graphs for tensor in graph.initializer if tensor.data_type in floats
    )


def _run_engine(path: str, moved: int | None) -> dict[str, float]:
    """Move some stems, or all, of audio with three segments."""
    from stembridge import StemProcessor
    from stembridge.engine.guests import bag
    from stembridge.engine.sessions import open_session

    processor = StemProcessor(path, RATE)
    processor.set_gains_db(**{stem: -3.0 * (k + 1) for k, stem in enumerate(processor.stems[:-1][:moved])})
    n = processor.latency_samples + SEGMENTS * processor.hop_samples
    audio = music(n / RATE, RATE)[:, :n]
    inside = 0.0

    class Timed:
        """A session whose runs are timed."""

        def __init__(self, session: Any) -> None:
            self.get_inputs, self._session = session.get_inputs, session

        def run(self, *arguments: Any) -> Any:
            nonlocal inside
            start = time.perf_counter()
            results = self._session.run(*arguments)
            inside += time.perf_counter() - start
            return results

    separator: Any = processor._separator
    separator._bag._sessions.clear()
    with patch.object(bag, "open_session", lambda *arguments, **named: Timed(open_session(*arguments, **named))):
        processor.separate(audio[:, : processor.latency_samples + 1])  # the first run is slower
        processor.reset()
        inside, start = 0.0, time.perf_counter()
        for at in range(0, n, BLOCK):
            processor.process(audio[:, at : at + BLOCK])
        taken = time.perf_counter() - start
    return {
        "latency": processor.latency_samples / RATE,
        "speed": SEGMENTS * processor.hop_samples / RATE / taken,
        "added": 100 * (taken - inside) / inside,
        "peak": peak_mib(),
    }


def _run_graphs(path: str) -> float:
    """Run all graphs twice, and return the peak memory in MiB."""
    from stembridge.engine.sessions import open_session
    from stembridge.models import StemsCard, load_model

    model = load_model(path)
    card = model.card
    assert isinstance(card, StemsCard)
    sessions = [open_session(model, graph=k) for k in range(len(card.graphs))]
    for graph, session in zip(card.graphs, sessions, strict=True):
        types = {node.name: np.float16 if "16" in node.type else np.float32 for node in session.get_inputs()}
        feeds = {
            tensor.name: np.random.default_rng(0).random(card.shape(graph, tensor)).astype(types[tensor.name])
            for tensor in graph.inputs
        }
        for _ in range(2):
            session.run(None, feeds)
    return peak_mib()
