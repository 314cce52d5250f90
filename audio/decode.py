"""Audio files in, as streams of float32 blocks.

Which decoder reads a file is decided by its first bytes, never by its suffix. libsndfile reads WAV, AIFF and Ogg: it
alone ends Vorbis and Opus on the right sample. Ogg that is damaged, or has several streams, is read page by page.
FFmpeg reads the rest: it goes on after damage, keeps a FLAC on time where libsndfile stops, and knows an MP3's length
where libsndfile guesses.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

import numpy as np

from ..core.errors import AudioError
from .chunks import MAGIC, find_samples, find_sound, skip_id3
from .coded import REFUSAL
from .reader import AudioReader

_SURPLUS_S = 0.1  # warn if the bytes after the last chunk would be at least this many seconds of sound


def open_audio(path: str | os.PathLike[str], stream: int | None = None) -> AudioReader:
    """Open an audio file: WAV, AIFF, FLAC, Ogg Vorbis, Opus, MP3, M4A/AAC or any other format that FFmpeg decodes.

    Args:
        path: The file.
        stream: Number of the audio stream to read, counted from 1; by default the stream that the file marks as
            default, else the first.

    Raises:
        AudioError: The file is missing, unreadable, empty or not audio, or has no samples or no such stream.
    """
    path = Path(path)
    magic, tagged = _magic(path)
    if magic in MAGIC:
        return _open_chunked(path, magic, tagged, stream)
    from .ffmpeg import FFmpegReader

    if magic == b"OggS":
        from .oggreader import OggReader
        from .sndfile import SndfileReader, Unsuited

        with suppress(Unsuited):  # damaged, several streams, FLAC, Theora ...
            return SndfileReader(path, stream)
        with suppress(AudioError):  # only FFmpeg knows the codec
            return OggReader(path, stream)
    return FFmpegReader(path, stream)


def _open_chunked(path: Path, magic: bytes, tagged: bool, stream: int | None) -> AudioReader:
    """Open a WAV or AIFF file, and note errors in its header."""
    from .sndfile import SndfileReader, Unsuited

    with path.open("rb") as file:
        sound, samples = find_sound(file), find_samples(file)
    reader: AudioReader
    try:
        reader = SndfileReader(path, stream)
    except Unsuited as unsuited:  # AVI, a streamed WAV that says 0 samples, DTS ...
        from .ffmpeg import FFmpegReader

        length_is_unknown = sound is not None and sound.declared is None
        least = sound.start + sound.declared if sound and sound.declared else 0
        try:
            reader = FFmpegReader(path, stream, ignore_length=length_is_unknown, least=least)
        except AudioError:
            if sound is None or samples is None or not length_is_unknown or magic != b"RF64":
                raise
            reader = FFmpegReader(path, stream, samples=(sound.start, samples))  # sizes that no program accepts
        if unsuited.coded and reader.codec.startswith("pcm"):
            reader.close()
            raise AudioError(f"{path}: {REFUSAL}") from None
        if length_is_unknown and magic == b"RF64":
            reader.note("its ds64 chunk does not give the file's length; it was read to the end")
    if tagged:
        reader.note("it starts with an ID3 tag, which belongs in a chunk; the tag was skipped")
    if sound is not None and sound.declared is not None and sound.present and reader.num_frames:
        reader.expect(reader.num_frames * sound.declared // sound.present)
        seconds = reader.num_frames * sound.surplus / sound.present / reader.sample_rate
        if seconds >= _SURPLUS_S:
            remedy = "import the file as raw data in an editor"
            if magic != b"FORM":
                remedy = "run ffmpeg -ignore_length 1 -i SONG -c copy whole.wav"
            read = reader.num_frames / reader.sample_rate
            reader.note(
                f"its header says {read:.2f} s, and these were read, but the file has bytes for {seconds:.2f} s more; "
                f"if they are sound too, {remedy}"
            )
    return reader


def read_audio(path: str | os.PathLike[str], stream: int | None = None) -> tuple[np.ndarray, int]:
    """Return a whole file as (float32 array (channels, n), sample rate in Hz); raises AudioError as open_audio does."""
    with open_audio(path, stream) as reader:
        return np.concatenate(list(reader.blocks()), axis=1), reader.sample_rate


def _magic(path: Path) -> tuple[bytes, bool]:
    """Return the four bytes that identify a file's format, and whether they follow an ID3 tag.

    Raises AudioError if the file cannot be read or is empty.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise AudioError(f"{path}: is a folder; name an audio file")
        if not stat.S_ISREG(mode):
            raise AudioError(f"{path}: is not a regular file; save the audio to disk first")
        with path.open("rb") as file:
            start = skip_id3(file)
            magic = file.read(4)
    except FileNotFoundError:
        raise AudioError(f"{path}: no such file; check the name") from None
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror}); check the file and its permissions") from None
    if not magic and not start:
        raise AudioError(f"{path}: is empty (0 bytes); export or download it again")
    return magic, start > 0
