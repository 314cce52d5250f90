"""A batch as lines of text: a line for each song, and lines about files that were left out."""

import sys
from typing import TYPE_CHECKING

from ..core.times import clock
from .table import printable

if TYPE_CHECKING:
    from ..render import Report, SongReport


def complain(line: str) -> None:
    """Print a line on stderr."""
    print(printable(f"stembridge: {line}"), file=sys.stderr)


def say_left_out(report: "Report") -> None:
    """Print a line on stderr about files and folders that a folder or glob left out."""
    for line in report.left_out:
        complain(line)


class Lines:
    """A line on stdout for each song, where nobody watches. count: of the songs that are done or failed."""

    count = 0

    def planned(self, report: "Report") -> None:
        """Know how many songs there are to do."""
        self._total = len(report.planned)
        say_left_out(report)

    def working(self, source: str, step: str, fraction: float | None) -> None:
        """Say nothing."""

    def finished(self, song: "SongReport") -> None:
        """Print the result of a song."""
        self.count += 1
        count = f"{self.count:{len(str(self._total))}}/{self._total}"
        if song.outcome == "failed":
            text = f"failed  {count}  {song.source}: {song.reason}"
        else:
            text = f"done    {count}  {', '.join(song.outputs)}  {speed_text(song.seconds, song.took)}"
        print(printable(text), flush=True)


def speed_text(seconds: float | None, took: float | None) -> str:
    """How long something is, how long it took, and what that is in real time."""
    if not seconds or not took:
        return ""
    return f"{clock(seconds)} in {clock(took)}, {seconds / took:.1f} times real time"
