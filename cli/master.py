"""The meter of the mixer for its output, with a light that shows clipping."""

from math import inf
from typing import TYPE_CHECKING

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from .strip import AROUND, BOLD, DIM, FLOOR_DB, TURNED, meter_row

if TYPE_CHECKING:
    from ..live import Live

WIDTH = 4  # columns


class MasterMeter(Widget):
    """Peak and RMS of the mix. The light stays on once a sample was above full scale; click to put it out."""

    DEFAULT_CSS = f"MasterMeter {{ width: {WIDTH}; height: 1fr; min-height: 6; }}"

    def __init__(self, live: "Live") -> None:
        super().__init__()
        self._live = live
        self._known = 0  # clipped samples when the light was put out
        self._seen: tuple[float, float, bool] = -inf, -inf, False

    def follow(self) -> None:
        """Draw it again if it has changed."""
        peak, rms = self._live.mix_level
        seen = round(peak, 1), round(rms, 1), self._live.clipped > self._known
        if seen != self._seen:
            self._seen = seen
            self.refresh()

    def put_out(self) -> None:
        """Put the light out."""
        self._known = self._live.clipped

    def on_click(self) -> None:
        """Put the light out."""
        self.put_out()

    def render_line(self, y: int) -> Strip:
        """Return one row of the meter; the strips next to it have the same rows."""
        rows = self.size.height - AROUND
        peak, rms, clipped = self._seen
        if y == 0:
            segment = Segment("mix ", BOLD)
        elif y <= rows:
            segment = meter_row(y - 1, rows, peak, rms)
        elif y == rows + 1:
            segment = Segment(f"{peak:3.0f} " if peak > FLOOR_DB else " " * WIDTH, DIM)
        else:
            segment = Segment("CLIP", TURNED) if clipped else Segment("clip", DIM)
        return Strip([segment]).adjust_cell_length(self.size.width).apply_style(self.rich_style)
