"""Read and write protocol buffers field by field, without a schema."""

import struct
from collections.abc import Iterator

from ...core.errors import StemBridgeError

Message = memoryview | int  # value of a field: a message or text, or a number


def all_of(message: Message, wanted: int) -> Iterator[Message]:
    """Yield the values of all fields with a number.

    Args:
        message: The message.
        wanted: Number of the field.

    Raises:
        ValueError, IndexError: As `fields`.
    """
    return (value for number, value in fields(message) if number == wanted)


def first_message(message: Message, wanted: int) -> memoryview:
    """Return the message or text in the first field with a number, or an empty one if the field is missing.

    Args:
        message: The message.
        wanted: Number of the field.

    Raises:
        ValueError: The field is an integer.
    """
    found = next(all_of(message, wanted), memoryview(b""))
    if not isinstance(found, memoryview):
        raise StemBridgeError("a number where a message should be")
    return found


def first_number(message: Message, wanted: int) -> int:
    """Return the integer in the first field with a number, or 0 if the field is missing.

    Args:
        message: The message.
        wanted: Number of the field.

    Raises:
        ValueError: The field is not an integer.
    """
    found = next(all_of(message, wanted), 0)
    if not isinstance(found, int):
        raise StemBridgeError("a message where a number should be")
    return found


def first_text(message: Message, wanted: int) -> str:
    """Return the text in the first field with a number, or "" if the field is missing.

    Args:
        message: The message.
        wanted: Number of the field.

    Raises:
        ValueError: The field is an integer.
    """
    return bytes(first_message(message, wanted)).decode()


def fields(message: Message) -> Iterator[tuple[int, Message]]:
    """Yield the fields of a message.

    Args:
        message: The message.

    Yields:
        Number of the field, and its value: an integer or bytes.

    Raises:
        ValueError, IndexError: The message is not a protocol buffer, or is cut short.
    """
    if not isinstance(message, memoryview):
        raise StemBridgeError("a number where a message should be")
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
            raise StemBridgeError("not protocol buffers")
        if position + length > len(message):
            raise StemBridgeError("cut short")
        yield key >> 3, message[position : position + length]
        position += length


def varint(message: memoryview, position: int) -> tuple[int, int]:
    """Read an integer of variable length.

    Args:
        message: The message.
        position: Where the integer begins.

    Returns:
        The integer, and the position after it.

    Raises:
        ValueError, IndexError: No integer is there.
    """
    value = 0
    for shift in range(0, 70, 7):
        byte = message[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise StemBridgeError("not protocol buffers")


def encode(*parts: tuple[int, int | float | bytes | str]) -> bytes:
    """Return a message.

    Args:
        parts: Number and value of each field. Floats are written with 32 bits.
    """
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
