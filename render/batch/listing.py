"""The files in folders and globs, on this machine and at URLs."""

import os
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ...core.errors import StemBridgeError, file_reason
from ...core.places import is_url
from ..storage import reason_for, system_of
from .globs import is_glob, literal_brackets, matching, may_lead_to, names_suffix


@dataclass(frozen=True)
class Listed:
    """The files of a folder or glob.

    Attributes:
        base: The folder above all wildcards.
        files: All files except hidden ones.
        asked: The files whose suffix the glob names.
    """

    base: str
    files: list[str]
    asked: frozenset[str] = frozenset()


def list_files(argument: str, unreadable: dict[str, str]) -> Listed | None:
    """List the files of a folder or glob; None for a file.

    Args:
        argument: A path, a glob or a URL.
        unreadable: Receives the folders below it that cannot be read, path to reason.

    Raises:
        ValueError: There is no such file or folder.
        OSError: A URL cannot be listed.
    """
    if is_url(argument):
        return _listed_at_url(argument)
    if os.path.isdir(argument):
        return Listed(argument, [posixpath.join(argument, *path) for path in _walk(argument, (), unreadable)])
    if not (why := why_missing(argument)):
        return None
    if not is_glob(argument):
        raise StemBridgeError(f"{argument}: {why}")
    parts = argument.split("/")
    fixed = 0  # parts that exist are taken literally, whatever wildcards are in them
    while fixed < len(parts) - 1 and not (is_glob(parts[fixed]) and why_missing("/".join(parts[: fixed + 1]))):
        fixed += 1
    base = "/".join(parts[:fixed]) or ("/" if argument.startswith("/") else "")
    wild = tuple(part for part in parts[fixed:] if part not in ("", "."))
    paths = list(_walk(base or ".", wild, unreadable))
    # If the glob matches a folder, all files in it count.
    folders = {path[:depth]: None for path in paths for depth in range(1, len(path))}
    matched = matching("/".join(wild), folders | ({} if argument.endswith("/") else dict.fromkeys(paths)))
    named = names_suffix(argument)
    return Listed(
        base or ".",
        [
            posixpath.join(base, *path)
            for path in paths
            if any(path[:depth] in matched for depth in range(len(path) + 1))
        ],
        frozenset(posixpath.join(base, *path) for path in matched.difference(folders) if named),
    )


def why_missing(path: str) -> str:
    """Return why nothing is at a path; empty if something is."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return "no such file or folder; check the name"
    except OSError as error:
        return file_reason(error)
    return ""


def _walk(base: str, wild: tuple[str, ...], unreadable: dict[str, str]) -> Iterator[tuple[str, ...]]:
    """Walk through a folder and all folders below it, including linked ones, each once.

    Args:
        base: The folder.
        wild: Parts of a glob that paths must match. Hidden files and folders are skipped unless the part begins with a
            dot.
        unreadable: Receives folders that cannot be read, path to reason.

    Yields:
        The files, as parts of their path below the folder.
    """
    entered = set()

    def note(error: OSError) -> None:
        unreadable[str(error.filename)] = error.strerror or str(error)

    for path, folders, files in os.walk(base, onerror=note, followlinks=True):
        real = os.path.realpath(path)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        above = () if path == base else tuple(os.path.relpath(path, base).split(os.sep))

        def is_meant(name: str, above: tuple[str, ...] = above) -> bool:
            asked = wild[len(above)] if len(above) < len(wild) else ""
            return (not name.startswith(".") or asked.startswith(".")) and may_lead_to(wild, (*above, name))

        folders[:] = sorted(filter(is_meant, folders))
        yield from ((*above, name) for name in filter(is_meant, files))


def _listed_at_url(url: str) -> Listed | None:
    system, path = system_of(url)
    asked = False
    try:
        if system.isdir(path):
            base, names = path, list(system.find(path))
        elif system.exists(path):
            return None
        elif any(sign in path for sign in "*[") or ("?" in path and not url.lower().startswith("http")):
            base, names = _matched_at_url(system, path)
            asked = names_suffix(path)
        else:
            raise StemBridgeError(f"{url}: no such file or folder")
    except (ValueError, FileNotFoundError):
        raise StemBridgeError(f"{url}: no such file or folder") from None
    except Exception as error:  # every kind of storage fails in its own way
        raise OSError(f"{url} cannot be listed: {reason_for(error)}; check the address") from error

    def as_url(name: str) -> str:
        first, chained, rest = url.partition("::")
        if chained:  # zip://*.flac::songs.zip
            return f"{first.partition('://')[0]}://{name}::{rest}"
        return str(system.unstrip_protocol(name))

    hidden = re.compile(r"(^|/)\.")
    files = [as_url(name) for name in names if not hidden.search(name[len(base) :])]
    return Listed(as_url(base), files, frozenset(files if asked else ()))


def _matched_at_url(system: Any, path: str) -> tuple[str, list[str]]:
    """Return the folder above all wildcards, and the files that a glob matches."""
    # Try brackets as part of the name first, as in matching().
    for pattern, wildcard in (literal_brackets(path), "[*?]"), (path, "[*?[]"):
        if first := re.search(wildcard, path):
            base = path[: first.start()].rpartition("/")[0]
            found = system.glob(pattern, detail=True)
            if names := [name for name, info in found.items() if info["type"] == "file"]:
                break
    return base, names
