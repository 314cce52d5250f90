"""Read the events in one track of a MIDI file."""

from typing import TYPE_CHECKING, NamedTuple

from ..core.errors import ControlError

if TYPE_CHECKING:
    from mido import Message

MAX_DATA_BYTE = 0x7F  # the largest data byte


class Event(NamedTuple):
    """An event in a track.

    Attributes:
        tick: Its time.
        tempo: Microseconds per beat from here on; None for a message.
        message: A channel message or system reset; None for a tempo.
    """

    tick: int
    tempo: int | None
    message: "Message | None"


class _MalformedError(Exception):
    """An invalid event."""


class Track(NamedTuple):
    """A track that was read.

    Attributes:
        events: Its events.
        end: Its last tick.
        length: Length of its events in bytes.
        ended: Whether it has an end event.
        whole: Number of complete events.
        broken: Whether its bytes end within an event.
        clipped: Number of data bytes above 0x7f.
    """

    events: list[Event]
    end: int
    length: int
    ended: bool
    whole: int
    broken: bool
    clipped: int


def read_track(data: bytes, where: str) -> Track:
    """Read the tempos, channel messages and system resets of a track.

    mido's reader is not used, because it fails at unknown chunks, key signatures and lengths, and cannot say where.

    Args:
        data: The bytes after the track's header. They may go beyond the end of the track.
        where: How errors begin: the file and the track.

    Raises:
        ControlError: An event is not valid; the error names it.
    """
    from mido import Message

    events: list[Event] = []
    start = tick = number = status = clipped = 0
    try:
        while start < len(data):
            number += 1
            delta, at = _variable(data, start)
            first = data[at]
            if first == 0xFF:
                meta = data[at + 1]
                length, at = _variable(data, at + 2)
                content, at = _take(data, at, length)
                if meta == 0x2F:  # the track's end
                    return Track(events, tick + delta, at, True, number, False, clipped)
                if meta == 0x51:
                    tempo = int.from_bytes(content)
                    if length != 3 or not tempo:
                        raise _MalformedError("its tempo is not valid")
                    events.append(Event(tick + delta, tempo, None))
            elif first in (0xF0, 0xF7):
                length, at = _variable(data, at + 1)
                content, at = _take(data, at, length)
                if first == 0xF7 and content == b"\xff":  # an escaped system reset: alone, 0xFF is a meta event
                    events.append(Event(tick + delta, None, Message("reset")))
            else:
                if first >= 0x80:
                    status, at = first, at + 1
                if not 0x80 <= status < 0xF0:
                    raise _MalformedError(f"byte 0x{first:02x} does not begin an event")
                content, at = _take(data, at, 1 if status >> 4 in (0xC, 0xD) else 2)
                clipped += sum(byte > MAX_DATA_BYTE for byte in content)
                message = Message.from_bytes([status, *(min(byte, MAX_DATA_BYTE) for byte in content)])
                events.append(Event(tick + delta, None, message))
            start, tick = at, tick + delta
    except IndexError:
        return Track(events, tick, len(data), False, number - 1, True, clipped)
    except _MalformedError as error:
        raise ControlError(f"{where}, event {number}: {error}; save the file again in the program it is from") from None
    return Track(events, tick, start, False, number, False, clipped)


def _variable(data: bytes, start: int) -> tuple[int, int]:
    """Return a number of up to four bytes, and the position of its end."""
    value = 0
    for i in range(start, start + 4):
        value = value << 7 | data[i] & 0x7F
        if data[i] < 0x80:
            return value, i + 1
    raise _MalformedError("a time or length has more than four bytes")


def _take(data: bytes, start: int, length: int) -> tuple[bytes, int]:
    """Return `length` bytes, and the position of their end."""
    if start + length > len(data):
        raise IndexError
    return data[start : start + length], start + length
