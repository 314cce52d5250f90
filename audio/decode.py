"""Audio files in, as streams of float32 blocks.

Which decoder reads a file is decided by its first bytes, never by its suffix. libsndfile reads WAV, AIFF and Ogg: it
alone ends Vorbis and Opus on the right sample. FFmpeg reads the rest: it goes on after damage, keeps a FLAC on
time where libsndfile stops, and knows an MP3's length where libsndfile guesses.
"""

import os
import stat
from pathlib import Path

import numpy as np

from .errors import AudioError
from .reader import AudioReader

_SNDFILE_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"FORM", b"OggS")


def open_audio(path: str | os.PathLike[str], stream: int | None = None) -> AudioReader:
    """Open an audio file: WAV, AIFF, FLAC, Ogg Vorbis, Opus, MP3, M4A/AAC and what else FFmpeg decodes.

    Args:
        path: The file.
        stream: Which of its audio streams to read, counted from 1; by default the one that the file marks as default,
            else the first.

    Raises:
        AudioError: The file is missing, unreadable, empty, no audio, holds no samples or has no such stream.
    """
    path = Path(path)
    damaged = False
    if _first_bytes(path) in _SNDFILE_MAGIC:
        from .sndfile import SndfileReader, Unsuited

        try:
            reader: AudioReader = SndfileReader(path)
            if stream not in (None, 1):
                reader.close()
                raise AudioError(f"{path} has no audio stream {stream}; it has one, stream 1")
            return reader
        except Unsuited as unsuited:  # AVI, Theora, Ogg FLAC, chained Ogg, a streamed WAV that says 0 samples ...
            damaged = unsuited.damaged
    from .ffmpeg import FFmpegReader

    reader = FFmpegReader(path, stream)
    reader._damaged = reader._damaged or damaged
    return reader


def read_audio(path: str | os.PathLike[str], stream: int | None = None) -> tuple[np.ndarray, int]:
    """Return a whole file as (float32 array (channels, n), sample rate in Hz); raises AudioError as open_audio does."""
    with open_audio(path, stream) as reader:
        return np.concatenate(list(reader.blocks()), axis=1), reader.sample_rate


def _first_bytes(path: Path) -> bytes:
    """Return the first four bytes of a file that can be read and is not empty; else raise AudioError."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise AudioError(f"{path}: is a folder; name an audio file")
        if not stat.S_ISREG(mode):
            raise AudioError(f"{path}: is not a regular file; save the audio to disk first")
        with path.open("rb") as file:
            magic = file.read(4)
    except FileNotFoundError:
        raise AudioError(f"{path}: no such file; check the name") from None
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror}); check the file and its permissions") from None
    if not magic:
        raise AudioError(f"{path}: is empty (0 bytes); export or download it again")
    return magic
