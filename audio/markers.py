"""Markers: named points in a song, such as chapters, cue points and the tracks of a cue sheet."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mutagen.id3 import CHAP, CTOC, ID3, TIT2, CTOCFlags

VORBIS_CHAPTER = re.compile(r"chapter\d{3}(name)?")  # names of Vorbis comments, in lower case
MAX_MARKERS = {"ID3": 255, "Vorbis": 999, "MP4": 255}  # by kind of tag


class Marker(NamedTuple):
    """A named point or section.

    Attributes:
        start: In seconds.
        end: In seconds; None for a point.
        name: Its name, or "".
    """

    start: float
    end: float | None
    name: str


def id3_markers(tags: ID3) -> list[Marker]:
    """Return the chapters of an ID3 tag."""
    return [
        Marker(
            chapter.start_time / 1000, chapter.end_time / 1000, " ".join(map(str, chapter.sub_frames.getall("TIT2")))
        )
        for chapter in tags.getall("CHAP")
    ]


def vorbis_markers(texts: Mapping[str, Sequence[str]]) -> list[Marker]:
    """Return the chapters of Vorbis comments, such as CHAPTER001=00:01:02.500 and CHAPTER001NAME=Verse."""
    markers = []
    for name, values in texts.items():
        time = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", values[0].strip())
        if VORBIS_CHAPTER.fullmatch(name) and time:
            hours, minutes, seconds = map(float, time.groups())
            markers.append(Marker(3600 * hours + 60 * minutes + seconds, None, texts.get(f"{name}name", [""])[0]))
    return markers


def cuesheet_markers(cuesheet: Any, sample_rate: int) -> list[Marker]:
    """Return the tracks of a cue sheet in a FLAC file, without the track that marks the end.

    Args:
        cuesheet: mutagen's CueSheet.
        sample_rate: Sample rate of the file, in Hz.
    """
    markers = []
    for track in cuesheet.tracks:
        start = next((index.index_offset for index in track.indexes if index.index_number == 1), 0)
        if track.track_number not in (170, 255):
            markers.append(Marker((track.start_offset + start) / sample_rate, None, f"Track {track.track_number}"))
    return markers


def container_markers(path: str | Path) -> list[Marker]:
    """Return the chapters that FFmpeg finds in MP4, Matroska and other files, timed from the start of the sound."""
    from .streams import chapters_of, open_container

    with Path(path).open("rb") as file, open_container(file) as container:
        sound = next(iter(container.streams.audio), None)
        late = sound.start_time * sound.time_base if sound and sound.start_time and sound.time_base else 0
        markers = []
        for chapter in chapters_of(container):
            unit = chapter["time_base"] or 0  # seconds
            start, end = max(0, chapter["start"] * unit - late), chapter["end"] * unit - late
            name = chapter["metadata"].get("title", "")
            markers.append(Marker(float(start), float(end) if end > start else None, name))
        return markers


def write_id3(tags: ID3, markers: Sequence[Marker], length: float) -> None:
    """Add chapters to an ID3 tag.

    Args:
        tags: The tag.
        markers: The chapters in order of time.
        length: Length of the song in seconds, where the last chapter ends.
    """
    if not markers:
        return
    starts = [marker.start for marker in markers[1:]] + [length]
    names = []
    for number, (marker, following) in enumerate(zip(markers, starts, strict=True), 1):
        end = marker.end if marker.end is not None else max(marker.start, following)
        names.append(f"chp{number}")
        tags.add(
            CHAP(
                element_id=names[-1],
                start_time=round(1000 * marker.start),
                end_time=round(1000 * end),
                start_offset=0xFFFFFFFF,  # no byte offset, so readers use the times
                end_offset=0xFFFFFFFF,
                sub_frames=[TIT2(encoding=3, text=marker.name)] if marker.name else [],
            )
        )
    flags = CTOCFlags.TOP_LEVEL | CTOCFlags.ORDERED
    tags.add(CTOC(element_id="toc", flags=flags, child_element_ids=names, sub_frames=[]))


def vorbis_texts(markers: Sequence[Marker]) -> dict[str, list[str]]:
    """Return Vorbis comments with the times and names of chapters."""
    texts = {}
    for number, marker in enumerate(markers, 1):
        milliseconds = round(1000 * marker.start)
        minutes, milliseconds = divmod(milliseconds, 60_000)
        clock = f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02}.{milliseconds % 1000:03}"
        texts[f"chapter{number:03}"] = [clock]
        texts[f"chapter{number:03}name"] = [marker.name or f"Chapter {number}"]
    return texts
