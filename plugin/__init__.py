"""Plugins for hosts: StemMix, StemRack, and any other Python processor as a real pedalboard plugin."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

__all__ = ["HostedPlugin", "StemMix", "StemRack", "load_processor"]

if TYPE_CHECKING:
    from .hosted import HostedPlugin
    from .processors import load_processor
    from .rack import StemRack
    from .stemmix import StemMix

# Imported on first use, because the process that makes the sound imports this package and needs no pedalboard.
__getattr__, __dir__ = lazy_names(
    __name__, {"hosted": "HostedPlugin", "processors": "load_processor", "rack": "StemRack", "stemmix": "StemMix"}
)
