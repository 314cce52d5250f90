"""Work on a plan: songs go to workers, and their results to the journal."""

import os
import secrets
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from threading import Lock

from ...core.places import is_url
from ...models import Model
from ..settings import RemixFiles, SeparateFiles
from ..storage import Seen
from .executors import render_here, render_on_cores, render_on_dask
from .journal import Entry, Journal
from .plan import Planned
from .task import Result, Task


def render_planned(
    plan: Sequence[Planned],
    journal: Journal,
    output: str,
    model: Model,
    batch: RemixFiles | SeparateFiles,
) -> None:
    """Render all planned songs, and record the results in the plan and the journal.

    Args:
        plan: All songs.
        journal: The open journal.
        output: Path or URL of the output folder.
        model: The model that separates the songs.
        batch: The settings of the batch.
    """
    watcher = batch.watcher
    planned = [number for number, song in enumerate(plan) if song.report.outcome == "planned"]
    # Songs that a killed run was working on come last, because one of them may have killed it.
    planned.sort(key=lambda number: bool(journal.entries.get(plan[number].key, Entry()).claimed))
    tasks = [_task(number, plan[number], journal, output, model, batch) for number in planned]
    one_at_a_time = Lock()
    raised: list[Exception] = []

    def on_progress(number: int, step: str, fraction: float | None) -> None:
        with one_at_a_time:
            if watcher and not raised:
                try:
                    watcher.working(plan[number].report.source, step, fraction)
                except Exception as error:  # raised here, it would count as the song's failure, or end a thread
                    raised.append(error)

    # Always closed, so that no worker outlives the run.
    with closing(_results(tasks, batch, journal, partial(_begin, plan, journal), on_progress)) as results:
        for result in results:
            song = plan[result.number]
            _note(song, result, journal)
            with one_at_a_time:
                if raised:
                    raise raised[0]
                if watcher:
                    watcher.finished(song.report)
    if raised:
        raise raised[0]


def _note(song: Planned, result: Result, journal: Journal) -> None:
    """Record the result of a song in the journal and the plan."""
    # The worker has absolute paths; reports have the user's.
    outputs = dict(zip(result.report.outputs, song.report.outputs, strict=True))
    reason = result.report.reason
    for absolute, name in outputs.items():
        reason = reason.replace(absolute, name)
    song.report = replace(result.report, source=song.report.source, outputs=song.report.outputs, reason=reason)
    if song.report.outcome == "done":
        journal.done(
            song.key,
            song.report,
            result.overview,
            song=Seen(song.size, song.stamp, result.checksum),
            outputs=dict(zip(song.names, result.outputs, strict=True)),
        )
    else:
        journal.failed(song.key, song.report.reason)


def _begin(plan: Sequence[Planned], journal: Journal, task: Task) -> None:
    song = plan[task.number]
    journal.claim(song.key, song.number, song.names)


def _task(
    number: int, song: Planned, journal: Journal, output: str, model: Model, batch: RemixFiles | SeparateFiles
) -> Task:
    def absolute(place: str) -> str:
        return place if is_url(place) else os.path.abspath(place)

    # Workers of a cluster may not reach this machine's folders.
    scratch = None if batch.dask is not None and is_url(output) else str(journal.scratch.absolute())
    return Task(
        number,
        absolute(song.source.place),
        tuple(map(absolute, song.report.outputs)),
        song.job.kind,
        song.job.arguments | song.job.coding_of(song.fields["ext"]),
        song.fields["ext"],
        model.card.name if model.shipped else absolute(str(model.path)),
        model.card.sha256,
        batch.quality,
        batch.threads,
        song.may_replace,
        scratch,
    )


def _results(
    tasks: Sequence[Task],
    batch: RemixFiles | SeparateFiles,
    journal: Journal,
    begin: Callable[[Task], None],
    on_progress: Callable[[int, str, float | None], None],
) -> Generator[Result, None, None]:
    if not tasks:
        return
    if batch.dask is not None:
        yield from render_on_dask(tasks, batch.dask, f"stembridge-{secrets.token_hex(8)}", begin, on_progress)
    elif batch.jobs == 1:
        yield from render_here(tasks, begin, on_progress)
    else:
        yield from render_on_cores(tasks, batch.jobs, journal.scratch, begin, on_progress)


def remove_empty_folders(plan: Sequence[Planned], output: str) -> None:
    """Remove folders that were made for songs that failed or were stopped.

    Args:
        plan: All songs.
        output: Path or URL of the output folder.
    """
    if is_url(output):
        return
    top = os.path.abspath(output)
    for song in plan:
        for path in song.report.outputs if song.report.outcome in ("failed", "planned") else ():
            folder = os.path.dirname(os.path.abspath(path))
            with suppress(OSError):  # not empty, or never made
                while folder != top and folder.startswith(top):
                    os.rmdir(folder)
                    folder = os.path.dirname(folder)
