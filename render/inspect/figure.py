"""The picture of a song, drawn by matplotlib: PNG, SVG, or an HTML page with a light and a dark theme."""

import base64
import io
import math
import warnings
from dataclasses import replace
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import StemBridgeError
from ...core.extras import install_extra
from ...core.times import clock
from ...models import Model
from ..settings import Progress
from ..song.outputs import Outputs
from .inspection import FLOOR_DB, Inspection, Loud, decibels, inspect_audio
from .themes import DARK, LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS = ".png", ".svg", ".html"
SIZE_INCHES = 16.0, 10.0
DPI = 100  # of PNG
STEM_RANGE_DB = 45.0  # from top to bottom of the levels of stems, which share one scale
SPECTRUM_RANGE_DB = 75.0  # of the spectrogram, below its loudest point
MAX_TITLE_LETTERS = 70  # of a file name


def draw_file(
    source: str | Path,
    target: str | Path,
    model: str | Path | Model = "studio",
    *,
    dark: bool = False,
    stream: int | None = None,
    overwrite: bool = False,
    threads: int = 1,
    progress: Progress | None = None,
) -> Inspection:
    """Write the picture of a song to a file. If it fails, no file is half-written.

    Args:
        source: Path of the song.
        target: A .png, .svg or .html file.
        model: Separates the song: a model, its name, or the path of an .onnx file.
        dark: Use the dark theme. HTML pages follow the browser's setting.
        stream: Number of the audio stream, from 1; None for the default one.
        overwrite: Replace an existing file.
        threads: Processor cores for the network.
        progress: Receives progress updates.

    Returns:
        The measurements that the picture shows.

    Raises:
        ValueError: The song or an argument cannot be used.
        OSError: A file cannot be read or written.
    """
    target = Path(target)
    kind = target.suffix.lower()
    if kind not in KINDS:
        raise StemBridgeError(f"{target}: unsupported picture format; use {', '.join(KINDS)}")
    if dark and kind == ".html":
        raise StemBridgeError(f"{target} follows the browser's light or dark theme; leave --dark out")
    if find_spec("matplotlib") is None:
        raise StemBridgeError(f"pictures need matplotlib: {install_extra('inspect')}")
    with Outputs([target], Path(source), overwrite=overwrite) as outputs:
        inspection = inspect_audio(source, model, stream=stream, threads=threads, progress=progress)
        outputs.parts[0].write_bytes(draw_figure(inspection, kind, dark=dark))
        outputs.commit()
    return inspection


def draw_figure(inspection: Inspection, kind: str, *, dark: bool = False) -> bytes:
    """Return the picture as the content of a file.

    Args:
        inspection: The measurements to show.
        kind: ".png", ".svg" or ".html".
        dark: Use the dark theme. An .html page always has both.
    """
    inspection = replace(inspection, name=_title(inspection.name))
    if kind == ".html":
        return _page(inspection).encode()
    return _drawn(inspection, DARK if dark else LIGHT, kind[1:])


def _drawn(inspection: Inspection, theme: Theme, format: str) -> bytes:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": inspection.name,
        "font.family": "DejaVu Sans",
        "font.size": 11,
        "text.color": theme.ink,
        "text.parse_math": False,
        "axes.facecolor": theme.panel,
        "axes.edgecolor": theme.dim,
        "axes.labelcolor": theme.dim,
        "xtick.color": theme.dim,
        "ytick.color": theme.dim,
    }
    with mpl.rc_context(style), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # signs that the font lacks are boxes
        figure = Figure(figsize=SIZE_INCHES, facecolor=theme.ground)
        _compose(figure, inspection, theme)
        file = io.BytesIO()
        metadata = {"Date": None} if format == "svg" else {}
        figure.savefig(file, format=format, dpi=DPI, metadata=metadata)
    return file.getvalue()


def _compose(figure: "Figure", inspection: Inspection, theme: Theme) -> None:
    from matplotlib.ticker import FixedLocator

    stems = list(inspection.stems)
    grid = figure.add_gridspec(
        2 + len(stems), 2, width_ratios=(8, 1.5), height_ratios=(1.5, 3.2, *[1] * len(stems)),
        left=0.072, right=0.995, top=0.885, bottom=0.05, hspace=0.13, wspace=0.02,
    )  # fmt: skip
    figure.text(0.072, 0.945, inspection.name, size=21, weight="bold", va="center")
    figure.text(0.072, 0.907, _facts(inspection), size=12, color=theme.dim, va="center")
    rows: list[Axes] = []
    for row in range(2 + len(stems)):
        axes = figure.add_subplot(grid[row, 0], sharex=rows[0] if rows else None)
        axes.tick_params(length=3, labelbottom=row == 1 + len(stems))
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlim(0, inspection.seconds)
        rows.append(axes)
    beside = [figure.add_subplot(grid[row, 1]) for row in range(2 + len(stems))]
    for axes in beside:
        axes.set_axis_off()
    _draw_waveform(rows[0], inspection, theme)
    _write_numbers(beside[0], inspection.song, theme.ink, theme)
    image = _draw_spectrum(rows[1], inspection, theme)
    scale = figure.colorbar(image, cax=beside[1].inset_axes((0.1, 0.02, 0.07, 0.96)))
    beside[1].text(0.48, 0.5, "dB of a full-scale tone", color=theme.dim, rotation=90, va="center")
    scale.outline.set_visible(False)
    for number, loud in enumerate(inspection.stems.values()):
        hue = theme.hues[number % len(theme.hues)]
        _draw_stem(rows[2 + number], inspection, number, hue, theme)
        _write_numbers(beside[2 + number], loud, hue, theme)
    rows[-1].xaxis.set_major_locator(FixedLocator(_seconds_to_mark(inspection.seconds)))
    rows[-1].xaxis.set_major_formatter(lambda seconds, _: clock(seconds, 0 if float(seconds).is_integer() else 2))


def _draw_waveform(axes: "Axes", inspection: Inspection, theme: Theme) -> None:
    axes.fill_between(_times(inspection), *inspection.waveform, color=theme.wave, linewidth=0.4)
    loudest = max(0.05, float(np.abs(inspection.waveform).max()))
    axes.set_ylim(-loudest, loudest)
    axes.set_yticks([0], ["waveform"])


def _draw_spectrum(axes: "Axes", inspection: Inspection, theme: Theme) -> Any:
    loudest = max(float(inspection.spectrum.max()), -60.0)
    faintest = max(loudest - SPECTRUM_RANGE_DB, FLOOR_DB)
    image = axes.imshow(
        inspection.spectrum, cmap=theme.heat, vmin=faintest, vmax=loudest, origin="lower", aspect="auto",
        extent=(0, inspection.seconds, 0, len(inspection.spectrum)), interpolation="antialiased",
    )  # fmt: skip
    edges = np.log(inspection.edges_hz)
    marks = [hz for hz in (50, 100, 200, 500, 1000, 2000, 5000, 10000) if hz < inspection.edges_hz[-1]]
    places = np.interp(np.log(marks), edges, np.arange(len(edges)))
    axes.set_yticks(places, [f"{hz} Hz" if hz < 1000 else f"{hz // 1000} kHz" for hz in marks])
    return image


def _draw_stem(axes: "Axes", inspection: Inspection, number: int, hue: str, theme: Theme) -> None:
    top = max(-40.0, 5 * math.ceil(float(inspection.levels.max()) / 5))
    bottom = top - STEM_RANGE_DB
    levels = np.maximum(inspection.levels[number], bottom)
    axes.fill_between(_times(inspection), bottom, levels, color=hue, linewidth=0.4)
    axes.set_ylim(bottom, top)
    axes.set_yticks(np.arange(10 * math.ceil(bottom / 10 + 0.01), top + 1, 10))
    axes.grid(axis="y", color=theme.dim, alpha=0.35, linewidth=0.6)
    name = list(inspection.stems)[number]
    box = {"facecolor": theme.panel, "alpha": 0.8, "linewidth": 0, "pad": 2}
    axes.text(0.006, 0.94, name, transform=axes.transAxes, weight="bold", size=13, va="top", color=hue, bbox=box)


def _write_numbers(axes: "Axes", loud: Loud, hue: str, theme: Theme) -> None:
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.text(0.08, 0.75, _signed(loud), size=15, weight="bold", va="center")
    if loud.true_peak_db is not None:
        axes.text(0.08, 0.5, f"true peak {_signed(decibels(loud.true_peak_db))} dBTP", va="center", color=theme.dim)
        return
    axes.text(0.08, 0.42, f"{_percent(loud.share)} of the energy", va="center", color=theme.dim)
    axes.barh(0.17, 0.85, 0.12, 0.08, color=theme.dim, alpha=0.25)
    axes.barh(0.17, 0.85 * loud.share, 0.12, 0.08, color=hue)


def _times(inspection: Inspection) -> Any:
    return np.linspace(0, inspection.seconds, inspection.waveform.shape[1])


def _seconds_to_mark(seconds: float) -> list[float]:
    """Return seven to fifteen round times to label."""
    steps = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
    step = next((step for step in steps if seconds / step <= 15), seconds / 10)
    return [step * mark for mark in range(int(seconds / step) + 1)]


def _page(inspection: Inspection) -> str:
    """Return a page without scripts: both pictures, of which the browser shows one, and a table of the numbers."""
    light, dark = (
        "data:image/svg+xml;base64," + base64.b64encode(_drawn(inspection, theme, "svg")).decode()
        for theme in (LIGHT, DARK)
    )
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{_signed(loud)}</td><td>{_signed(decibels(loud.peak_db))} dBFS</td>"
        f"<td>{'' if loud is inspection.song else f'{loud.share:.1%}'}</td></tr>\n"
        for name, loud in {"song": inspection.song, **inspection.stems}.items()
    )
    name = escape(inspection.name)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{name} - StemBridge</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<style>
:root {{ color-scheme: light dark; --ground: {LIGHT.ground}; --ink: {LIGHT.ink}; --dim: {LIGHT.dim}; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ground: {DARK.ground}; --ink: {DARK.ink}; --dim: {DARK.dim}; }}
}}
body {{ margin: 0 auto; max-width: 1600px; background: var(--ground); color: var(--ink); font: 16px/1.5 sans-serif; }}
img {{ display: block; width: 100%; height: auto; }}
table {{ margin: 1rem clamp(1rem, 7%, 7rem) 3rem; border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .15rem clamp(.8rem, 3%, 2rem) .15rem 0; text-align: right; white-space: nowrap; }}
th:first-child {{ text-align: left; }}
thead th {{ color: var(--dim); font-weight: normal; }}
</style></head>
<body>
<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">
<img src="{light}" alt="Waveform, spectrogram and level of each stem of {name}"></picture>
<table><thead><tr><th></th><th>loudness</th><th>peak</th><th>energy</th></tr></thead>
<tbody>
{rows}</tbody></table>
</body></html>
"""


def _facts(inspection: Inspection) -> str:
    channels = {1: "mono", 2: "stereo"}[inspection.num_channels]
    length = clock(inspection.seconds, 0 if inspection.seconds >= 10 else 2)
    return (
        f"{length}, {inspection.sample_rate / 1000:g} kHz {channels}.  "
        f"Level of each stem in dBFS (RMS), as separated by the network {inspection.model}."
    )


def _title(name: str) -> str:
    """Return any file name as one line that fits."""
    name = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in name)
    return name if len(name) <= MAX_TITLE_LETTERS else f"{name[: MAX_TITLE_LETTERS - 1]}\N{HORIZONTAL ELLIPSIS}"


def _signed(number: object) -> str:
    return str(number).replace("-", "\N{MINUS SIGN}")


def _percent(share: float) -> str:
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"
