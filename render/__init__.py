"""Files in, files out: remix or separate one song in constant memory, or many, here or on a Dask cluster."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

__all__ = [
    "BatchSettings",
    "Processor",
    "Progress",
    "RemixSettings",
    "Rendered",
    "Report",
    "SeparateSettings",
    "SongReport",
    "Watcher",
    "load_recipe",
    "remix_file",
    "remix_files",
    "separate_file",
    "separate_files",
]

if TYPE_CHECKING:
    from ..core.protocols import Processor
    from .batch.batch import remix_files, separate_files
    from .batch.recipe import load_recipe
    from .report.report import Report
    from .report.results import SongReport
    from .settings import BatchSettings, Progress, RemixSettings, SeparateSettings, Watcher
    from .song.song import Rendered, remix_file, separate_file

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "batch.batch": "remix_files separate_files",
        "batch.recipe": "load_recipe",
        "report.report": "Report",
        "report.results": "SongReport",
        "settings": "BatchSettings Processor Progress RemixSettings SeparateSettings Watcher",
        "song.song": "Rendered remix_file separate_file",
    },
)
