"""The benchmark of networks runs and measures what it names; how good the numbers are is not tested."""

import hashlib
import json

import numpy as np
import pytest
import soundfile

from ..conftest import tiny_graph


def test_all_is_measured_and_shown(run, tmp_path):
    random = np.random.default_rng(0)
    for song in ("one",):
        (tmp_path / "songs" / song).mkdir(parents=True)
        for stem in "vocals", "drums", "bass", "other":
            sound = 0.1 * random.standard_normal((44100, 2))
            soundfile.write(tmp_path / "songs" / song / f"{stem}.wav", sound, 44100)
    done = run(
        "--data", tmp_path / "songs", "--seconds", 1, "--minutes", 0.05, "--offsets", 1, "--json", tmp_path / "r.json"
    )
    assert done.returncode == 0, done.stderr
    networks = json.loads((tmp_path / "r.json").read_text())["networks"]
    assert [*networks] == ["live", "mix", "studio"]
    for row in networks.values():
        assert row["parameters"] > 1e6
        assert row["megabytes"] == pytest.approx(2 * row["parameters"] / 1e6, rel=0.15)
        assert row["speed"] > 0
        assert row["strange"]["silence"] == 0
        assert set(row["scores"]["stems"]) == {"vocals", "drums", "bass", "other", "mean"}
        assert row["scores"]["karaoke"]["vocals_remaining"] < 0
        for measures in row["scores"]["stems"].values():
            low, median, high = measures["sdr"]
            assert low <= median <= high
    assert networks["studio"]["seams"]["margin"] > 0
    assert "seams" not in networks["live"]
    assert "seams" not in networks["mix"]
    assert done.stdout.count("reached") + done.stdout.count("missed") == 2


def test_other_networks_are_listed_next_to_ours(run, tmp_path):
    graph = tiny_graph(
        """<ir_version: 8, opset_import: ["" : 18]> half (float[1, 2, 8192] mix) => (float[1, 2, 8192] stem)
        <float weight = {0.5}> { stem = Mul (mix, weight) }"""
    )
    (tmp_path / "half.onnx").write_bytes(graph)
    axes = ["batch", "channel", "sample"]
    card = {
        "format": 2, "name": "half", "version": "1", "stems": ["vocals", "other"], "sample_rate": 44100,
        "num_channels": 2, "segment": {"samples": 8192, "overlap": 2048}, "terms": "CC0",
        "graphs": [{
            "file": "half.onnx", "sha256": hashlib.sha256(graph).hexdigest(), "stems": ["vocals"],
            "inputs": [{"name": "mix", "holds": "waveform", "axes": axes}],
            "outputs": [{"name": "stem", "holds": "waveform", "axes": axes}],
        }],
    }  # fmt: skip
    (tmp_path / "half.json").write_text(json.dumps(card))
    done = run("--model", tmp_path / "half.json", "--seconds", 1, "--json", tmp_path / "r.json")
    assert done.returncode == 0, done.stderr
    networks = json.loads((tmp_path / "r.json").read_text())["networks"]
    assert [*networks] == ["live", "mix", "studio", "half"]
    assert networks["half"]["parameters"] == 1
    guest = networks["half"]["guest"]
    assert guest["latency"] == 8192 / 44100
    assert guest["speed"] > 0
    assert guest["one"] > 0
    assert guest["added"] > 0
    assert "Imported networks on one core" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "part"),
    [(["--minutes", 0], "--minutes 0"), (["--data", "nowhere"], "nowhere"), (["--model", "lives"], "lives")],
)
def test_bad_input_gets_one_line_before_anything_is_measured(refused, arguments, part):
    assert part in refused(*arguments)


def test_a_network_that_training_did_not_make_is_refused_before_anything_is_measured(run, tiny_live_model):
    done = run("--model", tiny_live_model)
    assert (done.returncode, done.stdout) == (2, "")
    assert "the card has no recipe" in done.stderr
    assert done.stderr.count("\n") == 1
