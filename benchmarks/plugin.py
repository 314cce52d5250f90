"""Costs of the bridge: round trip, speed of a board and of StemProcessor alone, load time, memory of the worker.

    python benchmarks/plugin.py

Every measurement runs in new processes; the plugin and its worker may use all cores. Comparisons alternate in one
process. With the defaults everything takes about a minute on an idle machine.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from measuring import (
    BLOCKS,
    RATE,
    alone,
    children,
    goal_text,
    music,
    num_cores,
    peak_of,
    run_benchmark,
    say,
    start_report,
)

MODELS = "live", "mix", "studio"
CALLS_PER_S = 500  # calls of a plugin for each of --seconds
WARM_UP_CALLS = 100  # not measured
ROUND_TRIP_GOAL_US = 50.0  # median
SPEED_GOALS = {512: 75.0, 8192: 90.0}  # buffer size to per cent of StemProcessor's speed
LOAD_GOAL_S = 0.5  # of `mix`


def time_round_trips(seconds: float) -> list[dict[str, Any]]:
    """Measure the time for a block through a processor that does nothing, in us.

    Args:
        seconds: Length of the measurement.

    Returns:
        A row for each block size. p50 and p99: calls with one block each, minus the median of the same call of
        pedalboard's own Gain, alternating. at_once: one call with many blocks, divided by their number, minus the same
        for Gain.
    """
    from pedalboard import Gain
    from stembridge import load_processor

    bridge, gain = load_processor("through:Through"), Gain()
    calls = round(CALLS_PER_S * seconds)
    rows = []
    for size in BLOCKS:
        block = np.ascontiguousarray(music(size / RATE, RATE))
        us = np.empty((2, WARM_UP_CALLS + calls))
        for k in range(us.shape[-1]):
            for times, plugin in zip(us, (bridge, gain), strict=True):
                start = time.perf_counter()
                plugin.process(block, RATE, size, False)
                times[k] = 1e6 * (time.perf_counter() - start)
        us = us[:, WARM_UP_CALLS:]
        song = np.tile(block, calls)
        at_once = []
        for plugin in bridge, gain, bridge, gain:
            start = time.perf_counter()
            plugin.process(song, RATE, size, False)
            at_once.append(1e6 * (time.perf_counter() - start) / calls)
        own = float(np.median(us[1]))
        p50, p99 = (float(value) - own for value in np.percentile(us[0], [50, 99]))
        row = {"block": size, "p50": p50, "p99": p99, "at_once": min(at_once[::2]) - min(at_once[1::2]), "gain": own}
        rows.append(row | {"goal": ROUND_TRIP_GOAL_US, "reached": p50 < ROUND_TRIP_GOAL_US})
    _check_wet(bridge)
    return rows


def compare_speed(model: str, seconds: float, rounds: int) -> list[dict[str, Any]]:
    """Measure the speed of a board with StemMix and of StemProcessor, in alternating rounds.

    Both process blocks of the same size until the song's last sample is out.

    Args:
        model: Name or path.
        seconds: Length of the song.
        rounds: Number of rounds.

    Returns:
        A row for each size, with times real time of both. share: the board's speed in per cent of the processor's, the
        median of rounds. of_best: the same for the best round of each, which a busy machine disturbs least.
    """
    from pedalboard import Pedalboard
    from stembridge import StemMix, StemProcessor

    song = music(seconds, RATE)
    mix, processor = StemMix(model), StemProcessor(model, RATE)
    for k, stem in enumerate(processor.stems):  # different gains, so that every stem must be mixed
        setattr(mix, f"{stem}_db", -3.0 * k)
        processor.set_gains_db(**{stem: -3.0 * k})
    board = Pedalboard([mix])
    padded = np.pad(song, [(0, 0), (0, processor.latency_samples)])

    def through_board(size: int) -> None:
        board(song, RATE, size)

    def through_processor(size: int) -> None:
        processor.reset()
        for start in range(0, padded.shape[-1], size):
            processor.process(padded[:, start : start + size])

    rows = []
    for size, goal in SPEED_GOALS.items():
        taken = np.empty((2, rounds + 1))
        for k in range(rounds + 1):
            for times, run in zip(taken, (through_board, through_processor), strict=True):
                start = time.perf_counter()
                run(size)
                times[k] = time.perf_counter() - start
        taken = taken[:, 1:]  # without the first round, which is slower
        shares = 100 * taken[1] / taken[0]
        share = float(np.median(shares))
        row = {"name": model, "block": size, "share": share, "low": float(shares.min()), "high": float(shares.max())}
        row["of_best"] = float(100 * taken[1].min() / taken[0].min())
        row |= dict(zip(("board", "alone"), map(float, seconds / np.median(taken, axis=1)), strict=True))
        rows.append(row | {"goal": goal, "reached": share >= goal})
    _check_wet(mix)
    return rows


def _check_wet(plugin: Any) -> None:
    if plugin.dropouts:
        raise RuntimeError(f"{plugin.dropouts} blocks went out dry, so the measurement is useless")


def time_load(model: str, rounds: int) -> dict[str, Any]:
    """Measure the import and the constructor in a new process.

    Args:
        model: Name or path.
        rounds: Number of rounds.

    Returns:
        Medians in seconds.
    """
    code = """
import sys, time
start = time.perf_counter()
from stembridge import StemMix
imported = time.perf_counter()
StemMix(sys.argv[1])
print(imported - start, time.perf_counter() - imported)
"""
    command = [sys.executable, "-c", code, model]
    runs = [
        [float(text) for text in subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()]
        for _ in range(rounds + 1)
    ][1:]  # without the first round, which may read from the disk
    imported, loaded = map(statistics.median, zip(*runs, strict=True))
    row: dict[str, Any] = {"name": model, "import": imported, "load": loaded}
    return row | ({"goal": LOAD_GOAL_S, "reached": loaded < LOAD_GOAL_S} if model == "mix" else {})


def watch_worker(model: str, seconds: float) -> dict[str, Any]:
    """Return the peak memory of the process that makes the sound, after a song, in MiB.

    Args:
        model: Name or path.
        seconds: Length of the song.
    """
    from stembridge import StemMix

    mix = StemMix(model, vocals_db=-6)
    mix(music(seconds, RATE), RATE)
    (worker,) = children()
    return {"name": model, "peak_mib": peak_of(worker) / 2**20}


def show(report: dict[str, Any]) -> None:
    """Print the report as tables.

    Args:
        report: The report.
    """
    from stembridge.cli.table import print_table

    print(
        "\nRound trip through a processor that does nothing, stereo, in us for each block, minus pedalboard's own Gain"
    )
    print_table(
        ["block", "p50", "p99", "in one call", "goal for p50"],
        [
            [str(row["block"]), *(f"{row[name]:6.1f}" for name in ("p50", "p99", "at_once")), goal_text(row, "< {:g}")]
            for row in report["round_trip"]
        ],
    )
    print("\nTimes faster than real time, stereo at 44.1 kHz: a board with StemMix, and StemProcessor alone")
    print_table(
        ["", "block", "board", "alone", "share in %", "low to high", "of best", "goal"],
        [
            [row["name"], str(row["block"])]
            + [f"{row[name]:6.2f}" for name in ("board", "alone")]
            + [f"{row['share']:6.1f}", f"{row['low']:.1f} to {row['high']:.1f}", f"{row['of_best']:6.1f}"]
            + [goal_text(row, ">= {:g} %")]
            for row in report["speed"]
        ],
    )
    print("\nA new process, in s: `from stembridge import StemMix`, and then StemMix(model)")
    print_table(
        ["", "import", "load", "goal for load"],
        [
            [row["name"], f"{row['import']:.3f}", f"{row['load']:.3f}", goal_text(row, "< {:g}")]
            for row in report["load"]
        ],
    )
    print("\nPeak memory of the process that makes the sound")
    print_table(["", "MiB"], [[row["name"], f"{row['peak_mib']:.1f}"] for row in report["memory"]])


def measure_all(options: argparse.Namespace) -> dict[str, Any]:
    """Return the report.

    Args:
        options: Options of the command line.
    """
    report = start_report() | {"speed": []}
    say("round trip")
    report["round_trip"] = alone(num_cores(), time_round_trips, options.seconds)
    for model in MODELS:
        say(f"{model}: speed")
        report["speed"] += alone(num_cores(), compare_speed, model, options.seconds, options.rounds)
    say("load time")
    report["load"] = [time_load(model, options.rounds) for model in MODELS]
    say("memory")
    report["memory"] = [alone(num_cores(), watch_worker, model, options.seconds) for model in MODELS]
    return report


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="audio for each measurement (default: 10)")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of each comparison (default: 9)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers to this file")
    run_benchmark(parser, measure_all, show)


if __name__ == "__main__":
    main()
