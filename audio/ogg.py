"""Read and check the pages of an Ogg file, and sort them into streams (RFC 3533)."""

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from .chunks import end_of_data, skip_id3

_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))  # each byte with its bits in the other order
_CONTINUED, _BEGIN, _END = 1, 2, 4  # flags of a page


class Page(NamedTuple):
    """A page.

    Attributes:
        offset: Position in the file, in bytes.
        size: Length in bytes.
        flags: Flags of its header.
        granule: Time at its end, in samples; -1 if no packet ends on it.
        serial: Serial number of its stream.
        sequence: Number of the page in its stream.
        checksum: Checksum in its header.
    """

    offset: int
    size: int
    flags: int
    granule: int
    serial: int
    sequence: int
    checksum: int

    @property
    def begins(self) -> bool:
        """Whether it is the first page of its stream."""
        return bool(self.flags & _BEGIN)

    @property
    def ends(self) -> bool:
        """Whether it is the last page of its stream."""
        return bool(self.flags & _END)

    @property
    def continues(self) -> bool:
        """Whether its first packet began on an earlier page."""
        return bool(self.flags & _CONTINUED)

    def packets(self, file: BinaryIO) -> tuple[list[bytes], bytes | None]:
        """Read its packets.

        Args:
            file: The file.

        Returns:
            The packets that end on it; and the start of a packet that continues on the next page, or None.
        """
        file.seek(self.offset)
        page = file.read(self.size)
        lacing = page[27 : 27 + page[26]]
        packets, start, length = [], 27 + len(lacing), 0
        for value in lacing:
            length += value
            if value < 255:
                packets.append(page[start : start + length])
                start, length = start + length, 0
        return packets, page[start:] if lacing and lacing[-1] == 255 else None


class Pages:
    """Iterates over the undamaged pages of a file.

    Args:
        file: The file.

    Attributes:
        spoiled: Whether the pages so far had other bytes between them, such as damaged pages.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.spoiled = False

    def __iter__(self) -> Iterator[Page]:
        file, position = self._file, skip_id3(self._file)
        while True:
            file.seek(position)
            if not (header := file.read(27)):
                return
            lacing = file.read(header[26]) if len(header) == 27 else b""
            body = file.read(sum(lacing))
            whole = len(header) == 27 and len(lacing) == header[26] and len(body) == sum(lacing)
            blank = header[:22] + bytes(4) + header[26:] + lacing + body
            if whole and header[:4] == b"OggS" and _checksum(blank) == int.from_bytes(header[22:26], "little"):
                yield Page(position, len(blank), *struct.unpack("<xBqIII", header[4:26]))
                position += len(blank)
                continue
            # The page's lengths may be wrong too, so search for the next page.
            following = _find_page(file, position + 1) if position < end_of_data(file) else None
            if following is None:
                return
            self.spoiled = True
            position = following


def find_links(pages: Pages) -> list[dict[int, list[Page]]]:
    """Return the links of a chained file. Each has the streams that begin together, serial number to pages."""
    links: list[dict[int, list[Page]]] = []
    beginning = False
    for page in pages:
        if page.begins:
            if not beginning:
                links.append({})
            links[-1].setdefault(page.serial, []).append(page)
        elif links and page.serial in links[-1]:
            links[-1][page.serial].append(page)
        beginning = page.begins
    return links


def in_order(pages: list[Page]) -> list[Page]:
    """Return the pages of a stream in order of their numbers, without duplicates."""
    unique = {(page.sequence, page.checksum): page for page in pages}
    return sorted(unique.values(), key=lambda page: page.sequence)


def check_pages(file: BinaryIO) -> tuple[Page, Page] | tuple[None, None]:
    """Check that a file is one stream with all its pages in order; return its first and last page, or two None."""
    pages = Pages(file)
    first: Page | None = None
    last: Page | None = None
    for page in pages:
        if last is not None and (page.begins or page.serial != last.serial or page.sequence != last.sequence + 1):
            return None, None
        first, last = first or page, page
    return (None, None) if pages.spoiled or first is None or last is None else (first, last)


def _find_page(file: BinaryIO, start: int) -> int | None:
    """Return the position of the first page at or after `start`, or None."""
    file.seek(start)
    kept = b""
    while data := file.read(65536):
        if (at := (kept + data).find(b"OggS")) >= 0:
            return start - len(kept) + at
        start, kept = start + len(data), (kept + data)[-3:]
    return None


def _checksum(page: bytes) -> int:
    """Return Ogg's CRC-32, which is zlib's with the bits in reverse order, and without inversion at start and end."""
    crc = zlib.crc32(page.translate(_REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2)
