"""Turn the points of a stem into moves that make its fader follow them."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from operator import attrgetter

from ..core.gains import GLIDE_S, MAX_DB, SILENCE_DB, linear_gain
from .point import Point


def gain_between(before_db: float, after: Point, share: float) -> float:
    """Return the gain on the way to a point, in dB.

    Args:
        before_db: Gain at the start of the way, in dB.
        after: The point.
        share: Share of the way, 0 to 1.
    """
    if after.shape == "db":
        gain_db = (1 - share) * before_db + share * after.gain_db
    else:
        gain = (1 - share) * linear_gain(before_db) + share * linear_gain(after.gain_db)
        gain_db = 20 * math.log10(gain) if gain else SILENCE_DB
    return min(max(gain_db, SILENCE_DB), MAX_DB)  # rounding may lead beyond


def known_gains(points: Iterable[Point], start_db: float) -> Iterator[Point]:
    """Yield the points of a stem, with steps to a known gain in place of those that hold.

    Args:
        points: Points of one stem, in order of time.
        start_db: Gain before the first point, in dB.
    """
    gain = start_db
    for point in points:
        if point.shape == "hold":
            point = point._replace(gain_db=gain, shape="step")
        gain = point.gain_db
        yield point


class Curve:
    """The moves of one stem.

    Args:
        start_db: Gain at sample 0, in dB.
        points: Later points in order of time, with times in samples.
        sample_rate: In Hz.
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
                # Faders cannot follow points that are closer together than a glide: such points share a stretch.
                if point.at - knots[0].at >= glide:
                    self._add(knots, glide)
                    knots = [point]
        self._add(knots, glide)
        self._starts = [stretch.start for stretch in self._stretches]
        self._stops = [stretch.stop for stretch in self._stretches]

    def moves(self, start: int, stop: int) -> Iterator[tuple[int, float]]:
        """Yield the moves from sample `start` to before `stop`: (sample, gain in dB)."""
        for stretch in self._stretches[bisect_left(self._stops, start) : bisect_left(self._starts, stop)]:
            yield from stretch.moves(start, stop)

    def _add(self, knots: list[Point], glide: int) -> None:
        if len(knots) > 1:
            self._stretches.append(_Stretch(knots, glide))


class _Stretch:
    """A step, which has one knot, or a ramp through several knots."""

    def __init__(self, knots: list[Point], glide: int) -> None:
        self._knots, self._glide = tuple(knots), glide
        self.start, self.stop = int(knots[0].at), int(knots[-1].at)

    def moves(self, start: int, stop: int) -> Iterator[tuple[int, float]]:
        """Yield the moves from sample `start` to before `stop`: (sample, gain in dB).

        The moves of a ramp are one glide apart. Each aims at the gain that the ramp has one glide later, so the glides
        join to form the ramp. The second move cuts the first glide short, so that the last glide ends with the ramp.
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
