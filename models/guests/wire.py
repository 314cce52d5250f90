"""Messages of protocol buffers, field by field: read and written without their descriptions."""

import struct
from collections.abc import Iterator

Message = memoryview | int


def all_of(message: Message, wanted: int) -> Iterator[Message]:
    """Yield the values of all fields of that number."""
    return (value for number, value in fields(message) if number == wanted)


def first_message(message: Message, wanted: int) -> memoryview:
    """Return the first field of that number, empty if there is none."""
    found = next(all_of(message, wanted), memoryview(b""))
    if not isinstance(found, memoryview):
        raise ValueError("a number where a message should be")
    return found


def first_number(message: Message, wanted: int) -> int:
    """Return the first field of that number, which is an integer; 0 if there is none."""
    found = next(all_of(message, wanted), 0)
    if not isinstance(found, int):
        raise ValueError("a message where a number should be")
    return found


def first_text(message: Message, wanted: int) -> str:
    """Return the first field of that number as text, empty if there is none."""
    return bytes(first_message(message, wanted)).decode()


def fields(message: Message) -> Iterator[tuple[int, Message]]:
    """Yield the fields of a message: number, and the integer or the bytes that it holds.

    Raises:
        ValueError, IndexError: It is not a message of protocol buffers, or cut short.
    """
    if not isinstance(message, memoryview):
        raise ValueError("a number where a message should be")
    position = 0
    while position < len(message):
        key, position = varint(message, position)
        kind = key & 7
        if kind == 0:
            value, position = varint(message, position)
            yield key >> 3, value
            continue
        if kind == 2:
            length, position = varint(message, position)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError("not protocol buffers")
        if position + length > len(message):
            raise ValueError("cut short")
        yield key >> 3, message[position : position + length]
        position += length


def varint(message: memoryview, position: int) -> tuple[int, int]:
    """Return the integer of variable length at a position, and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise ValueError("not protocol buffers")


def encode(*parts: tuple[int, int | float | bytes | str]) -> bytes:
    """Write a message of fields: number, and what it holds; a float has 32 bits."""
    return b"".join(_field(number, value) for number, value in parts)


def _field(number: int, value: int | float | bytes | str) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    if isinstance(value, float):
        return _varint(number << 3 | 5) + struct.pack("<f", value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    digits = bytearray()
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])
