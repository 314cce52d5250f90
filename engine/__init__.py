"""The signal path: analysis, mask network, resynthesis, faders."""

from .offline import Automation, aligned, automated, moves_faders, remix, remixing, separate
from .processor import StemProcessor

__all__ = [
    "Automation",
    "StemProcessor",
    "aligned",
    "automated",
    "moves_faders",
    "remix",
    "remixing",
    "separate",
]
