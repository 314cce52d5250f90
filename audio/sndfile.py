"""WAV, AIFF and Ogg through libsndfile."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from .chunks import Sound, find_sound
from .ogg import is_simple
from .reader import AudioReader

_SAMPLE_FORMATS = {
    "PCM_S8": "int16",
    "PCM_U8": "int16",
    "PCM_16": "int16",
    "PCM_24": "int24",
    "PCM_32": "float32",
    "FLOAT": "float32",
    "DOUBLE": "float32",
}

# First bytes of a frame of DTS, and of AC-3 and other codecs as sent over S/PDIF (IEC 61937), in either byte order.
_CODED = tuple(map(bytes.fromhex, ("7ffe8001", "fe7f0180", "1fffe800", "ff1f00e8", "72f81f4e", "f8724e1f")))
_LOOKED_AT = 1 << 18  # bytes that would hold a few such frames
_SHORTEST_FRAME = 96  # bytes


class Unsuited(Exception):
    """libsndfile cannot read all of this file. `coded` says that its samples are frames of another codec."""

    def __init__(self, coded: bool = False) -> None:
        self.coded = coded


class SndfileReader(AudioReader):
    """Reads what libsndfile can read whole; raises Unsuited for the rest."""

    def __init__(self, path: Path, stream: int | None = None) -> None:
        super().__init__(path)
        self._stream = path.open("rb", buffering=0)
        try:
            # By descriptor: given a path, soundfile would look at the suffix.
            self._file = soundfile.SoundFile(self._stream.fileno(), closefd=False)
            self._check()
            self._choose_stream(stream, [self._file.subtype])
        except soundfile.LibsndfileError:
            self._stream.close()
            raise Unsuited from None
        except BaseException:
            self._stream.close()
            raise

    def _check(self) -> None:
        """Set the attributes from libsndfile's header; raise Unsuited if another decoder would read more."""
        found = self._file
        if found.frames == 0:
            raise Unsuited
        self.sample_rate, self.num_channels, self.num_frames = found.samplerate, found.channels, found.frames
        self.sample_format = _SAMPLE_FORMATS.get(found.subtype, "lossy")
        with self.path.open("rb") as file:
            if found.format == "OGG":
                simple, ended = is_simple(file)
                if not simple:
                    raise Unsuited
                self._damaged = not ended
            elif found.subtype == "PCM_16" and (sound := find_sound(file)) and _is_coded(file, sound):
                raise Unsuited(coded=True)

    def _decoded(self) -> Iterator[np.ndarray]:
        while True:
            try:
                samples = self._file.read(65536, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError:
                self._damaged = True
                return
            if not len(samples):
                return
            yield samples.T

    def close(self) -> None:
        self._file.close()
        self._stream.close()


def _is_coded(file: BinaryIO, sound: Sound) -> bool:
    """Return whether the 16-bit samples are frames of another codec, such as DTS, and would sound as noise."""
    file.seek(sound.start)
    data = file.read(min(_LOOKED_AT, sound.present))
    return any(data.count(start) > 2 and _evenly(data, start) for start in _CODED)


def _evenly(data: bytes, start: bytes) -> bool:
    """Return whether the first three occurrences of `start` are aligned to samples and equally spaced, like frames."""
    first = data.find(start)
    second = data.find(start, first + 4)
    third = data.find(start, second + 4)
    return first % 2 == 0 and third - second == second - first >= _SHORTEST_FRAME
