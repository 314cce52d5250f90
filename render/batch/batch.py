"""Many songs, remixed or separated by processes here or on a Dask cluster."""

import os
import secrets
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import Any

from ...core.errors import StemBridgeError
from ...core.places import as_place, is_url
from ...core.settings import arguments_from, values_of
from ...models import Model, load_model
from ..report.report import Report, is_report
from ..report.results import SongReport
from ..settings import RemixFiles, SeparateFiles
from ..song.overview import Overview
from ..storage import Seen, join, reason_for
from .executors import render_here, render_on_cores, render_on_dask
from .job import choose
from .journal import Entry, Journal
from .plan import Planned, make_plan
from .sources import find_songs, identity
from .task import Result, Task

REPORT = "report.json"


@arguments_from(RemixFiles)
def remix_files(settings: RemixFiles) -> Report:
    """Remix many songs into a folder.

    Songs that an earlier run finished are skipped. Subfolders of folders and globs are recreated below the output.
    Without `name`, files are called "{name} ({preset}).{ext}"; if results with different settings have the same name,
    the later one gets a number. Without `format`, files have the song's own format, or FLAC if that cannot be written.
    With `overwrite`, existing files that the batch did not write are replaced, and so are results with other settings;
    otherwise songs with such outputs fail. Dask workers must reach songs and output under the same paths, or by URLs.
    If no process can be started, this process does the work, after a RuntimeWarning.

    Returns:
        The result of each song. If a song fails, the result has the reason, and the others go on.

    Raises:
        ValueError: An argument cannot be used, no song is found, or an override matches no song; before any work.
        OSError: Another run works in that folder, or the folder cannot be written.
    """
    return _run(settings)


@arguments_from(SeparateFiles)
def separate_files(settings: SeparateFiles) -> Report:
    """Separate many songs into stems in a folder.

    Without `name`, files are called "{folder}/{name}/{stem}.{ext}". By default they are WAV files; if `format` is None,
    they have the song's own format, or that of a video's sound. Everything else is as in `remix_files`.

    Returns:
        The result of each song.

    Raises:
        ValueError: An argument cannot be used, no song is found, or an override matches no song; before any work.
        OSError: Another run works in that folder, or the folder cannot be written.
    """
    return _run(settings)


def _run(batch: RemixFiles | SeparateFiles) -> Report:
    began = time.monotonic()
    output, watcher = as_place(batch.output), batch.watcher
    _check_output(output, overwrite=batch.overwrite)
    model = load_model(batch.model, batch.quality)
    with Journal(output, read_only=batch.dry_run) as journal:
        ours = {_own_identity(join(output, name)) for name in (*journal.owned, REPORT)}
        songs = batch.songs if isinstance(batch.songs, Iterable) else [batch.songs]
        songs = [songs] if isinstance(songs, str | PathLike) else songs
        sources, left_out = find_songs(songs, output, ours.__contains__)
        jobs = choose([source.place for source in sources], batch, model)
        plan = make_plan(sources, jobs, journal, output, overwrite=batch.overwrite)

        def report() -> Report:
            by_outputs = {song.report.outputs: journal.entries.get(song.key, Entry()) for song in plan}

            def overview(song: SongReport) -> Overview | None:
                return journal.overview(by_outputs[song.outputs]) if song.outcome in ("done", "skipped") else None

            reported = [name for name in values_of(batch, type(batch)) if name not in ("songs", "dry_run", "watcher")]
            settings = {"job": jobs[0].kind, **{name: _plain(getattr(batch, name)) for name in reported}}
            reports = tuple(song.report for song in plan)
            took = time.monotonic() - began
            return Report(reports, took, settings, overview=overview, left_out=left_out.lines())

        if watcher:
            watcher.planned(report())
        if not batch.dry_run:
            try:
                _render(plan, journal, output, model, batch)
            finally:
                _remove_empty_folders(plan, output)
        at_the_end = report()
        if not batch.dry_run and not is_url(output):
            try:
                at_the_end.write(Path(output, REPORT), overwrite=batch.overwrite)
            except OSError as error:  # the songs are done all the same
                return replace(at_the_end, unwritten=reason_for(error))
        return at_the_end


def _render(
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


def _remove_empty_folders(plan: Sequence[Planned], output: str) -> None:
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


def _own_identity(output: str) -> str:
    """Return the identity of an output. If it is a link now, that of the link, not of its target."""
    folder, name = os.path.split(output)
    return identity(output) if is_url(output) else os.path.join(identity(folder), name)


def _check_output(output: str, *, overwrite: bool) -> None:
    """Check the output folder before any other work."""
    if not output or "::" in output or "\0" in output:
        raise StemBridgeError(f"output {output!r} is not a folder; give a path or a URL such as s3://bucket/folder")
    if is_url(output):
        return
    if os.path.exists(output) and not os.path.isdir(output):
        raise StemBridgeError(f"output {output} is a file; give a folder")
    with suppress(FileNotFoundError):
        if not is_report(Path(output, REPORT)) and not overwrite:
            raise StemBridgeError(
                f"{Path(output, REPORT)} is not a report of StemBridge, and would be overwritten; choose another folder"
            )


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
