"""One timeline of fader moves: steps and ramps for each stem."""

import codecs
import csv
import io
import math
import operator
import os
import re
import warnings
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from heapq import merge
from numbers import Real
from operator import attrgetter
from pathlib import Path
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Any, Self

from ..core.errors import ControlError
from ..core.gains import SILENCE_DB, check_gain_db, gain_from_text
from ..core.stems import check_stems
from ..presets import load_preset, morph
from .curve import SHAPES, Curve, Point, gain_between, known_gains
from .files import write_whole
from .maps.midimap import MidiMap, load_map, map_names

if TYPE_CHECKING:
    from mido import Message
    from numpy.typing import ArrayLike

LATEST = 1e14  # seconds or samples; far beyond any song, and no number overflows
UNITS = ("seconds", "samples")
HEADER = "seconds,stem,gain_db or samples,stem,gain_db, and if there are ramps a column shape"


class Automation:
    """Gains that change in time.

    points: Point or a tuple like it, in any order; of a stem's points at one time the last counts. unit: of all times,
    "seconds", counted as round(seconds * rate) samples, or "samples". Until its first point a stem is where it starts,
    from where a ramp to that point begins too: 0 dB, if `starting` does not say otherwise. -80 dB or below is silence.
    Raises ControlError, in one line, for a time that is negative or no number, a gain that is NaN or above +20 dB, and
    an unknown shape.
    """

    def __init__(self, points: Iterable[tuple] = (), unit: str = "seconds") -> None:
        if unit not in UNITS:
            raise ControlError(f"unit {unit!r} is unknown; give {' or '.join(UNITS)}")
        self.unit = unit
        self._lanes: dict[str, list[Point]] = {}
        self._sources: dict[str, str] = {}  # stem -> what named it first
        self._about = "this automation", "; it has no points"  # for warnings: its name, and why it is empty
        self._drawn: tuple[float, dict[str, Curve]] | None = None
        for point in sorted((self._checked(*_values(point)) for point in points), key=attrgetter("at")):
            self._lanes.setdefault(point.stem, []).append(point)

    def __repr__(self) -> str:
        points = [point.at for lane in self._lanes.values() for point in lane]
        if not points:
            return "Automation(no points)"
        span = f"{min(points):g} to {max(points):g} {self.unit}"
        return f"Automation({len(points)} points, {', '.join(self._lanes)}, {span})"

    @classmethod
    def from_array(cls, gains_db: "ArrayLike", stems: Sequence[str], points_per_second: float) -> Self:
        """Curves: gains_db is (stems, n) in dB, the first column at time 0, and straight in dB between columns.

        Raises ControlError for another shape, or a gain as in the class.
        """
        import numpy as np

        try:
            gains = np.asarray(gains_db)
        except ValueError:
            raise ControlError("gains in rows of different lengths are not (stems, n)") from None
        if gains.dtype.kind not in "iuf":
            raise ControlError(f"gains of type {gains.dtype} are no real numbers; give dB")
        if gains.ndim != 2 or len(gains) != len(stems):
            raise ControlError(f"gains of shape {gains.shape} are not (stems, n) with {len(stems)} stems")
        if len(set(stems)) < len(stems):
            raise ControlError(f"the stems {', '.join(stems)} are not all different")
        if not isinstance(points_per_second, Real) or not 0 < points_per_second < math.inf:
            raise ControlError(f"{points_per_second!r} points per second do not work; give a number above 0")
        return cls(
            (column / points_per_second, stem, gain, "db")
            for stem, row in zip(stems, gains.tolist(), strict=True)
            for column, gain in enumerate(row)
        )

    @classmethod
    def from_csv(cls, path: str | os.PathLike) -> Self:
        """Read a CSV file with the header `seconds,stem,gain_db` or `samples,stem,gain_db`, optionally with `shape`.

        Lines are in order of time; a missing or empty shape is "step". Columns may also be separated by semicolons, or
        by tabs, which give a UserWarning; numbers may then have decimal commas. See docs/automation.md.

        Raises:
            ControlError: Names the file and the line.
        """
        text = _text(path)
        # Spreadsheets separate columns with semicolons or tabs if the comma is the decimal separator.
        header = next((line for line in text.split("\n") if line.strip()), "")
        if declared := re.fullmatch(r'"?sep=(.)"?\s*', header, re.IGNORECASE):  # Excel writes this line
            separator, text = declared[1], text.replace(header, "", 1)
        else:
            separator = next((sign for sign in "\t;" if sign in header), ",")
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
        try:
            rows = (row for row in reader if "".join(row).strip())
            columns = [name.strip() for name in next(rows, [])]
            while columns and not columns[-1]:
                columns.pop()
            automation = cls(unit=_unit(columns))
            latest = 0.0
            for row in rows:
                if len(row) < len(columns) or "".join(row[len(columns) :]).strip():
                    raise ControlError(f"{len(row)} columns, but the header has {len(columns)}")
                cells = {name: cell.strip() for name, cell in zip(columns, row, strict=False)}
                at, gain = (cells[name] for name in (automation.unit, "gain_db"))
                if separator != ",":
                    at, gain = at.replace(",", "."), gain.replace(",", ".")
                point = automation._checked(at, cells["stem"], gain, cells.get("shape") or "step")
                automation._sources.setdefault(point.stem, f"{path}, line {reader.line_num}")
                if point.at < latest:
                    raise ControlError(
                        f"{point.at:.15g} {automation.unit} come after {latest:.15g}; sort the lines by time"
                    )
                latest = point.at
                automation._lanes.setdefault(point.stem, []).append(point)
        except (ControlError, csv.Error) as error:
            raise ControlError(f"{path}, line {max(1, reader.line_num)}: {error}") from error
        if separator == "\t":
            warnings.warn(f"{path} has tabs instead of commas between its columns; it was read anyway", stacklevel=2)
        automation._about = str(path), "; it has no line after the header"
        return automation

    @classmethod
    def from_midi(
        cls, path: str | os.PathLike, map: str | os.PathLike | MidiMap = "general", *, gains_db: Mapping | None = None
    ) -> Self:
        """Read a MIDI file through a map.

        Mutes and solos become -80 dB. A solo silences the other stems that the map or `gains_db` names. A file with
        faults that other programs tolerate gives a UserWarning. docs/automation.md describes the supported files.

        Args:
            path: A standard MIDI file.
            map: Name of a shipped map, path of a .json file, or a MidiMap.
            gains_db: Where the faders stand when the file begins, stem to dB; 0 dB if not named.

        Raises:
            ControlError: Names the file, and the invalid event and its track if there is one.
        """
        from .midifile import describe, read

        midi_map = map if isinstance(map, MidiMap) else load_map(map)
        messages = read(path)
        automation = cls(_translated(path, messages, midi_map, gains_db or {}))
        origin = f"{path}, read through the MIDI map {midi_map.name!r}"
        automation._sources = dict.fromkeys(automation._lanes, origin)
        automation._about = str(path), ""
        if not automation._lanes:
            others = (load_map(name) for name in map_names())
            fitting = [other.name for other in others if _translated(path, messages, other, gains_db or {})]
            remedy = f"try map {' or '.join(fitting)}" if fitting else "make a map for it with `stembridge midi learn`"
            found = (
                f"{describe(message for _, message in messages)}; {remedy}" if messages else "no message for a fader"
            )
            automation._about = str(path), f" with map {midi_map.name}; it has {found}"
        return automation

    @property
    def stems(self) -> tuple[str, ...]:
        """The stems that have a point."""
        return tuple(self._lanes)

    @property
    def points(self) -> tuple[Point, ...]:
        """All points in order of time."""
        return tuple(merge(*self._lanes.values(), key=attrgetter("at")))

    def step(self, stem: str, at: float, gain_db: float) -> Self:
        """The stem has this gain from `at` on; the fader gets there in 20 ms. Returns self.

        In a ramp it is a jump, from where the ramp goes on.
        """
        return self._begin(self._checked(at, stem, gain_db))

    def ramp(
        self, stem: str, start: float, stop: float, to_db: float, *, from_db: float | None = None, shape: str = "db"
    ) -> Self:
        """The stem goes in a straight line, in dB or for shape="linear" in gain, and is at `to_db` at `stop`.

        from_db: where the line begins, by default where the stem is then. A ramp of 20 ms or more is on time; a
        shorter one takes 20 ms. What the stem had between start and stop goes. Returns self.
        """
        end = self._checked(stop, stem, to_db, shape)
        begin = self._checked(start, stem, from_db, "hold" if from_db is None else "step")
        if end.at < begin.at:
            raise ControlError(f"{stem}: a ramp from {begin.at:.15g} to {end.at:.15g} {self.unit} goes back in time")
        self._begin(begin)
        lane = self._lanes[stem]
        first = bisect_right(lane, begin.at, key=attrgetter("at"))
        # Before what the stem does from there on: a jump at the ramp's end comes after it.
        lane[first : max(first, bisect_left(lane, end.at, key=attrgetter("at")))] = [end]
        return self

    def morph(
        self, a: str | Path | Mapping[str, float], b: str | Path | Mapping[str, float], start: float, stop: float
    ) -> Self:
        """All stems that either preset names go from `a` to `b`, straight in dB, as `presets.morph`. Returns self.

        A stem that has no point before starts at `a`. a, b: a name, a path, or gains in dB. Raises PresetError for one
        that cannot be used.
        """
        end_db = morph(a, b, 1)
        for stem, gain_db in morph(a, b, 0).items():
            before = self._lanes.get(stem)
            still = not before or before[0].at > start
            self.ramp(stem, start, stop, end_db[stem], from_db=gain_db)
            if still:
                self.step(stem, 0, gain_db)
        return self

    def moves_faders(self, gains_db: Mapping[str, float]) -> bool:
        """Return whether any fader moves from its gain in `gains_db`, stem to dB; stems not named are at 0 dB."""
        return any(
            point.gain_db != max(gains_db.get(stem, 0.0), SILENCE_DB)
            for stem, lane in self._lanes.items()
            for point in known_gains(lane, max(gains_db.get(stem, 0.0), SILENCE_DB))
        )

    def starting(self, gains_db: Mapping[str, float]) -> Self:
        """Return the same automation for faders that start at given gains. Stems with a point at time 0 start there.

        If it moves none of the faders, it gives a UserWarning.

        Args:
            gains_db: Stem to dB, for all stems of the song.

        Raises:
            ControlError: The automation moves a stem that is not in `gains_db`.
        """
        for stem in self._lanes:
            where = f"{self._sources[stem]}: " if stem in self._sources else ""
            check_stems([stem], gains_db, where, ControlError)
        if not self.moves_faders(gains_db):
            name, reason = self._about
            why = "; its gains are the same as those of the faders" if self._lanes else reason
            warnings.warn(f"nothing in {name} moves a fader{why}", stacklevel=2)
        started = type(self)(unit=self.unit)
        for stem, gain in gains_db.items():
            lane = list(known_gains(self._lanes.get(stem, ()), gain))
            start = [] if lane and lane[0].at == 0 else [Point(0, stem, gain)]
            started._lanes[stem] = start + lane
        return started

    def initial(self) -> dict[str, float]:
        """Where faders start, stem -> dB: those that have a point at 0, or whose first point is no step."""
        gains = {}
        for stem, lane in self._lanes.items():
            at_zero = bisect_right(lane, 0, key=attrgetter("at"))
            if at_zero:
                *_, start = known_gains(lane[:at_zero], 0.0)
                gains[stem] = start.gain_db
            elif lane[0].shape != "step":
                gains[stem] = 0.0
        return gains

    def moves(self, start: int, stop: int, sample_rate: float) -> list[tuple[int, str, float]]:
        """Moves for StemProcessor.process of the input samples start to stop: (offset from start, stem, dB), sorted.

        However a stream is cut, its moves are the same. Points at time 0 are no moves, but `initial`.
        """
        if self._drawn is None or self._drawn[0] != sample_rate:
            self._drawn = sample_rate, self._curves(sample_rate)
        found = [
            (at - start, stem, gain) for stem, curve in self._drawn[1].items() for at, gain in curve.moves(start, stop)
        ]
        return sorted(found, key=operator.itemgetter(0))

    def to_csv(self, path: str | os.PathLike) -> None:
        """Write all points, whole or not at all, so that `from_csv` reads the same. Raises ControlError."""
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow([self.unit, *Point._fields[1:]])
        for at, stem, gain, shape in self.points:
            writer.writerow([at, stem, "" if shape == "hold" else gain, shape])
        write_whole(path, table.getvalue().encode())

    def _begin(self, point: Point) -> Self:
        """Add a step; a ramp that it divides goes there first."""
        here = self._point_at(point.at, point.stem)
        if here.shape != "step":
            self._add(here)
        return self._add(point)

    def _add(self, point: Point) -> Self:
        insort(self._lanes.setdefault(point.stem, []), point, key=attrgetter("at"))
        self._drawn = None
        return self

    def _checked(self, at: Any, stem: Any, gain_db: Any, shape: Any = "step") -> Point:
        if not isinstance(stem, str) or not stem:
            raise ControlError(f"stem {shortened(stem)} is no name")
        name = stem if len(stem) < 40 else shortened(stem)
        try:
            if self.unit == "seconds":
                time: float = float(_plain(at))
            else:
                time = int(_plain(at)) if isinstance(at, str) else operator.index(at)
        except (TypeError, ValueError, OverflowError):
            number = "a number" if self.unit == "seconds" else "a whole number"
            raise ControlError(f"{name}: time {shortened(at)} is not {number} of {self.unit}") from None
        if not 0 <= time <= LATEST:
            raise ControlError(
                f"{name}: time {shortened(time)} is out of range; give {self.unit} from 0 to {LATEST:.0e}"
            )
        if shape not in SHAPES:
            raise ControlError(f"{name}: shape {shortened(shape)} is unknown; give {', '.join(SHAPES)}")
        if shape == "hold":
            return Point(time, stem, math.nan, shape)
        check = gain_from_text if isinstance(gain_db, str) else check_gain_db
        gain = check(name, gain_db, ControlError)
        return Point(time, stem, max(gain, SILENCE_DB), shape)

    def _point_at(self, at: float, stem: str) -> Point:
        """A point that changes nothing: where the stem is at a time."""
        lane = list(known_gains(self._lanes.get(stem, ()), 0.0))
        i = bisect_right(lane, at, key=attrgetter("at"))
        before = lane[i - 1] if i else Point(0, stem, 0.0)
        if i == len(lane) or lane[i].shape == "step" or before.at == at:
            return Point(at, stem, before.gain_db)
        share = (at - before.at) / (lane[i].at - before.at)
        return Point(at, stem, gain_between(before.gain_db, lane[i], share), lane[i].shape)

    def _curves(self, sample_rate: float) -> dict[str, Curve]:
        scale = 1 if self.unit == "samples" else sample_rate
        start = self.initial()
        return {
            stem: Curve(
                start.get(stem, 0.0),
                (
                    point._replace(at=round(point.at * scale))
                    for point in known_gains(lane, start.get(stem, 0.0))
                    if point.at > 0
                ),
                sample_rate,
            )
            for stem, lane in self._lanes.items()
        }


def _translated(
    path: str | os.PathLike,
    messages: "Iterable[tuple[float, Message]]",
    midi_map: MidiMap,
    gains_db: Mapping[str, float],
) -> list[Point]:
    """Return the points that a MIDI file's messages make of faders that start at `gains_db`. Raises ControlError."""
    from .maps.translator import Translator

    faders: dict[str, float] = dict.fromkeys(midi_map.stems, 0.0) | dict(gains_db)
    switched: dict[str, set[str]] = {"mute": set(), "solo": set()}
    translator = Translator(midi_map, midi_map.stems, faders)
    points = []
    heard: dict[str, float] = {}
    for seconds, message in messages:
        for kind, stem, value in translator.feed(message):
            if stem is None:
                try:
                    faders = dict.fromkeys(faders, 0.0) | load_preset(value)
                except ValueError as error:
                    raise ControlError(f"{path}, at {seconds:g} seconds: {error}") from error
                translator.preset_loaded(faders)
            elif kind == "gain":
                faders[stem] = value
            else:
                (switched[kind].add if value else switched[kind].discard)(stem)
            for moved in faders if stem is None or kind == "solo" else (stem,):
                silent = moved in switched["mute"] or (switched["solo"] and moved not in switched["solo"])
                gain = SILENCE_DB if silent else faders[moved]
                if heard.get(moved) != gain:
                    heard[moved] = gain
                    points.append(Point(seconds, moved, gain))
    return points


def _values(point: Any) -> tuple:
    """Return a tuple that was given as a point. Raises ControlError if it has another length."""
    if not isinstance(point, tuple) or not 3 <= len(point) <= 4:
        raise ControlError(f"point {shortened(point)} is not (time, stem, gain in dB) or that and a shape")
    return point


def _plain(number: Any) -> Any:
    """Return the number. Raises ValueError for texts such as 1_000, which Python reads but no table means."""
    if isinstance(number, str) and not re.fullmatch(r"[\x21-\x5e\x60-\x7e]+", number):
        raise ValueError
    return number


def _text(path: str | os.PathLike) -> str:
    """Return the text of a CSV file, with "\\n" as line ends and without comments. Raises ControlError."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ControlError(f"{path} cannot be read: {error.strerror}") from error
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
        raise ControlError(f"the header has no column {missing[0]!r}; it is {HEADER}")
    extra = sorted({name for name in columns if columns.count(name) > 1 or name not in (unit, *Point._fields[1:])})
    if extra:
        raise ControlError(f"the header has a column {extra[0][:40]!r} too many; it is {HEADER}")
    return unit
