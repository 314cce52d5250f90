"""The report of a batch as one HTML page: failures first, then each song's waveform, stems and loudness.

The page is self-contained: it has no scripts, and loads nothing. It shows names and tags that may come from strangers,
so the template escapes them, and a content security policy keeps the browser from loading or running anything.
"""

import json
import os
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ...core.atomic import new_file
from ...core.places import is_url
from ...core.times import clock
from ..song.level import Level
from ..song.overview import Overview
from .results import Results, SongReport
from .svg import draw_stems, draw_waveform

POLICY = "default-src 'none'; style-src 'unsafe-inline'; media-src 'self' file:"
CHANGES_HEIGHT = 24  # of the chart of all songs, above its line and below, in units
CHANGES_LU = 12.0  # change of loudness that fills the chart
KINDS = {"failed": "failed", "warned": "with warnings", "done": "done", "skipped": "done before", "planned": "planned"}


def write_page(report: Results, path: Path) -> None:
    """Write a report as one HTML file, whole or not at all. Its links to the songs are relative to it.

    Songs are written one by one, so memory does not grow with their number.

    Args:
        report: The report.
        path: The .html file.

    Raises:
        OSError: The file cannot be written.
    """
    # File names may contain bytes that are not text.
    with new_file(path) as part, open(part, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(_template().generate(_values(report, path.absolute().parent)))


@cache
def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"clock": clock, "count": _count}
    return environment.get_template("page.html.jinja")


def _values(report: Results, folder: Path) -> dict[str, Any]:
    """Return the values that the template shows."""
    order = list(KINDS)
    numbered = sorted(enumerate(report.songs), key=lambda item: order.index(_kind(item[1])))
    failures, others = numbered[: len(report.failed)], numbered[len(report.failed) :]
    kinds = Counter(_kind(song) for _, song in numbered)
    return {
        "policy": POLICY,
        "style": Markup(Path(__file__).with_name("page.css").read_text("utf-8")),
        "heading": f"{_count(len(report.songs), 'song')}, {_outcome(report)}",
        "lines": [_speed(report), *report.left_out],
        "settings": [(name, _text(value)) for name, value in report.settings.items() if _is_used(value)],
        "failures": [
            {"number": number, "file": _file(song.source, folder), "reason": song.reason} for number, song in failures
        ],
        "changes": [_bar(number, song, change) for number, song in enumerate(report.songs)
                    if (change := _change(song)) is not None],
        "half": CHANGES_HEIGHT,
        "full_lu": CHANGES_LU,
        "kinds": kinds.items(),
        "words": KINDS,
        "songs": (_song(number, song, report.overview(song), folder) for number, song in others),
    }  # fmt: skip


def _is_used(value: Any) -> bool:
    return value is not None and value is not False and value not in ([], {})


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _kind(song: SongReport) -> str:
    return "warned" if song.warnings and song.outcome != "failed" else song.outcome


def _outcome(report: Results) -> str:
    if report.planned:
        return f"{len(report.planned)} to do"
    return f"{len(report.failed)} failed" if report.failed else "all well"


def _speed(report: Results) -> str:
    total = sum(song.seconds or 0 for song in report.songs)
    rendered = sum(song.seconds or 0 for song in report.done)
    line = f"{clock(total)} of music."
    if rendered and report.took:
        line += f" {clock(rendered)} rendered in {clock(report.took)}, {rendered / report.took:.1f} times real time."
    return line


def _bar(number: int, song: SongReport, change: float) -> dict[str, Any]:
    """Return the bar of a song in the chart, which shows its change of loudness and links to the song."""
    height = min(abs(change) / CHANGES_LU, 1) * CHANGES_HEIGHT
    top = CHANGES_HEIGHT - (height if change > 0 else 0)
    return {"number": number, "name": _name(song), "change": change, "top": top, "height": max(height, 0.5)}


def _song(number: int, song: SongReport, overview: Overview | None, folder: Path) -> dict[str, Any]:
    levels = song.before, *(song.after or [None] * len(song.outputs))
    files = [_file(text, folder) for text in (song.source, *song.outputs)]
    return {
        "number": number,
        "kind": _kind(song),
        "name": _name(song),
        "folder": song.source[: -len(_name(song))].rstrip("/"),
        "reason": song.reason if song.outcome != "skipped" else "",
        "warnings": song.warnings,
        "levels": _levels(song),
        "overview": overview and _pictures(overview),
        "files": [file | {"loudness": _loudness(level)} for file, level in zip(files, levels, strict=False)],
    }


def _pictures(overview: Overview) -> dict[str, Any]:
    return {
        "seconds": overview.seconds,
        "waveform": Markup(draw_waveform(overview)),
        "stems": Markup(draw_stems(overview)),
        "rows": len(overview.stems),
    }


def _levels(song: SongReport) -> list[tuple[str, str]]:
    """Return the measurements of a song: names and texts with the values before and after."""
    pairs = [("length", clock(song.seconds))] if song.seconds is not None else []
    if song.before and len(song.after) == 1:
        change = _change(song)
        text = f"{_lufs(song.before)} → {_lufs(song.after[0])} LUFS"
        pairs.append(("loudness", text if change is None else f"{text} ({change:+.1f})"))
        pairs.append(("peak", f"{_peak(song.before)} → {_peak(song.after[0])} dBFS"))
        if (true_peak_db := song.after[0].true_peak_db) is not None:
            pairs.append(("true peak", f"{true_peak_db:.1f} dBTP"))
    elif song.before:
        pairs += [("loudness", f"{_lufs(song.before)} LUFS"), ("peak", f"{_peak(song.before)} dBFS")]
    if song.took and song.seconds and song.outcome == "done":
        pairs.append(("took", f"{clock(song.took)}"))
    return pairs


def _change(song: SongReport) -> float | None:
    if len(song.after) != 1 or song.before is None or song.before.lufs is None or song.after[0].lufs is None:
        return None
    return song.after[0].lufs - song.before.lufs


def _file(text: str, folder: Path) -> dict[str, str]:
    """Return a file's name, and a link to it from the page, quoted so that it can only be a relative path."""
    return {"text": text, "link": "" if is_url(text) else quote(os.fsencode(os.path.relpath(text, folder)))}


def _loudness(level: Level | None) -> str:
    return f"{_lufs(level)} LUFS, peak {_peak(level)} dBFS" if level else ""


def _name(song: SongReport) -> str:
    return song.source.rstrip("/").rpartition("/")[2] or song.source


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _lufs(level: Level) -> str:
    return "no" if level.lufs is None else f"{level.lufs:.1f}"


def _peak(level: Level) -> str:
    return "-inf" if level.peak_db is None else f"{level.peak_db:.1f}"
