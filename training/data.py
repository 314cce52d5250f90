"""Songs with true stems: found in folders, decoded once into a cache."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

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
