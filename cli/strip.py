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

if TYPE_CHECKING:
    from .undo import Undoable

# Where a gain is on the fader, from its foot to its top: fine where music is mixed.
TRAVEL = ((SILENCE_DB, 0.0), (-60.0, 0.06), (-40.0, 0.2), (-20.0, 0.42), (-10.0, 0.58), (0.0, 0.78), (MAX_DB, 1.0))
MARKS = 0.0, 10.0, -10.0, -20.0, -40.0, MAX_DB, SILENCE_DB  # what is written beside it, the most needed first
FLOOR_DB = -60.0  # the foot of the meter; its top is full scale
LEVELS = 0, -6, -18, -40, -60  # what is written beside the meter where there is room
# Blue, yellow and red are told apart by all eyes, and the numbers say it too.
ZONES = ((-6.0, Style(color="red")), (-18.0, Style(color="yellow")), (FLOOR_DB, Style(color="cyan")))
PLAIN, DIM, BOLD, TURNED = Style(), Style(dim=True), Style(bold=True), Style(bold=True, reverse=True)
EIGHTHS = " ▁▂▃▄▅▆▇█"
WIDTH, WITH_LEVELS = 14, 18  # columns
SAID = {(False, False): "", (True, False): "muted", (False, True): "solo", (True, True): "M + S"}  # mute, solo
AROUND = 3  # rows that are not fader: the name, the gain, and the buttons


class ChannelStrip(Widget, can_focus=True):
    """One stem. Drag or click the fader, click M or S, or turn the wheel."""

    DEFAULT_CSS = f"""
    ChannelStrip {{ width: 1fr; min-width: {WIDTH}; max-width: 24; height: 1fr; min-height: 6; }}
    """

    def __init__(self, control: "Undoable", stem: str) -> None:
        super().__init__()
        self.stem = stem
        self._control = control
        self._drag: ExitStack | None = None  # one move from when the fader is taken until it is let go
        self._seen: tuple[float, float, float, bool, bool, bool] = 0.0, -inf, -inf, False, False, False

    def follow(self, level: tuple[float, float]) -> None:
        """Show the last gain sent to the fader, and the level, peak and RMS in dB. Draw only what has changed."""
        solos = self._control.soloed
        muted, soloed = self.stem in self._control.muted, self.stem in solos
        silent = muted or (bool(solos) and not soloed)
        seen = self.gain_db, round(level[0], 1), round(level[1], 1), muted, soloed, silent
        if seen != self._seen:
            self._seen = seen
            self.refresh()

    @property
    def gain_db(self) -> float:
        """The last gain sent to the fader. Steps start there, even if the sound follows late."""
        return self._control.gains_db[self.stem]

    def move_to(self, gain_db: float) -> None:
        """Move the fader, as far as it goes; below -60 dB is silence."""
        if gain_db < FLOOR_DB:
            gain_db = FLOOR_DB if gain_db > self.gain_db else SILENCE_DB
        self._control.set_gains_db(**{self.stem: min(MAX_DB, gain_db)})

    def toggle(self, kind: str) -> None:
        """Change the mute or the solo."""
        if kind == "mute":
            self._control.mute(self.stem, self.stem not in self._control.muted)
        else:
            self._control.solo(self.stem, self.stem not in self._control.soloed)

    def reset(self) -> None:
        """0 dB, no mute, no solo."""
        self._control.set_gains_db(**{self.stem: 0.0})
        self._control.mute(self.stem, False)
        self._control.solo(self.stem, False)

    def render_line(self, y: int) -> Strip:
        """One row of it. (The mixer draws often, and this is much cheaper than a text.)"""
        width, rows = self.size.width, self.size.height - AROUND
        if y == 0:
            parts = self._name_row()
        elif y <= rows:
            parts = self._fader_row(y - 1, rows)
        elif y == rows + 1:
            parts = self._number_row()
        else:
            parts = self._button_row()
        left = Segment(" " * max(0, (width - (WITH_LEVELS if width >= WITH_LEVELS else WIDTH)) // 2))
        return Strip([left, *parts]).adjust_cell_length(width).apply_style(self.rich_style)

    def _name_row(self) -> list[Segment]:
        name = f"▶ {self.stem} ◀" if self.has_focus else self.stem
        return [Segment(name[: WIDTH - 1].center(WIDTH - 1), TURNED if self.has_focus else BOLD)]

    def _fader_row(self, row: int, rows: int) -> list[Segment]:
        gain, peak, rms, _, _, silent = self._seen
        mark = next((mark for mark in MARKS if _row(mark, rows) == row), None)
        label = "" if mark is None else _text(mark, "+g") if mark else "0"
        if row == _row(gain, rows):
            knob = Segment(" ▐██▌ ", DIM if silent else BOLD)
        else:
            knob = Segment("──┼── " if mark == 0 else "  │   ", DIM)
        parts = [Segment(f"{label:>4}", DIM), knob, meter_row(row, rows, peak, rms)]
        if self.size.width >= WITH_LEVELS:
            level = next((level for level in LEVELS if _level_row(level, rows) == row), None)
            parts.append(Segment("" if level is None else f"{level:>4}", DIM))
        return parts

    def _number_row(self) -> list[Segment]:
        gain, peak, *_ = self._seen
        shown = f"{peak:4.0f}" if peak > FLOOR_DB else " " * 4
        moved = f"{_text(gain, '+.1f') if gain else '0.0':>5} dB"
        return [Segment(f"{moved} ", BOLD), Segment(shown, TURNED if peak >= 0 else DIM)]

    def _button_row(self) -> list[Segment]:
        *_, muted, soloed, _ = self._seen
        return [
            Segment("[M]", TURNED if muted else PLAIN),
            Segment(SAID[muted, soloed].center(7), BOLD),
            Segment("[S]", TURNED if soloed else PLAIN),
        ]

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Take hold of the fader, or press a button."""
        rows = self.size.height - AROUND
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
        """Let go."""
        if self._drag is not None:
            self._drag.close()
        self._drag = None
        self.release_mouse()

    def on_mouse_scroll_up(self) -> None:
        """1 dB up."""
        self.move_to(self.gain_db + 1)

    def on_mouse_scroll_down(self) -> None:
        """1 dB down."""
        self.move_to(self.gain_db - 1)

    def _drag_to(self, y: int) -> None:
        rows = self.size.height - AROUND
        row = min(max(y - 1, 0), rows - 1)
        zero = _row(0.0, rows)
        self.move_to(0.0 if row == zero else round(_gain_at(1 - row / max(1, rows - 1)), 1))


def _row(gain_db: float, rows: int) -> int:
    """The row of the fader where a gain is."""
    return round((1 - _place(gain_db)) * (rows - 1))


def _place(gain_db: float) -> float:
    """Where a gain is on the fader, 0 to 1.

    >>> _place(0.0), _place(-80.0), _place(20.0)
    (0.78, 0.0, 1.0)
    """
    for (low, start), (high, end) in pairwise(TRAVEL):
        if gain_db <= high:
            return start + (end - start) * max(0.0, gain_db - low) / (high - low)
    return 1.0


def _gain_at(place: float) -> float:
    """The gain at a place of the fader.

    >>> round(_gain_at(0.78), 9), _gain_at(0.0), _gain_at(1.0)
    (0.0, -80.0, 20.0)
    """
    for (low, start), (high, end) in pairwise(TRAVEL):
        if place <= end:
            return low + (high - low) * (place - start) / (end - start)
    return MAX_DB


def _text(db: float, form: str) -> str:
    return "-∞" if db <= SILENCE_DB else format(db, form)


def _level_row(level_db: float, rows: int) -> int:
    """The row of the meter where a level is."""
    return min(rows - 1, int(rows * min(level_db, 0.0) / FLOOR_DB))


def meter_row(row: int, rows: int, peak: float, rms: float) -> Segment:
    """One row of the meter."""
    colour = next((style for lowest, style in ZONES if FLOOR_DB * row / rows > lowest), ZONES[-1][1])
    filled = min(max(1 - rms / FLOOR_DB, 0.0), 1.0) * rows - (rows - row - 1)
    if filled < 1 and peak > FLOOR_DB and row == _level_row(peak, rows):
        return Segment("━━━", colour)
    return Segment(3 * EIGHTHS[round(8 * min(max(filled, 0.0), 1.0))], colour)
