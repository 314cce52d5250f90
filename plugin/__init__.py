"""Doors into hosts: StemMix and any other Python processor as a real pedalboard plugin."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

__all__ = ["HostedPlugin", "StemMix", "StemRack", "load_processor"]

if TYPE_CHECKING:
    from .hosted import HostedPlugin, load_processor
    from .rack import StemRack
    from .stemmix import StemMix

# Imported on first use: the process that makes the sound goes through here and needs no host.
__getattr__, __dir__ = lazy_names(
    __name__, {"hosted": "HostedPlugin load_processor", "rack": "StemRack", "stemmix": "StemMix"}
)
