"""Protocols that objects must follow to process songs, have faders, or automate them."""

import operator
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from .errors import StemBridgeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Move = tuple[int, str, float]  # offset in samples, stem, gain in dB


@runtime_checkable
class Processor(Protocol):
    """Turns blocks of a song, float32 (channels, n), into blocks of the same shape, exactly `latency_samples` later.

    If it also has `prepare(sample_rate, num_channels)`, that is called first. If it also has `set_gains_db`, `gains_db`
    and `process(block, moves)`, as a StemRack does, it can be given gains and automation.
    """

    @property
    def latency_samples(self) -> int:
        """Exact delay of the output, in samples."""

    def process(self, block: "NDArray[np.float32]") -> "NDArray[np.float32]":
        """Process a block, (channels, n), and return as many samples."""

    def reset(self) -> None:
        """Forget all audio, as if silence had come before."""


def check_processor(processor: Any) -> None:
    """Check that an object is a processor.

    Args:
        processor: Any object.

    Raises:
        ValueError: It has no `process`, `reset` or `latency_samples`.
    """
    if missing := [name for name in ("process", "reset", "latency_samples") if not hasattr(processor, name)]:
        kind = type(processor).__name__
        raise StemBridgeError(
            f"{kind} is not a processor: it has no {missing[0]}; give it process, reset, latency_samples"
        )


def check_latency(processor: Processor, name: str) -> int:
    """Return the `latency_samples` of a processor.

    Args:
        processor: The processor.
        name: How the error calls it, such as "the Gain".

    Raises:
        ValueError: It is not a whole number, or below 0.
    """
    latency = processor.latency_samples
    with suppress(TypeError):
        if operator.index(latency) >= 0:
            return operator.index(latency)
    raise StemBridgeError(f"{name}'s latency_samples is {latency!r}; it must be a whole number, 0 or more")


def check_floats(who: str, returned: "NDArray[Any]") -> None:
    """Check that samples that came back for a block of floats are floats, too: others may have another full scale.

    Args:
        who: Who returned them, for the message.
        returned: The samples.

    Raises:
        ValueError: They are not.
    """
    if returned.dtype.kind != "f":
        raise StemBridgeError(f"{who} returned {returned.dtype} for a block of float32; it must return floats")


class Target(Protocol):
    """Faders, mutes and solos by stem, as StemProcessor has them."""

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the stems."""

    @property
    def gains_db(self) -> Mapping[str, float]:
        """Positions of the faders, stem to dB."""

    @property
    def muted(self) -> Iterable[str]:
        """Muted stems."""

    @property
    def soloed(self) -> Iterable[str]:
        """Soloed stems."""

    def set_gains_db(self, /, **gains_db: float) -> None:
        """Move faders, as in `set_gains_db(vocals=-6.0)`."""

    def mute(self, stem: str, on: bool = True) -> None:
        """Mute a stem, or unmute it with `on=False`."""

    def solo(self, stem: str, on: bool = True) -> None:
        """Solo a stem, or end its solo with `on=False`."""


class Automation(Protocol):
    """Gains that change over time, as in control.Automation.

    It may also have `moves_faders(gains_db)`, which returns whether any fader ever leaves its gain in `gains_db`, and
    `too_late(gains_db, num_frames, sample_rate)`, which returns a warning if that happens only after a song's end.
    """

    def starting(self, gains_db: Mapping[str, float]) -> "Automation":
        """Return the same automation for faders that start at given gains, unless it sets their start itself.

        Args:
            gains_db: Stem to dB, for all stems of the song.

        Raises:
            ValueError: The automation moves a stem that is not in `gains_db`.
        """

    def initial(self) -> Mapping[str, float]:
        """Return the gains at which faders start, stem to dB."""

    def moves(self, start: int, stop: int, sample_rate: float) -> Iterable[Move]:
        """Return the moves during some input samples, the same however a song is cut into blocks.

        Args:
            start: The first sample.
            stop: The sample after the last.
            sample_rate: In Hz.

        Returns:
            (offset from `start` in samples, stem, gain in dB).
        """
