"""WAV, AIFF and Ogg through libsndfile."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from .ogg import check_pages
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

# Data sizes that programs write when they stream a WAV and cannot know its length (2 and 4 GiB, less some): no promise.
_STREAMED = (range(0x7FFFF000, 0x80000001), range(0xFFFFF000, 0x100000000))


class Unsuited(Exception):
    """libsndfile cannot read this file, or not all of it. damaged: because bytes of it have changed."""

    def __init__(self, damaged: bool = False) -> None:
        self.damaged = damaged


class SndfileReader(AudioReader):
    """Reads what libsndfile can read whole; raises Unsuited for the rest."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stream = path.open("rb", buffering=0)
        try:
            # By descriptor: given a path, soundfile would look at the suffix.
            self._file = soundfile.SoundFile(self._stream.fileno(), closefd=False)
            if self._file.frames == 0:
                raise Unsuited
            if self._file.format == "OGG":
                self._check_ogg()
        except soundfile.LibsndfileError:
            self._stream.close()
            raise Unsuited from None
        except Unsuited:
            self._stream.close()
            raise
        self.sample_rate = self._file.samplerate
        self.num_channels = self._file.channels
        self.num_frames = self._file.frames
        self.sample_format = _SAMPLE_FORMATS.get(self._file.subtype, "lossy")
        self._promised = _promised_frames(self._file)

    def _check_ogg(self) -> None:
        """Note a missing end. libsndfile reads only one of several streams, and loses its way after a spoiled page."""
        with self.path.open("rb") as file:
            pages = check_pages(file)
        if pages.spoiled or pages.several:
            raise Unsuited(pages.spoiled)
        self._damaged = not pages.ended

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


def _promised_frames(file: soundfile.SoundFile) -> int:
    """Return the frames that the header promises; libsndfile itself counts those that are there and logs the rest."""
    if count := re.search(r"value from 'ds64' chunk of (\d+)", file.extra_info):
        return int(count[1])
    if sizes := re.search(r"^ ?(?:data|SSND) : (\d+) \(should be (\d+)\)", file.extra_info, re.MULTILINE):
        promised, present = int(sizes[1]), int(sizes[2])
        if present and not any(promised in streamed for streamed in _STREAMED):
            return max(file.frames, file.frames * promised // present)
    return file.frames
