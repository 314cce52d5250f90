"""Write and delete the user's own presets, always in the user's folder."""

import os
from collections.abc import Mapping
from pathlib import Path

from ..core.atomic import write_whole
from ..core.errors import OVERWRITE, PresetError, file_reason
from ..core.suggest import did_you_mean
from .gains import checked_gains
from .load import PRESET_NAME, checked_preset, own_presets, shipped_presets, user_folder


def save_preset(name: str, gains_db: Mapping[str, float], description: str = "", *, overwrite: bool = False) -> Path:
    """Write a preset to the user's folder. `load_preset(name)` reads it.

    Args:
        name: Up to 64 lower-case letters, digits, spaces, - and _, beginning and ending with a letter or digit. It must
            not be the name of a preset that comes with StemBridge.
        gains_db: Stem to dB, for at least one stem; -80 or below is silence.
        description: A few words for lists of presets.
        overwrite: Replace the user's preset of the same name.

    Returns:
        The file.

    Raises:
        PresetError: The name or a gain cannot be used, the preset exists already, or the file cannot be written. Then
            nothing has changed.
    """
    if not PRESET_NAME.fullmatch(name):
        raise PresetError(
            f"{name!r} cannot be a preset's name; use up to 64 of a-z, 0-9, space, - and _, "
            "beginning and ending with a letter or digit"
        )
    if name in shipped_presets():
        raise PresetError(f"preset {name!r} comes with StemBridge and cannot be changed; choose another name")
    data = {"name": name, "description": description, "gains_db": checked_gains(gains_db)}
    text = checked_preset(data, name).text()
    folder = user_folder()
    path = folder / f"{name}.json"
    if os.path.exists(path) and not overwrite:
        raise PresetError(f"preset {name!r} exists already; choose another name, or {OVERWRITE}")
    try:
        os.makedirs(os.path.realpath(folder), exist_ok=True)
        write_whole(path, text.encode())
    except OSError as error:
        raise PresetError(f"preset {name!r} cannot be written to {folder}: {file_reason(error)}") from error
    except UnicodeEncodeError as error:
        raise PresetError(
            f"preset {name!r} cannot be written: {error.object!r} is not valid Unicode text; change it"
        ) from error
    return path


def delete_preset(name: str) -> Path:
    """Delete one of the user's own presets.

    Args:
        name: Its name.

    Returns:
        The file, which no longer exists.

    Raises:
        PresetError: The user has no preset of this name, or its file cannot be deleted.
    """
    own = own_presets()
    if name in shipped_presets():
        raise PresetError(f"preset {name!r} comes with StemBridge and cannot be deleted")
    if name not in own:
        choices = f"choose from {', '.join(sorted(own))}" if own else "there are no presets in your folder"
        raise PresetError(f"you have no preset {name!r}{did_you_mean(name, own)}; {choices}")
    try:
        own[name].unlink()
    except OSError as error:
        raise PresetError(f"preset {name!r} cannot be deleted from {own[name].parent}: {file_reason(error)}") from error
    return own[name]
