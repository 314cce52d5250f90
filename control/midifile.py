"""Read the messages of MIDI files with their times in seconds, and write them."""

import io
import math
import os
import warnings
from collections.abc import Iterable
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import ControlError, file_reason
from .files import write_whole
from .miditrack import Event, read_track

if TYPE_CHECKING:
    from mido import Message

DEFAULT_TEMPO_US = 500_000  # microseconds per beat: 120 beats a minute
# Number in a file to SMPTE frames per second, as a fraction. 29 stands for the 29.97 of NTSC.
FRAME_RATES = {24: (24, 1), 25: (25, 1), 29: (30_000, 1001), 30: (30, 1)}
BEATS_PER_SECOND = (2, 1, 4, 8)  # `write` uses the first of these with which a tick can be a sample
MAX_TICKS_PER_BEAT = 32_767
MAX_DELTA_TICKS = (1 << 28) - 1  # most ticks between two events
TRACK_MAGIC = b"MTrk"


def read(path: str | os.PathLike[str]) -> "list[tuple[float, Message]]":
    """Read the channel messages and system resets of a MIDI file.

    In types 0 and 1 all tracks are merged, and a tempo change in any track acts on all. In type 2 the tracks follow one
    another, each with its own tempo. The tempo is 120 beats a minute until one is set. If ticks are parts of SMPTE
    frames (24, 25, 29.97 or 30 a second), tempos are ignored. Times are exact except for a final rounding.

    A file with faults that other programs tolerate is read too, with one UserWarning: a wrong number of tracks in the
    header, wrong lengths, a missing end, data bytes above 0x7f (taken as 0x7f).

    Args:
        path: A standard MIDI file.

    Returns:
        (seconds from the start, message), in order of time.

    Raises:
        ControlError: The file cannot be read, is not a MIDI file or has an invalid event; the error names the event and
            its track, both counted from 1.
    """
    data = _content(path)
    kind, num_tracks, division, start = _header(data, path)
    tracks, faults = _tracks(data, start, path)
    if num_tracks and not tracks:
        raise ControlError(f"{path} has no track; save or download it again")
    if num_tracks != len(tracks):
        faults.insert(0, f"its header says {_count(num_tracks, 'track')}, but it has {len(tracks)}")
    if faults:
        told = "; ".join(faults[:3] + ["..."] * (len(faults) > 3))
        warnings.warn(f"{path} is damaged: {told}; the rest was read", stacklevel=2)
    if kind != 2:
        merged = sorted((event for events, _ in tracks for event in events), key=lambda event: event.tick)
        tracks = [(merged, 0)]
    # All times are whole numbers of one small unit.
    smpte = division >= 0x8000
    if smpte:
        frames, seconds = FRAME_RATES[256 - (division >> 8)]
        units_a_tick, units_a_second = seconds, frames * (division & 0xFF)
    else:
        units_a_tick, units_a_second = DEFAULT_TEMPO_US, 1_000_000 * division
    messages, base = [], 0
    for events, end in tracks:
        last, now, units = 0, base, units_a_tick
        for event in events:
            last, now = event.tick, now + (event.tick - last) * units
            if event.message is not None:
                messages.append((now / units_a_second, event.message))
            elif event.tempo and not smpte:
                units = event.tempo
        base = now + (end - last) * units
    return messages


def describe(messages: "Iterable[Message]") -> str:
    """Describe in a few words which kinds of messages there are, with numbers as in maps.

    Args:
        messages: Channel messages and system resets.

    >>> from mido import Message
    >>> describe([Message("control_change", control=n) for n in (0, 1, 2, 7)] + [Message("note_on", note=60)])
    'controllers 0 to 2, 7, note 60'
    """
    numbers: dict[str, set[int]] = {}
    for message in messages:
        if message.type == "control_change":
            numbers.setdefault("controller", set()).add(message.control)
        elif message.type in ("note_on", "note_off"):
            numbers.setdefault("note", set()).add(message.note)
        elif message.type == "program_change":
            numbers.setdefault("program", set()).add(message.program)
        elif message.type == "reset":  # of the whole system: it has no channel
            numbers.setdefault("system reset", set())
        else:
            kind = "pitch bend on channel" if message.type == "pitchwheel" else "aftertouch on channel"
            numbers.setdefault(kind, set()).add(message.channel + 1)
    kinds = [f"{kind}{'s' if len(found) > 1 else ''} {_ranges(found)}".rstrip() for kind, found in numbers.items()]
    return ", ".join(kinds)


def _ranges(numbers: set[int]) -> str:
    """Return numbers as text, such as "0 to 2, 7"; at most eight groups."""
    groups: list[list[int]] = []
    for number in sorted(numbers):
        if groups and number == groups[-1][-1] + 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    texts = [f"{group[0]} to {group[-1]}" if len(group) > 1 else f"{group[0]}" for group in groups]
    return ", ".join(texts[:8] + ["..."] * (len(texts) > 8))


def has_midi_header(start: bytes) -> bool:
    """Return whether a file is a MIDI file, plain or in RIFF (.rmi).

    Args:
        start: The first 12 bytes of the file.
    """
    return start[:4] == b"MThd" or (start[:4] == b"RIFF" and start[8:12] == b"RMID")


def write(path: str | os.PathLike[str], messages: "Iterable[tuple[int, Message]]", sample_rate: float) -> None:
    """Write a MIDI file of type 0, in which a tick is a sample.

    The tempo is 120 beats a minute if the rate allows it: at 44.1 kHz, a beat has 22,050 ticks. For rates at which a
    tick cannot be a sample, such as a fraction of a Hz, a tick is 4 microseconds.

    Args:
        path: The file. An older one is replaced.
        messages: (sample, message), in any order.
        sample_rate: In Hz.

    Raises:
        ControlError: A sample is negative, the rate is not above 0, or the file cannot be written; nothing has changed.
    """
    from mido import MetaMessage, MidiFile, MidiTrack

    if not isinstance(sample_rate, Real) or not 0 < sample_rate < math.inf:
        raise ControlError(f"sample rate {sample_rate!r} does not work; give a rate in Hz, above 0")
    exact = (beats for beats in BEATS_PER_SECOND if not sample_rate % beats)
    beats = next((beats for beats in exact if sample_rate / beats <= MAX_TICKS_PER_BEAT), None)
    ticks_per_beat, tempo = (30_000, 120_000) if beats is None else (int(sample_rate / beats), 1_000_000 // beats)
    ticks_per_sample = 1_000_000 / tempo * ticks_per_beat / sample_rate
    track = MidiTrack([MetaMessage("set_tempo", tempo=tempo)])
    last = 0
    for sample, message in sorted(messages, key=lambda item: item[0]):
        if sample < 0:
            raise ControlError(f"{path}: a message at sample {sample} cannot be written; give samples from 0 on")
        tick = round(sample * ticks_per_sample)
        while tick - last > MAX_DELTA_TICKS:
            track.append(MetaMessage("text", time=MAX_DELTA_TICKS))
            last += MAX_DELTA_TICKS
        track.append(message.copy(time=tick - last))
        last = tick
    content = io.BytesIO()
    MidiFile(type=0, ticks_per_beat=ticks_per_beat, tracks=[track]).save(file=content)
    write_whole(Path(path), content.getvalue())


def _content(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a MIDI file, without a RIFF header."""
    try:
        with open(path, "rb") as file:
            data = file.read(12)
            if has_midi_header(data):
                data += file.read()
    except OSError as error:
        raise ControlError(f"{path} cannot be read: {file_reason(error)}") from error
    except ValueError as error:  # not a possible file name
        raise ControlError(f"{str(path)!r} cannot be read: {error}") from error
    if data[:4] == b"RIFF" and (start := data.find(b"MThd")) > 0:
        data = data[start : start + int.from_bytes(data[start - 4 : start], "little")]
    if data[:4] != b"MThd":
        raise ControlError(f"{path} is not a MIDI file; give a standard MIDI file (.mid)")
    return data


def _header(data: bytes, path: str | os.PathLike[str]) -> tuple[int, int, int, int]:
    """Return the type, the number of tracks, the division into ticks, and the position of the header's end."""
    length = int.from_bytes(data[4:8])
    if len(data) < 14 or length < 6:
        raise ControlError(f"{path} is cut short in its header; save or download it again")
    kind, num_tracks, division = (int.from_bytes(data[i : i + 2]) for i in (8, 10, 12))
    if kind > 2:
        raise ControlError(f"{path} is a MIDI file of type {kind}; save it as type 0 or 1")
    if division >= 0x8000:
        frames, ticks = 256 - (division >> 8), division & 0xFF
        if frames not in FRAME_RATES or not ticks:
            raise ControlError(
                f"{path}: {ticks} ticks a frame at {frames} frames a second do not work; save it again as type 0 or 1"
            )
    elif not division:
        raise ControlError(f"{path}: 0 ticks a beat do not work; save it again as type 0 or 1")
    return kind, num_tracks, division, 8 + length if _is_chunk(data, 8 + length) else 14


def _tracks(data: bytes, start: int, path: str | os.PathLike[str]) -> tuple[list[tuple[list[Event], int]], list[str]]:
    """Return the events and last tick of each track, and descriptions of the faults."""
    tracks: list[tuple[list[Event], int]] = []
    faults, clipped = [], 0
    while start < len(data):
        length = int.from_bytes(data[start + 4 : start + 8])
        stated = start + 8 + length
        if data[start : start + 4] != TRACK_MAGIC:
            if _is_chunk(data, start) and stated <= len(data):  # not a track; skip it
                start = stated
                continue
            following = data.find(TRACK_MAGIC, start)
            if following < 0 and tracks:
                faults.append(f"{_count(len(data) - start, 'byte')} after the last track are not a track")
            if following < 0:
                break
            faults.append(f"{_count(following - start, 'byte')} before track {len(tracks) + 1} are not a track")
            start = following
            continue
        name = f"track {len(tracks) + 1}"
        # A length is right if it leads to another chunk or the file's end.
        believed = stated == len(data) or _is_chunk(data, stated)
        following = stated if believed else data.find(TRACK_MAGIC, start + 8)
        track = read_track(data[start + 8 : following if following > 0 else len(data)], f"{path}, {name}")
        clipped += track.clipped
        tracks.append((track.events, track.end))
        end = start + 8 + track.length
        if not track.ended and (track.broken or stated > len(data)):
            faults.append(f"{name} is cut short after {_count(track.whole, 'event')}")
        elif not track.ended:
            faults.append(f"{name} has no end event")
        elif not believed and end != stated:
            faults.append(f"the length of {name} is wrong")
        start = end if following < 0 else following
    if clipped:
        faults.append(f"{_count(clipped, 'data byte')} above 0x7f, taken as 0x7f")
    return tracks, faults


def _is_chunk(data: bytes, start: int) -> bool:
    """Return whether a chunk may begin at `start`: four letters and a length."""
    return data[start : start + 4].isalpha() and start + 8 <= len(data)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
