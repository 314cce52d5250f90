"""A separator that runs imported networks on overlapping segments of the stream, when their stems are wanted."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from ...core.background import BackgroundWorker
from ...models import Model, StemsCard
from ..fifo import Fifo
from ..level import Level, LevelMeter
from ..separator import Stream, Timing, extra_latency
from .bag import Bag
from .cuts import make_cuts


def guest_timing(card: StemsCard, sample_rate: float, realtime_block: int | None = None) -> Timing:
    """Return the timing of a GuestSeparator.

    Args:
        card: Card of the model.
        sample_rate: Sample rate of the audio, in Hz.
        realtime_block: As for `Stream`.

    Raises:
        ModelError: The model cannot work at this sample rate.
    """
    cuts = make_cuts(card, sample_rate)
    latency = cuts.taken - cuts.before
    if realtime_block is not None:
        latency += extra_latency(cuts.stride, realtime_block)
    return Timing(latency, cuts.stride, cuts.before + cuts.kept)


class GuestSeparator:
    """Separates audio with graphs that know one sample rate and segments of one length.

    Where segments overlap, their stems are weighted and added. A group of graphs runs on a segment only when one of its
    stems is wanted there. The stems do not depend on when that is.

    Segments at the start of a stream are left out until one has sound before the samples that it shares with the next,
    so that silence before a song does not change its stems.

    Args:
        model: A model with a StemsCard.
        stream: Its audio, and how to run the graphs: with `realtime_block` a separate thread runs all of them on every
            segment, as soon as the segment is complete; otherwise they run in the calls that need them.

    Raises:
        ModelError: A graph cannot be loaded, breaks its contract or cannot work at this sample rate.
    """

    def __init__(self, model: Model, stream: Stream) -> None:
        card = model.card
        assert isinstance(card, StemsCard)
        self.timing = guest_timing(card, stream.sample_rate, stream.realtime_block)
        self.offline = False  # makes no difference: without a worker, graphs run when stems are due
        self.wants_level = card.normalize == "song"
        self.level: Level | None = None
        self._card = card
        self._cuts = make_cuts(card, stream.sample_rate)
        self._weights = _weights(card.segment.window, self._cuts.kept)
        self._shape = (len(card.stems) - 1, stream.num_channels)
        self._bag = Bag(model, stream.threads, stream.providers)
        self._worker = None if stream.realtime_block is None else BackgroundWorker()
        self.reset()

    def reset(self) -> None:
        """Forget all audio, as if silence had come before."""
        if self._worker is not None:
            self._worker.discard()
        self._audio = Fifo((self._shape[1],))  # from the beginning of the next segment
        self._audio.push_zeros(self._cuts.before)
        self._segments: deque[_Segment] = deque()  # those with samples that were not pulled yet
        self._next_start = 0  # of the next segment, in the stream
        self._heard = False  # whether there was any sound yet
        self._meter = LevelMeter()
        self._position = -self.timing.latency  # of the next sample to pull, in the stream

    def push(self, audio: NDArray[np.float32]) -> None:
        """Add audio, (channels, n)."""
        self._audio.push(audio)
        while len(self._audio) >= self._cuts.taken:
            taken = self._audio.peek(self._cuts.taken).copy()
            self._audio.drop(self._cuts.stride)
            start, self._next_start = self._next_start, self._next_start + self._cuts.stride
            if not self._heard and not taken[:, : self._cuts.before + self._cuts.stride].any():
                continue
            self._meter.add(taken[:, -self._cuts.stride :] if self._heard else taken[:, self._cuts.before :])
            self._heard = True
            level = self.level or self._meter.level() if self.wants_level else None
            segment = _Segment(start, taken, level)
            self._segments.append(segment)
            if self._worker is not None:
                segment.pending = True
                self._worker.submit(self._run_all, segment)

    def pull(self, n: int, wanted: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return the next n samples of all stems except the last, (stems - 1, channels, n).

        Args:
            n: At most as many as were pushed and not pulled yet.
            wanted: Whether each stem will be used, (stems - 1,). Stems that are not wanted are silent.

        Raises:
            ModelError: A graph fails.
        """
        stems = np.zeros((*self._shape, n), np.float32)
        total = np.zeros(n, np.float32)
        first = self._position
        for segment in self._segments:
            start, stop = max(first, segment.start), min(first + n, segment.start + self._cuts.kept)
            if start >= stop:
                break
            self._wait(segment)
            here, there = slice(start - first, stop - first), slice(start - segment.start, stop - segment.start)
            total[here] += self._weights[there]
            for k in np.flatnonzero(wanted):
                stems[k, :, here] += self._weights[there] * self._stem(segment, int(k))[:, there]
        self._position += n
        while self._segments and self._segments[0].start + self._cuts.kept <= self._position:
            self._segments.popleft()
        return np.divide(stems, total, out=stems, where=total > 0)

    def _wait(self, segment: "_Segment") -> None:
        """Wait until the worker, if there is one, has run a segment."""
        while segment.pending:
            assert self._worker is not None
            self._worker.result().pending = False

    def _stem(self, segment: "_Segment", stem: int) -> NDArray[np.float32]:
        """Return a stem of a segment, (channels, kept): the mean over the groups that give it."""
        if stem not in segment.stems:
            given = [self._run(segment, k)[of.index(stem)] for k, of in enumerate(self._bag.stems) if stem in of]
            segment.stems[stem] = given[0] if len(given) == 1 else np.mean(given, axis=0)
        return segment.stems[stem]

    def _run_all(self, segment: "_Segment") -> "_Segment":
        for number in range(len(self._bag.groups)):
            self._run(segment, number)
        return segment

    def _run(self, segment: "_Segment", number: int) -> NDArray[np.float32]:
        """Return the stems of a group of graphs, (stems, channels, kept). The group runs only the first time."""
        if number not in segment.groups:
            segment.groups[number] = self._separate(segment, number)
        return segment.groups[number]

    def _separate(self, segment: "_Segment", number: int) -> NDArray[np.float32]:
        if not segment.audio.any():  # silence has silent stems, whatever the network makes of it
            return np.zeros((len(self._bag.stems[number]), self._shape[1], self._cuts.kept), np.float32)
        audio, level = self._cuts.to_network(segment.audio), segment.level
        if self._card.normalize == "chunk":
            meter = LevelMeter()
            meter.add(audio)
            level = meter.level()
        if level is None:
            return self._cuts.to_stream(self._bag.run(number, audio))
        mean, deviation = np.float32(level.mean), np.float32(level.deviation)
        stems = self._bag.run(number, (audio - mean) / deviation)
        return self._cuts.to_stream(stems * deviation + mean)


class _Segment:
    """A segment of the stream, and the stems of it that have been computed.

    Attributes:
        start: Position in the stream of the first sample that is kept.
        audio: Its samples, (channels, taken).
        level: Level of the song, to normalise the segment by; None if that is not wanted.
        pending: Whether the worker thread has the segment, and its result was not fetched yet.
        groups: Index of a group of graphs to the stems that it gave, (stems, channels, kept).
        stems: Index of a stem to its samples, (channels, kept).
    """

    def __init__(self, start: int, audio: NDArray[np.float32], level: Level | None) -> None:
        self.start, self.audio, self.level = start, audio, level
        self.pending = False
        self.groups: dict[int, NDArray[np.float32]] = {}
        self.stems: dict[int, NDArray[np.float32]] = {}


def _weights(window: str, n: int) -> NDArray[np.float32]:
    """Return the weights of the n samples of a segment, by which overlapping segments are mixed; all are above 0."""
    place = (np.arange(n) + 0.5) / n
    rising = np.arange(1, n // 2 + 1)
    shapes = {
        "triangle": np.concatenate([rising, np.arange(n - n // 2, 0, -1)]) / (n - n // 2),
        "hann": np.sin(np.pi * place) ** 2,
        "rectangle": np.ones(n),
    }
    return shapes[window].astype(np.float32)
