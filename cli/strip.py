"""A channel strip of the mixer: a fader, a meter, a mute and a solo."""

from contextlib import ExitStack
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.strip import Strip
from textual.widget import Widget

from ..core.gains import MAX_DB, SILENCE_DB
from ..core.stems import silenced

if TYPE_CHECKING:
    from .undo import Undoable

# Position of gains on the fader, 0 at its bottom to 1 at its top: fine in the range that is used most.
TRAVEL = ((SILENCE_DB, 0.0), (-60.0, 0.06), (-40.0, 0.2), (-20.0, 0.42), (-10.0, 0.58), (0.0, 0.78), (MAX_DB, 1.0))
MARKS_DB = 0.0, 10.0, -10.0, -20.0, -40.0, MAX_DB, SILENCE_DB  # labels of the fader, the most important first
FLOOR_DB = -60.0  # the bottom of the meter; its top is full scale
LEVELS_DB = 0, -6, -18, -40, -60  # labels of the meter, if there is room
# Lowest level and colour. Everyone can tell cyan, yellow and red apart, and the numbers show the level too.
ZONES = ((-6.0, Style(color="red")), (-18.0, Style(color="yellow")), (FLOOR_DB, Style(color="cyan")))
PLAIN, DIM, BOLD, REVERSED = Style(), Style(dim=True), Style(bold=True), Style(bold=True, reverse=True)
EIGHTHS = " ▁▂▃▄▅▆▇█"
WIDTH, WIDTH_WITH_LEVELS = 14, 18  # columns
STATES = {(False, False): "", (True, False): "muted", (False, True): "solo", (True, True): "M + S"}  # by mute, solo
OTHER_ROWS = 3  # rows that are not the fader: the name, the gain, and the buttons


class ChannelStrip(Widget, can_focus=True):
    """A fader, a meter, a mute and a solo. Drag or click the fader, click M or S, or turn the wheel.

    Args:
        control: Moves the faders.
        stem: Name of the stem.
    """

    DEFAULT_CSS = f"""
    ChannelStrip {{ width: 1fr; min-width: {WIDTH}; max-width: 24; height: 1fr; min-height: 6; }}
    """

    def __init__(self, control: "Undoable", stem: str) -> None:
        super().__init__()
        self.stem = stem
        self._control = control
        self._drag: ExitStack | None = None  # makes one move of all moves while the mouse button is down
        self._seen: tuple[float, float, float, bool, bool, bool] = 0.0, -inf, -inf, False, False, False

    def follow(self, level: tuple[float, float]) -> None:
        """Draw the strip again if gain, level, mute or solo have changed.

        Args:
            level: Peak and RMS in dB.
        """
        mutes, solos = self._control.muted, self._control.soloed
        muted, soloed = self.stem in mutes, self.stem in solos
        silent = bool(silenced([self.stem], mutes, solos))
        seen = self.gain_db, round(level[0], 1), round(level[1], 1), muted, soloed, silent
        if seen != self._seen:
            self._seen = seen
            self.refresh()

    @property
    def gain_db(self) -> float:
        """The last gain sent to the fader, where steps start even if the sound is not there yet."""
        return self._control.gains_db[self.stem]

    def move_to(self, gain_db: float) -> None:
        """Move the fader, as far as it goes.

        Args:
            gain_db: Gain in dB; below -60 dB it becomes silence, or -60 dB on the way up.
        """
        if gain_db < FLOOR_DB:
            gain_db = FLOOR_DB if gain_db > self.gain_db else SILENCE_DB
        self._control.set_gains_db(**{self.stem: min(MAX_DB, gain_db)})

    def toggle(self, kind: str) -> None:
        """Turn the mute or the solo on or off.

        Args:
            kind: "mute" or "solo".
        """
        if kind == "mute":
            self._control.mute(self.stem, self.stem not in self._control.muted)
        else:
            self._control.solo(self.stem, self.stem not in self._control.soloed)

    def reset(self) -> None:
        """Move the fader to 0 dB, and end mute and solo."""
        self._control.set_gains_db(**{self.stem: 0.0})
        self._control.mute(self.stem, False)
        self._control.solo(self.stem, False)

    def render_line(self, y: int) -> Strip:
        """Return a row.

        The mixer draws often, and this costs much less than a text.
        """
        width, rows = self.size.width, self.size.height - OTHER_ROWS
        if y == 0:
            parts = self._name_row()
        elif y <= rows:
            parts = self._fader_row(y - 1, rows)
        elif y == rows + 1:
            parts = self._number_row()
        else:
            parts = self._button_row()
        used = WIDTH_WITH_LEVELS if width >= WIDTH_WITH_LEVELS else WIDTH
        margin = Segment(" " * max(0, (width - used) // 2))
        return Strip([margin, *parts]).adjust_cell_length(width).apply_style(self.rich_style)

    def _name_row(self) -> list[Segment]:
        name = f"▶ {self.stem} ◀" if self.has_focus else self.stem
        return [Segment(name[: WIDTH - 1].center(WIDTH - 1), REVERSED if self.has_focus else BOLD)]

    def _fader_row(self, row: int, rows: int) -> list[Segment]:
        gain, peak, rms, _, _, silent = self._seen
        mark = next((mark for mark in MARKS_DB if _row(mark, rows) == row), None)
        label = "" if mark is None else _text(mark, "+g") if mark else "0"
        if row == _row(gain, rows):
            knob = Segment(" ▐██▌ ", DIM if silent else BOLD)
        else:
            knob = Segment("──┼── " if mark == 0 else "  │   ", DIM)
        parts = [Segment(f"{label:>4}", DIM), knob, meter_row(row, rows, peak, rms)]
        if self.size.width >= WIDTH_WITH_LEVELS:
            level = next((level for level in LEVELS_DB if _level_row(level, rows) == row), None)
            parts.append(Segment("" if level is None else f"{level:>4}", DIM))
        return parts

    def _number_row(self) -> list[Segment]:
        gain, peak, *_ = self._seen
        shown = f"{peak:4.0f}" if peak > FLOOR_DB else " " * 4
        moved = f"{_text(gain, '+.1f') if gain else '0.0':>5} dB"
        return [Segment(f"{moved} ", BOLD), Segment(shown, REVERSED if peak >= 0 else DIM)]

    def _button_row(self) -> list[Segment]:
        *_, muted, soloed, _ = self._seen
        return [
            Segment("[M]", REVERSED if muted else PLAIN),
            Segment(STATES[muted, soloed].center(7), BOLD),
            Segment("[S]", REVERSED if soloed else PLAIN),
        ]

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Start to drag the fader, or press a button."""
        rows = self.size.height - OTHER_ROWS
        if event.y == rows + 2:
            self.toggle("mute" if event.x < self.size.width // 2 else "solo")
        elif 1 <= event.y <= rows:
            self._drag = self._drag or ExitStack()
            self._drag.enter_context(self._control.one_move())
            self.capture_mouse()
            self._drag_to(event.y)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Drag the fader."""
        if self._drag is not None:
            self._drag_to(event.y)

    def on_mouse_up(self) -> None:
        """Stop dragging."""
        if self._drag is not None:
            self._drag.close()
        self._drag = None
        self.release_mouse()

    def on_mouse_scroll_up(self) -> None:
        """Move the fader 1 dB up."""
        self.move_to(self.gain_db + 1)

    def on_mouse_scroll_down(self) -> None:
        """Move the fader 1 dB down."""
        self.move_to(self.gain_db - 1)

    def _drag_to(self, y: int) -> None:
        rows = self.size.height - OTHER_ROWS
        row = min(max(y - 1, 0), rows - 1)
        zero = _row(0.0, rows)
        self.move_to(0.0 if row == zero else round(_gain_at(1 - row / max(1, rows - 1)), 1))


def _row(gain_db: float, rows: int) -> int:
    """Return the row of the fader where a gain is."""
    return round((1 - _travel(gain_db)) * (rows - 1))


def _travel(gain_db: float) -> float:
    """Return the position of a gain on the fader, 0 to 1.

    >>> _travel(0.0), _travel(-80.0), _travel(20.0)
    (0.78, 0.0, 1.0)
    """
    for (low, start), (high, end) in pairwise(TRAVEL):
        if gain_db <= high:
            return start + (end - start) * max(0.0, gain_db - low) / (high - low)
    return 1.0


def _gain_at(travel: float) -> float:
    """Return the gain in dB at a position on the fader.

    >>> round(_gain_at(0.78), 9), _gain_at(0.0), _gain_at(1.0)
    (0.0, -80.0, 20.0)
    """
    for (low, start), (high, end) in pairwise(TRAVEL):
        if travel <= end:
            return low + (high - low) * (travel - start) / (end - start)
    return MAX_DB


def _text(db: float, form: str) -> str:
    return "-∞" if db <= SILENCE_DB else format(db, form)


def _level_row(level_db: float, rows: int) -> int:
    """Return the row of the meter where a level is."""
    return min(rows - 1, int(rows * min(level_db, 0.0) / FLOOR_DB))


def meter_row(row: int, rows: int, peak: float, rms: float) -> Segment:
    """Return a row of a meter.

    Args:
        row: Number of the row, 0 at the top.
        rows: Number of rows.
        peak: Peak in dB.
        rms: RMS in dB.
    """
    colour = next((style for lowest, style in ZONES if FLOOR_DB * row / rows > lowest), ZONES[-1][1])
    filled = min(max(1 - rms / FLOOR_DB, 0.0), 1.0) * rows - (rows - row - 1)
    if filled < 1 and peak > FLOOR_DB and row == _level_row(peak, rows):
        return Segment("━━━", colour)
    return Segment(3 * EIGHTHS[round(8 * min(max(filled, 0.0), 1.0))], colour)
