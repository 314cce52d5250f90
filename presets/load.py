"""Reading presets: those that come with StemBridge and the user's own by name, any file by path."""

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Le, MinLen

from ..core.documents import check_document, is_path, read_json
from ..core.errors import PresetError
from ..core.gains import MAX_DB, SILENCE_DB
from ..core.suggest import did_you_mean

FOLDER = Path(__file__).parent
# Such a name works as a file name on any disk, is the same if the disk ignores case, and is never a path.
NAME = re.compile("[a-z0-9]([a-z0-9 _-]{0,62}[a-z0-9])?")
EXAMPLE = '{"name": "duet", "description": "A quieter singer", "gains_db": {"vocals": -12}}'


@dataclass(frozen=True)
class Preset:
    """Where the faders of a mix stand. A stem that is not named stays at 0 dB; -80 dB is silence."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012

    name: Annotated[str, MinLen(1)]
    description: str
    gains_db: Annotated[dict[Annotated[str, MinLen(1)], Annotated[float, Ge(SILENCE_DB), Le(MAX_DB)]], MinLen(1)]

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
    """The presets in the user's folder: name -> file, except names that come with StemBridge."""
    shipped = shipped_presets()
    return {name: path for name, path in _named_files(user_folder()).items() if name not in shipped}


def user_folder() -> Path:
    """Where the user's own presets lie: on Linux ~/.config/stembridge/presets. It need not exist."""
    from platformdirs import user_config_path

    return user_config_path("stembridge") / "presets"


def _named_files(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in folder.glob("*.json") if NAME.fullmatch(path.stem)}


def load_preset(name_or_path: str | os.PathLike[str]) -> dict[str, float]:
    """Stem -> gain in dB of a preset. Raises PresetError.

    >>> load_preset("karaoke")
    {'vocals': -80.0}
    """
    return read_preset(name_or_path).gains_db


def read_preset(name_or_path: str | os.PathLike[str]) -> Preset:
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
    return checked_preset(read_json(path, f"preset {shown!r}", PresetError), shown)


def checked_preset(data: Any, shown: str) -> Preset:
    """Return a preset from its JSON value. Raises PresetError, in which it is called `shown`, if it is not valid."""
    try:
        return check_document(data, Preset, f"preset {shown!r} is not a preset", PresetError)
    except PresetError as error:
        raise PresetError(f"{error}; one looks like this: {EXAMPLE}") from None
