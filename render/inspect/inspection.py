"""Measurements of a song in constant memory: waveform, spectrum, and the levels and loudness of its stems."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...audio import AudioError, open_audio
from ...engine import compensate_latency
from ...engine.fifo import Fifo
from ...models import Model
from ..settings import Progress
from ..song.overview import join_pairs
from ..song.reading import REPAIR_REMEDY, hear_song, read_with_progress, stem_processor

Block = NDArray[np.float32]

MIN_COLUMNS = 1024  # songs have this many to twice as many columns, short ones fewer
FLOOR_DB = -100.0
WINDOW_S = 0.093  # of the spectrum, 4096 samples at 44.1 kHz: long enough to show bass notes as lines
HOP_S = 0.0116  # the shortest column
NUM_BANDS = 160
LOWEST_HZ, HIGHEST_HZ = 40.0, 16000.0
SILENT_DB = -70.0  # fainter sound has no loudness (EBU R128)


@dataclass(frozen=True)
class Loud:
    """Loudness of a song or a stem.

    Attributes:
        lufs: Integrated loudness (EBU R128); None for silence and for less than 0.4 s.
        peak_db: The largest sample in dBFS.
        share: Share of the energy of all stems, 0 to 1.
        true_peak_db: True peak in dBTP; None if it was not measured.
    """

    lufs: float | None
    peak_db: float
    share: float = 1.0
    true_peak_db: float | None = None

    def __str__(self) -> str:
        """Return the loudness, or the peak if the sound is too short or too sparse to have a loudness.

        >>> str(Loud(-14.2, -1.0)), str(Loud(None, -6.0)), str(Loud(None, -90.0))
        ('-14.2 LUFS', 'peak -6.0 dBFS', 'silent')
        """
        if self.lufs is not None:
            return f"{decibels(self.lufs)} LUFS"
        return "silent" if self.peak_db < SILENT_DB else f"peak {decibels(self.peak_db)} dBFS"


def decibels(value: float) -> str:
    """Return a number of dB as text, with one decimal.

    Args:
        value: In dB, also infinite.

    >>> decibels(-14.23), decibels(-0.04), decibels(-math.inf)
    ('-14.2', '0.0', '-∞')
    """
    return f"{round(value, 1) + 0.0:.1f}".replace("inf", "\N{INFINITY}")


@dataclass(frozen=True, eq=False)
class Inspection:
    """Measurements of a song, in columns of equal length.

    Attributes:
        name: File name without its suffix.
        model: Name of the model that separated the song.
        seconds: Length.
        sample_rate: In Hz.
        num_channels: 1 or 2.
        song: Loudness of the song.
        stems: Loudness of each stem.
        warning: About the file, "" if there is none.
        waveform: Shape (2, columns): the lowest and the highest sample of each column, of the mean of the channels.
        spectrum: Shape (bands, columns): level of the loudest tone in each band, -100 or more; a tone at full scale
            has 0 dB.
        edges_hz: Frequencies between the bands, shape (bands + 1,).
        levels: RMS level of each stem in dBFS, -100 or more, shape (stems, columns).
    """

    name: str
    model: str
    seconds: float
    sample_rate: int
    num_channels: int
    song: Loud
    stems: dict[str, Loud]
    warning: str
    waveform: NDArray[np.float32] = field(repr=False)
    spectrum: NDArray[np.float32] = field(repr=False)
    edges_hz: NDArray[np.float64] = field(repr=False)
    levels: NDArray[np.float32] = field(repr=False)


def inspect_audio(
    source: str | Path,
    model: str | Path | Model = "studio",
    *,
    stream: int | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> Inspection:
    """Separate a song, and measure it and its stems.

    Args:
        source: Path of the song.
        model: A model, its name, or the path of an .onnx file.
        stream: Number of the audio stream, from 1; None for the default one.
        threads: Processor cores for the network.
        progress: Receives progress updates.

    Raises:
        ValueError: The song or an argument cannot be used.
        OSError: The song cannot be read.
    """
    from ...audio.loudness import Loudness

    with open_audio(source, stream) as reader:
        processor = stem_processor(reader, None, model, threads)
        hear_song(processor, source, stream)
        rate, num_channels, stems = reader.sample_rate, reader.num_channels, processor.stems
        song = Loudness(rate, num_channels, true_peak=True)
        meters = [Loudness(rate, num_channels) for _ in stems]
        energies = np.zeros(len(stems))
        columns = _Columns(rate, len(stems))
        with np.errstate(over="ignore", invalid="ignore"):  # outliers are refused below
            for separated in compensate_latency(
                read_with_progress(reader, None, progress), processor.separate, processor.latency_samples
            ):
                mix = separated.sum(axis=0)
                song.push(mix)
                for meter, stem in zip(meters, separated, strict=True):
                    meter.push(stem)
                energies += np.square(separated).sum(axis=(1, 2), dtype=np.float64)
                columns.push(mix.mean(axis=0), np.square(separated).mean(axis=1))
        if not columns.position:
            raise AudioError(reader.warning or f"{reader.path} contains no audio; give another file")
        if reader.outliers:
            raise AudioError(f"{reader.path}: {reader.outliers}; {REPAIR_REMEDY}")
        shares = energies / (energies.sum() or 1)
        waveform, spectrum, levels = columns.finish()
        return Inspection(
            name=Path(source).stem,
            model=processor.model.card.name,
            seconds=columns.position / rate,
            sample_rate=rate,
            num_channels=num_channels,
            song=Loud(song.lufs(), song.peak_db(), 1.0, song.true_peak_db()),
            stems={
                s: Loud(m.lufs(), m.peak_db(), float(part)) for s, m, part in zip(stems, meters, shares, strict=True)
            },
            warning="; ".join(filter(None, (reader.stream_note, reader.warning))),
            waveform=waveform.astype(np.float32),
            spectrum=_decibels(spectrum),
            edges_hz=columns.edges_hz,
            levels=_decibels(levels),
        )


class _Columns:
    """Collects a song in columns. Whenever there are too many, pairs are joined."""

    def __init__(self, sample_rate: int, stems: int) -> None:
        self.position = 0  # samples collected
        self.edges_hz = np.geomspace(LOWEST_HZ, min(HIGHEST_HZ, sample_rate / 2), NUM_BANDS + 1)
        self._hop = round(HOP_S * sample_rate)
        window = 2 ** round(math.log2(WINDOW_S * sample_rate))
        self._window = np.hanning(window + 1)[:-1].astype(np.float32)
        self._bins = np.minimum(self.edges_hz * window / sample_rate, window // 2).astype(int)
        self._lead = (window - self._hop) // 2  # samples of a window before its column
        self._waiting = Fifo((1 + stems,))
        self._waiting.push_zeros(self._lead)
        self._span = 1  # hops in a column
        self._hops = 0
        self._extremes = np.full((2, 2 * MIN_COLUMNS), -np.inf)  # minus the lowest sample, and the highest
        self._powers = np.zeros((NUM_BANDS + stems, 2 * MIN_COLUMNS))

    def push(self, mono: Block, powers: Block) -> None:
        """Collect samples of the song (n,) and the power of each stem (stems, n)."""
        self.position += mono.shape[-1]
        self._waiting.push(np.concatenate([mono[None], powers]))
        self._take()

    def finish(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Return the waveform (2, columns), and powers by band and by stem, (bands, columns) and (stems, columns)."""
        whole = -(-self.position // self._hop)
        self._waiting.push_zeros(self._hop + len(self._window))
        self._take(whole - self._hops)
        columns = -(-whole // self._span)
        hops = np.minimum(self._span, whole - self._span * np.arange(columns))
        bands, stems = np.split(self._powers[:, :columns] / hops, [NUM_BANDS])
        return self._extremes[:, :columns] * [[-1], [1]], bands, stems

    def _take(self, most: int | None = None) -> None:
        """Turn waiting samples into columns, hop by hop."""
        hop, window = self._hop, len(self._window)
        n = max(0, (len(self._waiting) - window) // hop + 1)
        n = n if most is None else min(n, most)
        if n <= 0:
            return
        data = self._waiting.peek((n - 1) * hop + window)
        frames = np.lib.stride_tricks.sliding_window_view(data[0], window)[::hop]
        spectrum = np.fft.rfft(frames * self._window, axis=1)
        power = np.square(np.abs(spectrum) / (self._window.sum() / 2))
        bands = np.maximum.reduceat(power, self._bins, axis=1)[:, :-1]
        heard = data[:, self._lead : self._lead + n * hop].reshape(-1, n, hop)
        while self._hops + n > self._span * 2 * MIN_COLUMNS:
            self._join()
        columns = (self._hops + np.arange(n)) // self._span
        for row, extreme in zip(self._extremes, (-heard[0].min(-1), heard[0].max(-1)), strict=True):
            np.maximum.at(row, columns, extreme)
        for row, power in zip(self._powers, np.concatenate([bands.T, heard[1:].mean(-1)]), strict=True):
            np.add.at(row, columns, power)
        self._hops += n
        self._waiting.drop(n * hop)

    def _join(self) -> None:
        self._span *= 2
        join_pairs(self._extremes, np.maximum, -np.inf)
        join_pairs(self._powers, np.add, 0.0)


def _decibels(power: NDArray[Any]) -> Block:
    decibels: Block = (10 * np.log10(np.maximum(power, 10 ** (FLOOR_DB / 10)))).astype(np.float32)
    return decibels
