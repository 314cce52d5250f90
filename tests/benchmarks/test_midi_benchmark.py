"""The MIDI benchmark runs and measures what it names; how large the numbers are is not tested."""

import json

import pytest


def test_all_is_measured_and_shown(run, tmp_path):
    done = run("--seconds", 0.2, "--rounds", 1, "--json", tmp_path / "report.json")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert done.stdout.startswith(report["machine"]["cpu"])
    kinds = {row["port"] for row in report["messages"]}
    assert kinds == ({"socket"} if report["missing"] else {"socket", "virtual"})
    assert [row["busy"] for row in report["messages"]] == [False, True] * len(kinds)
    for row in report["messages"]:
        assert row["messages"] == 100
        assert 0 < row["p50"] <= row["p99"] <= row["max"]
    assert [row["messages_a_second"] for row in report["stream"]] == [0, 1000, 20_000]
    for row in report["stream"]:
        assert 0 < row["p50"] <= row["p99"] <= row["max"]
        assert (row["missed"] > 0) == (row["max"] > row["block_lasts"])
    assert abs(report["growth_kib"]) < 1000
    none, ramps, steps = report["automation"]
    assert 0 == none["moves_a_second"] == none["cost"] < ramps["moves_a_second"] < steps["moves_a_second"]
    for row in report["automation"]:
        assert row["cost"] == pytest.approx(row["ms"] - none["ms"])
    for line in report["missing"]:
        assert line in done.stdout


@pytest.mark.parametrize(
    ("arguments", "part"),
    [(["--seconds", "nan"], "--seconds nan"), (["--rounds", "0"], "--rounds 0"), (["--json", "no/where"], "no")],
)
def test_bad_input_gets_one_line_before_anything_is_measured(refused, arguments, part):
    assert part in refused(*arguments)
