"""Files in, files out: one song remixed or taken apart in constant memory, and many, here or on a Dask cluster."""

from typing import TYPE_CHECKING

from ..core.protocols import Processor
from .song.song import Progress, Rendered, remix_file, separate_file

__all__ = [
    "Processor",
    "Progress",
    "Rendered",
    "Report",
    "SongReport",
    "Watcher",
    "load_recipe",
    "remix_file",
    "remix_files",
    "separate_file",
    "separate_files",
]

if TYPE_CHECKING:
    from .batch.batch import Watcher, remix_files, separate_files
    from .batch.recipe import load_recipe
    from .report.report import Report, SongReport


def __getattr__(name: str) -> object:
    # Imported on first use: one song needs none of it.
    if name in ("Watcher", "remix_files", "separate_files"):
        from .batch import batch

        return getattr(batch, name)
    if name == "load_recipe":
        from .batch.recipe import load_recipe

        return load_recipe
    if name in ("Report", "SongReport"):
        from .report import report

        return getattr(report, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
