"""docs/model-format.md says what the code does, and its example runs."""

import json
import re
import subprocess
import sys
from pathlib import Path

from stembridge.engine.processor import FAINTEST, LOUDEST
from stembridge.engine.stft import FrameGrid
from stembridge.models import load_model

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "model-format.md").read_text("utf-8")
SCHEMA = json.loads((ROOT / "models" / "mask_card.schema.json").read_text("utf-8"))


def test_the_example_runs_and_prints_what_it_says(tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in re.findall(r"It prints `(.*?)`:", DOCUMENT)
    assert load_model(tmp_path / "centre.onnx").card.stems == ("centre", "sides")


def test_the_table_of_the_card_has_the_schemas_fields():
    table = dict(re.findall(r"^\| `(\w+)` \| (yes|no|if chunked) \|", DOCUMENT, re.MULTILINE))
    table.pop("streaming", None)
    assert set(table) == set(SCHEMA["properties"])
    assert {field for field, must in table.items() if must == "yes"} == set(SCHEMA["required"])
    chunk = next(line for line in DOCUMENT.splitlines() if line.startswith("| `chunk` |"))
    assert all(f"`{field}`" in chunk for field in SCHEMA["properties"]["chunk"]["required"])


def test_the_numbers_it_names_are_the_engines():
    numbers = re.search(r"A hop of\s+(\d+) at ([\d.]+) kHz is\s+(\d+) at ([\d.]+) kHz", DOCUMENT)
    hop, rate, scaled, other = map(float, numbers.groups())
    assert FrameGrid(1000 * rate, int(hop), 2048, 512).at(1000 * other).hop == scaled
    assert f"Samples above {LOUDEST:g}, which are not music, and those below {FAINTEST:.0e} are 0" in DOCUMENT.replace(
        "1e-8", "1e-08"
    )
