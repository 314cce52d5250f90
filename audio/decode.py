"""Open audio files as streams of float32 blocks.

The first bytes of a file decide which decoder reads it, never its suffix. libsndfile reads WAV, AIFF and Ogg, because
only it ends Vorbis and Opus on the right sample. Ogg files that are damaged or have several streams are read page by
page. FFmpeg reads all other files: it continues after damage, where libsndfile stops in a FLAC, and it knows the length
of an MP3, which libsndfile guesses.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

import numpy as np

from ..core.errors import AudioError, file_reason
from .chunks import MAGIC, find_samples, find_sound, skip_id3
from .coded import CODED_ERROR
from .reader import AudioReader

_SURPLUS_S = 0.1  # warn if the bytes after the last chunk would be at least this many seconds of sound


def open_audio(path: str | os.PathLike[str], stream: int | None = None) -> AudioReader:
    """Open an audio file: WAV, AIFF, FLAC, Ogg Vorbis, Opus, MP3, M4A/AAC or any other format that FFmpeg decodes.

    Args:
        path: The file.
        stream: Number of the audio stream to read, from 1; by default the stream that the file marks as default,
            otherwise the first.

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
    """Open a WAV or AIFF file. Faults of its header become notes in the warning."""
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
            reader = FFmpegReader(path, stream, samples=(sound.start, samples))  # no program accepts its sizes
        if unsuited.coded and reader.codec.startswith("pcm"):
            reader.close()
            raise AudioError(f"{path} {CODED_ERROR}") from None
        if length_is_unknown and magic == b"RF64":
            reader.note("its ds64 chunk does not give the file's length; it was read to the end")
    if tagged:
        reader.note("it starts with an ID3 tag, which belongs in a chunk; the tag was skipped")
    if sound is not None and sound.declared is not None and sound.present and reader.num_frames:
        reader.expect(-(-reader.num_frames * sound.declared // sound.present))  # rounded up, for a part of a frame
        seconds = reader.num_frames * sound.surplus / sound.present / reader.sample_rate
        if seconds >= _SURPLUS_S:
            remedy = "import the file as raw data in an editor"
            if magic != b"FORM":
                remedy = "run ffmpeg -ignore_length 1 -i SONG -c copy whole.wav"
            read = reader.num_frames / reader.sample_rate
            reader.note(
                f"its header says {read:.2f} s, which were read, but the file has bytes for {seconds:.2f} s more; "
                f"if they are sound too, {remedy}"
            )
    return reader


def read_audio(path: str | os.PathLike[str], stream: int | None = None) -> tuple[np.ndarray, int]:
    """Read a whole audio file.

    Args:
        path: The file.
        stream: As for `open_audio`.

    Returns:
        float32 samples, (channels, n), full scale 1.0; and the sample rate in Hz.

    Raises:
        AudioError: As `open_audio`.
    """
    with open_audio(path, stream) as reader:
        return np.concatenate(list(reader.blocks()), axis=1), reader.sample_rate


def check_regular(path: Path) -> None:
    """Check that a path leads to a regular file: others, such as a FIFO, can be read only once, and may never end.

    Args:
        path: Path of a song.

    Raises:
        AudioError: It does not.
        OSError: The file does not exist, or its folder cannot be read.
    """
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise AudioError(f"{path} is a folder; name an audio file")
    if not stat.S_ISREG(mode):
        raise AudioError(f"{path} is not a regular file; save the audio to disk first")


def _magic(path: Path) -> tuple[bytes, bool]:
    """Return the four bytes that identify a file's format, and whether they follow an ID3 tag.

    Raises AudioError if the file cannot be read or is empty.
    """
    try:
        check_regular(path)
        with path.open("rb") as file:
            start = skip_id3(file)
            magic = file.read(4)
    except OSError as error:
        raise AudioError(f"{path} cannot be read: {file_reason(error)}") from None
    if not magic and not start:
        raise AudioError(f"{path} is empty (0 bytes); export or download it again")
    return magic, start > 0
