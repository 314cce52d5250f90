"""One song of a batch, rendered in this process or a worker."""

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

from ...core.errors import StemBridgeError
from ...core.places import is_url
from ...core.processes import ignore_ctrl_c
from ...engine.sessions import open_session
from ...models import Model, load_model
from ..report.results import SongReport
from ..settings import Progress
from ..song.song import UNTOUCHED, Rendered, remix_file, separate_file
from ..storage import Seen, checksum, deliver, fetch, reason_for, seen

PARENT_CHECK_INTERVAL_S = 1.0  # between two checks that the main process still runs
MAX_ATTEMPTS = 2  # for a song whose workers die
WORKER_DIED = "its worker died twice: too little memory, or a file that crashes a library; try it alone, with one job"


@dataclass(frozen=True)
class Task:
    """Everything that a worker needs to render a song. All paths are absolute.

    Attributes:
        number: Number of the song in its batch.
        source: Path or URL of the song.
        outputs: Paths or URLs.
        job: "remix" or "separate".
        arguments: Arguments of remix_file or separate_file.
        suffix: Suffix of all outputs, without the dot.
        model: Name or path.
        model_checksum: SHA-256 of the model at this quality.
        quality: Overlap of an imported network's segments.
        threads: Processor cores for the network.
        overwrite: Whether the outputs may exist.
        scratch: Folder for temporary files, on the outputs' file system if these are files; None for the worker's own.
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
    """Result of a task.

    Attributes:
        number: Number of the song in its batch.
        report: What is reported about the song.
        checksum: SHA-256 of the song.
        outputs: The files as they were written.
        overview: Data for a picture, from `Overview.to_dict`.
    """

    number: int
    report: SongReport
    checksum: str = ""
    outputs: tuple[Seen, ...] = ()
    overview: dict[str, Any] | None = None


def render_task(task: Task, progress: Progress | None = None) -> Result:
    """Render a song, and move its outputs to their places.

    Args:
        task: The song.
        progress: Receives progress updates.

    Returns:
        The result. If rendering fails, its report has the reason in one line.
    """
    began = time.monotonic()
    report = SongReport(task.source, task.outputs, "failed")
    names: dict[str, str] = {}  # temporary paths to those that the user knows

    def for_user(text: str) -> str:
        for place, name in names.items():
            text = text.replace(place, name)
        return text.removeprefix(task.source).removeprefix(":").lstrip()  # the report names the song anyway

    try:
        with _own_folder(task) as folder:
            names = dict(zip(map(str, _parts(task, folder)), task.outputs, strict=True))
            names[str(folder / "stems")] = names[str(folder)] = os.path.dirname(task.outputs[0])
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
            warnings=tuple(for_user(warning) for warning in [*rendered.warnings, *_untouched(task, rendered)]),
        )
        overview = rendered.overview.to_dict() if rendered.overview else None
        return Result(task.number, report, known, outputs, overview)
    except Exception as error:  # any failure of one song must not stop the others
        return Result(task.number, replace(report, reason=for_user(reason_for(error)), took=time.monotonic() - began))


def _render(task: Task, song: Path, folder: Path, progress: Progress | None) -> Rendered:
    model, _ = _network(task.model, task.model_checksum, task.quality, task.threads)
    arguments = {**task.arguments, "threads": task.threads, "measure": True, "progress": progress}
    part = _parts(task, folder)[0]
    if task.job == "remix":
        return remix_file(song, part, model=model, **arguments)
    return separate_file(song, part.parent, model=model, suffix=part.suffix, **arguments)


def _untouched(task: Task, rendered: Rendered) -> list[str]:
    """Return a warning if no setting changes the song."""
    level = task.arguments.get("normalize") or task.arguments.get("loudness") is not None
    return [UNTOUCHED] if rendered.untouched and not level else []


def _parts(task: Task, folder: Path) -> list[Path]:
    """Return the temporary paths of the outputs."""
    if task.job == "remix":
        return [folder / f"remix.{task.suffix}"]
    return [folder / "stems" / f"{stem}.{task.suffix}" for stem in task.arguments["stems"]]


@lru_cache(maxsize=1)
def _network(name: str, model_checksum: str, quality: str, threads: int) -> tuple[Model, Any]:
    """Return the model and its open session, which the songs of this process share until `forget_network`."""
    model = load_model(name, quality)
    if model.card.sha256 != model_checksum:
        raise StemBridgeError(f"the worker has another model named {name}; install the same one on all machines")
    return model, open_session(model, threads)


def forget_network() -> None:
    """Free the memory of the model that the last song was rendered with."""
    _network.cache_clear()


@contextmanager
def _own_folder(task: Task) -> Iterator[Path]:
    """Yield a folder for temporary files of this task. If the run has ended and its folder is gone, raise OSError."""
    if task.scratch is None:
        folder = Path(tempfile.mkdtemp(prefix="stembridge-"))
    else:
        of_song = Path(task.scratch, str(task.number))
        of_song.mkdir(exist_ok=True)
        if len(unfinished_attempts(of_song)) >= MAX_ATTEMPTS:
            raise OSError(WORKER_DIED)
        folder = of_song / secrets.token_hex(4)
        folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def unfinished_attempts(of_song: Path) -> list[Path]:
    """Return the folders of attempts at a song whose workers died.

    Args:
        of_song: The song's folder in the run's scratch folder.
    """
    return [path for path in of_song.iterdir() if path.is_dir()] if of_song.exists() else []


def _deliver(task: Task, rendered: Rendered, folder: Path) -> None:
    overwrite = True  # without a shared folder, an earlier attempt may have written the outputs already
    if task.scratch is not None:
        mark = folder.parent / "delivering"
        overwrite = task.overwrite or mark.exists()
        mark.touch()
    deliver(rendered.paths, task.outputs, overwrite=overwrite)


@lru_cache(maxsize=1)
def exit_with_parent(parent: int) -> None:
    """End this worker soon after the process that started it is killed; the next run tidies up.

    Args:
        parent: Id of that process, which must be this process's parent.
    """
    ignore_ctrl_c()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_CHECK_INTERVAL_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
