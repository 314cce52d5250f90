"""Pages of an Ogg file: whether all are there and whole, and whether they are of one stream (RFC 3533)."""

import os
import zlib
from typing import BinaryIO, NamedTuple

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))  # each byte with its bits in the other order
_BEGIN, _END = 2, 4  # flags of a page


class Pages(NamedTuple):
    """What the pages of a file tell.

    spoiled: bytes of a page have changed. ended: the last page is there. several: streams stand one after the other.
    """

    spoiled: bool
    ended: bool
    several: bool


def check_pages(file: BinaryIO) -> Pages:
    """Read all pages of an Ogg file, up to where it is cut off or a second stream begins."""
    spoiled, ended, serial = False, False, b""
    while header := file.read(27):
        lacing = file.read(header[26]) if len(header) == 27 else b""
        body = file.read(sum(lacing))
        if len(header) < 27 or len(lacing) < header[26] or len(body) < sum(lacing):
            return Pages(spoiled, False, False)
        page = header[:22] + bytes(4) + header[26:] + lacing + body
        if header[:4] != b"OggS" or _checksum(page) != int.from_bytes(header[22:26], "little"):
            spoiled = True  # its lengths may be wrong as well, so look for the next one
            if not _seek_page(file, 1 - len(page)):
                return Pages(True, ended, False)
            continue
        if serial and (header[5] & _BEGIN or header[14:18] != serial):
            return Pages(spoiled, ended, True)
        serial, ended = header[14:18], bool(header[5] & _END)
    return Pages(spoiled, ended, False)


def _seek_page(file: BinaryIO, offset: int) -> bool:
    """Go to the first page from `offset` on, relative to here; return False if there is none."""
    file.seek(offset, os.SEEK_CUR)
    start = file.tell()
    kept = b""
    while data := file.read(65536):
        if (at := (kept + data).find(b"OggS")) >= 0:
            file.seek(start - len(kept) + at)
            return True
        start, kept = start + len(data), (kept + data)[-3:]
    return False


def _checksum(page: bytes) -> int:
    """Ogg's CRC-32: zlib's, but with bits in the other order, and neither start nor end inverted."""
    crc = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2)
