"""The benchmark of the start runs and measures what it names; how large the numbers are is not tested."""

import json


def test_all_is_measured_and_shown(run, tmp_path):
    done = run("--rounds", 1, "--json", tmp_path / "report.json")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert done.stdout.startswith(report["machine"]["cpu"])
    assert [row["model"] for row in report["rows"]] == ["live", "mix", "studio"]
    for row in report["rows"]:
        assert 0 < row["python"] < row["shortest"] <= row["first_second"]
        assert row["cpu"] > 0
    assert "under 1 s: " in done.stdout


def test_bad_input_is_one_line(run):
    done = run("--rounds", 0)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "--rounds 0" in done.stderr
