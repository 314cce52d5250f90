"""The protocol of every kind of network in the signal path: audio in, and stems out a fixed time later."""

from fractions import Fraction
from math import ceil, gcd
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .level import Level


class Timing(NamedTuple):
    """Times in samples.

    latency: By how much the stems are later than the audio.
    hop: From one run of the network, where nearly all of the work is done, to the next.
    tail: After silence as long as this and the latency, the output is silent and no sound is left inside.
    """

    latency: int
    hop: int
    tail: int


class Separator(Protocol):
    """Takes a stream of audio apart into all stems but the last.

    Attributes:
        timing: Its exact latency, hop and tail.
        wants_level: Whether stems are better if `level` is set.
        level: Level of the next song, None if it is not known. It stays until it is changed.
    """

    timing: Timing
    wants_level: bool
    level: Level | None

    def reset(self) -> None:
        """Forget all audio, as if silence had come before."""

    def push(self, audio: NDArray[np.float32]) -> None:
        """Take finite audio, (channels, n)."""

    def pull(self, n: int, wanted: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return the next n samples of the stems, `timing.latency` later than the audio.

        Args:
            n: At most as many as were pushed and not pulled yet.
            wanted: Whether each stem will be used, (stems - 1,).

        Returns:
            Finite audio, (stems - 1, channels, n), valid until the next call. Stems that are not wanted may be
            anything, and do not change any later result.
        """


def extra_latency(hop: int, block: int) -> int:
    """Return the samples of latency that give a network enough time while blocks come in real time.

    Enough are 1 + k/3 hops of time, 5/3 at least, for the k hops that a block may complete: one hop takes two thirds
    longer now and then, on a machine that others use too; several are worked on together, where each after the first
    takes a third of the time. Theirs begins when their block is there, and ends when the block has to be done that
    needs the first: two blocks later if hop and block end together; else one, and the hop ends gcd(hop, block) samples
    or more into its block.
    """
    time = (1 + Fraction(max(2, ceil(block / hop)), 3)) * hop
    return max(0, (ceil(time / block) - 1) * block - gcd(hop, block))
