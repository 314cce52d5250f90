"""The user's own presets: written and deleted, in their folder and nowhere else."""

import os
from collections.abc import Mapping
from pathlib import Path

from ..core.atomic import write_whole
from ..core.errors import PresetError
from .gains import checked_gains
from .load import NAME, checked_preset, own_presets, shipped_presets, user_folder


def save_preset(name: str, gains_db: Mapping[str, float], description: str = "", *, force: bool = False) -> Path:
    """Write a preset to the user's folder, whole or not at all, and return its file; `load_preset(name)` reads it.

    name: up to 64 small letters, digits, spaces, - and _; not the name of a preset that comes with StemBridge.
    gains_db: stem -> dB, at least one; -80 and below is silence. force: overwrite what exists. Raises PresetError.
    """
    if not NAME.fullmatch(name):
        raise PresetError(
            f"{name!r} cannot be a preset's name; use up to 64 of a-z, 0-9, space, - and _, first and last no sign"
        )
    if name in shipped_presets():
        raise PresetError(f"preset {name!r} comes with StemBridge and stays as it is; choose another name")
    data = {"name": name, "description": description, "gains_db": checked_gains(gains_db)}
    text = checked_preset(data, name).text()
    folder = user_folder()
    path = folder / f"{name}.json"
    if os.path.exists(path) and not force:
        raise PresetError(f"preset {name!r} exists already; choose another name, or overwrite it with --force")
    try:
        os.makedirs(os.path.realpath(folder), exist_ok=True)
        write_whole(path, text.encode())
    except OSError as error:
        raise PresetError(
            f"preset {name!r} cannot be written to {folder}: {error.strerror}; make that folder writable"
        ) from error
    except UnicodeEncodeError as error:
        raise PresetError(f"preset {name!r} cannot be written: {error.object!r} is not text") from error
    return path


def delete_preset(name: str) -> Path:
    """Delete a preset of the user's own, and return the file it was in. Raises PresetError."""
    own = own_presets()
    if name in shipped_presets():
        raise PresetError(f"preset {name!r} comes with StemBridge and cannot be deleted")
    if name not in own:
        raise PresetError(f"no preset {name!r} of your own; there are: {', '.join(sorted(own)) or 'none'}")
    try:
        own[name].unlink()
    except OSError as error:
        raise PresetError(f"preset {name!r} cannot be deleted from {own[name].parent}: {error.strerror}") from error
    return own[name]
