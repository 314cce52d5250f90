"""Protocols: objects that keep them work with the faders, songs and moves of StemBridge."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Move = tuple[int, str, float]  # offset in samples, stem, gain in dB


class Processor(Protocol):
    """Processes a song: float32 (channels, n) to the same shape, delayed by exactly `latency_samples`.

    If it has `prepare(sample_rate, num_channels)` too, that is called first. If it has `set_gains_db`, `gains_db` and
    `process(block, moves)`, as a StemRack has, it takes gains and automation.
    """

    @property
    def latency_samples(self) -> int: ...
    def process(self, block: "NDArray[np.float32]") -> "NDArray[np.float32]": ...
    def reset(self) -> None: ...


class Target(Protocol):
    """Faders, mutes and solos by stem, as StemProcessor has them."""

    @property
    def stems(self) -> tuple[str, ...]: ...
    @property
    def gains_db(self) -> Mapping[str, float]: ...
    @property
    def muted(self) -> Iterable[str]: ...
    @property
    def soloed(self) -> Iterable[str]: ...
    def set_gains_db(self, **gains_db: float) -> None: ...
    def mute(self, stem: str, on: bool = True) -> None: ...
    def solo(self, stem: str, on: bool = True) -> None: ...


class Automation(Protocol):
    """Gains that change over time, as in control.Automation.

    starting: the same automation for faders that start at these gains, stem -> dB, where it does not set the start
    itself; raises ValueError for stems that the song does not have. initial: where faders start, stem -> dB. moves: of
    the input samples start to stop, (offset from start, stem, gain in dB), the same however a song is cut.
    moves_faders (optional): whether any fader ever moves from its gain in a mapping of stem to dB.
    """

    def starting(self, gains_db: Mapping[str, float]) -> "Automation": ...
    def initial(self) -> Mapping[str, float]: ...
    def moves(self, start: int, stop: int, sample_rate: float) -> Iterable[Move]: ...
