"""How long it takes from the command to the first rendered second of `stembridge remix`.

    python benchmarks/start.py

A new process each time, as in a shell: Python starts, imports, opens the song, makes the session, and renders until one
second of the remix is there. `studio` looks ahead, so it has to hear more than eight seconds for that. The processor's
time is shown too, because it hardly depends on what else the machine does.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import soundfile

from engine import RATE, music, run_benchmark, say, start_report

MODELS = "live", "studio"
SECONDS = 30.0  # of the song
GOAL = 1.0  # s

# Runs the command, and ends it when a second is rendered: "first" on stdout, with the clock and the processor's time.
PROGRAM = """
import json, os, resource, sys, time
entered = time.time()
from stembridge.cli import main

def stop_after_a_second():
    from stembridge.engine.processor import StemProcessor

    process, done = StemProcessor.process, 0

    def process_and_count(self, block, moves=()):
        nonlocal done
        out = process(self, block, moves)
        done += out.shape[-1]
        if done - self.latency_samples >= self.sample_rate:
            usage = resource.getrusage(resource.RUSAGE_SELF)
            cpu = usage.ru_utime + usage.ru_stime
            print(json.dumps({"entered": entered, "first": time.time(), "cpu": cpu}), flush=True)
            os.kill(os.getpid(), 15)
        return out

    StemProcessor.process = process_and_count

class Watch:
    # Waits for the command to import the engine, whose order of imports is its own.
    def find_spec(self, name, path=None, target=None):
        if name == "stembridge.render.song.song" and self in sys.meta_path:
            sys.meta_path.remove(self)
            stop_after_a_second()

sys.meta_path.insert(0, Watch())
sys.exit(main(sys.argv[1:]))
"""


def time_start(model: str, song: Path, rounds: int) -> dict[str, Any]:
    """Seconds from the start of the process: medians, and the shortest until the first rendered second."""
    entered, first, cpu = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["remix", str(song), "--vocals", "-80", "--model", model, "-o", str(Path(folder, "out.wav"))]
        for _ in range(rounds + 1):
            began = time.time()
            done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True)
            if not done.stdout:
                raise ValueError(f"the command did not render a second: {done.stderr.strip()}")
            times = json.loads(done.stdout)
            entered.append(times["entered"] - began)
            first.append(times["first"] - began)
            cpu.append(times["cpu"])
    # The first round reads files from the disk that the others find in memory.
    entered, first, cpu = entered[1:], first[1:], cpu[1:]
    return {
        "model": model,
        "rounds": rounds,
        "python": median(entered),
        "first_second": median(first),
        "shortest": min(first),
        "cpu": median(cpu),
    }


def measure_all(options: argparse.Namespace) -> dict[str, Any]:
    """The report."""
    report = start_report()
    with tempfile.TemporaryDirectory() as folder:
        song = Path(folder, "song.wav")
        soundfile.write(song, music(SECONDS, RATE).T, RATE)
        rows = []
        for model in MODELS:
            say(model)
            rows.append(time_start(model, song, options.rounds))
    return report | {"rows": rows}


def show(report: dict[str, Any]) -> None:
    """The report as a table."""
    print("\nSeconds from the command to the first rendered second:")
    print(f"{'model':<10}{'Python runs':>12}{'first second':>14}{'shortest':>10}{'processor':>11}")
    for row in report["rows"]:
        print(
            f"{row['model']:<10}{row['python']:>12.2f}{row['first_second']:>14.2f}"
            f"{row['shortest']:>10.2f}{row['cpu']:>11.2f}"
        )
    reached = all(row["first_second"] < GOAL for row in report["rows"])
    print(f"under {GOAL:g} s: {'reached' if reached else 'missed'}")


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10, help="how often to start each")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    run_benchmark(parser, measure_all, show)


if __name__ == "__main__":
    main()
