"""Time from the command `stembridge remix` to the first rendered second.

    python benchmarks/start.py

Each round is a new process, as in a shell: Python starts, imports, opens the song, makes the session, and renders one
second of the remix. `studio` looks ahead, so it has to process more than eight seconds for that. The processor time is
shown too, because it hardly depends on other work of the machine.
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
from measuring import RATE, music, run_benchmark, say, start_report

MODELS = "live", "mix", "studio"
SECONDS = 30.0  # of the song
GOAL_S = 1.0

# Runs the command, and ends it when a second is rendered. It prints the clock and the processor time.
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
    # Waits until the command imports the engine.
    def find_spec(self, name, path=None, target=None):
        if name == "stembridge.render.song.song" and self in sys.meta_path:
            sys.meta_path.remove(self)
            stop_after_a_second()

sys.meta_path.insert(0, Watch())
sys.exit(main(sys.argv[1:]))
"""


def time_start(model: str, song: Path, rounds: int) -> dict[str, Any]:
    """Measure the start of the command.

    Args:
        model: Name or path.
        song: Path of a song.
        rounds: Number of rounds.

    Returns:
        Medians in seconds from the start of the process until Python runs, and until the first rendered second; the
        shortest of the latter; and the processor time.
    """
    entered, first, cpu = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["remix", str(song), "--vocals", "-80", "--model", model, "-o", str(Path(folder, "out.wav"))]
        for _ in range(rounds + 1):
            began = time.time()
            done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True)
            if not done.stdout:
                raise ValueError(f"the command failed before it had rendered a second: {done.stderr.strip()}")
            times = json.loads(done.stdout)
            entered.append(times["entered"] - began)
            first.append(times["first"] - began)
            cpu.append(times["cpu"])
    # Without the first round, which reads files from the disk that later rounds find in memory.
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
    """Return the report.

    Args:
        options: Options of the command line.
    """
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
    """Print the report as a table.

    Args:
        report: The report.
    """
    print("\nSeconds from the command to the first rendered second:")
    print(f"{'model':<10}{'Python runs':>12}{'first second':>14}{'shortest':>10}{'processor':>11}")
    for row in report["rows"]:
        print(
            f"{row['model']:<10}{row['python']:>12.2f}{row['first_second']:>14.2f}"
            f"{row['shortest']:>10.2f}{row['cpu']:>11.2f}"
        )
    reached = all(row["first_second"] < GOAL_S for row in report["rows"])
    print(f"under {GOAL_S:g} s: {'reached' if reached else 'missed'}")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10, help="rounds for each model (default: 10)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers to this file")
    run_benchmark(parser, measure_all, show)


if __name__ == "__main__":
    main()
