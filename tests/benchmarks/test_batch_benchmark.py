"""The batch benchmark runs and measures what it names; how large the numbers are is not tested."""

import json

import pytest


def test_all_is_measured_and_shown(run, tiny_live_model, tmp_path):
    models = "--model", tiny_live_model, "--tiny-model", tiny_live_model
    sizes = "--seconds", 0.5, "--songs", 4, "--tiny", 30, "--rounds", 1
    done = run(*models, *sizes, "--json", tmp_path / "report.json")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert done.stdout.startswith(report["machine"]["cpu"])
    one, two = report["throughput"]
    assert (one["jobs"], two["jobs"], two["goal"]) == (1, 2, 1.8)
    assert two["ratio"] == pytest.approx(two["steady"] / one["steady"])  # as there is one round
    assert two["reached"] == (two["ratio"] >= 1.8)
    short = report["short"]
    assert short["overhead"] == pytest.approx(short["in_batch"] - short["in_memory"])
    assert 0 < short["in_memory"] < short["in_batch"]
    assert [row["seconds"] for row in report["memory"]] == [0.5, 5]
    assert all(50 < row["peak"] < 2000 for row in report["memory"])
    tiny = report["tiny"]
    assert tiny["files"] == 30
    assert 0 < tiny["again"] < tiny["took"]
    assert 3 < tiny["descriptors"] < 1000
    assert done.stdout.count("reached") + done.stdout.count("missed") == 1 + 1 + 2


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--seconds", "nan"], "--seconds nan"),
        (["--rounds", "0"], "--rounds 0"),
        (["--songs", "1"], "--songs 1"),
        (["--tiny", "0"], "--tiny 0"),
        (["--json", "no/where"], "no"),
    ],
)
def test_bad_input_gets_one_line_before_anything_is_measured(refused, arguments, part):
    assert part in refused(*arguments)
