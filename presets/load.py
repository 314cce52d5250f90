"""Reading presets: those that come with StemBridge and the user's own by name, any file by path."""

import json
import os
import re
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..core.documents import is_path
from ..core.errors import PresetError
from ..core.suggest import did_you_mean

FOLDER = Path(__file__).parent
# What a name may be, so that it is a file's name in any folder, the same where case does not count, and never a path.
NAME = re.compile("[a-z0-9]([a-z0-9 _-]{0,62}[a-z0-9])?")
EXAMPLE = '{"name": "duet", "description": "A quieter singer", "gains_db": {"vocals": -12}}'


@dataclass(frozen=True)
class Preset:
    """gains_db: stem -> dB, from -80 (silence) to 20; a stem that is not named stays at 0 dB."""

    name: str
    description: str
    gains_db: dict[str, float]

    def text(self) -> str:
        """As in its file: JSON."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"


def preset_names() -> list[str]:
    """The names of all presets, those that come with StemBridge and the user's own, sorted."""
    return sorted(shipped_presets() | own_presets())


def shipped_presets() -> dict[str, Path]:
    """The presets that come with StemBridge: name -> file."""
    return _named_files(FOLDER)


def own_presets() -> dict[str, Path]:
    """The presets in the user's folder: name -> file, but for names that come with StemBridge."""
    shipped = shipped_presets()
    return {name: path for name, path in _named_files(user_folder()).items() if name not in shipped}


def user_folder() -> Path:
    """Where the user's own presets lie: on Linux ~/.config/stembridge/presets. It need not exist."""
    from platformdirs import user_config_path

    return user_config_path("stembridge") / "presets"


def _named_files(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in folder.glob("*.json") if NAME.fullmatch(path.stem)}


def load_preset(name_or_path: str | Path) -> dict[str, float]:
    """Stem -> gain in dB of a preset. Raises PresetError.

    >>> load_preset("karaoke")
    {'vocals': -80.0}
    """
    return read_preset(name_or_path).gains_db


def read_preset(name_or_path: str | Path) -> Preset:
    """The whole preset. What ends in .json or has a folder separator is a file, all else a name.

    Raises PresetError: unknown name, missing or unreadable file, not JSON, not a preset, gain out of range.
    """
    text = os.fspath(name_or_path)
    if is_path(text):
        return _read(Path(text), text)
    path = (own_presets() | shipped_presets()).get(text)  # looked up, never joined to a folder: no name can lead out
    if path is None:
        raise PresetError(
            f"unknown preset {text!r}{did_you_mean(text, names := preset_names())}: choose from {', '.join(names)}, "
            "or give the path of a .json file"
        )
    return _read(path, text)


def _read(path: Path, shown: str) -> Preset:
    try:
        data = json.loads(path.read_text("utf-8-sig"), parse_int=float, parse_constant=_refuse_constant)
    except OSError as error:
        raise PresetError(f"preset {shown!r} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise PresetError(f"preset {shown!r} is not valid JSON: {error}") from error
    return checked_preset(data, shown)


def checked_preset(data: Any, shown: str) -> Preset:
    """The preset that a JSON value is. shown: what to call it in the PresetError that is raised if it is none."""
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
