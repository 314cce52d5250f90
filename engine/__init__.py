"""The signal path: analysis, network, resynthesis, faders."""

from ..core.protocols import Automation
from .offline import compensate_latency, moves_faders, remix, remixing, separate, too_late, with_automation
from .processor import StemProcessor

__all__ = [
    "Automation",
    "StemProcessor",
    "compensate_latency",
    "moves_faders",
    "remix",
    "remixing",
    "separate",
    "too_late",
    "with_automation",
]
