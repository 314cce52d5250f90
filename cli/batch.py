"""Many songs in one command: their arguments, their progress, and the results that are shown at the end."""

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from ..core.errors import StemBridgeError, is_of_stdout
from ..core.times import clock
from .lines import Lines, complain, speed_text
from .options import is_given
from .table import print_table

if TYPE_CHECKING:
    from ..render import Report, SongReport
    from .bars import Bars

BATCH_OPTIONS = "name", "jobs", "dask", "recipe", "report", "dry_run"
MAX_TABLE_ROWS = 40  # songs in the table at the end
FAILED = 1  # exit code


def is_batch(context: typer.Context, songs: list[str] | None) -> bool:
    """Return whether a command line is about many songs.

    That is so if it names several songs, a folder, a glob, a playlist or a URL, or has an option for batches.

    Args:
        context: The command.
        songs: Its arguments.
    """
    from ..audio.playlists import PLAYLISTS
    from ..core.places import is_url
    from ..render.batch.globs import is_glob

    if len(songs or ()) > 1 or any(is_given(context, option) for option in BATCH_OPTIONS):
        return True
    return any(
        Path(song).is_dir()
        or Path(song).suffix.lower() in PLAYLISTS
        or is_url(song)
        or (is_glob(song) and not Path(song).exists())
        for song in songs or ()
    )


def is_folder(output: str) -> bool:
    """Return whether an output is a folder for songs.

    An existing folder with the name of an audio file, such as out.wav, does not count: it was probably not meant.

    Args:
        output: A path or URL.
    """
    from ..core.places import is_url

    return is_url(output) or output.endswith("/") or (Path(output).is_dir() and not is_file(output))


def batch_arguments(
    context: typer.Context, recipe: Path | None, job: Literal["remix", "separate"], **options: Any
) -> dict[str, Any]:
    """Return the arguments of remix_files or separate_files. Options that were given override the recipe.

    Args:
        context: The command.
        recipe: A recipe, if one was given.
        job: Kind of the batch.
        options: Name to value of each option of the command.

    Raises:
        ValueError: Songs are missing, or the output or the recipe cannot be used.
        OSError: The recipe cannot be read.
    """
    arguments: dict[str, Any] = {}
    if recipe is not None:
        from ..render import load_recipe

        arguments = load_recipe(recipe, job)
    arguments |= {name: value for name, value in options.items() if is_given(context, name)}
    if not arguments.get("songs"):
        raise StemBridgeError(f"Missing argument 'SONG'; see {context.command_path} --help")
    if is_file(output := str(arguments.setdefault("output", "."))):
        raise StemBridgeError(
            f"{output} is the name of a file, but many songs go into a folder; name one, like -o out/"
        )
    return arguments


def is_file(output: str) -> bool:
    """Return whether an output is named like an audio or video file.

    Args:
        output: A path or URL.
    """
    from ..audio.containers import ALIASES, CONTAINERS, VIDEO_CONTAINERS

    return output.lower().endswith((*CONTAINERS, *VIDEO_CONTAINERS, *ALIASES))


def run_batch(
    start: "Callable[..., Report]", arguments: dict[str, Any], reports: list[Path] | None, recipe: Path | None
) -> None:
    """Run a batch, show its progress and results, and write reports.

    Args:
        start: remix_files or separate_files.
        arguments: Its arguments.
        reports: Files to write reports to.
        recipe: The recipe, if some of the arguments are from one.

    Raises:
        Exit: Songs failed, or a report could not be written; exit code 1.
        ValueError: An argument cannot be used; raised before any song is done.
        OSError: A file cannot be used, raised before any song is done; or stdout cannot be written.
    """
    from ..core.places import is_url
    from ..render.report.report import KINDS, is_report
    from ..render.storage import reason_for

    for path in reports or ():
        if path.suffix.lower() not in KINDS:
            raise StemBridgeError(f"--report {path}: unsupported report format; use {', '.join(KINDS)}")
        if path.is_dir():
            raise StemBridgeError(f"--report {path} is a folder; name a file in it")
        folder, makes_output = path.absolute().parent, not (arguments.get("dry_run") or is_url(arguments["output"]))
        is_made = makes_output and folder == Path(arguments["output"]).absolute()  # by the run itself
        if not (folder.is_dir() or is_made):
            raise StemBridgeError(f"--report {path}: the folder {path.parent} does not exist; make it first")
        if path.exists() and not is_report(path) and not arguments.get("overwrite"):
            raise StemBridgeError(
                f"--report {path} exists and is not a report; name another file, or overwrite it with --force"
            )
    with _warnings_as_lines(), _watcher() as watcher:
        try:
            report = start(**arguments, watcher=watcher)
        except StemBridgeError as error:
            if recipe is None:
                raise
            raise StemBridgeError(f"with recipe {recipe}: {error}") from error
        except OSError as error:
            if not watcher.count or isinstance(error, BrokenPipeError) or is_of_stdout(error):
                raise
            complain(reason_for(error))
            raise typer.Exit(FAILED) from error
    _show(report)
    unwritten = [report.unwritten] if report.unwritten else []
    for path in reports or ():
        try:
            report.write(path, overwrite=bool(arguments.get("overwrite")))
        except OSError as error:
            unwritten.append(reason_for(error))
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
    """Yield what shows the progress: bars if stderr is a terminal, else lines on stdout."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    from .bars import Bars

    with Bars() as bars:
        yield bars


def _show(report: "Report") -> None:
    """Print a table of songs, those with warnings first; then a line on stderr for each failure, and the totals."""
    songs = sorted((song for song in report.songs if song.outcome in ("done", "planned")), key=_has_no_warnings)
    if songs:
        table = _plan if report.planned else _levels
        head, rows = table(songs[:MAX_TABLE_ROWS])
        print_table(head, rows)
        if len(songs) > MAX_TABLE_ROWS:
            print(f"... and {len(songs) - MAX_TABLE_ROWS:,} more")
    for song in report.failed:
        complain(f"{song.source}: {song.reason}")
    counts = [
        f"{len(songs):,} {outcome}"
        for songs, outcome in (
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
        after = song.after if len(song.after) == 1 else ()  # each stem has its own level, which the reports show
        levels = [level for level in (song.before, *after) if level]
        loudness = " to ".join("silence" if level.lufs is None else f"{level.lufs:.1f}" for level in levels)
        peak = " to ".join("silence" if level.peak_db is None else f"{level.peak_db:.1f}" for level in levels)
        times = [clock(value) if value is not None else "" for value in (song.seconds, song.took)]
        rows.append([song.source, *times, loudness, peak, "; ".join(song.warnings)])
    return ["song", "length", "took", "LUFS", "peak dBFS", "warnings"], rows
