"""Globs: `*`, `?` and `[ab]` within a name, and `**` for any number of folders. Names with brackets need no escape."""

import re
from collections.abc import Collection
from fnmatch import translate
from functools import lru_cache

BRACKETS = re.compile(r"(\[!?\]?[^\]/]*\])")  # as fnmatch finds them
Parts = tuple[str, ...]  # of a path, or of a glob


def is_glob(text: str) -> bool:
    """Return whether a path contains a wildcard. If the path exists, callers take it literally.

    Args:
        text: A path or URL.
    """
    return any(sign in text for sign in "*?[")


def literal_brackets(pattern: str) -> str:
    """Return the glob with its brackets as literal characters.

    Args:
        pattern: A glob.

    >>> literal_brackets("Album [2019]/*.flac")
    'Album [[]2019]/*.flac'
    """
    return pattern.replace("[", "[[]")


def names_suffix(pattern: str) -> bool:
    """Return whether a glob ends in a suffix that files must have.

    Args:
        pattern: A glob.

    >>> names_suffix("videos/*.mp4"), names_suffix("videos/*"), names_suffix("videos/*.*"), names_suffix("v.1/*")
    (True, False, False, False)
    """
    _, dot, suffix = pattern.rpartition("/")[2].rpartition(".")
    return bool(dot and suffix) and not set("*?") & set(suffix)


def matching(pattern: str, paths: Collection[Parts]) -> set[Parts]:
    """Return the paths that match a glob.

    A pair of brackets is part of the name if a path with such a name exists, else a set of characters. `[[]` stands for
    a bracket.

    Args:
        pattern: A glob with slashes between its parts.
        paths: Paths as tuples of parts.

    >>> matching("Album [2019]/*", [("Album [2019]", "a.flac"), ("Album 2", "a.flac")])
    {('Album [2019]', 'a.flac')}
    >>> matching("Album [12]/*", [("Album 1", "a.flac"), ("Album 3", "a.flac")])
    {('Album 1', 'a.flac')}
    """
    pieces = BRACKETS.split(pattern)
    for number in range(1, len(pieces), 2):
        as_name = [*pieces[:number], literal_brackets(pieces[number]), *pieces[number + 1 :]]
        if _fitting("".join(as_name), paths):
            pieces = as_name
    return _fitting("".join(pieces), paths)


def _fitting(pattern: str, paths: Collection[Parts]) -> set[Parts]:
    parts = tuple(pattern.split("/"))
    return {path for path in paths if _fits(parts, path)}


def may_lead_to(parts: Parts, folder: Parts) -> bool:
    """Return whether a glob may match a path in a folder or below it.

    Args:
        parts: The glob, as a tuple of parts.
        folder: Path of the folder, as a tuple of parts.
    """
    for part, name in zip(parts, folder, strict=False):
        if part == "**":
            return True
        if not _fits_name(part, name):
            return False
    return True


def _fits(parts: Parts, path: Parts) -> bool:
    if not parts:
        return not path
    if parts[0] == "**":
        return any(_fits(parts[1:], path[skipped:]) for skipped in range(len(path) + 1))
    return bool(path) and _fits_name(parts[0], path[0]) and _fits(parts[1:], path[1:])


def _fits_name(part: str, name: str) -> bool:
    return _compiled(part).fullmatch(name) is not None


@lru_cache(maxsize=1024)
def _compiled(part: str) -> re.Pattern[str]:
    """Compile a part of a glob in which each pair of brackets may be a set or part of the name."""
    pieces = BRACKETS.split(part)
    regexes = [
        f"(?:{re.escape(piece)}|{_regex(piece)})" if number % 2 else _regex(piece)
        for number, piece in enumerate(pieces)
    ]
    return re.compile("".join(regexes), re.DOTALL)


def _regex(glob: str) -> str:
    return translate(glob).rpartition(")")[0].removeprefix("(?s:")
