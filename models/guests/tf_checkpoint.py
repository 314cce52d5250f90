"""Read a TensorFlow checkpoint without TensorFlow. NAME.index lists the variables, NAME.data-* have their values."""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...core.errors import ModelError, StemBridgeError
from .wire import all_of, first_message, first_number, varint

MAGIC = 0xDB4775248B80FB57  # at the end of a table, as LevelDB writes it
FOOTER_BYTES = 48
FLOAT = 1  # number of the type float32
DTYPE, SHAPE, SHARD, OFFSET, SIZE = 1, 2, 3, 4, 5  # of an entry of the index


def read_checkpoint(index: Path) -> dict[str, NDArray[np.float32]]:
    """Read all float32 variables of a checkpoint.

    Args:
        index: Path of the .index file. The files with the values must be next to it.

    Returns:
        Name to values.

    Raises:
        ModelError: The file is not a checkpoint or is damaged, or the files with the values are missing.
        OSError: A file cannot be read.
    """
    variables = {}
    shards = sorted(index.parent.glob(f"{index.stem}.data-*"))
    try:
        table = memoryview(index.read_bytes())
        contents = [np.memmap(shard, np.uint8, "r") for shard in shards]
        for name, entry in _table(table):
            if not name or first_number(entry, DTYPE) != FLOAT:
                continue
            if not shards:
                raise ModelError(f"{index.name} needs its values in {index.stem}.data-00000-of-00001 next to it")
            shape = [first_number(dimension, 1) for dimension in all_of(first_message(entry, SHAPE), 2)]
            start, size = first_number(entry, OFFSET), first_number(entry, SIZE)
            values = contents[first_number(entry, SHARD)][start : start + size]
            variables[name.decode()] = np.frombuffer(values.tobytes(), "<f4").reshape(shape)
    except ModelError:
        raise
    except (ValueError, IndexError, struct.error) as error:
        raise ModelError(f"{index.name} is not a TensorFlow checkpoint, or is damaged") from error
    return variables


def _table(table: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the keys and values of an uncompressed LevelDB table."""
    footer = table[-FOOTER_BYTES:]
    if struct.unpack("<Q", footer[-8:])[0] != MAGIC:
        raise StemBridgeError("not a table")
    _, position = varint(footer, 0)  # position and size of the blocks of metadata
    _, position = varint(footer, position)
    for _, handle in _block(table, footer[position:]):
        yield from _block(table, handle)


def _block(table: memoryview, handle: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the keys and values of a block, in which keys share beginnings. A handle is the block's offset and size."""
    offset, position = varint(handle, 0)
    size, _ = varint(handle, position)
    if table[offset + size] != 0:
        raise StemBridgeError("compressed")
    block = table[offset : offset + size]
    (restarts,) = struct.unpack("<I", block[-4:])
    block = block[: -4 - 4 * restarts]
    key, position = b"", 0
    while position < len(block):
        shared, position = varint(block, position)
        unshared, position = varint(block, position)
        length, position = varint(block, position)
        key = key[:shared] + bytes(block[position : position + unshared])
        position += unshared
        yield key, block[position : position + length]
        position += length
