"""Costs of a batch: speed with one job and two, overhead of short songs, memory of workers, ten thousand tiny files.

    python benchmarks/batch.py

Songs are seeded noise that sounds a little like music. Every measurement runs in new processes, with all cores. With
the defaults everything takes about ten minutes on an idle machine with two cores.
"""

import argparse
import os
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measuring import RATE, alone, children, goal_text, music, num_cores, peak_of, run_benchmark, say, start_report

SHORT_S, SHORT_SONGS = 5.0, 21
TINY_S = 0.05
JOBS = 1, 2
LONGER = 10  # times as long songs, for memory
SPEED_UP_GOAL = 1.8
OVERHEAD_GOAL_S = 0.3
MEMORY_GOAL_MB = 400.0
FADERS = {"vocals": -80.0}


class Stopwatch:
    """A Watcher that records when songs are done, and what this process and its workers need.

    Attributes:
        done: Times at which songs were done, by time.perf_counter.
        descriptors: The largest number of open files.
        workers: Process id to peak memory in bytes.
        memory: Peak memory of this process in bytes after each song.
    """

    def __init__(self) -> None:
        self.done: list[float] = []
        self.descriptors = 0
        self.workers: dict[str, int] = {}
        self.memory: list[int] = []

    def planned(self, report: Any) -> None:
        """Do nothing, see `Watcher.planned`."""

    def working(self, source: str, step: str, fraction: float | None) -> None:
        """Do nothing, see `Watcher.working`."""

    def finished(self, song: Any) -> None:
        """Record the time and the memory.

        Args:
            song: The song's report.
        """
        if song.outcome != "done":
            raise RuntimeError(f"{song.source}: {song.reason}")
        self.done.append(time.perf_counter())
        self.descriptors = max(self.descriptors, len(os.listdir("/proc/self/fd")))
        self.memory.append(peak_of("self"))
        for child in children():
            self.workers[child] = max(peak_of(child), self.workers.get(child, 0))


def write_songs(folder: Path, songs: int, seconds: float) -> Path:
    """Fill a new folder with copies of one song, and return it.

    Args:
        folder: The folder.
        songs: Number of songs.
        seconds: Length of a song.
    """
    import soundfile

    folder.mkdir()
    soundfile.write(folder / "0.wav", music(seconds, RATE).T, RATE, "PCM_16")
    first = (folder / "0.wav").read_bytes()
    for k in range(1, songs):
        (folder / f"{k}.wav").write_bytes(first)
    return folder


def run_batch(songs: Path, output: Path, model: str, jobs: int) -> tuple[float, Stopwatch]:
    """Remix a folder.

    Args:
        songs: Folder of songs.
        output: Folder for results.
        model: Name or path.
        jobs: Number of jobs.

    Returns:
        The start by time.perf_counter, and the records.
    """
    from stembridge import remix_files

    watch = Stopwatch()
    began = time.perf_counter()
    remix_files([songs], output, FADERS, model=model, jobs=jobs, watcher=watch)
    return began, watch


# Measurements, each in a new process.


def time_jobs(songs: Path, output: Path, seconds: float, model: str, rounds: int) -> list[dict[str, Any]]:
    """Measure the speed of one job and of two, in alternating rounds.

    Args:
        songs: Folder of songs.
        output: Folder for results.
        seconds: Length of a song.
        model: Name or path.
        rounds: Number of rounds.

    Returns:
        A row for each number of jobs, with medians of times real time. whole: from the start of the batch to its end.
        steady: after every worker has done a song.
    """
    runs: dict[int, list[dict[str, float]]] = {jobs: [] for jobs in JOBS}
    for number in range(rounds):
        for jobs in JOBS:
            began, watch = run_batch(songs, output / f"{number} {jobs}", model, jobs)
            whole = len(watch.done) * seconds / (watch.done[-1] - began)
            steady = (len(watch.done) - jobs) * seconds / (watch.done[-1] - watch.done[jobs - 1])
            runs[jobs].append({"whole": whole, "steady": steady})
    rows: list[dict[str, Any]] = []
    for jobs in JOBS:
        rows.append({"jobs": jobs} | {name: statistics.median(run[name] for run in runs[jobs]) for name in runs[1][0]})
    ratio = statistics.median(two["steady"] / one["steady"] for one, two in zip(runs[1], runs[2], strict=True))
    rows[-1] |= {"ratio": ratio, "goal": SPEED_UP_GOAL, "reached": ratio >= SPEED_UP_GOAL}
    return rows


def time_short(songs: Path, output: Path, model: str) -> dict[str, float]:
    """Measure the median time of a short song in a batch, after the first one, and in memory.

    Args:
        songs: Folder of short songs.
        output: Folder for results.
        model: Name or path.

    Returns:
        Seconds: in_batch, in_memory, and the overhead.
    """
    import stembridge

    _, watch = run_batch(songs, output, model, 1)
    each = statistics.median(after - before for before, after in zip(watch.done[:-1], watch.done[1:], strict=True))
    audio, in_memory = music(SHORT_S, RATE), []
    for _ in range(len(watch.done)):
        start = time.perf_counter()
        stembridge.remix(audio, RATE, FADERS, model)
        in_memory.append(time.perf_counter() - start)
    alone_ = statistics.median(in_memory[1:])
    return {"in_batch": each, "in_memory": alone_, "overhead": each - alone_}


def watch_workers(folder: Path, seconds: list[float], model: str) -> list[dict[str, Any]]:
    """Measure the peak memory of the worker that needed most, in MB.

    Args:
        folder: Folder for songs and results.
        seconds: Lengths of songs.
        model: Name or path.

    Returns:
        A row for each length.
    """
    rows = []
    for length in seconds:
        songs = write_songs(folder / f"songs of {length} s", max(JOBS), length)
        _, watch = run_batch(songs, folder / f"out of {length} s", model, max(JOBS))
        peak = max(watch.workers.values()) / 1e6
        rows.append({"seconds": length, "peak": peak, "goal": MEMORY_GOAL_MB, "reached": peak < MEMORY_GOAL_MB})
    return rows


def time_tiny(songs: Path, output: Path, model: str) -> dict[str, float]:
    """Measure a batch of many tiny files, and a second run in which all are done already.

    Args:
        songs: Folder of tiny songs.
        output: Folder for results.
        model: Name or path.
    """
    began, watch = run_batch(songs, output, model, max(JOBS))
    took = time.perf_counter() - began
    tenth = watch.memory[len(watch.memory) // 10]
    again, second = run_batch(songs, output, model, max(JOBS))
    if second.done:
        raise RuntimeError(f"{len(second.done)} songs were rendered again")
    return {
        "files": len(watch.done),
        "took": took,
        "again": time.perf_counter() - again,
        "descriptors": watch.descriptors,
        "memory": watch.memory[-1] / 1e6,
        "growth": (watch.memory[-1] - tenth) / 1e6,
    }


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return all measurements.

    Args:
        folder: Folder for songs and results.
        options: Options of the command line.
    """
    report: dict[str, Any] = {}
    say(f"{' and '.join(map(str, JOBS))} jobs")
    songs = write_songs(folder / "songs", options.songs, options.seconds)
    arguments = songs, folder / "out", options.seconds, options.model, options.rounds
    report["throughput"] = alone(num_cores(), time_jobs, *arguments)
    say("short songs")
    songs = write_songs(folder / "short", SHORT_SONGS, SHORT_S)
    short = alone(num_cores(), time_short, songs, folder / "out short", options.model)
    report["short"] = short | {"goal": OVERHEAD_GOAL_S, "reached": short["overhead"] < OVERHEAD_GOAL_S}
    say("memory of workers")
    lengths = [options.seconds, LONGER * options.seconds]
    report["memory"] = alone(num_cores(), watch_workers, folder, lengths, options.model)
    say(f"{options.tiny} tiny files")
    songs = write_songs(folder / "tiny", options.tiny, TINY_S)
    report["tiny"] = alone(num_cores(), time_tiny, songs, folder / "out tiny", options.tiny_model)
    return report


def show(report: dict[str, Any]) -> None:
    """Print the report as tables.

    Args:
        report: The report.
    """
    from stembridge.cli.table import print_table

    print("\nTimes faster than real time: from the start of the command, and once each worker has done a song")
    print_table(
        ["jobs", "whole", "steady", "ratio", "goal"],
        [
            [str(row["jobs"]), f"{row['whole']:6.2f}", f"{row['steady']:6.2f}"]
            + ([f"{row['ratio']:.2f}", goal_text(row, ">= {:g}")] if "ratio" in row else ["", ""])
            for row in report["throughput"]
        ],
    )
    short = report["short"]
    print(f"\nA song of {SHORT_S:g} s after the first, in s")
    print_table(
        ["in a batch", "in memory", "overhead", "goal"],
        [[f"{short[name]:.3f}" for name in ("in_batch", "in_memory", "overhead")] + [goal_text(short, "< {:g}")]],
    )
    print("\nPeak memory of a worker")
    print_table(
        ["seconds a song", "MB", "goal"],
        [[f"{row['seconds']:g}", f"{row['peak']:.0f}", goal_text(row, "< {:g}")] for row in report["memory"]],
    )
    tiny = report["tiny"]
    print(
        f"\n{tiny['files']:,} files of {TINY_S:g} s, {max(JOBS)} jobs; the driver's memory and its growth after a tenth"
    )
    print_table(
        ["took", "ms a file", "again", "MB", "growth", "descriptors"],
        [
            [
                f"{tiny['took']:.1f} s",
                f"{1000 * tiny['took'] / tiny['files']:.1f}",
                f"{tiny['again']:.1f} s",
                f"{tiny['memory']:.0f}",
                f"{tiny['growth']:.1f}",
                str(tiny["descriptors"]),
            ]
        ],
    )


def measure_all(options: argparse.Namespace) -> dict[str, Any]:
    """Return the report.

    Args:
        options: Options of the command line.

    Raises:
        ValueError: An option is out of range.
    """
    for name, least in ("songs", max(JOBS) + 1), ("tiny", 10):
        if not least <= getattr(options, name) <= 1_000_000:
            raise ValueError(f"--{name} {getattr(options, name)} is out of range; give {least} to 1000000")
    with TemporaryDirectory(prefix="stembridge-batch-") as folder:
        return start_report() | {"seconds": options.seconds} | measure(Path(folder), options)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="studio", help="name or .onnx file (default: studio)")
    parser.add_argument("--tiny-model", default="live", metavar="MODEL", help="for tiny files (default: live)")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of a song (default: 60)")
    parser.add_argument("--songs", type=int, default=16, help="number of songs to compare jobs with (default: 16)")
    parser.add_argument("--tiny", type=int, default=10_000, help="number of tiny files (default: 10000)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the comparison of jobs (default: 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers here too")
    run_benchmark(parser, measure_all, show)


if __name__ == "__main__":
    main()
