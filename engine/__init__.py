"""The signal path: analysis, mask network, resynthesis, faders."""

from .offline import aligned, remix, separate
from .processor import StemProcessor

__all__ = ["StemProcessor", "aligned", "remix", "separate"]
