"""Four faders on a finished song: vocals, drums, bass and other."""

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["StemProcessor", "__version__", "remix", "separate"]

if TYPE_CHECKING:
    from .engine import StemProcessor, remix, separate


def __getattr__(name: str) -> object:
    # Imported on first use, so that `import stembridge` costs nothing.
    if name in ("StemProcessor", "remix", "separate"):
        from . import engine

        return getattr(engine, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
