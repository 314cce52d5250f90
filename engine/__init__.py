"""The signal path: analysis, mask network, resynthesis, faders."""

from .offline import Automation, aligned, automated, remix, separate
from .processor import StemProcessor

__all__ = ["Automation", "StemProcessor", "aligned", "automated", "remix", "separate"]
