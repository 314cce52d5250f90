"""How loud a stream is: EBU R128, which is ITU-R BS.1770, through FFmpeg."""

import math
from contextlib import suppress
from fractions import Fraction

import av
import numpy as np
from av.filter import Graph

_GATE_LUFS = -70.0  # what is below counts as silence, says BS.1770
_LONGEST = 16384  # samples in one call, so that a long block needs bounded memory
_OVERSAMPLED = 4  # times the rate, for the true peak, as in BS.1770; near half the rate it may be 0.3 dB higher still


class Loudness:
    """A meter for one stream of audio, in constant memory.

    sample_rate: in Hz. num_channels: 1 or 2; one channel counts once, as BS.1770 has it, so the same sound in two is
    3 LU louder. true_peak: find the peak between the samples too, which takes about four times as long.
    """

    def __init__(self, sample_rate: int, num_channels: int, *, true_peak: bool = False) -> None:
        self._rate, self._layout = sample_rate, {1: "mono", 2: "stereo"}[num_channels]
        self._frames = 0  # pushed
        self._step = sample_rate // 10  # frames of which the meter takes notice together
        self._noticed = 0  # frames
        self._peak = self._true_peak = 0.0
        self._metadata: dict[str, str] = {}
        self._meter = self._graph(("ebur128", "metadata=1:framelog=quiet"))
        self._oversampler = None
        self._oversampled = 0
        if true_peak:
            finer = "aresample", str(_OVERSAMPLED * sample_rate)
            self._oversampler = self._graph(finer, ("asetnsamples", f"n={_LONGEST}:p=0"))

    def push(self, block: np.ndarray) -> None:
        """Take a block (channels, n) of floats, full scale 1.0; what is not finite counts as silence."""
        if not np.isfinite(block).all():
            block = np.where(np.isfinite(block), block, 0)
        self._peak = max(self._peak, float(np.abs(block).max(initial=0)))
        for start in range(0, block.shape[-1], _LONGEST):
            self._push(np.ascontiguousarray(block[:, start : start + _LONGEST], np.float32))

    def lufs(self) -> float | None:
        """Integrated loudness so far; None for silence, and for less than 0.4 s, which have none."""
        lufs = float(self._metadata.get("lavfi.r128.I", _GATE_LUFS))
        return lufs - _excess_db(self._rate) if lufs > _GATE_LUFS else None

    def peak_db(self) -> float:
        """The largest sample so far, in dB of full scale; -inf for silence."""
        return _db(self._peak)

    def true_peak_db(self) -> float:
        """The largest peak, also between samples, in dBTP; -inf for silence. Nothing may be pushed after."""
        if self._oversampler is not None:
            self._oversampler.push(None)
            with suppress(av.EOFError):
                while True:
                    self._pull_oversampled(self._oversampler)
            self._oversampler = None
        return _db(max(self._peak, self._true_peak))

    def _graph(self, *filters: tuple[str, str]) -> Graph:
        """FFmpeg's filters in a row, for audio like ours."""
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
        # Nothing is pulled before it is there: as PyAV makes the exception that says so, a Ctrl-C would be lost.
        self._meter.push(frame)
        while self._noticed + self._step <= self._frames:
            self._metadata = self._meter.pull().metadata or self._metadata
            self._noticed += self._step
        if self._oversampler is not None:
            self._oversampler.push(frame)
            while self._oversampled + 2 * _LONGEST <= _OVERSAMPLED * self._frames:  # it holds less than one back
                self._pull_oversampled(self._oversampler)

    def _pull_oversampled(self, oversampler: Graph) -> None:
        finer = oversampler.pull()
        assert isinstance(finer, av.AudioFrame)
        self._oversampled += finer.samples
        self._true_peak = max(self._true_peak, float(np.abs(finer.to_ndarray()).max()))


def _excess_db(sample_rate: int) -> float:
    """By how much FFmpeg's high-pass is louder than at the 48 kHz that BS.1770 gives its filters for; 0.2 dB at 8 kHz.

    It has that filter's poles at every rate, but never scales its zeros, as does libebur128, where it comes from.
    """

    def gain(rate: int) -> float:
        k = math.tan(math.pi * 38.13547087602444 / rate)
        return 1 + k / 0.5003270373238773 + k * k

    return _db(gain(sample_rate) / gain(48_000))


def _db(factor: float) -> float:
    return 20 * math.log10(factor) if factor > 0 else -math.inf
