"""Check JSON against a schema in this folder."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from ..core.errors import ModelError


def check_values(values: Any, schema: str, source: object) -> None:
    """Check a card's JSON against a schema.

    Args:
        values: The JSON value.
        schema: Name of the schema, such as "mask_card".
        source: How the error begins: usually the card's path.

    Raises:
        ModelError: The values do not keep the schema.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(_schema(schema)).iter_errors(values))
    if error:
        raise ModelError(f"{source}: not a valid model card: {error.json_path}: {_shorten(error.message)}")


@cache
def _schema(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(Path(__file__).with_name(f"{name}.schema.json").read_text("utf-8"))
    return schema


def _shorten(text: str, limit: int = 200) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 4] + " ..."
