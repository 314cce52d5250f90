"""Models: cards, checksums and contracts of networks, the models that come with StemBridge, and imported ones."""

from typing import TYPE_CHECKING

from ..core.errors import ModelError
from ..core.lazy import lazy_names
from .card import Card, parse_card
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
    "run_graph",
    "save_model",
    "shipped_models",
]

if TYPE_CHECKING:
    from .contract import check_graph, check_stems_graph, initial_state, run_graph

# These need NumPy.
__getattr__, __dir__ = lazy_names(__name__, {"contract": "check_graph check_stems_graph initial_state run_graph"})
