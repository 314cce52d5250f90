"""Reports of a batch and of each of its songs, as JSON, CSV or an HTML page."""

import csv
import io
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from ...core.atomic import write_whole
from ..song.level import Level
from ..song.overview import Overview

Outcome = Literal["done", "skipped", "failed", "planned"]
KINDS = (".json", ".csv", ".html")  # suffixes of reports
LEVELS = ("lufs", "peak_db", "true_peak_db")
# The first bytes of reports, by suffix, so that other files are not overwritten.
STARTS = {
    ".json": b'{"stembridge": "report"',
    ".csv": b"source,output,outcome,reason,",
    ".html": b'<!doctype html>\n<html lang="en"><head><meta name="generator" content="StemBridge">',
}


@dataclass(frozen=True)
class SongReport:
    """The result of one song.

    Attributes:
        source: Its path or URL.
        outputs: The files that were or will be written.
        outcome: "done"; "skipped", because an earlier run rendered it and nothing has changed; "failed"; or "planned".
        reason: One line that says why it failed, else "".
        seconds: Length of the song. For a skipped song, this and all that follows are from the earlier run.
        took: Duration of the work, in seconds.
        before: Level of the song.
        after: Level of each output.
        warnings: One line each.
    """

    source: str
    outputs: tuple[str, ...]
    outcome: Outcome
    reason: str = ""
    seconds: float | None = None
    took: float | None = None
    before: Level | None = None
    after: tuple[Level, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return the result that `to_dict` stored.

        Args:
            values: What `to_dict` returned.
        """
        lists = {name: tuple(values[name]) for name in ("outputs", "warnings")}
        before = values["before"] and Level(**values["before"])
        return cls(**{**values, **lists, "before": before, "after": tuple(Level(**level) for level in values["after"])})


def _no_overview(song: SongReport) -> Overview | None:
    return None


def is_report(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is a report.

    Args:
        path: A file with a suffix of reports.

    Raises:
        OSError: The file cannot be read.
    """
    start = STARTS[Path(path).suffix.lower()]
    with open(path, "rb") as file:
        return file.read(len(start)) == start


@dataclass(frozen=True)
class Report:
    """The results of a batch.

    Attributes:
        songs: In the order in which they were given.
        took: Duration of the whole run, in seconds.
        settings: Settings of the batch, as JSON values.
        left_out: Lines about files and folders that were left out of folders and globs.
        unwritten: Why report.json could not be written, else "".
        overview: Returns the data for a picture of a song, or None if it was not rendered.
    """

    songs: tuple[SongReport, ...]
    took: float
    settings: dict[str, Any]
    left_out: tuple[str, ...] = field(default=(), kw_only=True)
    unwritten: str = field(default="", kw_only=True)
    overview: Callable[[SongReport], Overview | None] = field(default=_no_overview, repr=False, compare=False)

    @property
    def done(self) -> tuple[SongReport, ...]:
        """The songs that this run rendered."""
        return self._with("done")

    @property
    def skipped(self) -> tuple[SongReport, ...]:
        """The songs that an earlier run rendered and that have not changed."""
        return self._with("skipped")

    @property
    def failed(self) -> tuple[SongReport, ...]:
        """The songs that could not be rendered, each with its reason."""
        return self._with("failed")

    @property
    def planned(self) -> tuple[SongReport, ...]:
        """The songs that are still to be rendered."""
        return self._with("planned")

    def _with(self, outcome: Outcome) -> tuple[SongReport, ...]:
        return tuple(song for song in self.songs if song.outcome == outcome)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the report to a file, whole or not at all.

        Args:
            path: A .json, .csv or .html file.

        Raises:
            ValueError: The file has another suffix.
            OSError: The file cannot be written.
        """
        path = Path(path)
        kind = path.suffix.lower()
        if kind not in KINDS:
            raise ValueError(f"{path}: unsupported report format; use {', '.join(KINDS)}")
        try:
            if kind == ".html":
                from .page import write_page

                write_page(self, path)
            else:
                text = self._json() if kind == ".json" else self._csv()
                write_whole(path, text.encode(errors="backslashreplace"))  # file names may not be valid text
        except OSError as error:
            raise OSError(f"cannot write {path}: {error.strerror}; make room or choose another folder") from error

    def _json(self) -> str:
        counts = {outcome: len(self._with(outcome)) for outcome in ("done", "skipped", "failed", "planned")}
        head = {"stembridge": "report", "took": round(self.took, 3), **counts}
        head |= {"left_out": self.left_out, "settings": self.settings}
        songs = ",\n  ".join(json.dumps(_rounded(song.to_dict()), ensure_ascii=False) for song in self.songs)
        return f'{json.dumps(head, ensure_ascii=False)[:-1]}, "songs": [\n  {songs}\n]}}\n'

    def _csv(self) -> str:
        """Return a table with a line for each output, and for each song without outputs."""
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        levels = [f"{name}_{when}" for when in ("before", "after") for name in LEVELS]
        writer.writerow(["source", "output", "outcome", "reason", "seconds", "took", *levels, "warnings"])
        for song in self.songs:
            for number, output in enumerate(song.outputs or ("",)):
                after = song.after[number] if number < len(song.after) else None
                numbers = [getattr(level, name, None) for level in (song.before, after) for name in LEVELS]
                row = [song.source, output, song.outcome, song.reason, song.seconds, song.took, *numbers]
                writer.writerow([*map(_rounded, row), " | ".join(song.warnings)])
        return table.getvalue()


def _rounded(value: Any) -> Any:
    """Return a value with its numbers rounded to three decimals, also in lists and dicts."""
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return round(value, 3) if isinstance(value, float) else value
