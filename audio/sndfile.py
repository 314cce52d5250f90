"""Read WAV, AIFF and Ogg files with libsndfile."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from .chunks import find_sound
from .coded import PROBED_BYTES, is_coded
from .ogg import Page, check_pages
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


class Unsuited(Exception):
    """libsndfile cannot read all of this file.

    Args:
        coded: Whether its samples are in fact frames of another codec.
    """

    def __init__(self, coded: bool = False) -> None:
        self.coded = coded


class SndfileReader(AudioReader):
    """Reads a file of which libsndfile can read all.

    Args:
        path: The file.
        stream: Number of the audio stream, which can only be 1; or None.

    Raises:
        Unsuited: Another decoder would read more of the file.
        AudioError: There is no such stream.
    """

    def __init__(self, path: Path, stream: int | None = None) -> None:
        super().__init__(path)
        self._stream = path.open("rb", buffering=0)
        try:
            # By descriptor, because soundfile would look at the suffix of a path.
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
        with self.path.open("rb") as file:
            if found.subtype == "PCM_16" and (sound := find_sound(file)):
                file.seek(sound.start)
                if is_coded(file.read(min(PROBED_BYTES, sound.present))):
                    raise Unsuited(coded=True)
            if found.frames == 0:
                raise Unsuited
            if found.format == "OGG":
                first, last = check_pages(file)
                if first is None or last is None or (found.subtype == "OPUS" and not self._can_read_opus(first, last)):
                    raise Unsuited
                self._damaged = not last.ends
        self.sample_rate, self.num_channels, self.num_frames = found.samplerate, found.channels, found.frames
        self.sample_format = _SAMPLE_FORMATS.get(found.subtype, "lossy")
        self._tolerance = 2304 if self.sample_format == "lossy" else 0  # the last frame may be padded

    def _can_read_opus(self, first: Page, last: Page) -> bool:
        """Return whether libsndfile reads an Opus file from its start and with all frequencies.

        It reads the start of a file wrong whose clock starts after 0, and takes any rate up to 24 kHz that the file
        states, even 0 for an unknown rate, for that of the sound.
        """
        with self.path.open("rb") as file:
            (head, *_), _ = first.packets(file)
        skipped, rate = int.from_bytes(head[10:12], "little"), self._file.samplerate
        begins_late = last.granule - skipped - self._file.frames * 48000 // rate > 48
        return not begins_late and rate in (48000, int.from_bytes(head[12:16], "little"))

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
        """Close the file; harmless when repeated."""
        self._file.close()
        self._stream.close()
