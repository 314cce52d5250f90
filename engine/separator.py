"""The protocol of all separators: audio in, stems out a fixed time later."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, gcd
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .level import Level


class Timing(NamedTuple):
    """Times in samples.

    Attributes:
        latency: Exact delay of the stems.
        hop: From one run of the network to the next. The network does nearly all of the work.
        tail: Silence, in addition to the latency, after which the separator holds no more sound.
    """

    latency: int
    hop: int
    tail: int


@dataclass(frozen=True)
class Stream:
    """The audio that a separator will get, and how its network runs.

    Attributes:
        sample_rate: Sample rate of the audio, in Hz.
        num_channels: 1 or 2.
        threads: Processor cores for the network.
        providers: Execution providers of ONNX Runtime, None for the default.
        realtime_block: Length of the blocks, in samples, if they come in real time. A separate thread then runs the
            network, with a longer latency if necessary. None: the network runs in the calls that need its results.
    """

    sample_rate: float
    num_channels: int
    threads: int = 1
    providers: list[str] | None = None
    realtime_block: int | None = None


class Separator(Protocol):
    """Splits a stream of audio into all stems except the last, which is the input minus the others.

    Attributes:
        timing: Its exact latency, hop and tail.
        offline: Whether the network may wait until stems are due, to work on several hops at once.
        wants_level: Whether setting `level` makes the stems better.
        level: Level of the next song, or None if it is not known. It stays set until it is changed.
    """

    timing: Timing
    offline: bool
    wants_level: bool
    level: Level | None

    def reset(self) -> None:
        """Forget all audio, as if silence had come before."""

    def push(self, audio: NDArray[np.float32]) -> None:
        """Add finite audio, (channels, n)."""

    def pull(self, n: int, wanted: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return the next n samples of the stems, `timing.latency` later than the audio.

        Args:
            n: At most as many as were pushed and not pulled yet.
            wanted: Whether each stem will be used, (stems - 1,).

        Returns:
            Finite audio, (stems - 1, channels, n), valid until the next call. Stems that are not wanted may have any
            content. Later results do not depend on `wanted`.
        """


def extra_latency(hop: int, block: int) -> int:
    """Return the latency to add so that a network has enough time while blocks come in real time.

    A block may complete k hops. The network gets 1 + k/3 hops of time for them, at least 5/3: on a machine that runs
    other programs too, one hop sometimes takes two thirds longer, and of several hops that run together, each after the
    first takes a third of a hop. The time begins when the block arrives. It ends at the deadline of the block that
    needs the first result: two blocks later if hop and block end together, otherwise one block later, and then the hop
    ends at least gcd(hop, block) samples after its block began.

    Args:
        hop: Samples from one run of the network to the next.
        block: Length of a block in samples.

    Returns:
        Number of samples.
    """
    time = (1 + Fraction(max(2, ceil(block / hop)), 3)) * hop
    return max(0, (ceil(time / block) - 1) * block - gcd(hop, block))
