"""The benchmark of live audio runs and measures what it names; how large the numbers are is not tested."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "live.py"
# All of it takes longer than a test should.
SHORTER = "import live; live.RATES = (48000,); live.BLOCKS = (64, 512); live.main()"


def test_all_is_measured_and_shown(tmp_path):
    command = [sys.executable, "-c", SHORTER, "--minutes", "0.001", "--json", str(tmp_path / "report.json")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=SCRIPT.parent)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert done.stdout.startswith(report["machine"]["cpu"])
    rows = report["rows"]
    assert [(row["rate"], row["block"]) for row in rows] == [(48000, 64), (48000, 512)]
    for row in rows:
        assert row["blocks"] == -(-round(0.06 * row["rate"]) // row["block"])
        assert 0 <= row["misses"] <= row["blocks"]
        assert 0 <= row["idle_misses"] <= row["idle_blocks"] == round(0.006 * row["rate"] / row["block"])
        assert row["load"] > 0
        assert 0 < row["p50"] <= row["p95"] <= row["p99"] <= row["max"]
        assert row["measured"] == row["reported"] > 0
    assert "measured latency equals reported: reached" in done.stdout


def test_bad_input_is_one_line(run, tmp_path):
    for arguments, said in (
        [["--minutes", 0], "--minutes 0"],
        [["--json", tmp_path / "no" / "x.json"], "does not exist"],
    ):
        done = run(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr
        assert done.stderr.count("\n") == 1
