"""Measure loudness by EBU R128, that is ITU-R BS.1770, with FFmpeg."""

import math
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from fractions import Fraction

import av
import numpy as np
from av.filter import Graph

_GATE_LUFS, _RELATIVE_GATE_LU = -70.0, -10.0  # in BS.1770, quieter passages do not count
_STEPS_PER_LU = 100  # the resolution of the loudness of a passage
_PIECE_FRAMES = 16384  # processed at a time, so that a long block needs little memory
# For the true peak, as in BS.1770. Near half the sample rate, the real peak may be 0.3 dB higher.
_OVERSAMPLING = 4


class Loudness:
    """Measures one stream of audio, in constant memory.

    Args:
        sample_rate: In Hz.
        num_channels: 1 or 2. As in BS.1770, the same sound is 3 LU louder in two channels than in one.
        true_peak: Find peaks between samples too, which takes about four times as long.
    """

    def __init__(self, sample_rate: int, num_channels: int, *, true_peak: bool = False) -> None:
        self._rate, self._layout = sample_rate, {1: "mono", 2: "stereo"}[num_channels]
        self._frames = 0  # pushed so far
        self._step = sample_rate // 10  # frames after which the meter gives new values
        self._measured = 0  # frames
        self._peak = self._true_peak = 0.0
        # How many passages of 0.4 s had each loudness, in steps. FFmpeg's own sum of them ends at +10 LUFS.
        self._passages: Counter[int] = Counter()
        self._excess_db = _excess_db(sample_rate)
        self._meter = self._graph(("ebur128", "metadata=1:framelog=quiet"))
        self._oversampler = None
        self._oversampled = 0
        if true_peak:
            finer = "aresample", str(_OVERSAMPLING * sample_rate)
            self._oversampler = self._graph(finer, ("asetnsamples", f"n={_PIECE_FRAMES}:p=0"))

    def push(self, block: np.ndarray) -> None:
        """Add a block of floats, (channels, n), full scale 1.0. Samples that are not finite count as silence."""
        if not np.isfinite(block).all():
            block = np.where(np.isfinite(block), block, 0)
        self._peak = max(self._peak, float(np.abs(block).max(initial=0)))
        for start in range(0, block.shape[-1], _PIECE_FRAMES):
            self._push(np.ascontiguousarray(block[:, start : start + _PIECE_FRAMES], np.float32))

    def lufs(self) -> float | None:
        """Return the integrated loudness so far; None for silence and for less than 0.4 s, which have no loudness."""
        if not self._passages:
            return None
        gate = _mean_lufs(self._passages) + _RELATIVE_GATE_LU
        return _mean_lufs({step: count for step, count in self._passages.items() if step / _STEPS_PER_LU > gate})

    def peak_db(self) -> float:
        """Return the largest sample so far, in dBFS; -inf for silence."""
        return _db(self._peak)

    def true_peak_db(self) -> float:
        """Return the largest peak, also between samples, in dBTP; -inf for silence. Push nothing afterwards."""
        if self._oversampler is not None:
            self._oversampler.push(None)
            with suppress(av.EOFError):
                while True:
                    self._pull_oversampled(self._oversampler)
            self._oversampler = None
        return _db(max(self._peak, self._true_peak))

    def _graph(self, *filters: tuple[str, str]) -> Graph:
        """Return a chain of FFmpeg's filters for this audio."""
        graph = Graph()
        graph.threads = 1  # more would only wait
        clock = Fraction(1, self._rate)
        source = graph.add_abuffer(format="fltp", sample_rate=self._rate, layout=self._layout, time_base=clock)
        graph.link_nodes(source, *(graph.add(*each) for each in filters), graph.add("abuffersink")).configure()
        return graph

    def _push(self, piece: np.ndarray) -> None:
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=self._layout)
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self._frames, Fraction(1, self._rate)
        self._frames += piece.shape[-1]
        # Pull only frames that are ready: PyAV raises an exception for a missing one, and loses a Ctrl-C meanwhile.
        self._meter.push(frame)
        while self._measured + self._step <= self._frames:
            # FFmpeg gives the last 0.4 s, or a value below the gate if there is less.
            lufs = float(self._meter.pull().metadata["lavfi.r128.M"]) - self._excess_db
            if lufs > _GATE_LUFS:
                self._passages[round(lufs * _STEPS_PER_LU)] += 1
            self._measured += self._step
        if self._oversampler is not None:
            self._oversampler.push(frame)
            # The filter holds back less than one piece.
            while self._oversampled + 2 * _PIECE_FRAMES <= _OVERSAMPLING * self._frames:
                self._pull_oversampled(self._oversampler)

    def _pull_oversampled(self, oversampler: Graph) -> None:
        finer = oversampler.pull()
        assert isinstance(finer, av.AudioFrame)
        self._oversampled += finer.samples
        self._true_peak = max(self._true_peak, float(np.abs(finer.to_ndarray()).max()))


def _mean_lufs(passages: Mapping[int, int]) -> float:
    """Return the loudness of several passages, with the number of passages for each loudness in steps."""
    power = sum(count * 10 ** (step / _STEPS_PER_LU / 10) for step, count in passages.items())
    return 10 * math.log10(power / sum(passages.values()))


def _excess_db(sample_rate: int) -> float:
    """Return how much louder FFmpeg's high-pass is than at 48 kHz, for which BS.1770 defines it; 0.2 dB at 8 kHz.

    FFmpeg adapts the poles of the filter to the sample rate, but not the scale of its zeros. libebur128, on which
    FFmpeg's meter is based, does the same.
    """

    def gain(rate: int) -> float:
        k = math.tan(math.pi * 38.13547087602444 / rate)
        return 1 + k / 0.5003270373238773 + k * k

    return _db(gain(sample_rate) / gain(48_000))


def _db(factor: float) -> float:
    return 20 * math.log10(factor) if factor > 0 else -math.inf
