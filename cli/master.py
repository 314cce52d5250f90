"""The mixer's meter of the output, with a clip light."""

from math import inf
from typing import TYPE_CHECKING

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from .strip import BOLD, DIM, FLOOR_DB, OTHER_ROWS, REVERSED, meter_row

if TYPE_CHECKING:
    from ..live import Live

WIDTH = 4  # columns


class MasterMeter(Widget):
    """Shows peak and RMS of the mix. The clip light stays on once a sample was above full scale; a click puts it out.

    Args:
        live: Has the levels.
    """

    DEFAULT_CSS = f"MasterMeter {{ width: {WIDTH}; height: 1fr; min-height: 6; }}"

    def __init__(self, live: "Live") -> None:
        super().__init__()
        self._live = live
        self._known = 0  # clipped samples when the light was put out
        self._seen: tuple[float, float, bool] = -inf, -inf, False

    def follow(self) -> None:
        """Draw the meter again if it has changed."""
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
        """Return a row of the meter, whose rows are those of the strips next to it."""
        rows = self.size.height - OTHER_ROWS
        peak, rms, clipped = self._seen
        if y == 0:
            segment = Segment("mix ", BOLD)
        elif y <= rows:
            segment = meter_row(y - 1, rows, peak, rms)
        elif y == rows + 1:
            segment = Segment(f"{peak:3.0f} " if peak > FLOOR_DB else " " * WIDTH, DIM)
        else:
            segment = Segment("CLIP", REVERSED) if clipped else Segment("clip", DIM)
        return Strip([segment]).adjust_cell_length(self.size.width).apply_style(self.rich_style)
