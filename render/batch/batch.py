"""Many songs: planned, rendered by joblib's workers here or on a Dask cluster, and journalled."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ...core.places import as_place, is_url
from ...models import Model, load_model
from ..report.report import Report, SongReport, is_report
from ..song.overview import Overview
from ..storage import join, one_line
from .job import OF_A_REMIX, OF_STEMS, Job, choose, remix_job, stems_job
from .journal import Entry, Journal
from .plan import make_plan
from .run import remove_empty_folders, render_planned
from .sources import find_songs, identity

if TYPE_CHECKING:
    from ...core.protocols import Automation

REPORT = "report.json"

Songs = str | PathLike[str] | Sequence[str | PathLike[str]]


class Watcher(Protocol):
    """Who is told how a batch goes on. Calls never overlap; those of `working` may come from a thread of their own."""

    def planned(self, report: Report) -> None:
        """Once, before the work: songs are planned, skipped or failed."""

    def working(self, source: str, step: str, fraction: float | None) -> None:
        """A planned song is at a step, "rendering" or "writing"; the fraction of it, None if it cannot be known.

        Some times a second at most. Some may be lost, or come after the song is finished.
        """

    def finished(self, song: SongReport) -> None:
        """A planned song is done or failed."""


def remix_files(
    songs: Songs,
    output: str | PathLike[str],
    gains_db: Mapping[str, float] | None = None,
    *,
    preset: str | PathLike[str] | None = None,
    model: str | PathLike[str] = "studio",
    quality: str = "normal",
    automation: "str | PathLike[str] | Automation | None" = None,
    map: str | PathLike[str] = "general",
    name: str | None = None,
    format: str | None = None,
    normalize: bool = False,
    loudness: float | Literal["match"] | None = None,
    sample_format: str | None = None,
    bitrate: float | None = None,
    encoding_quality: float | None = None,
    stream: int | None = None,
    overwrite: bool = False,
    jobs: int = 1,
    dask: Any = None,
    threads: int = 1,
    overrides: Sequence[Mapping[str, Any]] = (),
    dry_run: bool = False,
    watcher: Watcher | None = None,
) -> Report:
    """Remix many songs into a folder. Songs that an earlier run finished are skipped; no other file is overwritten.

    Args:
        songs: Files, folders, globs, playlists (.m3u, .m3u8, .pls) and URLs that fsspec knows, one or many. The tree
            below folders and globs is kept.
        output: A folder, made if it is missing, or a URL.
        gains_db: Stem to gain in dB. They override the preset.
        preset: Gains by name, or from a .json file.
        model: A name, or the path of an .onnx file.
        quality: "fast", "normal" or "best", where the model has them.
        automation: A .csv or MIDI file, or an Automation.
        map: How a MIDI file moves the faders.
        name: A template such as "{artist} - {title}.{ext}"; by default "{name} ({preset}).{ext}". If results with
            different settings have the same name, the later one gets a number.
        format: wav, flac, aiff, mp3, ogg, opus or m4a; by default the song's, or flac where that cannot be written.
        normalize, loudness, sample_format, stream: As in `remix_file`.
        bitrate, encoding_quality: As in `remix_file`. Without a format they count for the outputs that are lossy.
        overwrite: Replace files that the batch did not write (otherwise their songs fail), and results with other
            settings.
        jobs: Number of processes. If none can be started, this process does the work, after a RuntimeWarning.
        dask: A scheduler's address, or a client, whose workers do the work instead. They must reach songs and output
            under the same paths, or as URLs.
        threads: Number of ONNX Runtime threads in each process.
        overrides: Each a `match`, a glob of a path or its end, and other gains_db, preset, automation, map, normalize,
            loudness, name, format, bitrate, encoding_quality or stream for the songs that it fits; later ones
            override earlier ones.
        dry_run: Only plan.
        watcher: Receives progress.

    Returns:
        The result of each song. A song that fails has a reason there, and does not stop the others.

    Raises:
        ValueError: Arguments cannot be used or name no song, or an override fits no song; raised before any work.
        OSError: Another run works in that folder, or it cannot be written.
    """
    given = {name: value for name, value in locals().items() if name != "watcher"}
    choices = {name: given[name] for name in OF_A_REMIX}
    return _run(remix_job, choices, given, watcher)


def separate_files(
    songs: Songs,
    output: str | PathLike[str],
    stems: Sequence[str] | None = None,
    *,
    model: str | PathLike[str] = "studio",
    quality: str = "normal",
    name: str | None = None,
    format: str | None = "wav",
    normalize: bool = False,
    sample_format: str | None = None,
    bitrate: float | None = None,
    encoding_quality: float | None = None,
    stream: int | None = None,
    overwrite: bool = False,
    jobs: int = 1,
    dask: Any = None,
    threads: int = 1,
    overrides: Sequence[Mapping[str, Any]] = (),
    dry_run: bool = False,
    watcher: Watcher | None = None,
) -> Report:
    """Separate many songs into stems in a folder. Arguments not listed here are those of `remix_files`.

    Args:
        stems: As in `separate_file`.
        name: By default "{folder}/{name}/{stem}.{ext}".
        overrides: Of stems, normalize, name, format, bitrate, encoding_quality and stream.
    """
    given = {name: value for name, value in locals().items() if name != "watcher"}
    choices = {name: given[name] for name in OF_STEMS}
    return _run(stems_job, choices, given, watcher)


def _run(
    treat: Callable[[Model, Mapping[str, Any], str | None], Job],
    choices: Mapping[str, Any],
    given: Mapping[str, Any],
    watcher: Watcher | None,
) -> Report:
    """choices: what overrides may change. given: all arguments but the watcher."""
    began = time.monotonic()
    output = as_place(given["output"])
    _check(output, given)
    model = load_model(given["model"], given["quality"])
    with Journal(output, read_only=given["dry_run"]) as journal:
        ours = {_own_identity(join(output, name)) for name in (*journal.owned, REPORT)}
        songs = [given["songs"]] if isinstance(given["songs"], str | PathLike) else given["songs"]
        sources, left_out = find_songs(songs, output, ours.__contains__)
        places = [source.place for source in sources]
        sample_format = given["sample_format"]
        jobs = choose(places, choices, given["overrides"], lambda chosen: treat(model, chosen, sample_format))
        plan = make_plan(sources, jobs, journal, output, overwrite=given["overwrite"])

        def report() -> Report:
            by_outputs = {song.report.outputs: journal.entries.get(song.key, Entry()) for song in plan}

            def overview(song: SongReport) -> Overview | None:
                return journal.overview(by_outputs[song.outputs]) if song.outcome in ("done", "skipped") else None

            settings = {name: _plain(value) for name, value in given.items() if name not in ("songs", "dry_run")}
            reports = tuple(song.report for song in plan)
            took = time.monotonic() - began
            settings = {"job": jobs[0].kind, **settings}
            return Report(reports, took, settings, overview=overview, left_out=left_out.lines())

        if watcher:
            watcher.planned(report())
        if not given["dry_run"]:
            try:
                render_planned(plan, journal, output, model, given, watcher)
            finally:
                remove_empty_folders(plan, output)
        at_the_end = report()
        if not given["dry_run"] and not is_url(output):
            try:
                at_the_end.write(Path(output, REPORT))
            except OSError as error:  # what was done is no less done
                return replace(at_the_end, unwritten=one_line(error))
        return at_the_end


def _own_identity(output: str) -> str:
    """The identity of an output; of a link that somebody has put there not that of what it leads to."""
    folder, name = os.path.split(output)
    return identity(output) if is_url(output) else os.path.join(identity(folder), name)


def _check(output: str, given: Mapping[str, Any]) -> None:
    """What can be known of the arguments before anything is looked at."""
    for name in ("jobs", "threads"):
        if isinstance(given[name], bool) or not isinstance(given[name], int) or given[name] < 1:
            raise ValueError(f"{name} {given[name]!r} does not work; give a whole number from 1 up")
    if not output or "::" in output or "\0" in output:
        raise ValueError(f"output {output!r} is no folder; give a path or a URL such as s3://bucket/folder")
    if is_url(output):
        return
    if os.path.exists(output) and not os.path.isdir(output):
        raise ValueError(f"output {output} is a file; give a folder")
    with suppress(FileNotFoundError):
        if not is_report(Path(output, REPORT)) and not given["overwrite"]:
            raise ValueError(f"{Path(output, REPORT)} is not ours, and would be overwritten; choose another folder")


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
