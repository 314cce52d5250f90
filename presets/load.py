"""Read presets: shipped ones and the user's own by name, any file by path."""

import json
import os
import re
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Le, MinLen

from ..core.documents import check_document, is_path, read_json
from ..core.errors import PresetError, file_reason
from ..core.gains import MAX_DB, SILENCE_DB
from ..core.suggest import did_you_mean

SHIPPED_FOLDER = Path(__file__).parent
# These names work as file names on any disk, even on one that ignores case, and are never paths.
PRESET_NAME = re.compile("[a-z0-9]([a-z0-9 _-]{0,62}[a-z0-9])?")
EXAMPLE_JSON = '{"name": "duet", "description": "A quieter singer", "gains_db": {"vocals": -12}}'


@dataclass(frozen=True)
class Preset:
    """Positions of the faders of a mix. Stems that are not named stay at 0 dB; -80 dB is silence."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012

    name: Annotated[str, MinLen(1)]
    description: str
    gains_db: Annotated[dict[Annotated[str, MinLen(1)], Annotated[float, Ge(SILENCE_DB), Le(MAX_DB)]], MinLen(1)]

    def text(self) -> str:
        """Return the content of its file: JSON."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"


def preset_names() -> list[str]:
    """Return the names of all presets, shipped and the user's own, sorted."""
    return sorted(shipped_presets() | own_presets())


def shipped_presets() -> dict[str, Path]:
    """Return the presets that come with StemBridge: name to file."""
    return _named_files(SHIPPED_FOLDER)


def own_presets() -> dict[str, Path]:
    """Return the presets in the user's folder: name to file. Names of shipped presets are left out."""
    shipped, folder = shipped_presets(), user_folder()
    try:
        own = _named_files(folder)
    except OSError as error:  # which must not stop the presets that come with StemBridge
        warnings.warn(f"your presets in {folder} cannot be read: {file_reason(error)}", stacklevel=1)
        own = {}
    return {name: path for name, path in own.items() if name not in shipped}


def user_folder() -> Path:
    """Return the folder of the user's own presets, which may not exist; on Linux ~/.config/stembridge/presets."""
    from platformdirs import user_config_path

    return user_config_path("stembridge") / "presets"


def _named_files(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in folder.glob("*.json") if PRESET_NAME.fullmatch(path.stem)}


def load_preset(name_or_path: str | os.PathLike[str]) -> dict[str, float]:
    """Return the gains of a preset, stem to dB.

    Args:
        name_or_path: As for `read_preset`.

    Raises:
        PresetError: The preset is unknown, cannot be read or is not valid.

    >>> load_preset("karaoke")
    {'vocals': -80.0}
    """
    return read_preset(name_or_path).gains_db


def read_preset(name_or_path: str | os.PathLike[str]) -> Preset:
    """Read a preset with its name and description.

    Args:
        name_or_path: Name of a preset; or path of a file, which ends in .json or has a folder separator.

    Raises:
        PresetError: The preset is unknown, cannot be read or is not valid.
    """
    if not isinstance(name_or_path, str | os.PathLike):
        raise PresetError(f"preset {name_or_path!r} does not work; give a name, or the path of a .json file")
    text = os.fspath(name_or_path)
    if is_path(text):
        return _read(Path(text), text)
    # The name is looked up, never joined to a folder, so it cannot lead out of the folder.
    path = (own_presets() | shipped_presets()).get(text)
    if path is None:
        raise PresetError(
            f"unknown preset {text!r}{did_you_mean(text, names := preset_names())}: choose from {', '.join(names)}, "
            "or give the path of a .json file"
        )
    return _read(path, text)


def _read(path: Path, shown: str) -> Preset:
    return checked_preset(read_json(path, f"preset {shown!r}", PresetError), shown)


def checked_preset(data: Any, shown: str) -> Preset:
    """Return the preset that JSON describes.

    Args:
        data: The JSON value.
        shown: How errors call the preset.

    Raises:
        PresetError: The value is not a valid preset.
    """
    try:
        return check_document(data, Preset, f"preset {shown!r} is not a preset", PresetError)
    except PresetError as error:
        raise PresetError(f"{error}; one looks like this: {EXAMPLE_JSON}") from None
