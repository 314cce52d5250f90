"""What a network is: its contract, its card, its checksum, and the networks that ship."""

from ..core.errors import ModelError
from .card import Card, parse_card
from .contract import check_graph, check_stems_graph, initial_state
from .mask_card import Chunk, MaskCard
from .registry import GraphFile, Model, load_model, model_names, own_models, save_model, shipped_models
from .stems_card import StemsCard

__all__ = [
    "Card",
    "Chunk",
    "GraphFile",
    "MaskCard",
    "Model",
    "ModelError",
    "StemsCard",
    "check_graph",
    "check_stems_graph",
    "initial_state",
    "load_model",
    "model_names",
    "own_models",
    "parse_card",
    "save_model",
    "shipped_models",
]
