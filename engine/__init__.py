"""The signal path: analysis, mask network, resynthesis, faders."""

from ..core.protocols import Automation
from .offline import aligned, automated, moves_faders, remix, remixing, separate
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
