"""Recipes: batches as TOML files."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from ...core.errors import StemBridgeError, file_reason, one_line
from ...core.places import is_url
from ...core.settings import check_table, keys_of
from ..settings import RemixFiles, SeparateFiles, song_keys

KINDS: dict[str, type[RemixFiles | SeparateFiles]] = {"remix": RemixFiles, "separate": SeparateFiles}


def load_recipe(path: str | os.PathLike[str], job: Literal["remix", "separate"] = "remix") -> dict[str, Any]:
    """Return the arguments that a TOML file gives for a batch: `remix_files(**load_recipe("night.toml"))`.

    The keys are the arguments of remix_files or separate_files. Any of them may be left out, and given to the function
    instead. `[[song]]` tables are the overrides. Paths are relative to the file's folder.

    Args:
        path: The TOML file.
        job: "remix" for remix_files, "separate" for separate_files.

    Raises:
        ValueError: The file is not valid TOML, or has an unknown key or a value of the wrong type.
        OSError: The file cannot be read.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise OSError(f"recipe {path} cannot be read: {file_reason(error)}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StemBridgeError(f"{path} is not valid TOML: {one_line(error)}; correct it") from error
    keys = keys_of(KINDS[job])
    songs = values.pop("song", [])
    check_table(values, keys, str(path))
    if not isinstance(songs, list) or not all(isinstance(song, dict) for song in songs):
        raise StemBridgeError(f"{path}: song = {songs!r} does not work; give tables that begin with [[song]]")
    match = {"match": keys["output"]}  # also a text
    for number, song in enumerate(songs, 1):
        check_table(song, match | song_keys(KINDS[job]), f"{path}, [[song]] {number}")
    arguments = _placed(values, path.parent)
    if songs:
        arguments["overrides"] = [_placed(song, path.parent) for song in songs]
    return arguments


def _placed(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the values, with paths relative to `folder` made usable."""

    def place(text: str) -> str:
        return text if is_url(text) else os.path.join(folder, text)

    def name_or_place(text: str) -> str:
        # As in load_preset, load_map and load_model, a text with a suffix or a separator is a file.
        return place(text) if re.search(r"[/\\]|\.(json|onnx)$", text) else text

    placed = dict(values)
    if "songs" in placed:
        placed["songs"] = [place(song) for song in placed["songs"]]
    for key in ("output", "automation"):
        if key in placed:
            placed[key] = place(placed[key])
    for key in ("preset", "map", "model"):
        if key in placed:
            placed[key] = name_or_place(placed[key])
    return placed
