"""Live audio: how long the work on blocks takes, how many blocks are late, and the latency.

    python benchmarks/live.py --minutes 10

A song plays in real time through `live`, without an output, on one core, at each rate and block size, for so many
minutes each: with the defaults eighty-eight in all. The latency is measured with a click from a file to a file.

Then, for a tenth of the time, a loop with the same priority only wakes up for each block. If it is late now and then,
no program can always be in time on that core.
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
from measuring import alone, music, run_benchmark, say, start_report
from numpy.typing import NDArray

MODEL = "live"
RATES = 44100, 48000
BLOCKS = 64, 128, 256, 512
SONG_S, CLICK_SONG_S = 30.0, 1.0
CLICK_S = 0.3  # position of the click in its song
END_TIMEOUT_S = 60.0  # how much later the end may come
IDLE_SHARE = 0.1  # of the time, for the loop that does nothing


def time_points(minutes: float, rates: tuple[int, ...], blocks: tuple[int, ...]) -> list[dict[str, Any]]:
    """Return a row for each rate and block size.

    Args:
        minutes: Length of each measurement.
        rates: In Hz.
        blocks: In samples.
    """
    rows = []
    for rate in rates:
        for block in blocks:
            say(f"{rate} Hz, blocks of {block}")
            row = {"rate": rate, "block": block, "lasts": 1e3 * block / rate}
            row |= time_blocks(rate, block, 60 * minutes) | time_click(rate, block)
            with ThreadPoolExecutor(1) as thread:  # in a thread, whose priority ends with it
                rows.append(row | thread.submit(time_idle, block / rate, 60 * minutes * IDLE_SHARE).result())
    return rows


def time_idle(lasts: float, seconds: float) -> dict[str, int]:
    """Count how often a loop that only waits for the next block wakes up after that block's end.

    Args:
        lasts: Length of a block, in seconds.
        seconds: Length of the measurement.
    """
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
    """Return how long the work on blocks took in ms, how many blocks were late, and the share of the core that it took.

    Args:
        rate: In Hz.
        block: Samples in a block.
        seconds: Length of the measurement.
    """
    live = _played(music(SONG_S, rate), rate, block, seconds, lambda folder: "none")[0]
    ms = 1e3 * live.block_seconds
    p50, p95, p99 = (float(value) for value in np.percentile(ms, [50, 95, 99]))
    took = {"p50": p50, "p95": p95, "p99": p99, "max": float(ms.max())}
    return took | {"misses": live.misses, "blocks": live.blocks, "load": live.load}


def time_click(rate: int, block: int) -> dict[str, Any]:
    """Measure the latency by a click: its position in the written file minus that in the song.

    Args:
        rate: In Hz.
        block: Samples in a block.

    Returns:
        The measured and the reported latency, in samples.
    """
    song = np.zeros((2, int(CLICK_SONG_S * rate)), np.float32)
    song[:, int(CLICK_S * rate)] = 0.5
    live, sound = _played(song, rate, block, CLICK_SONG_S, lambda folder: str(folder / "out.wav"))
    assert sound is not None
    return {"measured": int(np.abs(sound[:, 0]).argmax()) - int(CLICK_S * rate), "reported": live.latency_samples}


def _played(
    song: NDArray[np.float32], rate: int, block: int, seconds: float, output: Callable[[Path], str]
) -> tuple[Any, NDArray[np.float32] | None]:
    """Play a song, and return the Live and the written sound, (n, channels)."""
    from stembridge.live import Live

    with tempfile.TemporaryDirectory() as folder:
        soundfile.write(f"{folder}/song.wav", song.T, rate, "FLOAT")
        place = output(Path(folder))
        with Live(f"{folder}/song.wav", place, model=MODEL, block=block, seconds=seconds) as live:
            if not live.wait(seconds + END_TIMEOUT_S):
                raise ValueError(
                    f"{seconds:g} s of sound took more than {seconds + END_TIMEOUT_S:g} s; the machine is too slow"
                )
        return live, None if place == "none" else soundfile.read(place, dtype="float32")[0]


def show(report: dict[str, Any]) -> None:
    """Print the report as a table.

    Args:
        report: The report.
    """
    from stembridge.cli.table import print_table

    print(
        f"\nTime for a block in ms, late blocks in {report['minutes']:g} minutes, latency in samples; "
        "idle: a loop that does nothing"
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
    print(f"no late block: {reached[not any(row['misses'] for row in report['rows'])]}")
    is_exact = all(row["measured"] == row["reported"] for row in report["rows"])
    print(f"measured latency equals reported: {reached[is_exact]}")


def measure_all(options: argparse.Namespace) -> dict[str, Any]:
    """Return the report.

    Args:
        options: Options of the command line.

    Raises:
        ValueError: An option is out of range.
    """
    if not 0.001 <= options.minutes <= 600:
        raise ValueError(f"--minutes {options.minutes:g} is out of range; give 0.001 to 600")
    return start_report() | {
        "minutes": options.minutes,
        "rows": alone(1, time_points, options.minutes, RATES, BLOCKS),
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="length for each rate and block size (default: 10)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers to this file")
    run_benchmark(parser, measure_all, show)


if __name__ == "__main__":
    main()
