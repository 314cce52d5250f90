"""Labels for songs without stems: a teacher, any network that the engine runs, separates them.

Labels are made once and kept. Each song is cut into stretches of up to half a minute, which the teacher separates
twice, on two grids of chunks. Where the two results differ the teacher is not sure, and the labels are not used.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.atomic import write_whole
from ...core.errors import DataError
from ...engine import separate
from ...models import Model
from .arrays import load_array, save_array
from .songs import SAMPLE_RATE, STEMS, Song, digest_of

STRETCH_S = 30  # longest stretch
CONTEXT_SAMPLES = 3 * SAMPLE_RATE  # before and after a stretch, heard by the teacher as well
SHIFT_SAMPLES = 3 * SAMPLE_RATE  # between the two grids of chunks: about half a chunk, and no multiple of a hop
PASSAGE_S = 6  # shortest passage that is used, as long as a mix
SURE_DB = 20.0  # the two results must differ by less than this below the mix, around each second
SILENT_DB = -50.0  # seconds of the mix with a lower RMS (dBFS) are left out
MAX_CLIPPED_SHARE = 1e-3  # seconds with a larger share of samples at full scale are left out
FAINT_DB = -16.0  # a stem with a lower level than this below the mix is not used, because much of it leaked from others
FORMAT = "1"  # of labels on disk; if it changes, they are made again


@dataclass(frozen=True)
class _Stretch:
    """What is kept of a stretch: stems, (stems, n, 2), facts about each second, the number of stretches in the song."""

    stems: NDArray[np.int16]
    mix_power: NDArray[np.float64]
    power: NDArray[np.float64]
    difference: NDArray[np.float64]
    clipped: NDArray[np.float64]
    stretches: int


@dataclass(frozen=True)
class Passage:
    """A part of a song in which the teacher is sure.

    Attributes:
        stems: All four stems, which sum to the mix: stem to int16 samples at 44.1 kHz, shape (n, 2).
        levels_db: Stem to RMS in dBFS, for the stems that are loud enough to be used.
    """

    stems: dict[str, NDArray[np.int16]]
    levels_db: dict[str, float]

    def __len__(self) -> int:
        return len(self.stems[STEMS[0]])


class Labels:
    """A teacher's stems of songs, kept in a folder: 42 MB for each minute of a song.

    Args:
        teacher: The model.
        folder: The folder, made if it is missing.
        threads: Processor cores for the network.

    Attributes:
        teacher: The model.
        folder: The folder.

    Raises:
        DataError: The teacher does not give vocals, drums and bass, or `folder` is a file.
    """

    def __init__(self, teacher: Model, folder: str | os.PathLike[str], threads: int = 1) -> None:
        self.teacher, self.folder, self._threads = teacher, Path(folder), threads
        if missing := [stem for stem in STEMS[:-1] if stem not in teacher.card.stems]:
            raise DataError(
                f"model {teacher.card.name} gives {', '.join(teacher.card.stems)}, but not {missing[0]}; "
                "choose a teacher that gives vocals, drums and bass"
            )
        if self.folder.exists() and not self.folder.is_dir():
            raise DataError(f"{folder} is a file; give a folder for decoded songs to --cache")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._digests: dict[Path, str] = {}  # of songs that were seen, because a song may be moved meanwhile

    def count(self, song: Song) -> int | None:
        """Return the number of a song's stretches, None if its first stretch is not labelled yet.

        Args:
            song: The song.

        Raises:
            AudioError: The song is missing.
        """
        first = self._stretch(song, 0)
        return None if first is None else first.stretches

    def is_labelled(self, song: Song, *, whole: bool = False) -> bool:
        """Return whether a song is labelled.

        Args:
            song: The song.
            whole: Ask for the whole song, not only its first stretch.

        Raises:
            AudioError: The song is missing.
        """
        count = self.count(song)
        if count is None or not whole:
            return count is not None
        return all(self._stretch(song, number) for number in range(count))

    def label(self, song: Song, *, whole: bool = False) -> Iterator[None]:
        """Label the first stretch of a song, which is in its middle, or all stretches. Yield after each.

        Stretches that are labelled already are skipped. Damaged labels are made again.

        Args:
            song: The song.
            whole: Label all stretches.

        Raises:
            AudioError: The song cannot be decoded, or is neither mono nor stereo.
            DataError: The song is too short, or has samples that are not finite.
            OSError: The labels cannot be written.
        """
        if self.is_labelled(song, whole=whole):
            return
        mix = song.decode("mixture")
        if mix.shape[1] < PASSAGE_S * SAMPLE_RATE:
            raise DataError(f"{song.files['mixture']} is shorter than {PASSAGE_S} s; give longer songs")
        stretches = _stretches(mix.shape[1])
        for number, (start, stop) in enumerate(stretches if whole else stretches[:1]):
            if self._stretch(song, number) is None:
                path = self._path(song, number)
                stems, facts = _listen(mix, start, stop, self.teacher, self._threads)
                save_array(path.with_suffix(".npy"), stems)
                # The facts are written last, so that the stems are complete if the facts exist.
                write_whole(path, json.dumps({"stretches": len(stretches), **facts}).encode())
                yield

    def passages(self, song: Song, number: int) -> list[Passage] | None:
        """Return the passages of a stretch that can be used, None if it is not labelled yet.

        Args:
            song: The song.
            number: Number of the stretch, from 0.
        """
        stretch = self._stretch(song, number)
        if stretch is None:
            return None
        power, mix_power = stretch.power, stretch.mix_power
        # Sums of three seconds, so that one bad second does not interrupt a passage.
        difference, nearby = (np.convolve(each, np.ones(3), "same") for each in (stretch.difference, mix_power))
        good = (
            (difference < 10 ** (-SURE_DB / 10) * nearby)
            & (mix_power > 10 ** (SILENT_DB / 10))
            & (stretch.clipped < MAX_CLIPPED_SHARE)
        )
        found = []
        for start, stop in _runs(good):
            levels = dict(zip(STEMS, 10 * np.log10(power[:, start:stop].mean(1) + 1e-12), strict=True))
            faintest = 10 * np.log10(mix_power[start:stop].mean()) + FAINT_DB
            there = slice(start * SAMPLE_RATE, stop * SAMPLE_RATE)
            found.append(
                Passage(
                    {stem: stretch.stems[i, there] for i, stem in enumerate(STEMS)},
                    {stem: float(level) for stem, level in levels.items() if level >= faintest},
                )
            )
        return found

    def _path(self, song: Song, number: int) -> Path:
        file = song.files["mixture"]
        if file not in self._digests:
            self._digests[file] = digest_of(song, self.teacher.card.sha256, FORMAT)
        return self.folder / f"{self._digests[file]}-{number:03d}.json"

    def _stretch(self, song: Song, number: int) -> _Stretch | None:
        """Return what is kept of a stretch, None if that is missing or damaged."""
        path = self._path(song, number)
        try:
            facts = json.loads(path.read_text("utf-8"))
            stretches = int(facts.pop("stretches"))
            facts = {name: np.array(values, np.float64) for name, values in facts.items()}
            stems = load_array(path.with_suffix(".npy"))
            return None if stems is None else _Stretch(stems, **facts, stretches=stretches)
        except (FileNotFoundError, ValueError, LookupError, TypeError, AttributeError):
            return None


def _stretches(length: int) -> list[tuple[int, int]]:
    """Return start and end of a song's stretches, in samples but whole seconds: the middle first, both ends last."""
    seconds = length // SAMPLE_RATE
    count = -(-seconds // STRETCH_S)
    edges = [seconds * i // count * SAMPLE_RATE for i in range(count + 1)]
    pairs = [*pairwise(edges)]
    return sorted(pairs, key=lambda pair: abs(sum(pair) - edges[-1]))


def _listen(
    mix: NDArray[np.float32], start: int, stop: int, teacher: Model, threads: int
) -> tuple[NDArray[np.int16], dict[str, Any]]:
    """Return the stems of a stretch, (stems, n, 2) int16, and facts about each of its seconds.

    The stems are the mean of both results. If a stem is above full scale, all stems and facts are turned down.
    """
    heard = []
    for lead in CONTEXT_SAMPLES, CONTEXT_SAMPLES + SHIFT_SAMPLES:
        found = separate(_piece(mix, start - lead, stop + CONTEXT_SAMPLES), SAMPLE_RATE, teacher, threads=threads)
        named = [found[stem][:, lead : lead + stop - start] for stem in STEMS[:-1]]
        heard.append(np.stack([*named, mix[:, start:stop] - np.sum(named, axis=0)]))
    stems, difference, here = (heard[0] + heard[1]) / 2, heard[0] - heard[1], mix[None, :, start:stop]
    scale = 1 / max(1.0, float(np.abs(stems).max()))
    facts = {
        "mix_power": _by_second((scale * here) ** 2)[0].tolist(),
        "power": _by_second((scale * stems) ** 2).tolist(),
        "difference": _by_second((scale * difference) ** 2).sum(0).tolist(),
        "clipped": _by_second(np.abs(here) >= 0.999)[0].tolist(),
    }
    samples = np.round(stems.transpose(0, 2, 1) * (32767 * scale))
    return samples.astype(np.int16), facts


def _piece(mix: NDArray[np.float32], start: int, stop: int) -> NDArray[np.float32]:
    """Return samples from start to stop, with silence before and after the song."""
    there = mix[:, max(0, start) : stop]
    return np.pad(there, ((0, 0), (max(0, -start), max(0, stop - mix.shape[1]))))


def _by_second(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return means over seconds and channels: (k, 2, n) to (k, seconds)."""
    means: NDArray[np.float64] = values.reshape(*values.shape[:2], -1, SAMPLE_RATE).mean(axis=(1, 3), dtype=np.float64)
    return means


def _runs(good: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Return start and end of each run of good seconds that is long enough to be used."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(np.int8)))
    return ((int(start), int(stop)) for start, stop in edges.reshape(-1, 2) if stop - start >= PASSAGE_S)
