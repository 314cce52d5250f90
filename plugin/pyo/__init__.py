"""StemMix for pyo: four faders on any pyo signal, and each stem as a separate signal."""

from .stemmix import StemMix

__all__ = ["StemMix"]
