"""How much training profits from its loss and from each change of its mixes: one at a time is replaced or left out.

    python benchmarks/ablation.py --data musdb18-7 stems voices --minutes 10 --seeds 1 2 -o runs

Each run trains a network of `--network` and `--mode` from random weights, on one core, for so many minutes, and is
scored on the songs that training holds out. Finished runs in the folder are not repeated, so the benchmark can be
stopped and started again. Needs stembridge[train].
"""

import argparse
import csv
import json
import statistics
from pathlib import Path
from typing import Any

from measuring import alone, run_benchmark, say, start_report, write_json

# Name to changes: of the loss, and of attributes of RemixDataset.
VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "waveform loss": {"loss": "waveform"},
    "spectrogram loss": {"loss": "spectrogram"},
    "no mixes across songs": {"own_mix": 1.0},
    "no other speed and pitch": {"speed_change": 0.0},
    "no equaliser": {"equaliser_db": 0.0},
    "a limiter on half of the mixes": {"limiter": 0.5},
    "a room around a third of the stems": {"reverb": 1 / 3},
}


def train(changes: dict[str, Any], seed: int, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Train a network, or continue or reuse an earlier run.

    Args:
        changes: A value of VARIANTS.
        seed: Random seed.
        folder: Folder of the run.
        options: Options of the command line.

    Returns:
        The last line of the run's log.

    Raises:
        ValueError: The folder has a run with other settings.
    """
    asked = {name: getattr(options, name) for name in ("data", "network", "mode", "minutes")}
    asked |= {"seed": seed, "changes": changes}
    about = folder / "run.json"
    if not about.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_json(about, asked)
    elif json.loads(about.read_text("utf-8")) != asked:
        raise ValueError(f"{folder} has a run with other settings; choose another --output, or move it away")
    if not ((folder / "log.csv").exists() and read_log(folder)["minutes"] >= options.minutes):
        alone(1, train_alone, changes, seed, folder, options)
    return read_log(folder)


def train_alone(changes: dict[str, Any], seed: int, folder: Path, options: argparse.Namespace) -> None:
    """Train in this process, with all files in `folder`.

    Args:
        changes: A value of VARIANTS.
        seed: Random seed.
        folder: Folder of the run.
        options: Options of the command line.
    """
    from stembridge.training.data.mixes import RemixDataset
    from stembridge.training.data.songs import StemCache, find_songs
    from stembridge.training.learner import Settings
    from stembridge.training.recipe import RECIPES
    from stembridge.training.train import train_network

    for name, value in changes.items():
        if name != "loss":
            assert hasattr(RemixDataset, name)
            setattr(RemixDataset, name, value)
    settings = Settings(options.minutes, loss=changes.get("loss", "sdr"), seed=seed, threads=1)
    recipe = RECIPES[options.network, options.mode]
    cache = StemCache(options.cache or options.output / "cache")
    train_network(find_songs(options.data), recipe, folder, cache, settings)


def read_log(folder: Path) -> dict[str, float]:
    """Return the last line of a run's log.

    Args:
        folder: Folder of the run.
    """
    with open(folder / "log.csv", newline="") as file:
        *_, last = csv.DictReader(file)
    return {name: float(value) for name, value in last.items()}


def measure_all(options: argparse.Namespace) -> dict[str, Any]:
    """Return the report, with all runs by variant.

    Args:
        options: Options of the command line.

    Raises:
        ValueError: An option cannot be used.
    """
    if not 0 < options.minutes <= 10000:
        raise ValueError(f"--minutes {options.minutes:g} is out of range; give more than 0, to 10000")
    from stembridge.training.data.songs import find_songs
    from stembridge.training.recipe import RECIPES
    from stembridge.training.train import split

    if not split(find_songs(options.data))[1]:
        raise ValueError(f"{options.data[0]} has too few songs to hold some out; give more with all four stems")
    if (options.network, options.mode) not in RECIPES:
        names = ", ".join(map("-".join, RECIPES))
        raise ValueError(f"unknown network {options.network}-{options.mode}; choose from {names}")
    if unknown := [name for name in options.only if name not in VARIANTS]:
        raise ValueError(f"unknown variant {unknown[0]!r}; choose from {', '.join(VARIANTS)}")
    variants = options.only or [*VARIANTS]
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in variants}
    for seed in options.seeds:
        for name in variants:
            folder = options.output / f"{name.replace(' ', '-')}-{seed}"
            say(f"{name}, seed {seed}")
            runs[name].append(train(VARIANTS[name], seed, folder, options))
    return start_report() | {"minutes": options.minutes, "seeds": options.seeds, "runs": runs}


def show(report: dict[str, Any]) -> None:
    """Print the report as a table.

    Args:
        report: The report.
    """
    from stembridge.cli.table import print_table
    from stembridge.training.data.songs import STEMS

    print(f"\nMean SDR in dB on songs held out after {report['minutes']:g} minutes, for each seed, and their mean")
    rows = []
    for name, runs in report["runs"].items():
        means = [run["held_out_sdr"] for run in runs]
        row = [name, " / ".join(f"{run['step']:.0f}" for run in runs), *(f"{mean:.2f}" for mean in means)]
        row += [f"{statistics.mean(run[stem] for run in runs):.2f}" for stem in STEMS]
        rows.append([*row, f"{statistics.mean(means):.2f}"])
    print_table(["", "steps", *(f"seed {seed}" for seed in report["seeds"]), *STEMS, "mean"], rows)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", metavar="DIR", required=True, help="songs to train on, as for `train`")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", required=True, help="folder for the runs")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="decoded songs (default: in the output)")
    parser.add_argument("--minutes", type=float, default=10.0, help="length of a run (default: 10)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2], help="one run for each seed (default: 1 2)")
    parser.add_argument("--network", default="recurrent", help="family of the network (default: recurrent)")
    parser.add_argument("--mode", default="chunked", help="streaming or chunked (default: chunked)")
    parser.add_argument("--only", nargs="+", metavar="VARIANT", default=[], help="run only these variants")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers here too")
    run_benchmark(parser, measure_all, show)


if __name__ == "__main__":
    main()
