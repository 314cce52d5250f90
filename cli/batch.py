"""Many songs: what the command line asks for, what the user sees while they are rendered, and after."""

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from ..core.times import clock
from .lines import Lines, complain, speed_text
from .options import is_given
from .table import print_table

if TYPE_CHECKING:
    from ..render import Report, SongReport
    from .bars import Bars

BATCH_OPTIONS = "name", "jobs", "dask", "recipe", "report", "dry_run"
# The suffixes of an output that is a file.
FILES = ".wav", ".flac", ".aiff", ".aif", ".mp3", ".ogg", ".opus", ".m4a", ".mp4", ".m4v", ".mov", ".mkv", ".webm"
MOST_LINES = 40  # of songs, in the table at the end
FAILED = 1  # exit code


def is_batch(context: typer.Context, songs: list[str] | None) -> bool:
    """Whether a command line is about many songs: there are several, one that stands for several, or such an option."""
    from ..audio.playlists import PLAYLISTS
    from ..core.places import is_url

    if len(songs or ()) > 1 or any(is_given(context, option) for option in BATCH_OPTIONS):
        return True
    return any(
        Path(song).is_dir()
        or Path(song).suffix.lower() in PLAYLISTS
        or is_url(song)
        or (any(sign in song for sign in "*?[") and not Path(song).exists())
        for song in songs or ()
    )


def is_folder(output: str) -> bool:
    """Whether an output is a folder for songs. One that is there, and is called out.wav, is a mistake."""
    from ..core.places import is_url

    return is_url(output) or output.endswith("/") or (Path(output).is_dir() and not is_file(output))


def batch_arguments(
    context: typer.Context, recipe: Path | None, job: Literal["remix", "separate"], **options: Any
) -> dict[str, Any]:
    """The arguments of remix_files or separate_files: the recipe's, and before them what was given as an option.

    Raises ValueError or OSError if songs or output are missing, or the recipe is at fault.
    """
    arguments: dict[str, Any] = {}
    if recipe is not None:
        from ..render import load_recipe

        arguments = load_recipe(recipe, job)
    arguments |= {name: value for name, value in options.items() if is_given(context, name)}
    for name, thing in ("songs", "argument 'SONG'"), ("output", "option '--output' / '-o', a folder like -o out/"):
        if not arguments.get(name):
            raise ValueError(f"Missing {thing}; see {context.command_path} --help")
    if is_file(output := str(arguments["output"])):
        raise ValueError(f"{output} is a file's name, and these songs go into a folder; name one, like -o out/")
    return arguments


def is_file(output: str) -> bool:
    """Whether an output is named like an audio file."""
    return output.lower().endswith(FILES)


def run_batch(start: "Callable[..., Report]", arguments: dict[str, Any], reports: list[Path] | None) -> None:
    """Call `start`, show how it goes on, tell what came of it, and write `reports`.

    Ends the command with exit code 1 if songs failed, or a report could not be written. Raises ValueError or OSError
    before any song is done.
    """
    from ..render.report.report import KINDS, is_report
    from ..render.storage import one_line

    for path in reports or ():
        if path.suffix.lower() not in KINDS:
            raise ValueError(f"--report {path} is no kind of report; name it {', '.join(KINDS)}")
        if path.is_dir() or not path.absolute().parent.is_dir():
            raise ValueError(f"--report {path} cannot be a file there; name another, in a folder that exists")
        if path.exists() and not is_report(path) and not arguments.get("overwrite"):
            raise ValueError(
                f"--report {path} exists and is not a report; name another file, or overwrite it with --force"
            )
    with _warnings_as_lines(), _watcher() as watcher:
        try:
            report = start(**arguments, watcher=watcher)
        except OSError as error:
            if not watcher.count or isinstance(error, BrokenPipeError):
                raise
            complain(one_line(error))
            raise typer.Exit(FAILED) from error
    _show(report)
    unwritten = [report.unwritten] if report.unwritten else []
    for path in reports or ():
        try:
            report.write(path)
        except OSError as error:
            unwritten.append(one_line(error))
    for line in unwritten:
        complain(line)
    if report.failed or unwritten:
        raise typer.Exit(FAILED)


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Print StemBridge's warnings as one line each."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        complain(f"warning: {message}")

    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=RuntimeWarning, module="stembridge")
        warnings.showwarning = show
        yield


@contextmanager
def _watcher() -> "Iterator[Lines | Bars]":
    """Bars on stderr if that is a terminal, else lines on stdout."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    from .bars import Bars

    with Bars() as bars:
        yield bars


def _show(report: "Report") -> None:
    """A table of the songs, those with warnings first; one line on stderr for each that failed; and the sum of it."""
    songs = sorted((song for song in report.songs if song.outcome in ("done", "planned")), key=_has_no_warnings)
    if songs:
        table = _plan if report.planned else _levels
        head, rows = table(songs[:MOST_LINES])
        print_table(head, rows)
        if len(songs) > MOST_LINES:
            print(f"... and {len(songs) - MOST_LINES:,} more")
    for song in report.failed:
        complain(f"{song.source}: {song.reason}")
    counts = [
        f"{len(songs):,} {what}"
        for songs, what in (
            (report.planned, "to do"),
            (report.done, "done"),
            (report.skipped, "done before"),
            (report.failed, "failed"),
        )
        if songs
    ]
    if warned := sum(bool(song.warnings) for song in report.done):
        counts.append(f"{warned:,} with warnings")
    speed = speed_text(sum(song.seconds or 0 for song in report.done), report.took)
    print("; ".join(filter(None, [", ".join(counts) or "nothing to do", speed])))


def _has_no_warnings(song: "SongReport") -> bool:
    return not song.warnings


Table = tuple[list[str], list[list[str]]]


def _plan(songs: "list[SongReport]") -> Table:
    return ["song", "goes to"], [[song.source, ", ".join(song.outputs)] for song in songs]


def _levels(songs: "list[SongReport]") -> Table:
    rows = []
    for song in songs:
        after = song.after if len(song.after) == 1 else ()  # of stems each has its own, which the reports tell
        levels = [level for level in (song.before, *after) if level]
        loudness = " to ".join("silence" if level.lufs is None else f"{level.lufs:.1f}" for level in levels)
        peak = " to ".join("silence" if level.peak_db is None else f"{level.peak_db:.1f}" for level in levels)
        times = [clock(value) if value is not None else "" for value in (song.seconds, song.took)]
        rows.append([song.source, *times, loudness, peak, "; ".join(song.warnings)])
    return ["song", "length", "took", "LUFS", "peak dBFS", "warnings"], rows
