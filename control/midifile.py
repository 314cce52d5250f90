"""MIDI files as messages in seconds, and back."""

import io
import math
import os
from collections.abc import Iterable
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .errors import ControlError
from .files import write_whole

if TYPE_CHECKING:
    from mido import Message

DEFAULT_TEMPO = 500_000  # microseconds a beat, 120 beats a minute
# Frames a second by what a file says, as a fraction: 29 stands for the 29.97 of NTSC.
FRAME_RATES = {24: (24, 1), 25: (25, 1), 29: (30_000, 1001), 30: (30, 1)}
BEATS = (2, 1, 4, 8)  # a second, of which what is written has the first that makes ticks of samples
FINEST = 32_767  # ticks a beat that a file can have
LONGEST = (1 << 28) - 1  # ticks between two events that a file can hold


class _Event(NamedTuple):
    tick: int
    tempo: int | None  # microseconds a beat
    message: "Message | None"  # of a channel, or a system reset, where it is no tempo


def read(path: str | os.PathLike) -> "list[tuple[float, Message]]":
    """The channel messages and system resets of a MIDI file, in order: (seconds from the start, message).

    Types 0 and 1: all tracks are merged, and tempo changes in any track act on all. Type 2: the tracks come one after
    another, each with its own tempo. 120 beats a minute hold until a tempo is set. Where ticks are parts of SMPTE
    frames (24, 25, 29.97 or 30 a second) tempos mean nothing. Seconds are exact but for the last rounding.
    Raises ControlError that names the file, and the track and the event, both from 1, where they are malformed.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(4)
            if data == b"MThd":
                data += file.read()
    except OSError as error:
        raise ControlError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # a name that no file can have
        raise ControlError(f"{str(path)!r} cannot be read: {error}") from error
    if data[:4] != b"MThd":
        raise ControlError(f"{path} is not a MIDI file; give a standard MIDI file (.mid)")
    kind, num_tracks, division, start = _header(data, path)
    tracks: list[tuple[list[_Event], int]] = []
    while len(tracks) < num_tracks:
        name, length = data[start : start + 4], int.from_bytes(data[start + 4 : start + 8])
        if len(data) < start + 8:
            raise ControlError(f"{path} is cut short: it has {len(tracks)} of {num_tracks} tracks; get it anew")
        if name == b"MTrk":  # any other chunk is to be skipped
            track = data[start + 8 : start + 8 + length]
            tracks.append(_track(track, len(track) < length, f"{path}, track {len(tracks) + 1}"))
        start += 8 + length
    if kind != 2:
        merged = sorted((event for events, _ in tracks for event in events), key=lambda event: event.tick)
        tracks = [(merged, 0)]
    # All times are whole numbers of one small unit.
    smpte = division >= 0x8000
    if smpte:
        frames, seconds = FRAME_RATES[256 - (division >> 8)]
        units_a_tick, units_a_second = seconds, frames * (division & 0xFF)
    else:
        units_a_tick, units_a_second = DEFAULT_TEMPO, 1_000_000 * division
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


def write(path: str | os.PathLike, messages: "Iterable[tuple[int, Message]]", sample_rate: float) -> None:
    """Write (sample, message) as a MIDI file of type 0, whole or not at all.

    A tick is a sample, at 120 beats a minute if the rate allows: 22,050 ticks a beat at 44.1 kHz. Of rates that no
    number of ticks a beat fits, such as a fraction of a Hz, it is 4 microseconds.
    Raises ControlError for a sample that is negative, a rate that is none, or a file that cannot be written.
    """
    from mido import MetaMessage, MidiFile, MidiTrack

    if not isinstance(sample_rate, Real) or not 0 < sample_rate < math.inf:
        raise ControlError(f"sample rate {sample_rate!r} is none; give it in Hz")
    fitting = (beats for beats in BEATS if not sample_rate % beats and sample_rate / beats <= FINEST)
    beats = next(fitting, None)
    ticks_per_beat, tempo = (30_000, 120_000) if beats is None else (int(sample_rate / beats), 1_000_000 // beats)
    ticks_per_sample = 1_000_000 / tempo * ticks_per_beat / sample_rate
    track = MidiTrack([MetaMessage("set_tempo", tempo=tempo)])
    last = 0
    for sample, message in sorted(messages, key=lambda item: item[0]):
        if sample < 0:
            raise ControlError(f"{path}: a message at sample {sample} cannot be written; samples go from 0 on")
        tick = round(sample * ticks_per_sample)
        while tick - last > LONGEST:
            track.append(MetaMessage("text", time=LONGEST))
            last += LONGEST
        track.append(message.copy(time=tick - last))
        last = tick
    content = io.BytesIO()
    MidiFile(type=0, ticks_per_beat=ticks_per_beat, tracks=[track]).save(file=content)
    write_whole(Path(path), content.getvalue())


def _header(data: bytes, path: str | os.PathLike) -> tuple[int, int, int, int]:
    """Type, number of tracks, what a tick is, and where the header ends."""
    length = int.from_bytes(data[4:8])
    if len(data) < 14 or length < 6:
        raise ControlError(f"{path} is cut short in its header; get it anew")
    kind, num_tracks, division = (int.from_bytes(data[i : i + 2]) for i in (8, 10, 12))
    if kind > 2:
        raise ControlError(f"{path} is a MIDI file of type {kind}; save it as type 0 or 1")
    if division >= 0x8000:
        frames, ticks = 256 - (division >> 8), division & 0xFF
        if frames not in FRAME_RATES or not ticks:
            raise ControlError(f"{path}: {ticks} ticks in each of {frames} frames a second do not work; save it anew")
    elif not division:
        raise ControlError(f"{path}: 0 ticks a beat do not work; save it anew")
    return kind, num_tracks, division, 8 + length


class _MalformedError(Exception):
    """An event that cannot be read."""


def _track(data: bytes, cut: bool, where: str) -> tuple[list[_Event], int]:
    """The tempos, channel messages and system resets of a track, and the tick at which it ends.

    cut: whether some of the track is missing.
    mido reads files too, but cannot say where one is malformed.
    """
    from mido import Message

    events: list[_Event] = []
    start = tick = number = status = 0
    try:
        while start < len(data) or cut:
            number += 1
            delta, start = _variable(data, start)
            tick += delta
            first = data[start]
            if first == 0xFF:
                meta = data[start + 1]
                length, start = _variable(data, start + 2)
                content, start = _take(data, start, length)
                if meta == 0x2F:  # the track's end
                    if cut:
                        raise IndexError
                    break
                if meta == 0x51:
                    tempo = int.from_bytes(content)
                    if length != 3 or not tempo:
                        raise _MalformedError("it is a tempo of no length")
                    events.append(_Event(tick, tempo, None))
            elif first in (0xF0, 0xF7):
                length, start = _variable(data, start + 1)
                content, start = _take(data, start, length)
                if first == 0xF7 and content == b"\xff":  # an escaped system reset: alone, 0xFF is a meta event
                    events.append(_Event(tick, None, Message("reset")))
            else:
                if first >= 0x80:
                    status, start = first, start + 1
                if not 0x80 <= status < 0xF0:
                    raise _MalformedError(f"byte 0x{first:02x} begins no event")
                content, start = _take(data, start, 1 if status >> 4 in (0xC, 0xD) else 2)
                if max(content) > 127:
                    raise _MalformedError(f"data byte 0x{max(content):02x} is above 0x7f")
                events.append(_Event(tick, None, Message.from_bytes([status, *content])))
    except IndexError:
        raise ControlError(f"{where}, event {number}: the file is cut short here; get it anew") from None
    except _MalformedError as error:
        raise ControlError(f"{where}, event {number}: {error}; save it anew") from None
    return events, tick


def _variable(data: bytes, start: int) -> tuple[int, int]:
    """A number of up to four bytes, and where it ends."""
    value = 0
    for i in range(start, start + 4):
        value = value << 7 | data[i] & 0x7F
        if data[i] < 0x80:
            return value, i + 1
    raise _MalformedError("a time or length has more than four bytes")


def _take(data: bytes, start: int, length: int) -> tuple[bytes, int]:
    """So many bytes, and where they end."""
    if start + length > len(data):
        raise IndexError
    return data[start : start + length], start + length
