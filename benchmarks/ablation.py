"""What training owes to its losses and to the changes of its mixes: one of them replaced or left out at a time.

    python benchmarks/ablation.py --data musdb18-7 stems voices --minutes 10 --seeds 1 2 -o runs

Each run trains a network of `--network` and `--mode` from nothing, on one core, for as many minutes, and is scored on
the songs that training holds apart. What lies in the folder already is not repeated, so it can be stopped and go on.
Needs stembridge[train].
"""

import argparse
import csv
import json
import statistics
from pathlib import Path
from typing import Any

from engine import alone, run_benchmark, say, start_report, write_json

# Name -> what differs from the recipe: the loss, and attributes of RemixDataset.
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
    """One run, or what is left of it in `folder`: the last line of its log. Raises ValueError if that is another."""
    asked = {name: getattr(options, name) for name in ("data", "network", "mode", "minutes")}
    asked |= {"seed": seed, "changes": changes}
    about = folder / "run.json"
    if not about.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_json(about, asked)
    elif json.loads(about.read_text("utf-8")) != asked:
        raise ValueError(f"{folder}: a run of other settings; choose another --output, or move it away")
    if not ((folder / "log.csv").exists() and read_log(folder)["minutes"] >= options.minutes):
        alone(1, train_alone, changes, seed, folder, options)
    return read_log(folder)


def train_alone(changes: dict[str, Any], seed: int, folder: Path, options: argparse.Namespace) -> None:
    """Train, in a process of its own, and keep everything in `folder`."""
    from stembridge.training.data.mixes import RemixDataset
    from stembridge.training.data.songs import StemCache, find_songs
    from stembridge.training.recipe import RECIPES
    from stembridge.training.train import Settings, train_network

    for name, value in changes.items():
        if name != "loss":
            assert hasattr(RemixDataset, name)
            setattr(RemixDataset, name, value)
    settings = Settings(options.minutes, loss=changes.get("loss", "sdr"), seed=seed, threads=1)
    recipe = RECIPES[options.network, options.mode]
    cache = StemCache(options.cache or options.output / "cache")
    train_network(find_songs(options.data), recipe, folder, cache, settings)


def read_log(folder: Path) -> dict[str, float]:
    """The last line of a run's log."""
    with open(folder / "log.csv", newline="") as file:
        *_, last = csv.DictReader(file)
    return {name: float(value) for name, value in last.items()}


def measure_all(options: argparse.Namespace) -> dict[str, Any]:
    """The report: all runs, by variant. Raises ValueError for options out of range."""
    if not 0 < options.minutes <= 10000:
        raise ValueError(f"--minutes {options.minutes:g} is out of range; give more than 0, to 10000")
    from stembridge.training.data.songs import find_songs
    from stembridge.training.recipe import RECIPES
    from stembridge.training.train import split

    if not split(find_songs(options.data))[1]:
        raise ValueError(f"{options.data[0]}: too few songs to hold some apart; give more that have all stems")
    if (options.network, options.mode) not in RECIPES:
        raise ValueError(f"no {options.mode} {options.network} network; there are {', '.join(map('-'.join, RECIPES))}")
    if unknown := [name for name in options.only if name not in VARIANTS]:
        raise ValueError(f"no variant {unknown[0]!r}; there are {', '.join(VARIANTS)}")
    variants = options.only or [*VARIANTS]
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in variants}
    for seed in options.seeds:
        for name in variants:
            folder = options.output / f"{name.replace(' ', '-')}-{seed}"
            say(f"{name}, seed {seed}")
            runs[name].append(train(VARIANTS[name], seed, folder, options))
    return start_report() | {"minutes": options.minutes, "seeds": options.seeds, "runs": runs}


def show(report: dict[str, Any]) -> None:
    """The report as a table."""
    from stembridge.cli.table import print_table
    from stembridge.training.data.songs import STEMS

    print(f"\nMean SDR in dB on songs held apart after {report['minutes']:g} minutes, for each seed, and their mean")
    rows = []
    for name, runs in report["runs"].items():
        means = [run["held_apart_sdr"] for run in runs]
        row = [name, " / ".join(f"{run['step']:.0f}" for run in runs), *(f"{mean:.2f}" for mean in means)]
        row += [f"{statistics.mean(run[stem] for run in runs):.2f}" for stem in STEMS]
        rows.append([*row, f"{statistics.mean(means):.2f}"])
    print_table(["", "steps", *(f"seed {seed}" for seed in report["seeds"]), *STEMS, "mean"], rows)


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", metavar="DIR", required=True, help="songs to train on, as for `train`")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", required=True, help="where runs are kept")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="decoded songs (default: in the output)")
    parser.add_argument("--minutes", type=float, default=10.0, help="a run (default: 10)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2], help="a run for each (default: 1 2)")
    parser.add_argument("--network", default="recurrent", help="the family (default: recurrent)")
    parser.add_argument("--mode", default="chunked", help="streaming or chunked (default: chunked)")
    parser.add_argument("--only", nargs="+", metavar="VARIANT", default=[], help="these instead of all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers here too")
    run_benchmark(parser, measure_all, show)


if __name__ == "__main__":
    main()
