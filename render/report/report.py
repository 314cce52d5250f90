"""Reports of a batch and of each of its songs, as JSON, CSV or an HTML page."""

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

from ...core.atomic import write_whole
from ...core.errors import OVERWRITE, StemBridgeError
from .results import Results

KINDS = (".json", ".csv", ".html")  # suffixes of reports
LEVELS = ("lufs", "peak_db", "true_peak_db")
# The first bytes of reports, by suffix, so that other files are not overwritten.
STARTS = {
    ".json": b'{"stembridge": "report"',
    ".csv": b"source,output,outcome,reason,",
    ".html": b'<!doctype html>\n<html lang="en"><head><meta name="generator" content="StemBridge">',
}


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


class Report(Results):
    """The results of a batch.

    Attributes:
        songs: In the order in which they were given.
        took: Duration of the whole run, in seconds.
        settings: Settings of the batch, as JSON values.
        left_out: Lines about files and folders that were left out of folders and globs.
        unwritten: Why report.json could not be written, else "".
        overview: Returns the data for a picture of a song, or None if it was not rendered.
    """

    def write(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the report to a file, whole or not at all. An older report there is replaced.

        Args:
            path: A .json, .csv or .html file.
            overwrite: Replace the file even if it is not a report.

        Raises:
            ValueError: The file has another suffix.
            OSError: The file cannot be written, or exists and is not a report.
        """
        path = Path(path)
        kind = path.suffix.lower()
        if kind not in KINDS:
            raise StemBridgeError(f"{path}: unsupported report format; use {', '.join(KINDS)}")
        if path.is_file() and not overwrite and not is_report(path):
            raise FileExistsError(f"{path} exists and is not a report; choose another name, or {OVERWRITE}")
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
