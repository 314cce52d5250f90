"""Tiny networks whose outputs are stems."""

import hashlib
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx.parser
import pytest

STEMS = ["vocals", "drums", "bass", "other"]
SEGMENT = {"samples": 8192, "overlap": 2048}
WAVEFORM = {"name": "mix", "holds": "waveform", "axes": ["batch", "channel", "sample"]}
SOURCES = {"name": "sources", "holds": "waveform", "axes": ["batch", "stem", "channel", "sample"]}

# Three nonlinear stems that depend on the current sample, on a neighbour and on the position in the segment.
BODY = """
    two = Constant <value_int = 2> ()
    size = Constant <value_ints = [1, 2, 8192]> ()
    place = RandomUniformLike <seed = 3.0, low = 0.9, high = 1.1> (mix)
    loud = Abs (mix)
    squashed = Tanh (mix)
    one = Mul (loud, mix)
    third = Constant <value_float = 0.3> ()
    step = Constant <value_ints = [0, 0, 1, 0, 0, -1]> ()
    late = Pad (mix, step)
    two_ = Mul (late, third)
    three = Mul (squashed, third)
    axis = Constant <value_ints = [1]> ()
    a = Unsqueeze (one, axis)
    b = Unsqueeze (two_, axis)
    c = Unsqueeze (three, axis)
    sources = Concat <axis = 1> (a, b, c)
"""


@pytest.fixture(scope="session")
def make_guest(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that makes a model: (graphs, fields of the card) -> path of the card.

    graphs: Each an ONNX file's bytes or a graph in ONNX's text form, and its fields on the card.
    """
    folder = tmp_path_factory.mktemp("guests")
    numbers = itertools.count()

    def make(*graphs: tuple[bytes | str, dict[str, Any]], **fields: Any) -> Path:
        name = f"guest{next(numbers)}"
        described = []
        for k, (graph, about) in enumerate(graphs):
            if isinstance(graph, str):
                text = f'<ir_version: 8, opset_import: ["" : 18]> {graph}'
                graph = onnx.parser.parse_model(text).SerializeToString()
            file = folder / f"{name}.{k}.onnx"
            file.write_bytes(graph)
            about = {"inputs": [WAVEFORM], "outputs": [SOURCES]} | about
            described.append({"file": file.name, "sha256": hashlib.sha256(graph).hexdigest(), **about})
        card = {"format": 2, "name": name, "version": "1", "stems": STEMS, "sample_rate": 44100, "num_channels": 2}
        card |= {"segment": SEGMENT, "graphs": described, "terms": "CC0"} | fields
        path = folder / f"{name}.json"
        path.write_text(json.dumps(card))
        return path

    return make


@pytest.fixture(scope="session")
def tiny_guest(make_guest: Callable[..., Path]) -> Path:
    """Make a model of one graph, waveform to waveforms."""
    graph = f"tiny (float[1, 2, 8192] mix) => (float[1, 3, 2, 8192] sources) {{ {BODY} }}"
    return make_guest((graph, {"stems": STEMS[:3]}))


def scaling(stem: str, factor: float) -> tuple[str, dict[str, Any]]:
    """Return a graph whose only stem is the mix times a factor."""
    text = f"""one (float[1, 2, samples] mix) => (float[1, 2, samples] sources) {{
        factor = Constant <value_float = {factor}> ()
        sources = Mul (mix, factor)
    }}"""
    return text, {"stems": [stem], "outputs": [WAVEFORM | {"name": "sources"}]}
