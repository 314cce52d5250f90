"""Songs with true stems, found in folders, and a cache of decoded stems."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...audio import open_audio
from ...audio.reader import check_channels
from ...audio.suffixes import AUDIO_SUFFIXES
from ...core.errors import AudioError, DataError, file_reason
from .arrays import load_array, save_array

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
MUSDB_SUFFIX = ".stem.mp4"
MUSDB_STREAMS = ("mixture", "drums", "bass", "other", "vocals")
GENERIC_FOLDERS = frozenset({"stems", "stem", "tracks"})  # folders with these names do not have the song's name


@dataclass(frozen=True)
class Song:
    """One song, found but not yet decoded.

    Attributes:
        name: Its name.
        files: Stem or "mixture" to file. In a MUSDB18 file all are streams of the same file.
    """

    name: str
    files: dict[str, Path]

    @property
    def complete(self) -> bool:
        """Whether it has all four stems, so that their sum is the song's own mix."""
        return all(stem in self.files for stem in STEMS)

    @property
    def for_validation(self) -> bool:
        """Whether it is one of MUSDB18's validation songs: its file or a folder above contains the name of one.

        If its path contains a link, or a folder like ".", the real path counts as well.
        """
        places = {place for path in self.files.values() for place in (path, path.resolve())}
        parts = [part for place in places for part in (*place.parts, place.stem)]
        names = {part.casefold().removesuffix(MUSDB_SUFFIX) for part in parts}
        return any(name.casefold() in part for name in VALIDATION for part in names)

    def top_of(self, stem: str) -> float:
        """Return the highest frequency that a stem's file can hold as a share of half of 44.1 kHz, at most 1.

        Args:
            stem: Name of the stem, or "mixture".

        Raises:
            AudioError: The file cannot be read.
        """
        path = self.files[stem]
        if _is_musdb(path):
            return 1.0
        with open_audio(path) as reader:
            return min(1.0, reader.sample_rate / SAMPLE_RATE)

    def decode(self, stem: str, sample_rate: int = SAMPLE_RATE) -> NDArray[np.float32]:
        """Decode a stem.

        Args:
            stem: Name of the stem, or "mixture".
            sample_rate: Sample rate of the result, in Hz.

        Returns:
            Samples, shape (2, n).

        Raises:
            AudioError: The file cannot be decoded, or is neither mono nor stereo.
            DataError: The file has samples that are NaN or infinite, or lacks the stream.
        """
        path, invalid = self.files[stem], False
        if _is_musdb(path):
            audio, rate = _decode_musdb(path, MUSDB_STREAMS.index(stem))
        else:
            with open_audio(path) as reader:
                check_channels(path, reader.num_channels)
                audio, rate = np.concatenate([*reader.blocks()], axis=-1), reader.sample_rate
                invalid = reader.num_invalid > 0
        check_channels(path, len(audio))
        if invalid or not np.isfinite(audio).all():
            raise DataError(f"{path} has NaN or infinite samples; export it again")
        if rate != sample_rate:
            import soxr

            audio = soxr.resample(audio.T, rate, sample_rate).T
        return np.ascontiguousarray(np.broadcast_to(audio, (2, audio.shape[-1])), np.float32)


def find_songs(folders: Iterable[str | os.PathLike[str]]) -> list[Song]:
    """Return every song with stems below some folders, sorted by name.

    A song can be a MUSDB18 `*.stem.mp4` file; a folder with audio files named after stems (vocals, drums, bass, other,
    and perhaps mixture; any may be missing); or any other audio file, which counts as a solo voice.

    Args:
        folders: The folders.

    Raises:
        DataError: A folder is missing, or has no songs.
    """
    songs = []
    for folder in map(Path, folders):
        _check_folder(folder, "a folder of songs with stems to --data")
        found = [*_songs_below(folder)]
        if not found:
            raise DataError(
                f"{folder} contains no songs; it should have *.stem.mp4 files or folders with vocals.wav ..."
            )
        songs += found
    return sorted(songs, key=_by_name)


def find_mixtures(folders: Iterable[str | os.PathLike[str]]) -> list[Song]:
    """Return every song below some folders as a mixture only, even if it has stems, sorted by name.

    Each audio file is a song, and so is each MUSDB18 file. A folder with two or more stems is one song if it has a
    mixture; otherwise it is left out.

    Args:
        folders: The folders.

    Raises:
        DataError: A folder is missing, or has no songs.
    """
    songs = []
    for folder in map(Path, folders):
        _check_folder(folder, "a folder of songs to --songs")
        found = [*_mixtures_below(folder)]
        if not found and any(_are_stems(paths) for _, paths in _folders_below(folder)):
            raise DataError(
                f"{folder} contains only stems without a mixture; give it to --data, or add mixture.wav to each song"
            )
        if not found:
            raise DataError(f"{folder} contains no songs; it should have audio files (WAV, FLAC, MP3, M4A, Ogg ...)")
        songs += found
    return sorted(songs, key=_by_name)


def _check_folder(folder: Path, wanted: str) -> None:
    if not folder.is_dir():
        what = f"{folder} is not a folder" if folder.exists() else f"the folder {folder} does not exist"
        raise DataError(f"{what}; give {wanted}")


def _by_name(song: Song) -> tuple[str, str]:
    return song.name, str(sorted(song.files.values()))


def _mixtures_below(folder: Path) -> Iterator[Song]:
    for here, paths in _folders_below(folder):
        stems = _stems_among(paths)
        others = any(path.suffix.lower() in AUDIO_SUFFIXES and path not in stems.values() for path in paths)
        if _are_stems(paths) or ("mixture" in stems and not others):
            if "mixture" in stems:
                yield Song(_folder_name(here), {"mixture": stems["mixture"]})
            continue
        for path in paths:
            if _is_musdb(path):
                yield Song(path.name[: -len(MUSDB_SUFFIX)], {"mixture": path})
            elif path.suffix.lower() in AUDIO_SUFFIXES:
                yield Song(path.stem, {"mixture": path})


def _songs_below(folder: Path) -> Iterator[Song]:
    for here, paths in _folders_below(folder):
        for path in paths:
            if _is_musdb(path):
                yield Song(path.name[: -len(MUSDB_SUFFIX)], dict.fromkeys(MUSDB_STREAMS, path))
        if stems := _stems_among(paths):
            yield Song(_folder_name(here), stems)
        else:
            voices = (path for path in paths if path.suffix.lower() in AUDIO_SUFFIXES)
            yield from (Song(path.stem, {"vocals": path}) for path in voices)


def _folders_below(folder: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Yield each folder from `folder` down, with its files, except hidden ones. Links are followed, not in circles."""
    seen = {os.path.realpath(folder)}
    for directory, folders, names in os.walk(folder, followlinks=True):
        places = {name: os.path.realpath(os.path.join(directory, name)) for name in sorted(_shown(folders))}
        folders[:] = [name for name, place in places.items() if place not in seen]  # links may lead to folders above
        seen |= {*places.values()}
        here = Path(directory)
        yield here, [here / name for name in sorted(_shown(names))]


def _shown(names: list[str]) -> list[str]:
    return [name for name in names if not name.startswith(".")]


def _is_musdb(path: Path) -> bool:
    return path.name.lower().endswith(MUSDB_SUFFIX)


def _stems_among(paths: list[Path]) -> dict[str, Path]:
    """Return the files that are named after a stem or "mixture", name to file."""
    audio = (path for path in paths if path.suffix.lower() in AUDIO_SUFFIXES)
    return {path.stem.lower(): path for path in audio if path.stem.lower() in (*STEMS, "mixture")}


def _are_stems(paths: list[Path]) -> bool:
    """Return whether the files of a folder are the stems of one song."""
    return len(_stems_among(paths).keys() & set(STEMS)) >= 2


def _folder_name(here: Path) -> str:
    """Return the name of a song from the folder of its stems."""
    named = Path(os.path.abspath(here))
    return (named.parent if named.name.casefold() in GENERIC_FOLDERS else named).name


def _decode_musdb(path: Path, stream: int) -> tuple[NDArray[np.float32], int]:
    import av

    from ...audio.streams import open_container

    # Not open_audio, which leaves out the samples after the length that the file gives: scores were measured with them.
    try:
        with path.open("rb") as file, open_container(file) as container:
            audio = container.streams.audio[stream]
            planes = [frame.to_ndarray() for frame in container.decode(audio)]
            rate = audio.rate
            return np.concatenate(planes, axis=-1).astype(np.float32), rate
    except (av.FFmpegError, OSError, IndexError, ValueError) as error:  # ValueError: there are no samples
        raise DataError(
            f"{path}: stream {stream} cannot be decoded ({error}); a MUSDB18 file has five streams"
        ) from error


class StemCache:
    """Decoded stems as int16 arrays on disk, so that a piece costs only one read.

    The names of the arrays depend on the paths, sizes and times of all files of a song.

    Args:
        folder: The folder, made if it is missing.

    Attributes:
        folder: The folder.

    Raises:
        DataError: `folder` is a file.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise DataError(f"{folder} is a file; give a folder for decoded songs to --cache")
        self.folder.mkdir(parents=True, exist_ok=True)

    def load(self, song: Song, stem: str) -> NDArray[np.int16]:
        """Return a stem. If the song is not in the cache yet, or damaged there, it is decoded first.

        A song with samples beyond full scale is turned down as a whole, so that its stems still sum to its mixture.

        Args:
            song: The song.
            stem: Name of the stem, or "mixture".

        Returns:
            int16 samples at 44.1 kHz, memory-mapped, shape (n, 2).

        Raises:
            AudioError: The song cannot be decoded.
            DataError: The song has samples that are NaN or infinite.
        """
        paths = self._paths(song)
        decoded = load_array(paths[stem])
        if decoded is None:
            tracks = {name: song.decode(name) for name in song.files}
            peak = max(1.0, *(float(np.abs(track).max(initial=0)) for track in tracks.values()))
            for name, track in tracks.items():
                save_array(paths[name], np.round(track.T * (32767 / peak)).astype(np.int16))
            decoded = np.load(paths[stem], mmap_mode="r", allow_pickle=False)
        return decoded

    def _paths(self, song: Song) -> dict[str, Path]:
        digest = digest_of(song)
        return {name: self.folder / f"{digest}-{name}.npy" for name in song.files}


def digest_of(song: Song, *more: str) -> str:
    """Return a name for data made from a song, which depends on the paths, sizes and times of its files.

    Args:
        song: The song.
        more: Other texts that the name depends on.

    Raises:
        AudioError: A file is missing or cannot be read.
    """
    try:
        stats = {name: (path.resolve(), path.stat()) for name, path in sorted(song.files.items())}
    except OSError as error:
        raise AudioError(f"{error.filename} cannot be read: {file_reason(error)}") from None
    key = [[name, str(path), stat.st_size, stat.st_mtime_ns] for name, (path, stat) in stats.items()]
    return hashlib.sha256(json.dumps([*key, *more]).encode()).hexdigest()[:32]
