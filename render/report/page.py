"""A batch as one page to look over: what failed, and of each song its waveform, stems and loudness, before and after.

The page stands alone: no script, no network, pictures inside. What it shows may come from strangers (names, tags), so
all of it is escaped, and a content security policy keeps the browser from loading or running anything.
"""

import json
import os
from collections.abc import Iterator
from html import escape
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ...core.atomic import new_file
from ...core.places import is_url
from ...core.times import clock
from ..song.level import Level
from ..song.overview import Overview
from .svg import draw_stems, draw_waveform

if TYPE_CHECKING:
    from .report import Report, SongReport

POLICY = "default-src 'none'; style-src 'unsafe-inline'; media-src 'self' file:"
GLANCE_HEIGHT = 24  # units, above and below the line
GLANCE_LU = 12.0  # change of loudness that fills the picture of all songs
KINDS = {"failed": "failed", "warned": "with warnings", "done": "done", "skipped": "done before", "planned": "planned"}


def write_page(report: "Report", path: Path) -> None:
    """Write `report` to `path` as one HTML file, whole or not at all. Its links to the songs are relative to it.

    Songs are written one by one, so memory does not grow with their number. Raises OSError.
    """
    # File names may have bytes that are not text.
    with new_file(path) as part, open(part, "w", encoding="utf-8", errors="backslashreplace") as file:
        for piece in _page(report, path.absolute().parent):
            file.write(piece)


def _page(report: "Report", folder: Path) -> Iterator[str]:
    style = Path(__file__).with_name("page.css").read_text("utf-8")
    heading = f"{_count(len(report.songs), 'song')}, {_outcome(report)}"
    yield (
        f'<!doctype html>\n<html lang="en"><head><meta name="generator" content="StemBridge">\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{heading} - StemBridge</title>\n<style>\n{style}</style></head>\n<body>\n<h1>{heading}</h1>\n"
    )
    yield "".join(f"<p>{escape(line)}</p>\n" for line in (_speed(report), *report.left_out))
    yield "<details><summary>Settings</summary><table>"
    for name, value in report.settings.items():
        if value is None or value is False or value in ([], {}):
            continue
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        yield f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>\n"
    yield "</table></details>\n"
    order = list(KINDS)
    numbered = sorted(enumerate(report.songs), key=lambda item: order.index(_kind(item[1])))
    if report.failed:
        yield f'<section class="failures"><h2>{_count(len(report.failed), "song")} failed</h2><ul>\n'
        for number, song in numbered[: len(report.failed)]:
            yield f'<li id="song{number}">{_anchor(song.source, folder)}<br>{escape(song.reason)}</li>\n'
        yield "</ul></section>\n"
    yield from _glance(report)
    yield '<div class="show" role="group" aria-label="Songs to show">'
    for kind, songs in groupby(numbered, key=lambda item: _kind(item[1])):
        box = f'<input type="checkbox" id="{kind}" checked>'
        yield f'<label class="{kind}">{box}{len(list(songs))} {KINDS[kind]}</label>'
    yield (
        '</div>\n<p class="dim">Waveform <span class="key b"></span>before <span class="key a"></span>after.'
        " Under it the level of each stem from -50 to 0 dB, and by how much it changed. Click a name to enlarge.</p>\n"
        '<main class="songs">\n'
    )
    for number, song in numbered[len(report.failed) :]:
        yield from _song(number, song, report.overview(song), folder)
    yield "</main>\n</body></html>\n"


def _kind(song: "SongReport") -> str:
    return "warned" if song.warnings and song.outcome != "failed" else song.outcome


def _outcome(report: "Report") -> str:
    if report.planned:
        return f"{len(report.planned)} of them to be rendered"
    return f"{len(report.failed)} failed" if report.failed else "all well"


def _speed(report: "Report") -> str:
    total = sum(song.seconds or 0 for song in report.songs)
    rendered = sum(song.seconds or 0 for song in report.done)
    line = f"{clock(total)} of music."
    if rendered and report.took:
        line += f" {clock(rendered)} rendered in {clock(report.took)}, {rendered / report.took:.1f} times real time."
    return line


def _glance(report: "Report") -> Iterator[str]:
    """How much louder or quieter each song became, in the songs' order; each bar leads to its song."""
    changes = [(k, song, change) for k, song in enumerate(report.songs) if (change := _change(song)) is not None]
    if len(changes) < 2:
        return
    half = GLANCE_HEIGHT
    yield (
        '<section class="glance"><h2>Change of loudness, song by song</h2>\n'
        f'<svg viewBox="0 0 {len(changes)} {2 * half}" preserveAspectRatio="none" role="img" '
        f'aria-label="Change of loudness"><line x1="0" x2="{len(changes)}" y1="{half}" y2="{half}"/>\n'
    )
    for x, (number, song, change) in enumerate(changes):
        height = min(abs(change) / GLANCE_LU, 1) * half
        top = half - (height if change > 0 else 0)
        yield (
            f'<a href="#song{number}"><rect x="{x}.1" y="{top:.1f}" width=".8" height="{max(height, 0.5):.1f}">'
            f"<title>{escape(_name(song))}: {change:+.1f} LU</title></rect></a>\n"
        )
    yield f'</svg><div class="axis"><span>up to {GLANCE_LU:g} LU louder above, quieter below</span></div></section>\n'


def _song(number: int, song: "SongReport", overview: Overview | None, folder: Path) -> Iterator[str]:
    kind = _kind(song)
    parent = song.source[: -len(_name(song))].rstrip("/")
    yield (
        f'<article id="song{number}" class="{kind}"><span class="badge">{KINDS[kind]}</span>'
        f'<h3><a href="#song{number}">{escape(_name(song))}</a></h3><div class="folder">{escape(parent)}</div>\n'
    )
    if song.reason and song.outcome != "skipped":
        yield f'<p class="reason">{escape(song.reason)}</p>\n'
    if song.warnings:
        yield '<ul class="warnings">' + "".join(f"<li>{escape(line)}</li>" for line in song.warnings) + "</ul>\n"
    yield _levels(song)
    if overview is not None:
        yield (
            f'<figure class="wave">{draw_waveform(overview)}<div class="axis">'
            f"<span>0:00</span><span>{clock(overview.seconds / 2)}</span><span>{clock(overview.seconds)}</span></div>"
            f'</figure>\n<figure class="stems" style="--rows: {len(overview.stems)}">{draw_stems(overview)}</figure>\n'
        )
    if song.outputs:
        yield _files(song, folder)
    yield "</article>\n"


def _levels(song: "SongReport") -> str:
    """What can be said in numbers: before, after, and what changed."""
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
    cells = "".join(f"<div><dt>{name}</dt><dd>{text}</dd></div>" for name, text in pairs)
    return f'<dl class="levels">{cells}</dl>\n' if cells else ""


def _change(song: "SongReport") -> float | None:
    if len(song.after) != 1 or song.before is None or song.before.lufs is None or song.after[0].lufs is None:
        return None
    return song.after[0].lufs - song.before.lufs


def _files(song: "SongReport", folder: Path) -> str:
    """The files of a song with links to them, and players that show when the song is enlarged."""
    texts = song.source, *song.outputs
    players = ""
    if len(song.outputs) == 1:
        for name, text in zip(("before", "after"), texts, strict=True):
            if link := _link(text, folder):
                players += f'<label>{name}<audio controls preload="none" src="{link}"></audio></label>'
    levels = song.before, *(song.after or [None] * len(song.outputs))
    rows = "".join(
        f"<tr><td>{_anchor(text, folder)}</td><td>{_loudness(level)}</td></tr>"
        for text, level in zip(texts, levels, strict=False)
    )
    return (
        f'<div class="listen">{players}</div><details><summary>{_count(len(texts), "file")}</summary>'
        f"<table>{rows}</table></details>\n"
    )


def _anchor(text: str, folder: Path) -> str:
    link = _link(text, folder)
    return f'<a href="{link}">{escape(text)}</a>' if link else escape(text)


def _link(text: str, folder: Path) -> str:
    """The way from the page to a file, quoted so that no name can be anything else than a relative path."""
    return "" if is_url(text) else quote(os.fsencode(os.path.relpath(text, folder)))


def _loudness(level: Level | None) -> str:
    return f"{_lufs(level)} LUFS, peak {_peak(level)} dBFS" if level else ""


def _name(song: "SongReport") -> str:
    return song.source.rstrip("/").rpartition("/")[2] or song.source


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _lufs(level: Level) -> str:
    return "no" if level.lufs is None else f"{level.lufs:.1f}"


def _peak(level: Level) -> str:
    return "-inf" if level.peak_db is None else f"{level.peak_db:.1f}"
