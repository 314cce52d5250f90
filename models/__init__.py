"""What a network is: its contract, its card, its checksum, and the networks that ship."""

from ..core.errors import ModelError
from .card import Card, Chunk
from .contract import check_graph, initial_state
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
