"""Bars in a terminal for many songs: one for them all, and one for each that is being rendered."""

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

RECENT = 600.0  # seconds; what the time left is reckoned from
WIDTH = 26  # of a song's name


class Bars:
    """A Watcher, and a context: the bars are gone when it ends."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(width=WIDTH, no_wrap=True)),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[text]}", markup=False),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
            transient=True,
            speed_estimate_period=RECENT,
        )
        self._all = self._progress.add_task("looking for songs", total=None, text="")
        self._songs: dict[str, TaskID] = {}  # those being rendered
        self._over: set[str] = set()
        self._seconds = 0.0  # of music that is rendered
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
        """How many songs are done or failed."""
        return len(self._over)

    def planned(self, report: "Report") -> None:
        """Know how many songs there are to do."""
        say_left_out(report)
        self._began = time.monotonic()
        self._progress.update(self._all, description="all songs", total=len(report.planned))
        self._update()

    def working(self, source: str, step: str, fraction: float | None) -> None:
        """Move a song's bar."""
        if source in self._over:  # it comes late
            return
        if source not in self._songs:
            name = printable(source.rstrip("/").rpartition("/")[2])
            self._songs[source] = self._progress.add_task(name, total=None, text="")
        total = None if fraction is None else 1.0
        self._progress.update(self._songs[source], total=total, completed=fraction or 0.0, text=step)
        self._update()

    def finished(self, song: "SongReport") -> None:
        """Take a song's bar away, and count it."""
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
