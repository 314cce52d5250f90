"""Import networks by others: recognise the kind of a graph, and write a card with which the engine can run it."""

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
