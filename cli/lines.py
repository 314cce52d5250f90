"""Lines of text on the terminal: messages on stderr, and the progress of a batch, a line for each song."""

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from ..core.times import clock
from .table import printable

if TYPE_CHECKING:
    from ..render import Report, SongReport


def complain(line: str) -> None:
    """Print a line on stderr, without characters that control a terminal. Nothing happens if stderr cannot be written.

    Args:
        line: Text without the program's name.
    """
    with suppress(OSError):
        print(printable(f"stembridge: {line}"), file=sys.stderr, flush=True)


def say_left_out(report: "Report") -> None:
    """Print lines on stderr about files and folders that a folder or glob left out.

    Args:
        report: The batch.
    """
    for line in report.left_out:
        complain(line)


class Lines:
    """Shows the progress of a batch, as its `Watcher`, by a line on stdout for each song.

    Attributes:
        count: Number of songs that are done or failed.
    """

    count = 0

    def planned(self, report: "Report") -> None:
        """Remember the number of songs.

        Args:
            report: The batch before any work, with its planned songs.
        """
        self._total = len(report.planned)
        say_left_out(report)

    def working(self, source: str, step: str, fraction: float | None) -> None:
        """Print nothing: there is one line for each song."""

    def finished(self, song: "SongReport") -> None:
        """Print the result of a song.

        Args:
            song: A song that is done or failed.
        """
        self.count += 1
        count = f"{self.count:{len(str(self._total))}}/{self._total}"
        if song.outcome == "failed":
            text = f"failed  {count}  {song.source}: {song.reason}"
        else:
            text = f"done    {count}  {', '.join(song.outputs)}  {speed_text(song.seconds, song.took)}"
        print(printable(text), flush=True)


def speed_text(seconds: float | None, took: float | None) -> str:
    """Return words about length and speed, empty if one of them is not known.

    Args:
        seconds: Length of the audio.
        took: Duration of the work, in seconds.
    """
    if not seconds or not took:
        return ""
    return f"{clock(seconds)} in {clock(took)}, {seconds / took:.1f} times real time"
