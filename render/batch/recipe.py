"""A batch as a TOML file."""

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from ...core.places import is_url
from ...core.suggest import did_you_mean
from .job import OF_A_REMIX, OF_STEMS

OF_BOTH = ("songs", "output", "model", "quality", "sample_format", "overwrite", "jobs", "dask", "threads", "song")
EXAMPLE = 'songs = ["albums/**/*.flac"]'


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _gains(value: Any) -> bool:
    return isinstance(value, dict) and all(_number(gain) for gain in value.values())


def _tables(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _is(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


TEXT, TRUTH, WHOLE = (_is(str), "a text"), (_is(bool), "true or false"), (_is(int), "a whole number")
TYPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "songs": (_texts, f"a list of texts, such as {EXAMPLE}"),
    "output": TEXT,
    "gains_db": (_gains, "a table of numbers, such as gains_db = { vocals = -80 }"),
    "preset": TEXT,
    "model": TEXT,
    "quality": TEXT,
    "automation": TEXT,
    "map": TEXT,
    "name": TEXT,
    "format": TEXT,
    "normalize": TRUTH,
    "loudness": (lambda value: value == "match" or _number(value), 'LUFS, such as -14, or "match"'),
    "sample_format": TEXT,
    "bitrate": (_number, "kbit/s, such as 192"),
    "encoding_quality": (_number, "a number from 0 to 10"),
    "overwrite": TRUTH,
    "jobs": WHOLE,
    "dask": TEXT,
    "threads": WHOLE,
    "stream": WHOLE,
    "stems": (_texts, 'a list of texts, such as ["vocals", "no_vocals"]'),
    "song": (_tables, "tables, each begun by [[song]]"),
    "match": TEXT,
}


def load_recipe(path: str | os.PathLike[str], job: Literal["remix", "separate"] = "remix") -> dict[str, Any]:
    """The arguments that a TOML file gives for a batch: `remix_files(**load_recipe("night.toml"))`.

    Keys are those of remix_files, or with job="separate" of separate_files; all may be left out, and then given beside
    the recipe's. `[[song]]` tables are the overrides. Paths are relative to the file's folder.
    Raises ValueError (one line) for a file that is no TOML, an unknown key or a value of the wrong type; OSError.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise OSError(f"{path}: the recipe cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: is no TOML: {' '.join(str(error).split())}") from error
    choices = OF_A_REMIX if job == "remix" else OF_STEMS
    _check(values, (*OF_BOTH, *choices), str(path))
    songs = values.pop("song", [])
    for number, song in enumerate(songs, 1):
        _check(song, ("match", *choices), f"{path}, [[song]] {number}")
    arguments = _placed(values, path.parent)
    if songs:
        arguments["overrides"] = [_placed(song, path.parent) for song in songs]
    return arguments


def _check(values: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key, value in values.items():
        if key not in known:
            raise ValueError(f"{where}: unknown key {key!r}{did_you_mean(key, known)}; choose from {', '.join(known)}")
        fits, kind = TYPES[key]
        if not fits(value):
            raise ValueError(f"{where}: {key} = {value!r} does not work; give {kind}")


def _placed(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The values with paths that are relative to `folder`."""

    def place(text: str) -> str:
        return text if is_url(text) else os.path.join(folder, text)

    def name_or_place(text: str) -> str:
        # As in load_preset, load_map and load_model: what has a suffix or a separator is a file.
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
