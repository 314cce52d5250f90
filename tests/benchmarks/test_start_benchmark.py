"""The benchmark of the start runs, and its numbers are what they are called; how large they are is not tested."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "start.py"


def run(*arguments):
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True)


def test_all_is_measured_and_shown(tmp_path):
    done = run("--rounds", 1, "--json", tmp_path / "report.json")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert done.stdout.startswith(report["machine"]["cpu"])
    assert [row["model"] for row in report["rows"]] == ["live", "studio"]
    for row in report["rows"]:
        assert 0 < row["python"] < row["shortest"] <= row["first_second"]
        assert row["cpu"] > 0
    assert "under 1 s: " in done.stdout


def test_bad_input_is_one_line():
    done = run("--rounds", 0)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "--rounds 0" in done.stderr
