"""The plugin benchmark runs and measures what it names; how large the numbers are is not tested."""

import json

import pytest


def test_all_is_measured_and_shown(run, tmp_path):
    done = run("--seconds", 0.2, "--rounds", 1, "--json", tmp_path / "report.json")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert done.stdout.startswith(report["machine"]["cpu"])
    assert [row["block"] for row in report["round_trip"]] == [64, 128, 256, 512, 1024, 2048]
    for row in report["round_trip"]:
        assert 0 < row["p50"] <= row["p99"]
        assert row["reached"] == (row["p50"] < row["goal"] == 50)
    assert [(row["name"], row["block"], row["goal"]) for row in report["speed"]] == [
        (name, block, goal) for name in ("live", "mix", "studio") for block, goal in ((512, 75), (8192, 90))
    ]
    for row in report["speed"]:
        assert row["share"] == pytest.approx(100 * row["board"] / row["alone"])  # as there is one round
        assert row["share"] == pytest.approx(row["of_best"]) == row["low"] == row["high"]
        assert row["reached"] == (row["share"] >= row["goal"])
    for row in report["load"]:
        assert row["import"] > 0
        assert row["load"] > 0
        assert ("goal" in row) == (row["name"] == "mix")
    live, mix, studio = (row["peak_mib"] for row in report["memory"])
    assert 50 < live < mix < studio
    assert done.stdout.count("reached") + done.stdout.count("missed") == 6 + 6 + 1


@pytest.mark.parametrize(
    ("arguments", "part"),
    [(["--seconds", "nan"], "--seconds nan"), (["--rounds", "0"], "--rounds 0"), (["--json", "no/where"], "no")],
)
def test_bad_input_gets_one_line_before_anything_is_measured(refused, arguments, part):
    assert part in refused(*arguments)
