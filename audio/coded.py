"""Detect frames of DTS, AC-3 and similar codecs that are stored as plain samples, and would sound like noise."""

# First bytes of the frames of DTS and of IEC 61937 (AC-3 and others over S/PDIF), as samples in both byte orders.
_FRAME_STARTS = tuple(map(bytes.fromhex, ("7ffe8001", "fe7f0180", "1fffe800", "ff1f00e8", "72f81f4e", "f8724e1f")))
_MIN_FRAME_BYTES = 96
PROBED_BYTES = 1 << 18  # enough to contain a few such frames
CODED_ERROR = "contains DTS or AC-3 marked as plain samples; decode it to 16-bit WAV first"


def is_coded(data: bytes) -> bool:
    """Return whether 16-bit samples are in fact frames of another codec.

    Args:
        data: Little-endian samples of one or more channels, interleaved.
    """
    return any(data.count(start) > 2 and _evenly(data, start) for start in _FRAME_STARTS)


def _evenly(data: bytes, start: bytes) -> bool:
    """Return whether the first three occurrences of `start` are aligned to samples and equally spaced, like frames."""
    first = data.find(start)
    second = data.find(start, first + 4)
    third = data.find(start, second + 4)
    return first % 2 == 0 and third - second == second - first >= _MIN_FRAME_BYTES
