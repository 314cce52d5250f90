"""WAV, AIFF and Ogg through libsndfile."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from .decode import AudioReader

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
    """libsndfile cannot read this file, or not all of it."""


class SndfileReader(AudioReader):
    """Reads what libsndfile can read whole; raises Unsuited for the rest."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stream = path.open("rb", buffering=0)
        try:
            # By descriptor: given a path, soundfile would look at the suffix.
            self._file = soundfile.SoundFile(self._stream.fileno(), closefd=False)
            if self._file.frames == 0 or (self._file.format == "OGG" and not self._check_last_page()):
                raise Unsuited
        except (soundfile.LibsndfileError, Unsuited):
            self._stream.close()
            raise Unsuited from None
        self.sample_rate = self._file.samplerate
        self.num_channels = self._file.channels
        self.num_frames = self._file.frames
        self.sample_format = _SAMPLE_FORMATS.get(self._file.subtype, "lossy")
        self._promised = _promised_frames(self._file)

    def _check_last_page(self) -> bool:
        """Note a missing end; return False if the file is several Ogg streams in a row: libsndfile reads only one."""
        position = self._stream.tell()  # of the descriptor, which libsndfile shares
        self._stream.seek(0)
        head = self._stream.read(65536)
        self._stream.seek(max(0, self.path.stat().st_size - 2 * 65536))  # a page has at most 65307 bytes
        tail = self._stream.read()
        self._stream.seek(position)
        first, _ = _ogg_page(head, 0)
        last, ended = _ogg_page(tail, tail.rfind(b"OggS"))
        self._damaged = not ended
        return last in (first, b"")  # the latter: cut off within a page's header

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


def _ogg_page(data: bytes, at: int) -> tuple[bytes, bool]:
    """Return the serial number of the Ogg page at an offset, and whether it is complete and ends its stream."""
    header = data[at : at + 27]
    if at < 0 or len(header) < 27:
        return b"", False
    lacing = data[at + 27 : at + 27 + header[26]]
    complete = len(lacing) == header[26] and at + 27 + len(lacing) + sum(lacing) <= len(data)
    return header[14:18], complete and bool(header[5] & 4)
