"""How long the plugin stays dry after its process was held up for a while, in real time.

    python benchmarks/stalls.py

A small host (`tests/plugin/bridge/native/`, built with g++) plays noise through StemBridge with `live`. Its process is
stopped for as long as a row says, and then goes on. Shown is the time from then until the sound is wet again; the goal
is the network's latency and a tenth of a second. Nothing else should run on the machine.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from measuring import goal_text, run_benchmark, start_report
from stembridge.plugin.bridge.bundle import bundle_library

ROOT = Path(__file__).parents[1]
RATES_HZ, BLOCKS, STALLS_S = (44100, 48000), (64, 128, 256, 512, 1024), (0.2, 1.0, 3.0)
BEFORE_S, AFTER_S = 1.0, 1.5  # of playing before and after a stall
SLACK_S = 0.1


def measure_all(options: argparse.Namespace) -> dict[str, Any]:
    """Return the report: a row for each rate, block and stall."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="stembridge-stalls-") as folder:
        home = Path(folder)
        install = [
            sys.executable,
            "-m",
            "stembridge",
            "vst3",
            "install",
            "--dir",
            folder,
            "--model",
            "live",
            "--name",
            "StemBridge",
        ]
        subprocess.run(install, check=True, capture_output=True)
        build = ROOT / "tests" / "plugin" / "bridge" / "native" / "build.py"
        subprocess.run([sys.executable, build, home / "host"], check=True)
        for rate in RATES_HZ:
            for block in BLOCKS:
                for stall in STALLS_S:
                    runs = [measure_delay(home, rate, block, stall) for _ in range(options.rounds)]
                    delays, latency = [delay for delay, _ in runs], runs[0][1]
                    row = {"rate": rate, "block": block, "stall": stall, "latency": latency}
                    row |= {"median": statistics.median(delays), "worst": max(delays)}
                    goal = SLACK_S + latency
                    rows.append(row | {"goal": goal, "reached": row["median"] <= goal})
    return start_report() | {"stalls": rows}


def measure_delay(home: Path, rate: int, block: int, stall: float) -> tuple[float, float]:
    """Return how many seconds after a stall the sound is wet again, and the plugin's latency in seconds."""
    n = int((BEFORE_S + stall + AFTER_S) * rate)
    np.random.default_rng(0).uniform(-0.5, 0.5, (2, n)).astype(np.float32).tofile(home / "song")
    command: list[str | Path] = [
        home / "host",
        bundle_library(home / "StemBridge.vst3"),
        "play",
        home / "song",
        home / "out",
    ]
    command += [f"rate={rate}", f"block={block}", "move=0:Vocals:0"]
    with subprocess.Popen(command, stdout=-1, stderr=subprocess.DEVNULL, text=True) as host:
        assert host.stdout is not None
        latency = int(host.stdout.readline().split()[1])
        start = time.monotonic()
        (worker,) = psutil.Process(host.pid).children()
        time.sleep(BEFORE_S)
        worker.suspend()
        time.sleep(stall)
        worker.resume()
        resumed = round((time.monotonic() - start) * rate)
        lines = [line.split() for line in host.stdout]
    end = 0  # of dry blocks in a row
    for first, size in ((int(line[1]), int(line[2])) for line in lines if line[0] == "dry"):
        if first > max(end, resumed + block):
            break  # dry again, for another reason
        end = first + size
    return max(0, end - resumed) / rate, latency / rate


def show(report: dict[str, Any]) -> None:
    """Print the report as a table."""
    from stembridge.cli.table import print_table

    print_table(
        ["rate in Hz", "block", "stall in s", "wet after s, median", "worst", "goal"],
        [
            [
                *(str(row[name]) for name in ("rate", "block", "stall")),
                *(f"{row[name]:.3f}" for name in ("median", "worst")),
                goal_text(row, "<= {:.3f}"),
            ]
            for row in report["stalls"]
        ],
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each row (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers here too")
    run_benchmark(parser, measure_all, show)


if __name__ == "__main__":
    main()
