"""What all benchmarks need: a song, processes of their own, facts about the machine, reports and goals."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stembridge.core.atomic import write_whole

RATE = 44100
BLOCK = 65536  # samples, if only throughput matters
BLOCKS = 64, 128, 256, 512, 1024, 2048  # samples, typical for hosts


def music(seconds: float, sample_rate: int) -> NDArray[np.float32]:
    """Return stereo noise that falls with frequency and has a beat, like music. It is the same every time.

    Args:
        seconds: Length.
        sample_rate: In Hz.

    Returns:
        Samples with a peak of 0.5, shape (2, n).
    """
    n = round(seconds * sample_rate)
    random = np.random.default_rng(0)
    mid, side = (_pink(random.standard_normal(n)) for _ in range(2))
    beat = 0.1 + np.exp(-8 * (np.arange(n) / sample_rate % 0.5))  # 120 a minute
    audio = beat * np.stack([mid + 0.4 * side, mid - 0.4 * side])
    return np.asarray(0.5 * audio / np.abs(audio).max(), np.float32)


def _pink(noise: NDArray[np.float64]) -> NDArray[np.float64]:
    spectrum = np.fft.rfft(noise)
    return np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), len(noise))


def alone(cores: int, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a new process, and return its result.

    Args:
        cores: Number of cores that the process may use.
        function: The function.
        arguments: Its arguments.
    """
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=_pin, initargs=(cores,)) as process:
        return process.submit(function, *arguments).result()


def _pin(cores: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-cores:])


def num_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def children() -> list[str]:
    """Return the ids of the processes that this one has started and that still run. On Linux only."""
    tasks = Path("/proc/self/task").iterdir()
    return [child for task in tasks for child in (task / "children").read_text().split()]


def peak_of(process: str) -> int:
    """Return the peak memory of a process in bytes. On Linux only.

    Args:
        process: Its id, or "self".
    """
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return 1024 * int(lines["VmHWM"].split()[0])


def peak_mib() -> float:
    """Return the peak memory of this process in MiB. Not on Windows."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def machine() -> dict[str, Any]:
    """Return facts about this machine and its software."""
    names = ["stembridge", "numpy", "onnxruntime", "torch", "openunmix"]
    versions = {"python": platform.python_version()}
    for name in names:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "cpu": _cpu_name(),
        "cores": num_cores(),
        "system": platform.platform(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "versions": versions,
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def run_benchmark(
    parser: argparse.ArgumentParser,
    measure: Callable[[argparse.Namespace], dict[str, Any]],
    show: Callable[[dict[str, Any]], None],
) -> None:
    """Run a benchmark: measure, write the JSON, and show the tables. Bad input gives one line and exit code 2.

    Args:
        parser: Reads the command line; has an option --json.
        measure: Returns the report for the options.
        show: Prints the report.
    """
    options = parser.parse_args()
    try:
        _check_options(options)
        report = measure(options)
    except (ValueError, OSError) as error:
        parser.exit(2, f"{error}\n")
    if options.json:
        write_json(options.json, report)
    show(report)


def _check_options(options: argparse.Namespace) -> None:
    """Raise ValueError if --seconds or --rounds is out of range, or the folder for --json does not exist."""
    if "seconds" in options and not 0.1 <= options.seconds <= 600:
        raise ValueError(f"--seconds {options.seconds:g} is out of range; give 0.1 to 600")
    if "rounds" in options and not 1 <= options.rounds <= 1000:
        raise ValueError(f"--rounds {options.rounds} is out of range; give 1 to 1000")
    if options.json and not options.json.absolute().parent.is_dir():
        raise ValueError(f"--json {options.json}: the folder {options.json.parent} does not exist; make it first")


def write_json(path: Path, report: dict[str, Any]) -> None:
    """Write a report to a file, whole or not at all.

    Args:
        path: The file.
        report: The report.
    """
    write_whole(path, (json.dumps(report, indent=2) + "\n").encode())


def start_report() -> dict[str, Any]:
    """Return a report with facts about the machine, and print them in two lines, or three if it is busy."""
    values = machine()
    print(f"{values['cpu']}, {values['cores']} cores, {values['system']}")
    print(", ".join(f"{name} {number}" for name, number in values["versions"].items()))
    if values["load"] and values["load"] > 0.5:
        print(f"The machine is busy (load {values['load']:.1f}), so the times below are too long.")
    return {"machine": values}


def say(text: str) -> None:
    """Print on stderr what is being measured.

    Args:
        text: A few words.
    """
    print(f"... {text}", file=sys.stderr, flush=True)


def goal_text(row: dict[str, Any], form: str) -> str:
    """Return a goal and whether it was reached, as text; "" if the row has none.

    Args:
        row: Has "goal", a number, and "reached", a bool; or neither.
        form: Format of the goal, such as "< {:g} s".
    """
    if "goal" not in row:
        return ""
    return f"{form.format(row['goal'])}: {'reached' if row['reached'] else 'missed'}"
