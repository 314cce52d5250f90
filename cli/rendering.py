"""Progress of one song, and the lines about its result."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..core.errors import StemBridgeError
from ..core.times import clock
from .lines import complain
from .table import printable

if TYPE_CHECKING:
    import typer

    from ..render import Progress, Rendered


def one_song(context: "typer.Context", songs: list[str] | None) -> str:
    """Return the song of a command line about one song.

    Args:
        context: The command.
        songs: Its arguments.

    Raises:
        ValueError: The song is missing.
    """
    if not songs:
        raise StemBridgeError(f"Missing argument 'SONG'; see {context.command_path} --help")
    return songs[0]


def run_with_progress(start: "Callable[[Progress | None], Rendered]") -> None:
    """Render a song with a progress bar if stderr is a terminal. Then print warnings, the written files and the speed.

    Args:
        start: Renders the song; takes a function that shows progress, or None.
    """
    from ..render.song.song import UNTOUCHED

    began = time.monotonic()
    with progress_bar() as progress:
        rendered = start(progress)
    took = time.monotonic() - began
    for warning in rendered.warnings:
        complain(f"warning: {warning}")
    length = f"{clock(rendered.seconds, 1)} in {clock(took, 1)}, {rendered.seconds / took:.1f} times real time"
    untouched = f"; {UNTOUCHED}" if rendered.untouched else ""
    paths = printable(", ".join(map(str, rendered.paths)))
    instead = " in place of the song" if rendered.replaced_song else ""
    print(f"wrote {paths}{instead}: {length}{untouched}")


@contextmanager
def progress_bar() -> "Iterator[Progress | None]":
    """Yield a function that shows progress with a bar on stderr, or None if stderr is not a terminal."""
    if not (sys.stderr and sys.stderr.isatty()):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Bars(*columns, console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty()) as bar:
        tasks: dict[str, TaskID] = {}

        def show(step: str, fraction: float | None) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=None)
            if fraction is not None:
                bar.update(tasks[step], total=1.0, completed=fraction)

        yield show
