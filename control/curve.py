"""The curve between the points of a stem, and the moves that make faders follow it."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from operator import attrgetter

from ..core.gains import MAX_DB, SILENCE_DB
from .point import Point

GLIDE_S = 0.02  # in which the engine's faders go to each move, in a straight line


def gain_between(before_db: float, after: Point, share: float) -> float:
    """The gain in dB after a share of the way to a point, 0 to 1."""
    if after.shape == "db":
        gain_db = (1 - share) * before_db + share * after.gain_db
    else:
        gain = (1 - share) * _linear(before_db) + share * _linear(after.gain_db)
        gain_db = 20 * math.log10(gain) if gain else SILENCE_DB
    return min(max(gain_db, SILENCE_DB), MAX_DB)  # rounding leads beyond


def known_gains(points: Iterable[Point], start_db: float) -> Iterator[Point]:
    """The points of one stem, in order, where those that hold are steps to the gain that they hold."""
    gain = start_db
    for point in points:
        if point.shape == "hold":
            point = point._replace(gain_db=gain, shape="step")
        gain = point.gain_db
        yield point


class Curve:
    """The moves of one stem.

    start_db: its gain at sample 0. points: after that, in order, with times in samples.
    """

    def __init__(self, start_db: float, points: Iterable[Point], sample_rate: float) -> None:
        glide = max(1, round(GLIDE_S * sample_rate))
        self._stretches: list[_Stretch] = []
        knots = [Point(0, "", start_db)]
        for point in points:
            if point.shape == "step":
                self._add(knots, glide)
                knots = [point]
                self._stretches.append(_Stretch(knots, glide))
            else:
                knots.append(point)
                # Faders cannot follow what is faster than their glide: such points share a stretch.
                if point.at - knots[0].at >= glide:
                    self._add(knots, glide)
                    knots = [point]
        self._add(knots, glide)
        self._starts = [stretch.start for stretch in self._stretches]
        self._stops = [stretch.stop for stretch in self._stretches]

    def moves(self, start: int, stop: int) -> Iterator[tuple[int, float]]:
        """Moves in the samples start to stop: (sample, gain in dB)."""
        for stretch in self._stretches[bisect_left(self._stops, start) : bisect_left(self._starts, stop)]:
            yield from stretch.moves(start, stop)

    def _add(self, knots: list[Point], glide: int) -> None:
        if len(knots) > 1:
            self._stretches.append(_Stretch(knots, glide))


class _Stretch:
    """A step, which has one knot, or a ramp through knots."""

    def __init__(self, knots: list[Point], glide: int) -> None:
        self._knots, self._glide = tuple(knots), glide
        self.start, self.stop = int(knots[0].at), int(knots[-1].at)

    def moves(self, start: int, stop: int) -> Iterator[tuple[int, float]]:
        """Moves in the samples start to stop: (sample, gain in dB).

        A ramp's are one glide apart, each aimed at where the ramp is one glide later, so that the glides join into it.
        The first glide is cut short by the second, so that the last one ends with the ramp.
        """
        first = self.start + (self.stop - self.start) % self._glide
        if (first > self.start or self.start == self.stop) and start <= self.start < stop:
            yield self.start, self._gain_db(self.start + self._glide)
        begin = first + self._glide * max(0, -((first - start) // self._glide))
        for at in range(begin, min(stop, self.stop), self._glide):
            yield at, self._gain_db(at + self._glide)

    def _gain_db(self, at: int) -> float:
        if at >= self.stop:
            return self._knots[-1].gain_db
        i = bisect_left(self._knots, at, key=attrgetter("at"))
        before, after = self._knots[i - 1], self._knots[i]
        return gain_between(before.gain_db, after, (at - before.at) / (after.at - before.at))


def _linear(gain_db: float) -> float:
    return 0.0 if gain_db <= SILENCE_DB else 10 ** (gain_db / 20)
