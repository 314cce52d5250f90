"""One song of a batch, in whichever process it is rendered."""

import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...core.places import is_url
from ...engine.sessions import open_session
from ...models import Model, load_model
from ..report.report import SongReport
from ..settings import Progress
from ..song.song import UNTOUCHED, Rendered, remix_file, separate_file
from ..storage import Seen, checksum, deliver, fetch, one_line, seen

ORPHANED = 1.0  # seconds between two looks whether the run still lives
ATTEMPTS = 2  # at a song that its workers do not survive
DIED = "its worker died twice: too little memory, or a file that crashes a library; try it alone, with one job"


@dataclass(frozen=True)
class Task:
    """What a worker needs to know of a song, all paths absolute.

    number: of the song in its batch. outputs: paths or URLs. job: "remix" or "separate"; arguments: of remix_file or
    separate_file. suffix: of all outputs. model: a name or path; model_checksum: its SHA-256 at
    this quality. threads: of ONNX Runtime.
    overwrite: whether the outputs may exist. scratch: a folder for what is temporary, on the outputs' file system if
    these are files; None for the worker's own.
    """

    number: int
    source: str
    outputs: tuple[str, ...]
    job: str
    arguments: dict[str, Any]
    suffix: str
    model: str
    model_checksum: str
    quality: str
    threads: int
    overwrite: bool
    scratch: str | None


@dataclass(frozen=True)
class Result:
    """What came of a task. checksum: the song's SHA-256. outputs: as they were written. overview: its to_dict()."""

    number: int
    report: SongReport
    checksum: str = ""
    outputs: tuple[Seen, ...] = ()
    overview: dict[str, Any] | None = None


def render_task(task: Task, progress: Progress | None = None) -> Result:
    """Render a song and put its outputs in their places. Whatever goes wrong is in the report, in one line."""
    began = time.monotonic()
    report = SongReport(task.source, task.outputs, "failed")
    names: dict[str, str] = {}  # of temporary places, as the user knows them

    def said(text: str) -> str:
        for place, name in names.items():
            text = text.replace(place, name)
        return text.removeprefix(task.source).removeprefix(":").lstrip()  # the report says of which song it is

    try:
        with _own_folder(task) as folder:
            names = dict(zip(map(str, _parts(task, folder)), task.outputs, strict=True))
            names[str(folder)] = os.path.dirname(task.outputs[0])
            song = Path(task.source)
            if is_url(task.source):
                song = fetch(task.source, folder)
                names = {str(song): task.source, **names}
            known = checksum(song)
            rendered = _render(task, song, folder, progress)
            outputs = tuple(map(seen, rendered.paths))
            _deliver(task, rendered, folder)
        report = replace(
            report,
            outcome="done",
            seconds=rendered.seconds,
            took=time.monotonic() - began,
            before=rendered.before,
            after=rendered.after,
            warnings=tuple(said(warning) for warning in [*rendered.warnings, *_untouched(task, rendered)]),
        )
        overview = rendered.overview.to_dict() if rendered.overview else None
        return Result(task.number, report, known, outputs, overview)
    except Exception as error:  # one song's failure, of whatever kind, is no reason to stop the others
        return Result(task.number, replace(report, reason=said(one_line(error)), took=time.monotonic() - began))


def _render(task: Task, song: Path, folder: Path, progress: Progress | None) -> Rendered:
    model, _ = _network(task.model, task.model_checksum, task.quality, task.threads)
    arguments = {**task.arguments, "threads": task.threads, "measure": True, "progress": progress}
    part = _parts(task, folder)[0]
    if task.job == "remix":
        return remix_file(song, part, model=model, **arguments)
    return separate_file(song, part.parent, model=model, suffix=part.suffix, **arguments)


def _untouched(task: Task, rendered: Rendered) -> list[str]:
    """Return a warning if none of the settings changes the song."""
    level = task.arguments.get("normalize") or task.arguments.get("loudness") is not None
    return [UNTOUCHED] if rendered.untouched and not level else []


def _parts(task: Task, folder: Path) -> list[Path]:
    """Where the outputs are written before they are delivered."""
    if task.job == "remix":
        return [folder / f"remix.{task.suffix}"]
    return [folder / "stems" / f"{stem}.{task.suffix}" for stem in task.arguments["stems"]]


@lru_cache(maxsize=1)
def _network(name: str, model_checksum: str, quality: str, threads: int) -> tuple[Model, Any]:
    """The model and its open session, which all songs of this process share as long as it is kept here."""
    model = load_model(name, quality)
    if model.card.sha256 != model_checksum:
        raise ValueError(f"{name} is another model here than where the batch was started; install the same on both")
    return model, open_session(model, threads)


def forget_network() -> None:
    """Free the memory of the model that the last song was rendered with."""
    _network.cache_clear()


@contextmanager
def _own_folder(task: Task) -> Iterator[Path]:
    """A folder for all that is temporary of this task. Where the run has ended and its folder is gone, it fails."""
    if task.scratch is None:
        folder = Path(tempfile.mkdtemp(prefix="stembridge-"))
    else:
        of_song = Path(task.scratch, str(task.number))
        of_song.mkdir(exist_ok=True)
        if len(left_behind(of_song)) >= ATTEMPTS:
            raise OSError(DIED)
        folder = of_song / secrets.token_hex(4)
        folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def left_behind(of_song: Path) -> list[Path]:
    """What workers leave of a song in its folder when they die."""
    return [path for path in of_song.iterdir() if path.is_dir()] if of_song.exists() else []


def _deliver(task: Task, rendered: Rendered, folder: Path) -> None:
    overwrite = True  # where a folder is not shared, nobody knows whether an earlier attempt came this far
    if task.scratch is not None:
        mark = folder.parent / "delivering"
        overwrite = task.overwrite or mark.exists()
        mark.touch()
    deliver(rendered.paths, task.outputs, overwrite=overwrite)


@lru_cache(maxsize=1)
def die_with(driver: int) -> None:
    """Make this worker end soon after the process that started it is killed; the next run tidies up.

    driver: The id of that process, which must be this process's parent.
    """

    def watch() -> None:
        while os.getppid() == driver:
            time.sleep(ORPHANED)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
