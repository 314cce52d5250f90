"""Many songs, remixed or separated by processes here or on a Dask cluster."""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from ...core.places import as_place, is_url
from ...core.settings import arguments_from, values_of
from ...models import load_model
from ..report.report import Report, SongReport, is_report
from ..settings import RemixFiles, SeparateFiles
from ..song.overview import Overview
from ..storage import join, one_line
from .job import choose
from .journal import Entry, Journal
from .plan import make_plan
from .run import remove_empty_folders, render_planned
from .sources import find_songs, identity

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
    """Separate many songs into stems in a folder; everything else is as in `remix_files`.

    Without `name`, files are called "{folder}/{name}/{stem}.{ext}".

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
        songs = [batch.songs] if isinstance(batch.songs, str | PathLike) else batch.songs
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
                render_planned(plan, journal, output, model, batch)
            finally:
                remove_empty_folders(plan, output)
        at_the_end = report()
        if not batch.dry_run and not is_url(output):
            try:
                at_the_end.write(Path(output, REPORT))
            except OSError as error:  # the songs are done all the same
                return replace(at_the_end, unwritten=one_line(error))
        return at_the_end


def _own_identity(output: str) -> str:
    """Return the identity of an output. If it is a link now, that of the link, not of its target."""
    folder, name = os.path.split(output)
    return identity(output) if is_url(output) else os.path.join(identity(folder), name)


def _check_output(output: str, *, overwrite: bool) -> None:
    """Check the output folder before any other work."""
    if not output or "::" in output or "\0" in output:
        raise ValueError(f"output {output!r} is not a folder; give a path or a URL such as s3://bucket/folder")
    if is_url(output):
        return
    if os.path.exists(output) and not os.path.isdir(output):
        raise ValueError(f"output {output} is a file; give a folder")
    with suppress(FileNotFoundError):
        if not is_report(Path(output, REPORT)) and not overwrite:
            raise ValueError(
                f"{Path(output, REPORT)} is not a report of StemBridge, and would be overwritten; choose another folder"
            )


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
