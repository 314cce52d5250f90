"""Costs of small blocks offline: processor time of a song, by the size of its blocks.

    python benchmarks/offline.py

It measures `StemProcessor` as it is, `StemProcessor` with `offline` set, and, together with its process, `StemMix`
called by itself and in a `Pedalboard`. Each round measures all of them with all sizes. The ratios compare each size
with blocks of 65536 in the same round. All numbers are medians.
"""

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measuring import (
    BLOCK,
    BLOCKS,
    RATE,
    alone,
    children,
    goal_text,
    music,
    num_cores,
    run_benchmark,
    say,
    start_report,
)
from numpy.typing import NDArray

MODELS = "live", "mix"
SIZES = *BLOCKS, 4096, BLOCK
MAX_RATIO = 1.5  # goal: processor time divided by that of large blocks
GOAL_SIZE = 256


def compare_sizes(model: str, rate: int, seconds: float, rounds: int) -> list[dict[str, Any]]:
    """Measure the processor time of a song for each way and size of blocks.

    Args:
        model: Name or path.
        rate: In Hz.
        seconds: Length of the song.
        rounds: Number of rounds.

    Returns:
        A row for each way and size, with the median time in seconds, and the median ratio to large blocks.
    """
    song = music(seconds, rate)
    ways = {
        "as it is": _processor(model, rate, False),
        "offline": _processor(model, rate, True),
        "StemMix": _stem_mix(model, rate, False),
        "board": _stem_mix(model, rate, True),
    }
    taken = np.empty((len(ways), len(SIZES), rounds + 1))
    for k in range(rounds + 1):
        for i, run in enumerate(ways.values()):
            for j, size in enumerate(SIZES):
                taken[i, j, k] = run(song, size)
    taken = taken[..., 1:]  # without the first round, which is slower
    ratios = np.median(taken / taken[:, -1:], axis=-1)
    rows = []
    for i, way in enumerate(ways):
        for j, size in enumerate(SIZES):
            measured = {"cpu": float(np.median(taken[i, j])), "ratio": float(ratios[i, j])}
            rows.append({"model": model, "rate": rate, "way": way, "block": size, **measured})
            if way != "as it is" and size == GOAL_SIZE:
                rows[-1] |= {"goal": MAX_RATIO, "reached": measured["ratio"] <= MAX_RATIO}
    return rows


def _processor(model: str, rate: int, offline: bool) -> Callable[[NDArray[np.float32], int], float]:
    from stembridge import StemProcessor

    processor = StemProcessor(model, rate)
    processor.set_gains_db(**{stem: -3.0 * k for k, stem in enumerate(processor.stems)})

    def run(song: NDArray[np.float32], size: int) -> float:
        processor.reset()
        processor.offline = offline
        start = time.process_time()
        for at in range(0, song.shape[-1], size):
            processor.process(song[:, at : at + size])
        return time.process_time() - start

    return run


def _stem_mix(model: str, rate: int, in_board: bool) -> Callable[[NDArray[np.float32], int], float]:
    from pedalboard import Pedalboard
    from stembridge import StemMix

    before = set(children())
    mix = StemMix(model)
    for k, stem in enumerate(mix.stems):
        setattr(mix, f"{stem}_db", -3.0 * k)
    plugin = Pedalboard([mix]) if in_board else mix
    workers = set(children()) - before

    def run(song: NDArray[np.float32], size: int) -> float:
        start = _cpu(workers)
        plugin(song, rate, size)
        return _cpu(workers) - start

    return run


def _cpu(processes: set[str]) -> float:
    """Return the processor time of this process and of other processes, with all their threads, in seconds."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    tasks = (task for pid in processes for task in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return own.ru_utime + own.ru_stime + 1e-9 * sum(int(task.read_text().split()[0]) for task in tasks)


def measure_all(options: argparse.Namespace) -> dict[str, Any]:
    """Return the report.

    Args:
        options: Options of the command line.
    """
    report = start_report() | {"rows": []}
    for model in MODELS:
        for rate in RATE, 48000:
            say(f"{model} at {rate} Hz")
            report["rows"] += alone(num_cores(), compare_sizes, model, rate, options.seconds, options.rounds)
    return report


def show(report: dict[str, Any]) -> None:
    """Print the report as a table.

    Args:
        report: The report.
    """
    from stembridge.cli.table import print_table

    print("\nProcessor time in s, and its ratio to that with blocks of 65536")
    print_table(
        ["", "Hz", "", "block", "s", "ratio", "goal"],
        [
            [
                row["model"],
                str(row["rate"]),
                row["way"],
                str(row["block"]),
                f"{row['cpu']:6.2f}",
                f"{row['ratio']:6.2f}",
                goal_text(row, "<= {:g}"),
            ]
            for row in report["rows"]
        ],
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the song (default: 10)")
    parser.add_argument("--rounds", type=int, default=7, help="number of rounds (default: 7)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers to this file")
    run_benchmark(parser, measure_all, show)


if __name__ == "__main__":
    main()
