"""Read and write automation as a table of points, in CSV files."""

import codecs
import csv
import io
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ..core.errors import ControlError, file_reason
from .files import write_whole
from .point import Point, check_point

HEADER_REMEDY = "use seconds,stem,gain_db or samples,stem,gain_db, and a column shape for ramps"


class Table(NamedTuple):
    """The content of a CSV file.

    Attributes:
        unit: Unit of all times, "seconds" or "samples".
        points: The points in order of time.
        first_lines: Stem to the number of the first line that names it.
        has_tabs: Whether tabs separate the columns.
    """

    unit: str
    points: list[Point]
    first_lines: dict[str, int]
    has_tabs: bool


def read_table(path: str | os.PathLike[str]) -> Table:
    """Read a CSV file of points.

    Args:
        path: The file, as `Automation.from_csv` describes it.

    Raises:
        ControlError: The file cannot be read, or a line is not valid; the error names the file and the line.
    """
    text = _text(path)
    # Spreadsheets separate columns with semicolons or tabs if the comma is the decimal separator.
    header = next((line for line in text.split("\n") if line.strip()), "")
    if declared := re.fullmatch(r'"?sep=(.)"?\s*', header, re.IGNORECASE):  # Excel writes this line
        separator, text = declared[1], text.replace(header, "", 1)
    else:
        separator = next((sign for sign in "\t;" if sign in header), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    points: list[Point] = []
    first_lines: dict[str, int] = {}
    try:
        rows = (row for row in reader if "".join(row).strip())
        columns = [name.strip() for name in next(rows, [])]
        while columns and not columns[-1]:
            columns.pop()
        unit = _unit(columns)
        latest = 0.0
        for row in rows:
            if len(row) < len(columns) or "".join(row[len(columns) :]).strip():
                raise ControlError(f"{len(row)} columns, but the header has {len(columns)}")
            cells = {name: cell.strip() for name, cell in zip(columns, row, strict=False)}
            at, gain = cells[unit], cells["gain_db"]
            if separator != ",":
                at, gain = at.replace(",", "."), gain.replace(",", ".")
            point = check_point(unit, at, cells["stem"], gain, cells.get("shape") or "step")
            if point.at < latest:
                raise ControlError(f"{point.at:.15g} {unit} come after {latest:.15g}; sort the lines by time")
            latest = point.at
            points.append(point)
            first_lines.setdefault(point.stem, reader.line_num)
    except (ControlError, csv.Error) as error:
        raise ControlError(f"{path}, line {max(1, reader.line_num)}: {error}") from error
    return Table(unit, points, first_lines, separator == "\t")


def write_table(path: str | os.PathLike[str], unit: str, points: Iterable[Point]) -> None:
    """Write points to a CSV file that `read_table` can read.

    Args:
        path: The file. An older one is replaced.
        unit: Unit of all times, "seconds" or "samples".
        points: The points in order of time.

    Raises:
        ControlError: The file cannot be written; nothing has changed.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow([unit, *Point._fields[1:]])
    for at, stem, gain, shape in points:
        writer.writerow([at, stem, "" if shape == "hold" else gain, shape])
    write_whole(path, table.getvalue().encode())


def _text(path: str | os.PathLike[str]) -> str:
    r"""Return the text of a CSV file, with "\n" as line ends and without comments. Raises ControlError."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ControlError(f"{path} cannot be read: {file_reason(error)}") from error
    except ValueError as error:  # not a possible file name
        raise ControlError(f"{str(path)!r} cannot be read: {error}") from error
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # Excel's "Unicode text"
    try:
        text = data.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ControlError(f"{path} is not text in UTF-8; save the table as CSV in UTF-8")
    return re.sub('^[ \t]*"?#.*', "", text.replace("\r\n", "\n").replace("\r", "\n"), flags=re.MULTILINE)


def _unit(columns: list[str]) -> str:
    """Return the unit of times in a CSV file with these columns. Raises ControlError if columns are missing."""
    unit = "samples" if "samples" in columns else "seconds"
    missing = [name for name in (unit, "stem", "gain_db") if name not in columns]
    if missing:
        raise ControlError(f"the header has no column {missing[0]!r}; {HEADER_REMEDY}")
    extra = sorted({name for name in columns if columns.count(name) > 1 or name not in (unit, *Point._fields[1:])})
    if extra:
        raise ControlError(f"the header has an unknown or repeated column {extra[0][:40]!r}; {HEADER_REMEDY}")
    return unit
