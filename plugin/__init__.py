"""Doors into hosts: StemMix and any other Python processor as a real pedalboard plugin."""

from typing import TYPE_CHECKING

__all__ = ["HostedPlugin", "StemMix", "StemRack", "load_processor"]

if TYPE_CHECKING:
    from .hosted import HostedPlugin, load_processor
    from .rack import StemRack
    from .stemmix import StemMix


def __getattr__(name: str) -> object:
    # Imported on first use: the process that makes the sound goes through here and needs no host.
    if name == "StemMix":
        from .stemmix import StemMix

        return StemMix
    if name == "StemRack":
        from .rack import StemRack

        return StemRack
    if name in ("HostedPlugin", "load_processor"):
        from . import hosted

        return getattr(hosted, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
