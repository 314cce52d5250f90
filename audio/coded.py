"""Frames of DTS, AC-3 and others that are stored as if they were plain samples, and would be noise."""

# How DTS and what goes through S/PDIF (IEC 61937: AC-3 and others) begin each frame, as 16-bit samples of either order.
_STARTS = tuple(map(bytes.fromhex, ("7ffe8001", "fe7f0180", "1fffe800", "ff1f00e8", "72f81f4e", "f8724e1f")))
_SHORTEST_FRAME = 96  # bytes
LOOKED_AT = 1 << 18  # bytes in which a few such frames would show
REFUSAL = "holds DTS or AC-3 marked as plain samples; decode it to 16-bit WAV first"


def is_coded(data: bytes) -> bool:
    """Return whether 16-bit samples are the frames of another codec."""
    return any(data.count(start) > 2 and _evenly(data, start) for start in _STARTS)


def _evenly(data: bytes, start: bytes) -> bool:
    """Return whether the first three occurrences of `start` are aligned to samples and equally spaced, like frames."""
    first = data.find(start)
    second = data.find(start, first + 4)
    third = data.find(start, second + 4)
    return first % 2 == 0 and third - second == second - first >= _SHORTEST_FRAME
