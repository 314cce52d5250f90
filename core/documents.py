"""JSON documents that a user names or writes, such as presets and MIDI maps. A type describes each kind of document."""

import json
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from .errors import StemBridgeError, file_reason

T = TypeVar("T")

DRAFT = "https://json-schema.org/draft/2020-12/schema"
TOO_DEEP = "its arrays and objects are nested too deeply"
# Messages for the errors that pydantic finds, in the words of JSON.
MESSAGES = {
    "missing": "{field!r} is a required property",
    "union_tag_not_found": "{discriminator} is a required property",
    "extra_forbidden": "{field!r} was unexpected",
    "unexpected_keyword_argument": "{field!r} was unexpected",
    "literal_error": "{input} is not one of {expected}",
    "union_tag_invalid": "{tag!r} is not one of {expected_tags}",
    "string_type": "{input} is not of type 'string'",
    "int_type": "{input} is not of type 'integer'",
    "float_type": "{input} is not of type 'number'",
    "bool_type": "{input} is not of type 'boolean'",
    "dict_type": "{input} is not of type 'object'",
    "model_type": "{input} is not of type 'object'",
    "dataclass_type": "{input} is not of type 'object'",
    "list_type": "{input} is not of type 'array'",
    "tuple_type": "{input} is not of type 'array'",
    "string_too_short": "{input} should be non-empty",
    "too_short": "{input} should be non-empty",
    "too_few": "{input} has fewer than {min_length} items",  # our name for too_short if more than one is wanted
    "too_long": "{input} has too many items",
    "string_pattern_mismatch": "{input} does not match {pattern!r}",
    "finite_number": "{input} is not of type 'number'",
    "greater_than": "{input} is not above {gt:g}",
    "greater_than_equal": "{input} is less than {ge:g}",
    "less_than_equal": "{input} is greater than {le:g}",
    "value_error": "{error}",
}


def is_path(name_or_path: str) -> bool:
    """Return whether a document is given by its path, not its name: it ends in .json or has a folder separator.

    Args:
        name_or_path: A document as the user gave it.
    """
    return name_or_path.endswith(".json") or any(mark in name_or_path for mark in (os.sep, os.altsep) if mark)


def read_json(path: Path, name: str, error: type[StemBridgeError]) -> Any:
    """Read a JSON file.

    Args:
        path: The file.
        name: How errors call it, such as "preset 'duet.json'".
        error: Class of the errors to raise.

    Returns:
        The JSON value.

    Raises:
        StemBridgeError: The file cannot be read or is not valid JSON. NaN, and a name that appears twice in one
            object, are not valid.
    """
    try:
        return json.loads(
            path.read_text("utf-8-sig"),
            parse_int=_whole,
            parse_constant=_refuse_constant,
            object_pairs_hook=_refuse_doubles,
        )
    except OSError as problem:
        raise error(f"{name} cannot be read: {file_reason(problem)}") from problem
    except RecursionError:
        raise error(f"{name} cannot be read: {TOO_DEEP}") from None
    except ValueError as problem:
        raise error(f"{name} is not valid JSON: {problem}") from problem


def check_document(data: Any, kind: type[T], name: str, error: type[StemBridgeError], tags: Sequence[str] = ()) -> T:
    """Return a JSON value as a dataclass or pydantic model.

    Args:
        data: The value; a "$schema" in it is ignored.
        kind: The dataclass or model.
        name: How the error begins, such as "preset 'duet.json' is not a preset".
        error: Class of the error to raise.
        tags: Names of the fields by whose values `kind` tells its variants apart.

    Raises:
        StemBridgeError: The value does not fit the type. One line names the first place where it does not.
    """
    from pydantic import ValidationError

    if isinstance(data, dict):
        data = {key: value for key, value in data.items() if key != "$schema"}
    try:
        # From JSON text, because pydantic then accepts an array as a tuple, but converts nothing else.
        text = json.dumps(_with_whole_numbers(data), ensure_ascii=False).encode()
        document: T = adapter_of(cast("Any", kind)).validate_json(text, strict=True)
    except UnicodeEncodeError:
        raise error(f"{name}: a name or value in it is not valid Unicode text") from None
    except RecursionError:
        raise error(f"{name}: {TOO_DEEP}") from None
    except ValidationError as problem:
        if problem.errors()[0]["type"] == "json_invalid":
            raise error(f"{name}: {TOO_DEEP}") from None
        raise error(f"{name}: {_explained(problem.errors()[0], data, tags)}") from None
    return document


def schema_of(kind: type) -> dict[str, Any]:
    """Return the JSON schema that is published for a type of document.

    Args:
        kind: A dataclass or pydantic model.
    """
    schema = adapter_of(kind).json_schema()
    properties = {"$schema": {"type": "string"}, **schema.pop("properties")}
    return {"$schema": DRAFT, **schema, "properties": properties}


def _explained(problem: Any, data: Any, tags: Sequence[str]) -> str:
    place, here, variant = [], data, ""
    for part in problem["loc"]:
        if isinstance(here, Mapping) and not variant and part in [here.get(tag) for tag in tags]:
            variant = part  # pydantic lists the variant as a part of the place, but the document has no such part
            continue
        place.append(part)
        variant = variant if part == problem["loc"][-1] else ""
        try:
            here = here[part]
        except (LookupError, TypeError):
            here = None
    context = dict(problem.get("ctx", {}))
    if problem["type"] == "union_tag_invalid":
        place.append(context["discriminator"].strip("'"))
    field = place.pop() if problem["type"] in ("missing", "extra_forbidden", "unexpected_keyword_argument") else ""
    few = problem["type"] == "too_short" and context["min_length"] > 1
    text = MESSAGES.get("too_few" if few else problem["type"], "{msg}")
    if variant and problem["type"] == "extra_forbidden":
        text = f"a {variant} has no {{field!r}}"
    shown = problem["input"]
    values = {"input": f"{shown:g}" if isinstance(shown, float) else _shortened(repr(shown)), "field": field}
    message = text.format(**context | values, msg=problem["msg"])
    where = ".".join(map(str, place))
    return f"{where}: {message}" if where else message


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:80]} ..."


def _whole(text: str) -> float:
    return int(text) if len(text) < 20 else float(text)


def _with_whole_numbers(value: Any) -> Any:
    """Return a JSON value with 16 instead of 16.0, as JSON makes no difference between them."""
    if isinstance(value, list):
        return [_with_whole_numbers(item) for item in value]
    if isinstance(value, dict):
        return {key: _with_whole_numbers(item) for key, item in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else value


def _refuse_constant(constant: str) -> float:
    raise StemBridgeError(f"{constant} is not a number")


def _refuse_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        names = [name for name, _ in pairs]
        raise StemBridgeError(f"{next(name for name in names if names.count(name) > 1)!r} appears twice in one object")
    return data


@cache
def adapter_of(kind: Any) -> Any:
    """Return pydantic's TypeAdapter for a type.

    Args:
        kind: Any type that pydantic can validate, annotations included.
    """
    from pydantic import TypeAdapter  # imported late, because it takes a while to load

    return TypeAdapter(kind)
