"""docs/model-format.md is true of the code, and its example runs."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from stembridge.core.documents import schema_of
from stembridge.engine.blocks import MAX_ANALYSED, MIN_ANALYSED
from stembridge.engine.stft import FrameGrid
from stembridge.models import load_model, shipped_models
from stembridge.models.documents import MaskDocument, StemsDocument

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "model-format.md").read_text("utf-8")
FORMATS = dict(zip(("mask_card", "stems_card"), DOCUMENT.split("\n## Format 2"), strict=True))


def test_the_example_runs_and_prints_what_it_says(tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in re.findall(r"It prints `(.*?)`:", DOCUMENT)
    assert load_model(tmp_path / "centre.onnx").card.stems == ("centre", "sides")


@pytest.mark.parametrize(("name", "kind"), [("mask_card", MaskDocument), ("stems_card", StemsDocument)])
def test_the_schemas_agree_with_the_types(name, kind):
    schema = json.loads((ROOT / "models" / f"{name}.schema.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    assert schema == schema_of(kind), "regenerate the schema after the types have changed"


@pytest.mark.parametrize("name", shipped_models())
def test_shipped_cards_keep_the_published_schema(name):
    schema = json.loads((ROOT / "models" / "mask_card.schema.json").read_text("utf-8"))
    Draft202012Validator(schema).validate(load_model(name).card.values)


def test_the_table_of_the_card_has_the_schemas_fields():
    for name, text in FORMATS.items():
        schema = json.loads((ROOT / "models" / f"{name}.schema.json").read_text("utf-8"))
        rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (yes|no|if \w+) \| (.*) \|$", text, re.MULTILINE)
        table = {field: (must, says) for fields, must, says in rows for field in re.findall(r"\w+", fields)}
        fields = {field: _resolved(of, schema) for field, of in schema["properties"].items() if field != "$schema"}
        assert set(table) == set(fields)
        assert {field for field, (must, _) in table.items() if must == "yes"} == set(schema["required"])
        for field, of in fields.items():
            if of.get("type") == "object" and field not in ("scores", "training", "quality"):
                assert all(f"`{part}`" in table[field][1] for part in of["properties"]), field
    graph = _resolved(fields["graphs"]["items"], schema)["properties"]
    assert all(f"`{field}`" in text.split("Each of `graphs` has")[1] for field in graph)


def _resolved(of, schema):
    """Follow a reference to a part of the schema, which may also be null."""
    of = of["anyOf"][0] if "anyOf" in of else of
    return schema["$defs"][of["$ref"].rpartition("/")[2]] if "$ref" in of else of


def test_its_numbers_agree_with_the_engine():
    numbers = re.search(r"A hop of\s+(\d+) at ([\d.]+) kHz is\s+(\d+) at ([\d.]+) kHz", DOCUMENT)
    hop, rate, scaled, other = map(float, numbers.groups())
    assert FrameGrid(1000 * rate, int(hop), 2048, 512).at(1000 * other).hop == scaled
    assert (
        f"Samples above {MAX_ANALYSED:g}, which are not music, and those below {MIN_ANALYSED:.0e} are 0"
        in DOCUMENT.replace("1e-8", "1e-08")
    )
