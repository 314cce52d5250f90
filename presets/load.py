"""Reading presets: those that come with StemBridge by name, anyone's own by path."""

import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
EXAMPLE = '{"name": "duet", "description": "A quieter singer", "gains_db": {"vocals": -12}}'


class PresetError(ValueError):
    """A preset that cannot be used; its text is one line."""


@dataclass(frozen=True)
class Preset:
    """gains_db: stem -> dB, from -80 (silence) to 20; a stem that is not named stays at 0 dB."""

    name: str
    description: str
    gains_db: dict[str, float]


def preset_names() -> list[str]:
    """The names of the presets that come with StemBridge, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.json") if not path.name.endswith(".schema.json"))


def load_preset(name_or_path: str | Path) -> dict[str, float]:
    """Stem -> gain in dB of a preset. Raises PresetError.

    >>> load_preset("karaoke")
    {'vocals': -80.0}
    """
    return read_preset(name_or_path).gains_db


def read_preset(name_or_path: str | Path) -> Preset:
    """The whole preset. What ends in .json or has a folder separator is a file of the user, all else a name.

    Raises PresetError: unknown name, missing or unreadable file, not JSON, not a preset, gain out of range.
    """
    text = os.fspath(name_or_path)
    if text.endswith(".json") or any(separator in text for separator in (os.sep, os.altsep) if separator):
        return _read(Path(text), text)
    if text not in preset_names():  # looked up, never joined to the folder: no name can lead out of it
        raise PresetError(
            f"unknown preset {text!r}: choose from {', '.join(preset_names())}, or give the path of a .json file"
        )
    return _read(FOLDER / f"{text}.json", text)


def _read(path: Path, shown: str) -> Preset:
    try:
        data = json.loads(path.read_text("utf-8-sig"), parse_int=float, parse_constant=_refuse_constant)
    except OSError as error:
        raise PresetError(f"preset {shown!r} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise PresetError(f"preset {shown!r} is not valid JSON: {error}") from error
    if (problem := _problem(data)) is not None:
        raise PresetError(f"preset {shown!r} is not a preset: {problem}; one looks like this: {EXAMPLE}")
    return Preset(data["name"], data["description"], data["gains_db"])


def _refuse_constant(constant: str) -> float:
    raise ValueError(f"{constant} is not a number")


def _problem(data: Any) -> str | None:
    """What the schema has against data, in one short line."""
    from jsonschema.exceptions import best_match

    error = best_match(_validator().iter_errors(data))
    if error is None:
        return None
    if error.validator in ("minimum", "maximum"):
        return f"{error.path[-1]!r} at {error.instance:g} dB is out of range, which is -80 (silence) to 20"
    message = " ".join(error.message.split())
    where = ".".join(str(key) for key in error.path)
    return (f"{where}: " if where else "") + (message if len(message) <= 120 else message[:120] + " ...")


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads((FOLDER / "preset.schema.json").read_text("utf-8")))
