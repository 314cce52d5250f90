"""Gains of timelines, and MIDI files of any kind."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from stembridge.control import Automation
from stembridge.engine.gains import Faders


@pytest.fixture(scope="session")
def ride() -> Callable[..., NDArray[np.float64]]:
    """(automation, rate, n, cuts) -> the linear gains of the engine's faders that follow it, (stems, n)."""

    def ride(automation: Automation, rate: int, n: int, cuts: Iterable[int] = ()) -> NDArray[np.float64]:
        faders = Faders(automation.stems, rate, automation.initial())
        gains, start = [], 0
        for length in [*cuts, n]:
            stop = min(start + length, n)
            faders.schedule(automation.moves(start, stop, rate), stop - start)
            gains.append(np.broadcast_to(faders.advance(stop - start), (len(automation.stems), stop - start)))
            start = stop
        return np.concatenate(gains, axis=-1)

    return ride


def number(value: int) -> bytes:
    """Encode a number as MIDI files do for times and lengths: seven bits per byte, highest first."""
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.insert(0, value & 0x7F | 0x80)
    return bytes(digits)


@pytest.fixture
def midi_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a MIDI file byte by byte: tracks of (delta time in ticks, bytes of the event).

    kind: the file's type. division: ticks a beat, or (frames a second, ticks a frame). ends: ticks from the last event
    of each track to its end.
    """

    def midi_file(
        *tracks: list[tuple[int, bytes]],
        kind: int = 1,
        division: int | tuple[int, int] = 480,
        ends: Iterable[int] = (),
        name: str = "ride.mid",
    ) -> Path:
        if isinstance(division, tuple):
            division = (256 - division[0]) << 8 | division[1]
        content = b"MThd" + (6).to_bytes(4) + b"".join(n.to_bytes(2) for n in (kind, len(tracks), division))
        ends = [*ends, *(0 for _ in tracks)]
        for track, end in zip(tracks, ends, strict=False):
            data = b"".join(number(delta) + event for delta, event in [*track, (end, b"\xff\x2f\x00")])
            content += b"MTrk" + len(data).to_bytes(4) + data
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return midi_file
