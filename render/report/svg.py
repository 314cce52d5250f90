"""Pictures of a song as SVG: its waveform, and the levels of its stems, before and after.

They are filled outlines in whole units and relative steps, about four bytes for each point. The colours are in the
page's style.
"""

from html import escape
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from ..song.overview import Overview

WAVE_HEIGHT, STEM_HEIGHT = 48, 18  # units; a column is one unit wide
STEM_COLUMNS = 120
FLOOR_DB = -50.0  # the bottom of the picture of a stem
SILENT_DB = -80.0
QUIET_PEAK = 0.1  # a song whose peak is lower is not drawn at full height
NUM_COLOURS = 6  # in the page's style
Points = NDArray[np.int_]


def draw_waveform(overview: Overview) -> str:
    """Draw the waveform before and, over it, after. The louder of the two fills the height unless both are quiet.

    Args:
        overview: The song.
    """
    loudest = max(float(np.abs(wave).max(initial=0)) for wave in (overview.before, overview.after))
    half = WAVE_HEIGHT // 2
    scale = half / min(max(loudest, QUIET_PEAK), 1)
    paths = []
    for name, wave in ("before", overview.before), ("after", overview.after):
        low, high = (half - np.clip(np.round(scale * wave), -half, half).astype(int)).T
        paths.append(f'<path class="{name}" d="{_outline(high, low)}"/>')
    return _picture(len(overview.before), WAVE_HEIGHT, "Waveform before and after", paths)


def draw_stems(overview: Overview) -> str:
    """Draw a row for each stem: its level before and, over it, after.

    Args:
        overview: The song.
    """
    labels, paths = [], []
    for row, (stem, before, after) in enumerate(
        zip(overview.stems, overview.stems_before, overview.stems_after, strict=True)
    ):
        labels.append(f"<li><span>{escape(stem)}</span><span>{_fader(before, after)}</span></li>")
        floor = STEM_HEIGHT * (row + 1)
        for name, levels in ("before", before), (f"c{row % NUM_COLOURS}", after):
            part = np.clip(1 - _fewer(levels) / FLOOR_DB, 0, 1)
            tops = floor - np.round((STEM_HEIGHT - 2) * part).astype(int)
            paths.append(f'<path class="{name}" d="{_outline(tops, np.full_like(tops, floor))}"/>')
    columns = len(_fewer(overview.stems_before[0])) if labels else 1
    height = STEM_HEIGHT * len(labels)
    return f"<ol>{''.join(labels)}</ol>{_picture(columns, height, 'Level of each stem before and after', paths)}"


def _fewer(levels: NDArray[np.floating]) -> NDArray[np.floating]:
    """Join neighbouring columns to at most STEM_COLUMNS, each with the loudest level."""
    group = -(-len(levels) // STEM_COLUMNS)
    padded = np.pad(levels, (0, -len(levels) % group), constant_values=SILENT_DB)
    loudest: NDArray[np.floating] = padded.reshape(-1, group).max(1)
    return loudest


def _fader(before: NDArray[np.floating], after: NDArray[np.floating]) -> str:
    """Return how much the energy of a stem changed over the whole song, as text."""
    old, new = (10 * np.log10(np.mean(10 ** (levels / 10))) for levels in (before, after))
    if new <= SILENT_DB + 1:
        return "silent"
    return f"{new - old:+.1f} dB" if abs(new - old) >= 0.05 else "0 dB"


def _outline(upper: Points, lower: Points) -> str:
    """Return the data of a path that goes along `upper`, one unit for each column, and back along `lower`."""
    last = len(upper) - 1
    there = _steps(upper, 1)
    back = _steps(lower[::-1], -1)
    return f"M0 {upper[0]}l{there}L{last} {lower[-1]}l{back}z" if last else ""


def _steps(heights: Points, direction: int) -> str:
    """Return relative steps from point to point, with one step for points of the same slope."""
    text = ""
    for rise, run in groupby(np.diff(heights).tolist()):
        n = len(list(run))
        text += f" {direction * n}{'' if rise < 0 else ' '}{n * rise}"
    return text.strip()


def _picture(width: int, height: int, label: str, paths: list[str]) -> str:
    return (
        f'<svg viewBox="0 0 {max(width - 1, 1)} {height}" preserveAspectRatio="none" role="img" '
        f'aria-label="{label}">{"".join(paths)}</svg>'
    )
