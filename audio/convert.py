"""Convert sound whose sample rate or channels change midway to the format of its first frame."""

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction

import av
import numpy as np
from av.filter import Graph

_PULLED_FRAMES = 1024  # pulled at once
_MAX_HELD_FRAMES = 4096  # the resampler holds back fewer


class Unifier:
    """Converts all frames to the sample rate and channels of the first one.

    Args:
        first: The first frame.

    Attributes:
        changes: How often the format changed.
        first_change: The first change, as (position, description).
    """

    def __init__(self, first: av.AudioFrame) -> None:
        self._own = self._current = (first.sample_rate, first.layout.nb_channels)
        self._layout = first.layout.name
        self._converter: Converter | None = None
        self._start = 0  # position at which the current format began
        self._pushed = 0  # frames in the current format since then
        self.changes = 0
        self.first_change: tuple[int, str] = (0, "")

    @property
    def position(self) -> int:
        """How many frames were pushed so far, in the first format. The last few may not be returned yet."""
        return self._start + round(self._pushed * self._own[0] / self._current[0])

    @property
    def current_rate(self) -> int:
        """Sample rate of the current format, in Hz."""
        return self._current[0]

    def differs(self, frame: av.AudioFrame) -> bool:
        """Return whether a frame's format differs from that of the frame before it."""
        return (frame.sample_rate, frame.layout.nb_channels) != self._current

    def push(self, frame: av.AudioFrame, samples: np.ndarray) -> Iterator[np.ndarray]:
        """Convert the samples of a frame.

        Args:
            frame: The frame, for its format.
            samples: Its samples, (channels, n).

        Yields:
            Converted samples that are ready, (channels, n).
        """
        if self.differs(frame):
            yield from self.flush()
            new = frame.sample_rate, frame.layout.nb_channels
            if not self.changes:
                self.first_change = self._start, f"from {_words(*self._current)} to {_words(*new)}"
            self.changes += 1
            self._current = new
        if self._current != self._own and self._converter is None:
            self._converter = Converter(frame.sample_rate, frame.layout.name, self._own[0], self._layout)
        self._pushed += samples.shape[1]
        yield samples if self._converter is None else self._converter.push(samples)

    def flush(self) -> Iterator[np.ndarray]:
        """Yield all samples that were held back."""
        if self._converter is not None:
            yield self._converter.finish()
            self._converter = None
        self._start, self._pushed = self.position, 0

    def skip(self, length: int) -> None:
        """Advance the position by frames that the caller fills in itself; call `flush` first.

        Args:
            length: Number of frames, in the first format.
        """
        self._start += length


def _words(sample_rate: int, num_channels: int) -> str:
    channels = {1: "mono", 2: "stereo"}.get(num_channels, f"{num_channels} channels")
    return f"{sample_rate} Hz {channels}"


class Converter:
    """Converts sound from one format to another. Mono is copied to both channels of stereo at its full level.

    Args:
        sample_rate: Sample rate of the input, in Hz.
        layout: FFmpeg's name of the input's channel layout, such as "mono".
        to_rate: Sample rate of the output, in Hz.
        to_layout: Channel layout of the output.
    """

    def __init__(self, sample_rate: int, layout: str, to_rate: int, to_layout: str) -> None:
        self._rate, self._to_rate = sample_rate, to_rate
        self._layout = layout
        self._num_channels = av.AudioLayout(to_layout).nb_channels
        mono = av.AudioLayout(layout).nb_channels == 1  # FFmpeg would make it 3 dB quieter
        self._pushed = self._pulled = self._returned = 0
        self._graph = Graph()
        self._graph.threads = 1  # more would only wait
        source = self._graph.add_abuffer(
            format="fltp", sample_rate=sample_rate, layout=layout, time_base=Fraction(1, sample_rate)
        )
        wanted = f"sample_fmts=fltp:sample_rates={to_rate}:channel_layouts={layout if mono else to_layout}"
        chunks = self._graph.add("asetnsamples", f"n={_PULLED_FRAMES}:p=0")
        self._graph.link_nodes(source, self._graph.add("aformat", wanted), chunks, self._graph.add("abuffersink"))
        self._graph.configure()

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Add samples, (channels, n), and return the converted ones that are ready."""
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=self._layout)
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self._pushed, Fraction(1, self._rate)
        self._pushed += samples.shape[1]
        self._graph.push(frame)
        # Pull only frames that are ready: PyAV raises an exception for a missing one, and loses a Ctrl-C meanwhile.
        ready = []
        while self._pulled + _PULLED_FRAMES + _MAX_HELD_FRAMES <= self._length():
            ready.append(self._pull())
        return self._joined(ready)

    def finish(self) -> np.ndarray:
        """Return the remaining samples, (channels, n). Nothing may be pushed after this."""
        self._graph.push(None)
        rest = []
        with suppress(av.EOFError):
            while True:
                rest.append(self._pull())
        last = self._joined(rest)
        missing = self._length() - self._returned
        return np.pad(last, ((0, 0), (0, missing))) if missing >= 0 else last[:, :missing]

    def _length(self) -> int:
        """Return the number of converted frames that the pushed frames make."""
        return round(self._pushed * self._to_rate / self._rate)

    def _pull(self) -> np.ndarray:
        frame = self._graph.pull()
        assert isinstance(frame, av.AudioFrame)
        self._pulled += frame.samples
        return frame.to_ndarray()

    def _joined(self, pieces: list[np.ndarray]) -> np.ndarray:
        if not pieces:
            return np.zeros((self._num_channels, 0), np.float32)
        joined = np.concatenate(pieces, axis=1)
        self._returned += joined.shape[1]
        return np.repeat(joined, self._num_channels, axis=0) if len(joined) < self._num_channels else joined
