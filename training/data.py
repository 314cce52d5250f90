"""Songs with true stems: found in folders, decoded once into a cache, mixed anew at every step."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..audio import open_audio

STEMS = ("vocals", "drums", "bass", "other")
SAMPLE_RATE = 44100

# MUSDB18's own validation list, https://github.com/sigsep/sigsep-mus-db (configs/mus.yaml).
VALIDATION = frozenset(
    {
        "Actions - One Minute Smile",
        "Clara Berry And Wooldog - Waltz For My Victims",
        "Johnny Lokke - Promises & Lies",
        "Patrick Talbot - A Reason To Leave",
        "Triviul - Angelsaint",
        "Alexander Ross - Goodbye Bolero",
        "Fergessen - Nos Palpitants",
        "Leaf - Summerghost",
        "Skelpolu - Human Mistakes",
        "Young Griffo - Pennies",
        "ANiMAL - Rockshow",
        "James May - On The Line",
        "Meaxic - Take A Step",
        "Traffic Experiment - Sirens",
    }
)
# Streams of a MUSDB18 file, https://sigsep.github.io/datasets/musdb.html.
MUSDB_STREAMS = ("mixture", "drums", "bass", "other", "vocals")
AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".aif", ".aiff", ".ogg", ".opus", ".mp3", ".m4a"})


class DataError(ValueError):
    """Training material that cannot be used; the text says which and what to do."""


@dataclass(frozen=True)
class Song:
    """One song, found but not yet decoded.

    files: stem (or "mixture") -> file. In a MUSDB18 file all are streams of the same file.
    """

    name: str
    files: dict[str, Path]

    @property
    def complete(self) -> bool:
        """Whether all four stems are there, so that their sum is the song's own mix."""
        return all(stem in self.files for stem in STEMS)

    def decode(self, stem: str, sample_rate: int = SAMPLE_RATE) -> NDArray[np.float32]:
        """The stem (or "mixture") as (2, n) at `sample_rate`."""
        path = self.files[stem]
        if path.suffix == ".mp4":
            audio, rate = _decode_musdb(path, MUSDB_STREAMS.index(stem))
        else:
            with open_audio(path) as reader:
                audio, rate = np.concatenate([*reader.blocks()], axis=-1), reader.sample_rate
        if rate != sample_rate:
            import soxr

            audio = soxr.resample(audio.T, rate, sample_rate).T
        return np.ascontiguousarray(np.broadcast_to(audio, (2, audio.shape[-1])), np.float32)


def find_songs(folders: Iterable[str | os.PathLike]) -> list[Song]:
    """Every song below `folders`, sorted by name.

    Three forms are known: MUSDB18 `*.stem.mp4` files; folders with audio files named after stems (vocals, drums,
    bass, other, and mixture if there is one; any may be missing); and any other audio file, taken for a solo voice.
    Raises DataError if a folder is missing or holds no song.
    """
    songs = []
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder; give a folder of songs with stems to --data")
        found = [*_songs_below(folder)]
        if not found:
            raise DataError(f"{folder}: no songs here; it should have *.stem.mp4 files or folders with vocals.wav ...")
        songs += found
    return sorted(songs, key=lambda song: (song.name, str(sorted(song.files.values()))))


def _songs_below(folder: Path) -> Iterator[Song]:
    for directory, _, names in os.walk(folder):
        here = Path(directory)
        stems = {}
        voices = []
        for name in sorted(names):
            path = here / name
            if name.endswith(".stem.mp4"):
                yield Song(name.removesuffix(".stem.mp4"), dict.fromkeys(MUSDB_STREAMS, path))
            elif path.suffix.lower() in AUDIO_SUFFIXES:
                if path.stem.lower() in (*STEMS, "mixture"):
                    stems[path.stem.lower()] = path
                else:
                    voices.append(path)
        if stems:
            yield Song(here.name, stems)
        else:
            yield from (Song(path.stem, {"vocals": path}) for path in voices)


def _decode_musdb(path: Path, stream: int) -> tuple[NDArray[np.float32], int]:
    import av

    try:
        with av.open(str(path)) as container:
            audio = container.streams.audio[stream]
            planes = [frame.to_ndarray() for frame in container.decode(audio)]
            rate = audio.rate
    except (av.error.FFmpegError, IndexError) as error:
        raise DataError(f"{path}: cannot decode its stream {stream} ({error}); MUSDB18 files have five") from error
    return np.concatenate(planes, axis=-1).astype(np.float32), rate


class StemCache:
    """Decoded stems as int16 arrays on disk, so that a crop costs one read.

    folder: where the arrays lie; they are keyed by each source file's path, size and time.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def load(self, song: Song, stem: str) -> NDArray[np.int16]:
        """The stem as (n, 2) int16 at 44.1 kHz, memory-mapped; decoded first if it is not here yet.

        Samples beyond full scale are scaled down with the whole stem.
        """
        source = song.files[stem]
        stat = source.stat()
        key = json.dumps([str(source.resolve()), stem, stat.st_size, stat.st_mtime_ns])
        path = self.folder / (hashlib.sha256(key.encode()).hexdigest()[:32] + ".npy")
        if not path.exists():
            audio = song.decode(stem)
            audio = audio / max(1.0, float(np.abs(audio).max(initial=0)))
            with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".tmp", delete=False) as file:
                np.save(file, np.round(audio.T * 32767).astype(np.int16))
            os.replace(file.name, path)
        return np.load(path, mmap_mode="r", allow_pickle=False)


class RemixDataset:
    """An endless source of training mixes, changed so much that little material does not wear out.

    Most mixes take each stem from a song of its own, which is what helps most on little material (published ablations:
    about +2 dB); the others are a song's own mix, where the stems belong together. Every stem gets a random gain of
    0.25 to 1.25 (in a song's own mix a little around 1), place in the stereo image, polarity, equaliser, and often
    another speed and pitch; sometimes a second one is laid over it. Some mixes are mono, or end at a low frequency.

    songs: what to mix. seconds: length of a mix. seed: of all random choices.
    """

    own_mix = 0.25  # share of mixes that are a song's own
    solo_voice = 0.1  # share of vocals taken from solo voices, of which there may be very many
    missing_stem = 0.06  # chance that a stem is silent
    second_take = 0.2  # chance that a stem is two, of different songs
    speed_change = 0.6  # chance that a stem changes speed and pitch, by up to four semitones
    narrow = 0.3  # chance that a stem's stereo image is narrowed
    mono = 0.1  # chance that a mix is mono
    band_limit = 0.15  # chance that a mix ends below half its sampling rate

    def __init__(self, songs: list[Song], cache: StemCache, seconds: float, seed: int) -> None:
        self.length = round(seconds * SAMPLE_RATE)
        self.random = np.random.default_rng(seed)
        tracks = [{stem: cache.load(song, stem) for stem in STEMS if stem in song.files} for song in songs]
        bands = [song for song in tracks if [*song] != ["vocals"]]
        self.voices = [song["vocals"] for song in tracks if [*song] == ["vocals"]]
        self.pools = {stem: [song[stem] for song in bands if stem in song] for stem in STEMS}
        self.pools["vocals"] = self.pools["vocals"] or self.voices
        for stem, pool in self.pools.items():
            if not pool:
                raise DataError(f"no song has a {stem} stem; add material to --data that has one")
        self.complete = [song for song in bands if len(song) == len(STEMS)]

    def batch(self, size: int) -> NDArray[np.float32]:
        """`size` mixes as their stems, (size, stems, 2, samples); the mix is their sum."""
        return np.stack([self._mix() for _ in range(size)])

    def responses(self, size: int, bins: int) -> NDArray[np.float32]:
        """A random equaliser for each stem of `size` mixes, (size, stems, bins): factors on the bins of a spectrum.

        Up to about 6 dB, smooth over the octaves. Some mixes end early, from 4 kHz on, as telephone audio, low
        sampling rates and lossy coders do.
        """
        random = self.random
        octaves = np.log2(np.arange(1, bins + 1) / bins)
        knots = np.linspace(-9, 0, 6)
        gains_db = random.normal(0, 2.5, (size, len(STEMS), len(knots)))
        curves = np.array([[np.interp(octaves, knots, stem) for stem in mix] for mix in gains_db])
        responses = 10 ** (curves / 20)
        for mix in np.flatnonzero(random.random(size) < self.band_limit):
            responses[mix, :, int(bins * np.exp(random.uniform(np.log(0.18), 0))) :] = 0
        return responses.astype(np.float32)

    def _mix(self) -> NDArray[np.float32]:
        random = self.random
        stems = np.zeros((len(STEMS), 2, self.length), np.float32)
        own = bool(self.complete) and random.random() < self.own_mix
        if own:
            song = self._choose(self.complete, [len(song["vocals"]) for song in self.complete])
            start = random.integers(max(1, min(map(len, song.values())) - self.length))
            for stem, name in zip(stems, STEMS, strict=True):
                _add(stem, song[name][start : start + self.length])
        else:
            for stem, name in zip(stems, STEMS, strict=True):
                if random.random() >= self.missing_stem:
                    _add(stem, self._crop(name))
                if random.random() < self.second_take:
                    _add(stem, self._crop(name) * np.float32(random.uniform(0.2, 1)))
        for stem in stems:
            if random.random() < self.narrow:
                middle = stem.mean(axis=0)
                stem += random.uniform(0, 1) * (middle - stem)
            if random.random() < 0.5:
                stem[:] = stem[::-1].copy()
            pan = 10 ** (random.normal(0, 1.5, (2, 1)) / 20)
            # A song's own balance is something to learn; between songs there is none.
            gain = 10 ** (random.normal(0, 2) / 20) if own else random.uniform(0.25, 1.25)
            stem *= (gain * random.choice((-1, 1)) * pan).astype(np.float32)
        if random.random() < self.mono:
            stems[:] = stems.mean(axis=1, keepdims=True)
        return stems

    def _crop(self, stem: str) -> NDArray[np.float32]:
        random = self.random
        solo = stem == "vocals" and self.voices and random.random() < self.solo_voice
        pool = self.voices if solo else self.pools[stem]
        speed = 2 ** random.uniform(-1 / 3, 1 / 3) if random.random() < self.speed_change else 1.0
        wanted = int(self.length * speed)
        for _ in range(4):  # look for a place where the stem sounds
            track = self._choose(pool, [*map(len, pool)])
            start = random.integers(max(1, len(track) - wanted))
            crop = track[start : start + wanted]
            if np.abs(crop[::64]).max(initial=0) > 300:
                break
        if speed == 1.0:
            return crop.astype(np.float32)
        import soxr

        return soxr.resample(crop.astype(np.float32), speed, 1.0, quality="LQ")

    def _choose(self, pool: list[Any], lengths: list[int]) -> Any:
        # A long song holds more to learn, but a short one is as much of a style.
        weights = np.array(lengths) ** 0.25
        return pool[self.random.choice(len(pool), p=weights / weights.sum())]


def _add(target: NDArray[np.float32], crop: NDArray) -> None:
    target[:, : len(crop)] += crop[: target.shape[-1]].T / np.float32(32768)
