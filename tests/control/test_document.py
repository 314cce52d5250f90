"""docs/automation.md is true of the code, and its examples work."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from stembridge.control import Automation, load_map, map_names
from stembridge.control.point import SHAPES

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "automation.md").read_text("utf-8")
SCHEMA = json.loads((ROOT / "control" / "maps" / "map.schema.json").read_text("utf-8"))


def example(kind):
    (text,) = re.findall(rf"```{kind}\n(.*?)```", DOCUMENT, re.DOTALL)
    return text


def test_the_program_runs(tiny_live_model, tmp_path):
    program = f"import numpy as np\naudio, sample_rate = np.zeros((2, 999)), 44100\n{example('python')}"
    program = program.replace("{}, automation", f"{{}}, {str(tiny_live_model)!r}, automation")
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_table_agrees_with_the_text(tmp_path):
    (tmp_path / "ride.csv").write_text(example("csv"))
    ride = Automation.from_csv(tmp_path / "ride.csv")
    assert ride.initial() == {"vocals": -80.0, "drums": 0.0}
    moves = ride.moves(0, 44100 * 100, 44100)
    fade = [at / 44100 for at, stem, gain in moves if stem == "vocals" and gain > -80]
    assert 12.5 <= fade[0] < 12.53
    assert 14.45 < fade[-1] < 14.5
    assert moves[-1][1:] == ("drums", -6.0)


def test_the_map_loads_and_shows_the_defaults(tmp_path):
    (tmp_path / "stage.json").write_text(example("json"))
    loaded = load_map(tmp_path / "stage.json")
    assert len(loaded.bindings) == 5
    bare = {"name": "bare", "description": "", "bindings": json.loads(example("json"))["bindings"][1:3]}
    (tmp_path / "bare.json").write_text(json.dumps(bare))
    plain = load_map(tmp_path / "bare.json")
    said = dict(re.findall(r"`(\w+)` \[`(.*?)`\]", DOCUMENT))
    binding = plain.bindings[0]
    for name, value in {
        "channel": plain.channel, "takeover": plain.takeover, "feedback": plain.feedback, "curve": binding.curve,
        "mode": binding.mode, "range_db": [int(gain) for gain in binding.range_db],
    }.items():  # fmt: skip
        assert said.pop(name) == (value if isinstance(value, str) else json.dumps(value))
    assert not said


def test_all_features_are_named():
    tables = set(re.findall(r"^\| `(\w+)`", DOCUMENT, re.MULTILINE)) - {"control"}  # which is a heading
    types = [part["properties"].get("type", {}).get("const") for part in SCHEMA["$defs"].values()]
    controls = [kind for kind in types if kind]
    assert tables == {*SHAPES, *map_names(), *controls}
    for name in {*SCHEMA["properties"], *(name for part in SCHEMA["$defs"].values() for name in part["properties"])}:
        assert name == "$schema" or f"`{name}`" in DOCUMENT or f'"{name}"' in DOCUMENT


def test_the_numbers_agree_with_the_code():
    fader = load_map("general").bindings[0]
    assert fader.gain_db(50) - fader.gain_db(49) == pytest.approx(0.8)
    assert fader.gain_db(127) - fader.gain_db(126) == pytest.approx(0.44, abs=0.005)
