"""The songs of a plan, given to workers, and what comes of them noted in the journal."""

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
    """Render all that is planned, and note what comes of it."""
    watcher = batch.watcher
    planned = [number for number, song in enumerate(plan) if song.report.outcome == "planned"]
    # What a run was at when it was killed comes last: it may be what killed it.
    planned.sort(key=lambda number: bool(journal.entries.get(plan[number].key, Entry()).claimed))
    tasks = [_task(number, plan[number], journal, output, model, batch) for number in planned]
    one_at_a_time = Lock()
    raised: list[Exception] = []

    def hear(number: int, step: str, fraction: float | None) -> None:
        with one_at_a_time:
            if watcher and not raised:
                try:
                    watcher.working(plan[number].report.source, step, fraction)
                except Exception as error:  # out of here it would be the song's failure, or end a thread
                    raised.append(error)

    # Closed whatever happens: no worker outlives the run.
    with closing(_results(tasks, batch, journal, partial(_begin, plan, journal), hear)) as results:
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
    """Put what came of a song into the journal and the plan."""
    # Places are named as the user named them; the worker has absolute paths.
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

    # Elsewhere only what all machines share is the same.
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
    hear: Callable[[int, str, float | None], None],
) -> Generator[Result, None, None]:
    if not tasks:
        return
    if batch.dask is not None:
        yield from render_on_dask(tasks, batch.dask, f"stembridge-{secrets.token_hex(8)}", begin, hear)
    elif batch.jobs == 1:
        yield from render_here(tasks, begin, hear)
    else:
        yield from render_on_cores(tasks, batch.jobs, journal.scratch, begin, hear)


def remove_empty_folders(plan: Sequence[Planned], output: str) -> None:
    """Those that were made for songs that failed or were stopped."""
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
