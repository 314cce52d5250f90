"""Automation: steps and ramps of each stem's gain over time."""

import math
import operator
import os
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
from ..core.gains import SILENCE_DB
from ..core.stems import check_stems
from ..presets import morph
from .curve import Curve, gain_between, known_gains
from .maps.midimap import MidiMap, load_map, map_names
from .point import UNITS, Point, check_point
from .table import read_table, write_table

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class Automation:
    """Gains that change over time.

    Before its first point a stem has its start gain, from which a ramp to that point begins. The start gain is 0 dB
    unless `starting` sets another.

    Args:
        points: (time, stem, gain in dB) or (time, stem, gain in dB, shape), in any order; `Point` describes the shapes.
            Gains are at most +20 dB, and -80 dB or below is silence. If a stem has several points at one time, the last
            one counts.
        unit: Unit of all times: "samples", or "seconds", which are rounded to samples.

    Attributes:
        unit: "seconds" or "samples".

    Raises:
        ControlError: A time, gain, stem, shape or the unit cannot be used.
    """

    def __init__(self, points: Iterable[tuple[Any, ...]] = (), unit: str = "seconds") -> None:
        if unit not in UNITS:
            raise ControlError(f"unit {unit!r} is unknown; give {' or '.join(UNITS)}")
        self.unit = unit
        self._lanes: dict[str, list[Point]] = {}
        self._sources: dict[str, str] = {}  # stem -> file or line that named it first
        self._about = "this automation", "; it has no points"  # for warnings: its name, and why it is empty
        self._drawn: tuple[float, dict[str, Curve]] | None = None
        for point in sorted((check_point(self.unit, *_values(point)) for point in points), key=attrgetter("at")):
            self._lanes.setdefault(point.stem, []).append(point)

    def __copy__(self) -> Self:
        copied = type(self)(unit=self.unit)
        copied._lanes = {stem: list(lane) for stem, lane in self._lanes.items()}
        copied._sources, copied._about = dict(self._sources), self._about
        return copied

    def __repr__(self) -> str:
        points = [point.at for lane in self._lanes.values() for point in lane]
        if not points:
            return "Automation(no points)"
        first, last = min(points), max(points)
        span = f"{first:g} to {last:g} {self.unit}" if first < last else f"at {first:g} {self.unit}"
        count = "1 point" if len(points) == 1 else f"{len(points)} points"
        return f"Automation({count}, {', '.join(self._lanes)}, {span})"

    @classmethod
    def from_array(cls, gains_db: "ArrayLike", stems: Sequence[str], points_per_second: float) -> Self:
        """Return automation whose gains are curves. Between points, gains change in a straight line in dB.

        Args:
            gains_db: Gains in dB, shape (stems, n). The first column is at time 0.
            stems: Name of each row.
            points_per_second: Number of columns per second.

        Raises:
            ControlError: The array has another shape, or a gain is out of range.
        """
        import numpy as np

        try:
            gains = np.asarray(gains_db)
        except ValueError:
            raise ControlError("gains in rows of different lengths are not (stems, n)") from None
        if gains.dtype.kind not in "iuf":
            raise ControlError(f"gains of type {gains.dtype} are not real numbers; give dB")
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
    def from_csv(cls, path: str | os.PathLike[str]) -> Self:
        """Read a CSV file, as docs/automation.md describes it.

        Columns may also be separated by semicolons, or by tabs, which give a UserWarning. Numbers may then have decimal
        commas.

        Args:
            path: A file with the header `seconds,stem,gain_db` or `samples,stem,gain_db`, optionally with `shape`, and
                lines in order of time. A missing or empty shape means "step".

        Raises:
            ControlError: The file cannot be read or is not valid; the error names the file and the line.
        """
        table = read_table(path)
        if table.has_tabs:
            warnings.warn(f"{path} has tabs instead of commas between its columns; it was read anyway", stacklevel=2)
        automation = cls(table.points, table.unit)
        automation._sources = {stem: f"{path}, line {line}" for stem, line in table.first_lines.items()}
        automation._about = str(path), "; it has no line after the header"
        return automation

    @classmethod
    def from_midi(
        cls,
        path: str | os.PathLike[str],
        map: str | os.PathLike[str] | MidiMap = "general",
        *,
        gains_db: Mapping[str, float] | None = None,
    ) -> Self:
        """Read a MIDI file through a map. docs/automation.md describes the supported files.

        Mutes become -80 dB, and so do, during a solo, the other stems that the map or `gains_db` names. A file with
        faults that other programs tolerate gives a UserWarning.

        Args:
            path: A standard MIDI file.
            map: Name of a shipped map, path of a .json file, or a MidiMap.
            gains_db: Positions of the faders at the start of the file, stem to dB; 0 dB if not named.

        Raises:
            ControlError: The file cannot be read or is not valid; the error names the file, and the invalid event and
                its track if there is one.
        """
        from .midi_points import points_of
        from .midifile import describe, read

        midi_map = map if isinstance(map, MidiMap) else load_map(map)
        messages = read(path)
        automation = cls(points_of(path, messages, midi_map, gains_db or {}))
        origin = f"{path}, read through the MIDI map {midi_map.name!r}"
        automation._sources = dict.fromkeys(automation._lanes, origin)
        automation._about = str(path), ""
        if not automation._lanes:
            others = (load_map(name) for name in map_names())
            fitting = [other.name for other in others if points_of(path, messages, other, gains_db or {})]
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
        """Set a stem to a gain at a time. The fader gets there in 20 ms. A ramp that is under way goes on from there.

        Args:
            stem: Name of the stem.
            at: The time.
            gain_db: The gain in dB.

        Returns:
            This automation.

        Raises:
            ControlError: The time or gain is out of range.
        """
        return self._begin(check_point(self.unit, at, stem, gain_db))

    def ramp(
        self, stem: str, start: float, stop: float, to_db: float, *, from_db: float | None = None, shape: str = "db"
    ) -> Self:
        """Move a stem in a straight line. Its earlier points between `start` and `stop` are removed.

        A ramp of less than 20 ms takes 20 ms.

        Args:
            stem: Name of the stem.
            start: When the ramp begins.
            stop: When it ends, not before `start`.
            to_db: Gain at its end, in dB.
            from_db: Gain at its beginning, in dB; by default the stem's gain at that time.
            shape: "db" for a straight line in dB, "linear" for one as a factor.

        Returns:
            This automation.

        Raises:
            ControlError: A time or gain is out of range, or `stop` is before `start`.
        """
        end = check_point(self.unit, stop, stem, to_db, shape)
        begin = check_point(self.unit, start, stem, from_db, "hold" if from_db is None else "step")
        if end.at < begin.at:
            raise ControlError(
                f"{stem}: a ramp from {begin.at:.15g} to {end.at:.15g} {self.unit} goes back in time; "
                "give the earlier time first"
            )
        self._begin(begin)
        lane = self._lanes[stem]
        first = bisect_right(lane, begin.at, key=attrgetter("at"))
        # The ramp's end is inserted before other points at the same time, such as a jump from there.
        lane[first : max(first, bisect_left(lane, end.at, key=attrgetter("at")))] = [end]
        return self

    def morph(
        self, a: str | Path | Mapping[str, float], b: str | Path | Mapping[str, float], start: float, stop: float
    ) -> Self:
        """Move all stems that either preset names from `a` to `b`, in a straight line in dB, as `presets.morph` does.

        Args:
            a: Gains in dB, or a preset: its name or path. Stems without an earlier point start at these gains.
            b: The same.
            start: When the move begins.
            stop: When it ends, not before `start`.

        Returns:
            This automation.

        Raises:
            PresetError: A preset cannot be used.
            ControlError: A time is out of range, or `stop` is before `start`.
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
        """Return whether any fader ever leaves its gain in `gains_db`.

        Args:
            gains_db: Stem to dB; stems that are not named are at 0 dB.
        """
        return self._first_move(gains_db) is not None

    def too_late(self, gains_db: Mapping[str, float], num_frames: int, sample_rate: float) -> str:
        """Return a warning if faders move, but all of them only after the end of a song, else "".

        Args:
            gains_db: Where the faders start, stem to dB; stems that are not named are at 0 dB.
            num_frames: Length of the song, in samples.
            sample_rate: In Hz.
        """
        first, end = self._first_move(gains_db), num_frames / (1 if self.unit == "samples" else sample_rate)
        if not first or first < end:
            return ""
        return (
            f"nothing in {self._about[0]} moves a fader: its first move is at {first:.10g} {self.unit}, but the song "
            f"ends at {round(end, 3):.10g}; check its times and their unit"
        )

    def starting(self, gains_db: Mapping[str, float]) -> Self:
        """Return the same automation for faders that start at given gains. Stems with a point at time 0 start there.

        If the automation never moves a fader, this gives a UserWarning.

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
        for stem, given in gains_db.items():
            gain = max(given, SILENCE_DB)
            lane = list(known_gains(self._lanes.get(stem, ()), gain))
            start = [] if lane and lane[0].at == 0 else [Point(0, stem, gain)]
            started._lanes[stem] = start + lane
        return started

    def initial(self) -> dict[str, float]:
        """Return the gains at which faders start, stem to dB, for stems that start with a point at time 0 or a ramp."""
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
        """Return the moves for a block of `StemProcessor.process`, the same however the song is cut into blocks.

        Points at time 0 are not moves; `initial` returns them.

        Args:
            start: First input sample of the block.
            stop: The sample after its last.
            sample_rate: In Hz.

        Returns:
            (offset from `start` in samples, stem, gain in dB), in order of time.
        """
        if self._drawn is None or self._drawn[0] != sample_rate:
            self._drawn = sample_rate, self._curves(sample_rate)
        found = [
            (at - start, stem, gain) for stem, curve in self._drawn[1].items() for at, gain in curve.moves(start, stop)
        ]
        return sorted(found, key=operator.itemgetter(0))

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write all points to a CSV file that `from_csv` can read.

        Args:
            path: The file. An older one is replaced.

        Raises:
            ControlError: The file cannot be written; nothing has changed.
        """
        write_table(path, self.unit, self.points)

    def _first_move(self, gains_db: Mapping[str, float]) -> float | None:
        """Return when a fader first begins to leave its gain in `gains_db`, None if none does."""
        first = []
        for stem, lane in self._lanes.items():
            gain_db, before = max(gains_db.get(stem, 0.0), SILENCE_DB), 0.0
            for point in known_gains(lane, gain_db):
                if point.gain_db != gain_db:
                    first.append(point.at if point.shape == "step" else before)
                    break
                before = point.at
        return min(first, default=None)

    def _begin(self, point: Point) -> Self:
        """Add a step. If it divides a ramp, add a point first that keeps the ramp's first part as it was."""
        here = self._point_at(point.at, point.stem)
        if here.shape != "step":
            self._add(here)
        return self._add(point)

    def _add(self, point: Point) -> Self:
        insort(self._lanes.setdefault(point.stem, []), point, key=attrgetter("at"))
        self._drawn = None
        return self

    def _point_at(self, at: float, stem: str) -> Point:
        """Return a point that can be added without changing anything: the stem's gain at a time."""
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


def _values(point: Any) -> tuple[Any, ...]:
    """Return a tuple that was given as a point. Raises ControlError if it has another length."""
    if not isinstance(point, tuple) or not 3 <= len(point) <= 4:
        raise ControlError(
            f"point {shortened(point)} does not work; give (time, stem, gain in dB) or (time, stem, gain in dB, shape)"
        )
    return point
