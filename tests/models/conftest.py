"""A model on disk that a test may damage."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def spoil(tiny_live_model: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that copies the tiny streaming model with changed card fields (None: left out) or bytes."""

    def spoil(graph: bytes | None = None, card: bytes | None = None, **fields: Any) -> Path:
        path = tmp_path / "mine.onnx"
        values = json.loads(tiny_live_model.with_suffix(".json").read_text()) | fields
        values = {key: value for key, value in values.items() if value is not None}
        path.write_bytes(tiny_live_model.read_bytes() if graph is None else graph)
        path.with_suffix(".json").write_bytes(json.dumps(values).encode() if card is None else card)
        return path

    return spoil
