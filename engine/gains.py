"""Turn faders, mutes and solos into one gain per stem and sample. No other module does this."""

import heapq
import operator
import os
import threading
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.errors import StemBridgeError
from ..core.gains import GLIDE_S, check_gain_db, check_switch, linear_gain
from ..core.protocols import Move
from ..core.stems import check_stems, silenced
from ..presets.gains import Gains, read_gains


class Faders:
    """A fader, a mute and a solo for each stem, and the glides that are under way.

    Any thread may call the setters. Only the thread that processes audio may call `schedule`, `advance` and `reset`.

    Args:
        stems: Names of the stems.
        sample_rate: In Hz.
        gains_db: Where the faders start, stem to dB, 0 dB if not named; or a preset's name or path.
        preset: Gains that `gains_db` overrides stem by stem: a preset's name or path.
    """

    def __init__(
        self,
        stems: tuple[str, ...],
        sample_rate: float,
        gains_db: Gains | None = None,
        preset: str | os.PathLike[str] | None = None,
    ) -> None:
        self.stems = stems
        self._glide = max(1, round(GLIDE_S * sample_rate))
        self._lock = threading.Lock()
        self._desk = _Desk(dict.fromkeys(stems, 0.0), frozenset(), frozenset(), np.ones(len(stems)))
        self.set_gains_db(read_gains(gains_db, stems, preset))
        self.reset()

    @property
    def gains_db(self) -> dict[str, float]:
        """Positions of the faders, stem to dB."""
        return dict(self._desk.gains_db)

    @property
    def muted(self) -> tuple[str, ...]:
        """Muted stems."""
        return tuple(stem for stem in self.stems if stem in self._desk.muted)

    @property
    def soloed(self) -> tuple[str, ...]:
        """Soloed stems. While any stem is soloed, all others are silent."""
        return tuple(stem for stem in self.stems if stem in self._desk.soloed)

    def set_gains_db(self, gains_db: Mapping[str, float]) -> None:
        """Move faders. The change is heard from the next output sample on.

        Args:
            gains_db: Stem to dB, at most +20 dB; -80 dB or below is silence.

        Raises:
            ValueError: A stem is unknown or a gain is out of range; no fader has moved.
        """
        checked = {self.check_stem(stem): check_gain_db(stem, gain) for stem, gain in gains_db.items()}
        with self._lock:
            self._set(gains_db=self._desk.gains_db | checked)

    def mute(self, stem: str, on: bool = True) -> None:
        """Mute a stem, or unmute it with `on=False`.

        Raises:
            ValueError: The stem is unknown, or `on` is not True or False.
        """
        self.check_stem(stem)
        on = check_switch(f"mute of {stem}", on)
        with self._lock:
            self._set(muted=self._desk.muted | {stem} if on else self._desk.muted - {stem})

    def solo(self, stem: str, on: bool = True) -> None:
        """Solo a stem, or end its solo with `on=False`. A stem that is muted too stays silent.

        Raises:
            ValueError: The stem is unknown, or `on` is not True or False.
        """
        self.check_stem(stem)
        on = check_switch(f"solo of {stem}", on)
        with self._lock:
            self._set(soloed=self._desk.soloed | {stem} if on else self._desk.soloed - {stem})

    def check_stem(self, stem: str) -> str:
        """Return the name of a stem.

        Raises:
            ValueError: The stem is unknown.
        """
        check_stems([stem], self.stems)
        return stem

    def check_moves(self, moves: Iterable[Move], n: int) -> list[Move]:
        """Check the moves of a block.

        Args:
            moves: (offset in the block, stem, gain in dB).
            n: Length of the block in samples.

        Returns:
            The moves, with offsets as int and gains as float.

        Raises:
            ValueError: A move has an offset outside the block, an unknown stem or a gain out of range.
        """
        if not isinstance(moves, Iterable):
            raise StemBridgeError(f"moves {moves!r} is not a list of (offset in samples, stem, gain in dB)")
        checked = []
        for move in moves:
            try:
                offset, stem, gain = move
                offset = operator.index(offset)
            except (TypeError, ValueError):
                raise StemBridgeError(f"move {move!r} is not (offset in samples, stem, gain in dB)") from None
            if not 0 <= offset < n:
                raise StemBridgeError(f"move of {stem!r} at offset {offset} lies outside its block of {n} samples")
            checked.append((offset, self.check_stem(stem), check_gain_db(stem, gain)))
        return checked

    def schedule(self, moves: Iterable[Move], n: int) -> None:
        """Keep the moves of the next n input samples until `advance` reaches them.

        Args:
            moves: As `check_moves` returns them.
            n: Number of samples.
        """
        for offset, stem, gain in moves:
            self._order += 1  # moves at the same sample act in the order in which they came
            heapq.heappush(self._moves, (self._scheduled + offset, self._order, stem, gain))
        self._scheduled += n

    def reset(self, delay: int = 0) -> None:
        """Jump to the positions of the faders, without a glide, and discard scheduled moves.

        Args:
            delay: Samples from a move's input sample to the output sample where it is heard: the latency.
        """
        self._moves: list[tuple[int, int, str, float]] = []
        self._order = 0
        self._scheduled = delay  # the output sample at which the next block's first sample will be heard
        self._position = 0  # the next output sample
        self._target = self._desk.linear
        self._start = self._target.copy()
        self._age = np.full(len(self.stems), self._glide)  # samples since the glide began

    def advance(self, n: int) -> NDArray[np.float32]:
        """Go on by n output samples and return their gains.

        A gain glides to its new value in a straight line, in 20 ms.

        Args:
            n: Number of samples.

        Returns:
            Gains as factors, (stems, n), or (stems, 1) if no gain changes during these samples.
        """
        segments: list[tuple[NDArray[np.float32], int]] = []
        remaining = n
        while remaining or not segments:
            self._make_due_moves()
            length = min(remaining, self._moves[0][0] - self._position) if self._moves else remaining
            segments.append(self._segment(length))
            self._position += length
            remaining -= length
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

    def _gains(self, age: NDArray[Any], stems: NDArray[Any] | slice) -> NDArray[np.float64]:
        start, target = self._start[stems, None], self._target[stems, None]
        return np.where(age < self._glide, start + (target - start) * (age / self._glide), target)

    def _set(self, **changes: Any) -> None:
        """Change the desk in one assignment, so that Ctrl-C cannot leave gains that are reported but not heard."""
        desk = self._desk._replace(**changes)
        silent = silenced(self.stems, desk.muted, desk.soloed)
        gains = [0.0 if stem in silent else linear_gain(desk.gains_db[stem]) for stem in self.stems]
        self._desk = desk._replace(linear=np.array(gains))


class FaderSurface:
    """The faders, mutes and solos of a processor that has `_faders`. Any thread may use them."""

    _faders: Faders

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the stems, in the order of the faders."""
        return self._faders.stems

    @property
    def gains_db(self) -> dict[str, float]:
        """Positions of the faders, stem to dB. A move that is not heard yet does not count."""
        return self._faders.gains_db

    @property
    def muted(self) -> tuple[str, ...]:
        """Muted stems."""
        return self._faders.muted

    @property
    def soloed(self) -> tuple[str, ...]:
        """Soloed stems."""
        return self._faders.soloed

    def set_gains_db(self, /, **gains_db: float) -> None:
        """Move faders, as in `set_gains_db(vocals=-6.0)`. They glide for 20 ms from the next output sample on.

        Args:
            gains_db: Gains in dB, at most +20; -80 or below is silence. Stems that are not named do not change.

        Raises:
            ValueError: A stem is unknown, or a gain is NaN or above +20 dB; no fader has moved.
        """
        self._faders.set_gains_db(gains_db)

    def mute(self, stem: str, on: bool = True) -> None:
        """Mute a stem. The gain glides as with a fader.

        Args:
            stem: Name of the stem.
            on: False to unmute it.

        Raises:
            ValueError: The stem is unknown.
        """
        self._faders.mute(stem, on)

    def solo(self, stem: str, on: bool = True) -> None:
        """Solo a stem. While any stem is soloed, the others are silent. A stem that is muted too stays silent.

        Args:
            stem: Name of the stem.
            on: False to end its solo.

        Raises:
            ValueError: The stem is unknown.
        """
        self._faders.solo(stem, on)

    def _about_faders(self) -> list[str]:
        """Return the parts of a `repr` about faders that are not at 0 dB, mutes and solos."""
        moved = [f"{stem} {gain:+g} dB" for stem, gain in self.gains_db.items() if gain]
        return moved + [f"{stem} muted" for stem in self.muted] + [f"{stem} soloed" for stem in self.soloed]


class _Desk(NamedTuple):
    """The state of faders and buttons, and the resulting gains.

    Attributes:
        linear: The gains that are heard, as factors, (stems,). A change makes a new array, never modifies the old one.
    """

    gains_db: dict[str, float]
    muted: frozenset[str]
    soloed: frozenset[str]
    linear: NDArray[np.float64]
