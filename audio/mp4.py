"""Find the exact length of the audio in an MP4 file. FFmpeg skips the encoder's delay, but not its padding."""

import os
import struct
from pathlib import Path
from typing import BinaryIO

from mutagen.mp4 import Atoms


def mp4_frames(path: Path, sample_rate: int, smpb: str | None = None, track: int = 1) -> int | None:
    """Return an audio track's length in samples from the headers of an MP4; None if they do not give it.

    Args:
        path: The file.
        sample_rate: Sample rate of the track, in Hz.
        smpb: The file's iTunSMPB tag: hexadecimal fields, the fourth of which is the length before encoding.
        track: Number of the audio track, from 1.
    """
    with path.open("rb") as file:
        try:
            seconds = _seconds(file, track)
        except Exception:  # the header cannot be parsed
            return None
    try:
        tagged = int(smpb.split()[3], 16) if smpb else 0
    except (ValueError, IndexError):
        tagged = 0
    # The tag counts only if it fits the track, because some encoders count HE-AAC at half the rate.
    if tagged and (seconds is None or abs(tagged / sample_rate - seconds) < 0.25):
        return tagged
    return None if seconds is None else round(seconds * sample_rate)


def mp4_is_cut(path: Path) -> bool:
    """Return whether the last top-level box extends past the end of the file."""
    with path.open("rb") as file:
        size, position = os.fstat(file.fileno()).st_size, 0
        while len(header := file.read(16)) >= 8:
            (length,) = struct.unpack_from(">I", header)
            if length == 1 and len(header) == 16:
                (length,) = struct.unpack_from(">Q", header, 8)
            if length < 8:  # 0: to the end of the file
                return False
            position += length
            file.seek(position)
        return position > size


def _seconds(file: BinaryIO, number: int) -> float | None:
    moov = Atoms(file)[b"moov"]
    movie_scale, _ = _clock(moov[b"mvhd",].read(file)[1])
    tracks = [t for t in moov.findall(b"trak") if t[b"mdia", b"hdlr"].read(file)[1][8:12] == b"soun"]
    track = tracks[number - 1]
    scale, duration = _clock(track[b"mdia", b"mdhd"].read(file)[1])
    if not duration:  # fragmented
        return None
    edits = [edit for box in track.findall(b"edts") for edit in _edits(box.read(file)[1])]
    if len(edits) > 1:
        return None
    if not edits:
        return duration / scale
    # The edit is as coarse as the movie's clock, often 1 ms. The length of the media is exact, but may include padding.
    length, start = edits[0]
    edit, media, tick = length / movie_scale, (duration - start) / scale, 1 / movie_scale
    coarse = movie_scale < scale and abs(edit - media) < tick
    return media if coarse or not length else min(edit, media)


def _clock(header: bytes) -> tuple[int, int]:
    """Return (ticks per second, duration in ticks) of an mvhd or mdhd box."""
    scale, duration = struct.unpack_from(">IQ", header, 20) if header[0] == 1 else struct.unpack_from(">II", header, 12)
    return scale, duration


def _edits(edts: bytes) -> list[tuple[int, int]]:
    """Return (length in movie ticks, start in media ticks) of each edit in an edts box that plays something."""
    elst = edts[8:]
    (count,) = struct.unpack_from(">I", elst, 4)
    entry = ">QqI" if elst[0] == 1 else ">IiI"
    edits = [struct.unpack_from(entry, elst, 8 + i * struct.calcsize(entry)) for i in range(count)]
    return [(length, start) for length, start, _rate in edits if start >= 0]
