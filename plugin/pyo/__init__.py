"""StemMix for pyo: four faders on any pyo signal, and each stem as a signal of its own."""

from .stemmix import StemMix

__all__ = ["StemMix"]
