"""Faders, mutes and solos become one gain per stem and sample, here and nowhere else."""

import heapq
import operator
import threading
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.gains import check_gain_db, linear_gain
from ..core.protocols import Move
from ..core.stems import check_stems
from ..presets.gains import Gains, read_gains

GLIDE_SECONDS = 0.02


class Faders:
    """One fader, mute and solo a stem, and what is left of their glides.

    Setters may be called from any thread; `advance` belongs to the thread that processes audio.
    stems: names. sample_rate: in Hz. gains_db: where faders start, 0 dB if not named; or a preset's name or path.
    """

    def __init__(self, stems: tuple[str, ...], sample_rate: float, gains_db: Gains | None = None) -> None:
        self.stems = stems
        self._glide = max(1, round(GLIDE_SECONDS * sample_rate))
        self._lock = threading.Lock()
        self._desk = _Desk(dict.fromkeys(stems, 0.0), frozenset(), frozenset(), np.ones(len(stems)))
        self.set_gains_db(read_gains(gains_db, stems))
        self.reset()

    @property
    def gains_db(self) -> dict[str, float]:
        """Where the faders stand, stem -> dB."""
        return dict(self._desk.gains_db)

    @property
    def muted(self) -> tuple[str, ...]:
        """Muted stems."""
        return tuple(stem for stem in self.stems if stem in self._desk.muted)

    @property
    def soloed(self) -> tuple[str, ...]:
        """Soloed stems; while there are any, all others are silent."""
        return tuple(stem for stem in self.stems if stem in self._desk.soloed)

    def set_gains_db(self, gains_db: Mapping[str, float]) -> None:
        """Move faders, heard from the next output sample on. Raises ValueError before any is moved."""
        checked = {self.check_stem(stem): check_gain_db(stem, gain) for stem, gain in gains_db.items()}
        with self._lock:
            self._set(gains_db=self._desk.gains_db | checked)

    def mute(self, stem: str, on: bool = True) -> None:
        """Mute a stem, or end that."""
        self.check_stem(stem)
        with self._lock:
            self._set(muted=self._desk.muted | {stem} if on else self._desk.muted - {stem})

    def solo(self, stem: str, on: bool = True) -> None:
        """Solo a stem, or end that. A mute is stronger than a solo."""
        self.check_stem(stem)
        with self._lock:
            self._set(soloed=self._desk.soloed | {stem} if on else self._desk.soloed - {stem})

    def check_stem(self, stem: str) -> str:
        """The stem's name. Raises ValueError if there is none of that name."""
        check_stems([stem], self.stems)
        return stem

    def check_moves(self, moves: Iterable[Move], n: int) -> list[Move]:
        """Return the moves (offset, stem, gain in dB) of a block of n samples. Raises ValueError for a wrong one."""
        checked = []
        for move in moves:
            try:
                offset, stem, gain = move
                offset = operator.index(offset)
            except (TypeError, ValueError):
                raise ValueError(f"move {move!r} is not (offset in samples, stem, gain in dB)") from None
            if not 0 <= offset < n:
                raise ValueError(f"move of {stem!r} at offset {offset} lies outside its block of {n} samples")
            checked.append((offset, self.check_stem(stem), check_gain_db(stem, gain)))
        return checked

    def schedule(self, moves: Iterable[Move], n: int) -> None:
        """Take the moves of the next n samples, as `check_moves` returns them. `advance` applies them in time."""
        for offset, stem, gain in moves:
            self._order += 1  # moves at one sample act in the order they came
            heapq.heappush(self._moves, (self._scheduled + offset, self._order, stem, gain))
        self._scheduled += n

    def reset(self, delay: int = 0) -> None:
        """Jump to where the faders stand and forget scheduled moves; from now on moves act `delay` samples late."""
        self._moves: list[tuple[int, int, str, float]] = []
        self._order = 0
        self._scheduled = delay  # the output sample at which the next block's first sample will be heard
        self._position = 0  # the next output sample
        self._target = self._desk.linear
        self._start = self._target.copy()
        self._age = np.full(len(self.stems), self._glide)  # samples since the glide began

    def advance(self, n: int) -> NDArray[np.float32]:
        """Linear gains of the next n output samples, (stems, n), or (stems, 1) if none of them moves.

        A glide goes in a straight line from where the gain was to its target and arrives after 20 ms.
        """
        segments: list[tuple[NDArray[np.float32], int]] = []
        left = n
        while left or not segments:
            self._make_due_moves()
            length = min(left, self._moves[0][0] - self._position) if self._moves else left
            segments.append(self._segment(length))
            self._position += length
            left -= length
        if len(segments) == 1:
            return segments[0][0]
        return np.concatenate([np.broadcast_to(gains, (len(self.stems), k)) for gains, k in segments], axis=-1)

    def _make_due_moves(self) -> None:
        while self._moves and self._moves[0][0] <= self._position:
            _, _, stem, gain = heapq.heappop(self._moves)
            with self._lock:
                self._set(gains_db=self._desk.gains_db | {stem: gain})
        wanted = self._desk.linear
        if wanted is not self._target:
            changed = wanted != self._target
            self._start[changed] = self._gains(self._age[changed, None], changed)[:, 0]
            self._age[changed] = 0
            self._target = wanted

    def _segment(self, n: int) -> tuple[NDArray[np.float32], int]:
        if (self._age >= self._glide).all():
            return self._target[:, None].astype(np.float32), n
        gains = self._gains(self._age[:, None] + np.arange(1, n + 1), slice(None))
        self._age += n
        return gains.astype(np.float32), n

    def _gains(self, age: NDArray, stems: NDArray | slice) -> NDArray[np.float64]:
        start, target = self._start[stems, None], self._target[stems, None]
        return np.where(age < self._glide, start + (target - start) * (age / self._glide), target)

    def _set(self, **changes: Any) -> None:
        """Change the desk in one assignment, so that no interrupt leaves gains that are reported but not heard."""
        desk = self._desk._replace(**changes)
        heard = desk.soloed or set(self.stems)
        gains = [
            0.0 if stem in desk.muted or stem not in heard else linear_gain(desk.gains_db[stem]) for stem in self.stems
        ]
        self._desk = desk._replace(linear=np.array(gains))


class FaderSurface:
    """The faders, mutes and solos of a processor that has `_faders`. All may be used from any thread."""

    _faders: Faders

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the stems, in the order of the faders."""
        return self._faders.stems

    @property
    def gains_db(self) -> dict[str, float]:
        """Where the faders stand, stem -> dB; a scheduled move counts from when it is heard."""
        return self._faders.gains_db

    @property
    def muted(self) -> tuple[str, ...]:
        """Muted stems."""
        return self._faders.muted

    @property
    def soloed(self) -> tuple[str, ...]:
        """Soloed stems."""
        return self._faders.soloed

    def set_gains_db(self, **gains_db: float) -> None:
        """Move faders: `set_gains_db(vocals=-6.0)`. Heard from the next output sample on, gliding over 20 ms.

        Raises:
            ValueError: A stem is unknown, or a gain is NaN or above +20 dB; no fader has moved.
        """
        self._faders.set_gains_db(gains_db)

    def mute(self, stem: str, on: bool = True) -> None:
        """Mute a stem, or end that with `on=False`. Glides like a fader."""
        self._faders.mute(stem, on)

    def solo(self, stem: str, on: bool = True) -> None:
        """Solo a stem, or end that with `on=False`: while any is soloed the others are silent. A mute is stronger."""
        self._faders.solo(stem, on)

    def _about_faders(self) -> list[str]:
        """Return what a `repr` says of the faders: those that are not at 0 dB, mutes and solos."""
        moved = [f"{stem} {gain:+g} dB" for stem, gain in self.gains_db.items() if gain]
        return moved + [f"{stem} muted" for stem in self.muted] + [f"{stem} soloed" for stem in self.soloed]


class _Desk(NamedTuple):
    """The state of faders and buttons, and the resulting gains.

    linear: The gains that are heard, (stems,). Each change makes a new array, so that a change shows in its identity.
    """

    gains_db: dict[str, float]
    muted: frozenset[str]
    soloed: frozenset[str]
    linear: NDArray[np.float64]
