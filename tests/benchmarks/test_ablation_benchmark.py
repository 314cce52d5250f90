"""The ablation trains the variants that it names; which of them help is not tested."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "ablation.py"


@pytest.fixture
def songs(tmp_path):
    random = np.random.default_rng(0)
    for song in ("one", "two"):
        folder = tmp_path / "songs" / song
        folder.mkdir(parents=True)
        for stem in "vocals", "drums", "bass", "other":
            soundfile.write(folder / f"{stem}.wav", 0.1 * random.standard_normal((44100, 2)), 44100)
    return tmp_path / "songs"


def test_runs_are_made_kept_and_shown(run, songs, tmp_path):
    variants = ["as it is", "no other speed and pitch"]
    arguments = ["--data", songs, "-o", tmp_path / "runs", "--minutes", 0.01, "--seeds", 5, "--only", *variants]
    done = run(*arguments, "--json", tmp_path / "report.json")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert [*report["runs"]] == variants
    for (row,) in report["runs"].values():
        assert row["minutes"] >= 0.01
        assert row["step"] >= 1
    for variant in variants:
        assert variant in done.stdout
    logs = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("log.csv")}
    again = run(*arguments)
    assert again.stdout.splitlines()[-len(variants) :] == done.stdout.splitlines()[-len(variants) :]
    assert logs == {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("log.csv")}
    other = run(*arguments, "--minutes", 0.02)
    assert other.returncode == 2
    assert "a run with other settings" in other.stderr


def test_variants_change_what_they_name(songs, tmp_path):
    watched = """
import argparse, json, pathlib, sys
import ablation, stembridge.training.train as train
from stembridge.training.data.mixes import RemixDataset
names = [name for name in vars(RemixDataset) if isinstance(vars(RemixDataset)[name], float)]
usual = {name: getattr(RemixDataset, name) for name in names}
def look(songs, recipe, folder, cache, settings):
    seen.append({"loss": settings.loss} | {name: getattr(RemixDataset, name) for name in names})
train.train_network, seen = look, []
options = argparse.Namespace(data=[sys.argv[1]], network="recurrent", mode="chunked", minutes=1, cache=sys.argv[2])
for changes in ablation.VARIANTS.values():
    ablation.train_alone(changes, 1, pathlib.Path(sys.argv[2]), options)
    for name, value in usual.items():
        setattr(RemixDataset, name, value)
for changes, found in zip(ablation.VARIANTS.values(), seen, strict=True):
    assert found == {"loss": "sdr"} | usual | changes, (changes, found)
assert len({json.dumps(found) for found in seen}) == len(seen) > 5
"""
    command = [sys.executable, "-c", watched, songs, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, cwd=SCRIPT.parent)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (["--minutes", 0], "--minutes 0"),
        (["--only", "nothing"], "'nothing'"),
        (["--mode", "sideways"], "sideways"),
        (["--data", "no"], "the folder no does not exist"),
    ],
)
def test_bad_input_is_one_line(run, songs, tmp_path, change, part):
    done = run("--data", songs, "-o", tmp_path / "runs", *change)
    assert (done.returncode, done.stdout) == (2, "")
    assert part in done.stderr
    assert done.stderr.count("\n") == 1
