"""The mixer's line with the position in the song."""

from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.strip import Strip
from textual.widget import Widget

from ..core.times import clock

if TYPE_CHECKING:
    from ..live.transport import Transport

MARGIN = 9  # columns on each side of the line, for a sign and a time
BOLD, DIM = Style(bold=True), Style(dim=True)


class SongLine(Widget):
    """Shows position, length and loop of the song. A click or a drag goes to another position.

    Args:
        transport: Controls the songs.

    Attributes:
        mark: Where a loop will start, in seconds, once its end is chosen.
    """

    DEFAULT_CSS = "SongLine { height: 1; padding: 0 1; }"

    def __init__(self, transport: "Transport") -> None:
        super().__init__()
        self._transport = transport
        self._dragged = False
        self._seen: tuple[object, ...] = ()
        self.mark: float | None = None

    def follow(self) -> None:
        """Draw the line again if it has changed."""
        transport = self._transport
        seen = transport.paused, int(4 * transport.position), transport.length, transport.loop, self.mark
        if seen != self._seen:
            self._seen = seen
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return the only row."""
        transport = self._transport
        sign, length = "‖" if transport.paused else "▶", transport.length
        left = f"{sign} {clock(int(transport.position)):>6} "
        right = f" {'?' if length is None else clock(int(length)):<8}"
        return Strip([Segment(left, BOLD), *self._line(), Segment(right, DIM)]).apply_style(self.rich_style)

    def _line(self) -> list[Segment]:
        width = self.size.width - 2 * MARGIN
        start, end = self._transport.loop or (self.mark, None)
        here = self._column(self._transport.position)
        segments = []
        for column in range(width):
            if column == here:
                segments.append(Segment("●", BOLD))
            elif start is not None and column == self._column(start):
                segments.append(Segment("[", BOLD))
            elif end is not None and column == self._column(end):
                segments.append(Segment("]", BOLD))
            elif start is not None and end is not None and self._column(start) < column < self._column(end):
                segments.append(Segment("═", BOLD))
            else:
                segments.append(Segment("━", BOLD) if column < here else Segment("─", DIM))
        return segments

    def _column(self, seconds: float) -> int:
        last = max(0, self.size.width - 2 * MARGIN - 1)
        return min(last, int(last * seconds / self._transport.length)) if self._transport.length else 0

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Go to the position of the mouse."""
        self._dragged = True
        self.capture_mouse()
        self._go_to(event.x)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Go to the position of the mouse while its button is down."""
        if self._dragged:
            self._go_to(event.x)

    def on_mouse_up(self) -> None:
        """Stop dragging."""
        self._dragged = False
        self.release_mouse()

    def _go_to(self, x: int) -> None:
        last = max(1, self.size.width - 2 * MARGIN - 1)
        if self._transport.length:
            self._transport.seek(min(1.0, max(0, x - 1 - MARGIN) / last) * self._transport.length)
