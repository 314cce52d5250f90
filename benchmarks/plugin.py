"""What the bridge costs: round trip, speed of a board against StemProcessor alone, load time, memory of the worker.

    python benchmarks/plugin.py

Every measurement runs in processes of its own; the plugin and its worker may use all cores. What is compared runs by
turns in one process. With the defaults all of it takes about a minute on an idle machine.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from engine import BLOCKS, RATE, alone, music, num_cores, run_benchmark, say, start_report

MODELS = "live", "studio"
CALLS = 500  # of a plugin, for each of --seconds
WARM_UP = 100  # calls not counted
ROUND_TRIP_GOAL = 50.0  # us at the median
SPEED_GOALS = {512: 75.0, 8192: 90.0}  # buffer size -> per cent of StemProcessor's speed
LOAD_GOAL = 0.5  # s, of `live`


def time_round_trips(seconds: float) -> list[dict[str, Any]]:
    """What a block costs, in us, through a processor that does nothing.

    One by one: calls of a block each, less the median of the same call of pedalboard's own Gain, by turns. At once: one
    call of many blocks, divided by them, less the same of Gain.
    """
    from pedalboard import Gain
    from stembridge import load_processor

    bridge, gain = load_processor("through:Through"), Gain()
    calls = round(CALLS * seconds)
    rows = []
    for size in BLOCKS:
        block = np.ascontiguousarray(music(size / RATE, RATE))
        us = np.empty((2, WARM_UP + calls))
        for k in range(us.shape[-1]):
            for times, plugin in zip(us, (bridge, gain), strict=True):
                start = time.perf_counter()
                plugin.process(block, RATE, size, False)
                times[k] = 1e6 * (time.perf_counter() - start)
        us = us[:, WARM_UP:]
        song = np.tile(block, calls)
        at_once = []
        for plugin in bridge, gain, bridge, gain:
            start = time.perf_counter()
            plugin.process(song, RATE, size, False)
            at_once.append(1e6 * (time.perf_counter() - start) / calls)
        own = float(np.median(us[1]))
        p50, p99 = (float(value) - own for value in np.percentile(us[0], [50, 99]))
        row = {"block": size, "p50": p50, "p99": p99, "at_once": min(at_once[::2]) - min(at_once[1::2]), "gain": own}
        rows.append(row | {"goal": ROUND_TRIP_GOAL, "reached": p50 < ROUND_TRIP_GOAL})
    _check_wet(bridge)
    return rows


def compare_speed(model: str, seconds: float, rounds: int) -> list[dict[str, Any]]:
    """Times faster than real time of a song through a board with StemMix, and through StemProcessor, by turns.

    Both work on blocks of the same size until the song's last sample is out. Share: in per cent, the median of rounds.
    Of best: the best of the board's rounds against the best of the processor's, which a busy machine disturbs least.
    """
    from pedalboard import Pedalboard
    from stembridge import StemMix, StemProcessor

    song = music(seconds, RATE)
    mix, processor = StemMix(model), StemProcessor(model, RATE)
    for k, stem in enumerate(processor.stems):  # no two at the same place, so that every stem has to be mixed
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
        taken = taken[:, 1:]  # the first are slower
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
        raise RuntimeError(f"{plugin.dropouts} blocks went out dry, which measures nothing")


def time_load(model: str, rounds: int) -> dict[str, Any]:
    """Seconds that the import and then the constructor take in a fresh process, at the median."""
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
    ][1:]  # the first may read from the disk
    imported, loaded = map(statistics.median, zip(*runs, strict=True))
    row: dict[str, Any] = {"name": model, "import": imported, "load": loaded}
    return row | ({"goal": LOAD_GOAL, "reached": loaded < LOAD_GOAL} if model == "live" else {})


def watch_worker(model: str, seconds: float) -> dict[str, Any]:
    """Peak memory in MiB of the process that makes the sound, after a song."""
    from stembridge import StemMix

    mix = StemMix(model, vocals_db=-6)
    mix(music(seconds, RATE), RATE)
    tasks = Path("/proc/self/task").iterdir()
    (worker,) = (child for task in tasks for child in (task / "children").read_text().split())
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{worker}/status").read_text().splitlines())
    return {"name": model, "peak_mib": int(lines["VmHWM"].split()[0]) / 1024}


def show(report: dict[str, Any]) -> None:
    """The report as tables."""
    from stembridge.cli.table import print_table

    print("\nRound trip through a processor that does nothing, stereo, in us a block beyond pedalboard's own Gain")
    print_table(
        ["block", "p50", "p99", "in one call", "goal for p50"],
        [
            [str(row["block"]), *(f"{row[name]:6.1f}" for name in ("p50", "p99", "at_once")), _goal(row, "< {:g}")]
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
            + [_goal(row, ">= {:g} %")]
            for row in report["speed"]
        ],
    )
    print("\nA fresh process, in s: `from stembridge import StemMix`, and then StemMix(model)")
    print_table(
        ["", "import", "load", "goal for load"],
        [[row["name"], f"{row['import']:.3f}", f"{row['load']:.3f}", _goal(row, "< {:g}")] for row in report["load"]],
    )
    print("\nPeak memory of the process that makes the sound")
    print_table(["", "MiB"], [[row["name"], f"{row['peak_mib']:.1f}"] for row in report["memory"]])


def _goal(row: dict[str, Any], form: str) -> str:
    if "goal" not in row:
        return ""
    return f"{form.format(row['goal'])}: {'reached' if row['reached'] else 'missed'}"


def measure_all(options: argparse.Namespace) -> dict[str, Any]:
    """The report. Raises ValueError for options out of range."""
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
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="of audio, for each measurement (default: 10)")
    parser.add_argument("--rounds", type=int, default=9, help="of each comparison (default: 9)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers here too")
    run_benchmark(parser, measure_all, show)


if __name__ == "__main__":
    main()
