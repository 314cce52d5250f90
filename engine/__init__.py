"""The signal path: analysis, mask network, resynthesis, faders."""

from .offline import remix, separate
from .processor import StemProcessor

__all__ = ["StemProcessor", "remix", "separate"]
