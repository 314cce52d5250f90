"""Networks by others: recognised by their graphs, and described by a card so that the engine can run them."""

from .kinds import all_kinds
from .onnx_file import refuse_weights
from .recognition import GuestFile, recognise
from .spleeter import spleeter_graphs
from .store import adopt_model, check_name, publish_model, remove_model, stage_model, staging

__all__ = [
    "GuestFile",
    "adopt_model",
    "all_kinds",
    "check_name",
    "publish_model",
    "recognise",
    "refuse_weights",
    "remove_model",
    "spleeter_graphs",
    "stage_model",
    "staging",
]
