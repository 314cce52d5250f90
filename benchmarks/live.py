"""Live audio: how long blocks are held, how many are done too late, and how late the sound is.

    python benchmarks/live.py --minutes 10

A song plays in real time through `live` to nowhere, on one core, at each rate and block size, for so many minutes each:
with the defaults eighty-eight in all. The latency is that of a click from a file through the same to a file.

How quiet the core is says a loop of the same priority that does nothing but wake up for each block, afterwards, for a
tenth of the time: on a core where it is too late now and then, no program is always in time.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from engine import alone, music, run_benchmark, say, start_report

MODEL = "live"
RATES = 44100, 48000
BLOCKS = 64, 128, 256, 512
SONG, CLICK_SONG = 30.0, 1.0  # s
CLICK = 0.3  # s into its song
WAIT = 60.0  # s that the end may be late
IDLE = 0.1  # of the time, for the loop that does nothing


def time_points(minutes: float, rates: tuple[int, ...], blocks: tuple[int, ...]) -> list[dict[str, Any]]:
    """A row for each rate and block size."""
    rows = []
    for rate in rates:
        for block in blocks:
            say(f"{rate} Hz, blocks of {block}")
            row = {"rate": rate, "block": block, "lasts": 1e3 * block / rate}
            row |= time_blocks(rate, block, 60 * minutes) | time_click(rate, block)
            with ThreadPoolExecutor(1) as thread:  # whose priority ends with it
                rows.append(row | thread.submit(time_idle, block / rate, 60 * minutes * IDLE).result())
    return rows


def time_idle(lasts: float, seconds: float) -> dict[str, int]:
    """How often a loop that only waits for the next block, `lasts` s away, wakes up when that has passed already."""
    from stembridge.live.block_callback import REALTIME_PRIORITY, request_realtime_priority

    request_realtime_priority(REALTIME_PRIORITY)
    wakes, late = max(1, round(seconds / lasts)), 0
    comes = time.perf_counter() + lasts
    for _ in range(wakes):
        time.sleep(max(0.0, comes - time.perf_counter()))
        late += time.perf_counter() > comes + lasts
        comes = max(comes + lasts, time.perf_counter() - lasts)
    return {"idle_misses": late, "idle_blocks": wakes}


def time_blocks(rate: int, block: int, seconds: float) -> dict[str, Any]:
    """How long blocks were held, in ms, how many deadlines they missed, and the share of the core that it took."""
    live = _played(music(SONG, rate), rate, block, seconds, lambda folder: "none")[0]
    ms = 1e3 * live.block_seconds
    p50, p95, p99 = (float(value) for value in np.percentile(ms, [50, 95, 99]))
    held = {"p50": p50, "p95": p95, "p99": p99, "max": float(ms.max())}
    return held | {"misses": live.misses, "blocks": live.blocks, "load": live.load}


def time_click(rate: int, block: int) -> dict[str, Any]:
    """Samples from a click's place in the file that plays to its place in the file that is written."""
    song = np.zeros((2, int(CLICK_SONG * rate)), np.float32)
    song[:, int(CLICK * rate)] = 0.5
    live, sound = _played(song, rate, block, CLICK_SONG, lambda folder: str(folder / "out.wav"))
    assert sound is not None
    return {"measured": int(np.abs(sound[:, 0]).argmax()) - int(CLICK * rate), "reported": live.latency_samples}


def _played(
    song: NDArray[np.float32], rate: int, block: int, seconds: float, output: Callable[[Path], str]
) -> tuple[Any, NDArray[np.float32] | None]:
    """The Live that has played a song, and what it wrote, (n, channels)."""
    from stembridge.live import Live

    with tempfile.TemporaryDirectory() as folder:
        soundfile.write(f"{folder}/song.wav", song.T, rate, "FLOAT")
        place = output(Path(folder))
        with Live(f"{folder}/song.wav", place, model=MODEL, block=block, seconds=seconds) as live:
            if not live.wait(seconds + WAIT):
                raise ValueError(f"{seconds:g} s of sound took more than {seconds + WAIT:g} s; the machine is too slow")
        return live, None if place == "none" else soundfile.read(place, dtype="float32")[0]


def show(report: dict[str, Any]) -> None:
    """The report as a table."""
    from stembridge.cli.table import print_table

    print(
        f"\nHow long blocks are held, in ms, and how many are done too late in {report['minutes']:g} minutes; "
        "latency in samples; idle: a loop that does nothing"
    )
    print_table(
        ["rate", "block", "lasts", "p50", "p95", "p99", "max", "misses", "idle", "load", "measured", "reported"],
        [
            [str(row["rate"]), str(row["block"]), f"{row['lasts']:.2f}"]
            + [f"{row[name]:.2f}" for name in ("p50", "p95", "p99", "max")]
            + [f"{row['misses']} of {row['blocks']}", f"{row['idle_misses']} of {row['idle_blocks']}"]
            + [f"{row['load']:.0%}"]
            + [str(row["measured"]), str(row["reported"])]
            for row in report["rows"]
        ],
    )
    reached = {True: "reached", False: "missed"}
    print(f"no miss: {reached[not any(row['misses'] for row in report['rows'])]}")
    print(f"measured is reported: {reached[all(row['measured'] == row['reported'] for row in report['rows'])]}")


def measure_all(options: argparse.Namespace) -> dict[str, Any]:
    """The report. Raises ValueError for options out of range."""
    if not 0.001 <= options.minutes <= 600:
        raise ValueError(f"--minutes {options.minutes:g} is out of range; give 0.001 to 600")
    return start_report() | {
        "minutes": options.minutes,
        "rows": alone(1, time_points, options.minutes, RATES, BLOCKS),
    }


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="for each rate and block size (default: 10)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers here too")
    run_benchmark(parser, measure_all, show)


if __name__ == "__main__":
    main()
