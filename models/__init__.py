"""What a network is: its contract, its card, its checksum, and the networks that ship."""

from typing import TYPE_CHECKING

from ..core.errors import ModelError
from ..core.lazy import lazy_names
from .card import Card, Chunk
from .registry import Model, load_model, model_names, save_model

__all__ = [
    "Card",
    "Chunk",
    "Model",
    "ModelError",
    "check_graph",
    "initial_state",
    "load_model",
    "model_names",
    "save_model",
]

if TYPE_CHECKING:
    from .contract import check_graph, initial_state

__getattr__, __dir__ = lazy_names(__name__, {"contract": "check_graph initial_state"})  # which need NumPy
