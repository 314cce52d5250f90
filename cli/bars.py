"""Progress bars of a batch in a terminal: one for all songs, and one for each song that is being rendered."""

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

from .lines import say_left_out
from .table import printable

if TYPE_CHECKING:
    from ..render import Report, SongReport

SPEED_WINDOW_S = 600.0  # the remaining time is estimated from the speed of these last seconds
NAME_WIDTH = 26  # columns for a song's name


class Bars:
    """Shows the progress of a batch, as its `Watcher`, until the `with` block ends."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(width=NAME_WIDTH, no_wrap=True)),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[text]}", markup=False),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
            transient=True,
            speed_estimate_period=SPEED_WINDOW_S,
        )
        self._all = self._progress.add_task("looking for songs", total=None, text="")
        self._songs: dict[str, TaskID] = {}  # songs that are being rendered
        self._over: set[str] = set()  # songs that are done or failed
        self._seconds = 0.0  # length of all rendered songs
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    @property
    def count(self) -> int:
        """Number of songs that are done or failed."""
        return len(self._over)

    def planned(self, report: "Report") -> None:
        """Start to show the progress of all songs.

        Args:
            report: The batch before any work, with its planned songs.
        """
        say_left_out(report)
        self._began = time.monotonic()
        self._progress.update(self._all, description="all songs", total=len(report.planned))
        self._update()

    def working(self, source: str, step: str, fraction: float | None) -> None:
        """Move a song's bar.

        Args:
            source: Path or URL of the song.
            step: "rendering" or "writing".
            fraction: How much of the step is done, 0 to 1; None if that is not known.
        """
        if source in self._over:  # this call was late
            return
        if source not in self._songs:
            name = printable(source.rstrip("/").rpartition("/")[2])
            self._songs[source] = self._progress.add_task(name, total=None, text="")
        total = None if fraction is None else 1.0
        self._progress.update(self._songs[source], total=total, completed=fraction or 0.0, text=step)
        self._update()

    def finished(self, song: "SongReport") -> None:
        """Remove a song's bar, and count the song.

        Args:
            song: A song that is done or failed.
        """
        self._over.add(song.source)
        if (task := self._songs.pop(song.source, None)) is not None:
            self._progress.remove_task(task)
        if song.outcome == "done":
            self._seconds += song.seconds or 0
        self._update()

    def _update(self) -> None:
        over, total = len(self._over), self._progress.tasks[0].total
        under_way = sum(task.completed for task in self._progress.tasks[1:] if task.fields["text"] == "rendering")
        speed = self._seconds / max(time.monotonic() - self._began, 1e-3)
        text = f"{over}/{total:g}" if total is not None else ""
        if speed:
            text += f", {speed:.1f} times real time"
        self._progress.update(self._all, completed=min(over + under_way, total or 0), text=text)
