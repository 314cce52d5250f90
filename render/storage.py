"""Storage of songs and outputs: folders of this machine, or any place that fsspec reaches by a URL."""

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, NamedTuple

from ..core.atomic import publish
from ..core.errors import OVERWRITE, StemBridgeError, file_reason
from ..core.places import is_url

PIECE_BYTES = 1 << 20  # bytes copied at a time


class Seen(NamedTuple):
    """The state of a file at some time.

    Attributes:
        size: In bytes.
        stamp: A text that changes when the file does, see `state`.
        checksum: SHA-256 as hexadecimal digits.
    """

    size: int
    stamp: str
    checksum: str


def file_name(place: str) -> str:
    """Return the file name of a path or URL.

    Args:
        place: A path or URL.

    >>> file_name("https://example.org/a/song.mp3?key=1/2"), file_name("zip://a/one.flac::s3://bucket/two.zip")
    ('song.mp3', 'one.flac')
    """
    return PurePath(place.partition("::")[0].partition("?")[0] if is_url(place) else place).name


def system_of(url: str) -> tuple[Any, str]:
    """Return the fsspec file system of a URL, and the path in it.

    Args:
        url: A URL.

    Raises:
        ValueError: fsspec does not know such URLs, cannot open this one, or needs a package.
    """
    import fsspec

    scheme = url.partition(":")[0]
    try:
        found: tuple[Any, str] = fsspec.url_to_fs(url)
        return found
    except ImportError as error:
        package = getattr(error.__cause__ or error, "name", None) or f"fsspec[{scheme}]"
        raise StemBridgeError(
            f"{url}: {scheme}:// needs {package}, which is not installed: pip install {package}"
        ) from error
    except ValueError as error:
        if not str(error).startswith("Protocol not known"):
            raise StemBridgeError(f"{url}: fsspec cannot open it: {reason_for(error)}; check the address") from error
        known = "a path, or a URL such as https://, s3:// or gs://"
        raise StemBridgeError(f"{url}: {scheme}:// is unknown to fsspec; give {known}") from error
    except Exception as error:  # every kind of storage fails in its own way
        raise StemBridgeError(f"{url}: fsspec cannot open it: {reason_for(error)}; check the address") from error


def reason_for(error: BaseException) -> str:
    """Return an error as one line for a user.

    Args:
        error: Any exception.
    """
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {file_reason(error)}" if error.filename else error.strerror
    elif isinstance(error, FileNotFoundError) and error.__cause__ is not None:
        # fsspec's own error has only the address; the cause has the server's reason.
        return reason_for(error.__cause__)
    elif isinstance(error, MemoryError):
        text = "memory ran out; render fewer songs at a time, or use a computer with more memory"
    else:
        text = str(error) if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split()) or type(error).__name__


def join(root: str, name: str) -> str:
    """Return the path or URL of a file below a folder.

    Args:
        root: The folder, a path or URL.
        name: Path below it, with slashes.

    >>> join("out", "album/song.flac"), join("s3://bucket/out/", "song.flac")
    ('out/album/song.flac', 's3://bucket/out/song.flac')
    """
    return f"{root.rstrip('/')}/{name}" if is_url(root) else str(Path(root, name))


def state(place: str) -> tuple[int, str]:
    """Return the size of a file in bytes, and a text that changes when the file does.

    Args:
        place: A path or URL.

    Raises:
        OSError: It cannot be read, or is not a file.
    """
    if is_url(place):
        system, path = system_of(place)
        try:
            return int(system.info(path)["size"] or 0), str(system.ukey(path))
        except Exception as error:
            raise OSError(f"{place} cannot be read: {reason_for(error)}") from error
    status = os.stat(place)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"{place} is not a file")
    return status.st_size, str(status.st_mtime_ns)


def checksum(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits.

    Args:
        path: A path on this machine.

    Raises:
        OSError: The file cannot be read.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seen(path: Path) -> Seen:
    """Return the state of a file.

    Args:
        path: A path on this machine.

    Raises:
        OSError: The file cannot be read.
    """
    return Seen(*state(str(path)), checksum(path))


def states_below(root: str) -> Callable[[str], tuple[int, str] | None]:
    """Return a function that looks up a file below a folder. A URL is listed only once, in this call.

    Args:
        root: The folder, a path or URL.

    Returns:
        A function from a file's path below the folder, with slashes, to its size and stamp, or None if it is missing.
        At a URL the stamp is "".

    Raises:
        OSError: The folder cannot be read.
    """
    if not is_url(root):
        return lambda name: _state_of_file(join(root, name))
    system, path = system_of(root)
    try:
        bucket = path.partition("/")[0]
        if bucket and not system.exists(bucket):  # otherwise fsspec would create it, with settings nobody chose
            raise OSError(f"{bucket} does not exist; make it first or choose another place")
        found = system.find(path, detail=True)
    except FileNotFoundError:
        found = {}
    except Exception as error:
        raise OSError(f"{root} cannot be used: {reason_for(error)}") from error
    start = len(path.rstrip("/")) + 1
    return {name[start:]: (int(info["size"] or 0), "") for name, info in found.items()}.get


def _state_of_file(path: str) -> tuple[int, str] | None:
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return 0, ""  # a loop of links: something exists, but no file that a batch wrote
    return status.st_size, str(status.st_mtime_ns)


def fetch(url: str, folder: Path) -> Path:
    """Copy a file from a URL into a folder, and return its path. The suffix stays the same.

    Args:
        url: The file.
        folder: A folder of this machine.

    Raises:
        OSError: The file cannot be read, or not be written.
    """
    system, path = system_of(url)
    target = folder / f"song{PurePosixPath(path).suffix}"
    try:
        with system.open(path, "rb") as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy, PIECE_BYTES)
    except Exception as error:
        raise OSError(f"{url} cannot be read: {reason_for(error)}") from error
    return target


def deliver(parts: Sequence[Path], outputs: Sequence[str], *, overwrite: bool) -> None:
    """Move finished files to their paths or URLs: all of them, each complete, or none. Missing folders are made.

    Args:
        parts: The finished files, on this machine.
        outputs: A path or URL for each.
        overwrite: Replace existing files.

    Raises:
        OSError: An output exists, or cannot be written.
    """
    if is_url(outputs[0]):
        return _upload(parts, outputs, overwrite)
    for output in outputs:
        if os.path.exists(output) and not overwrite:
            raise _exists(output)
        os.makedirs(os.path.realpath(os.path.dirname(output)), exist_ok=True)
    publish(parts, outputs)


def _upload(parts: Sequence[Path], outputs: Sequence[str], overwrite: bool) -> None:
    system, _ = system_of(outputs[0])
    paths = [system_of(output)[1] for output in outputs]
    try:
        for output, path in zip(outputs, paths, strict=True):
            if not overwrite and system.exists(path):
                raise _exists(output)
            if parent := path.rpartition("/")[0]:
                system.makedirs(parent, exist_ok=True)
        with system.transaction:
            for part, path in zip(parts, paths, strict=True):
                with part.open("rb") as source, system.open(path, "wb") as target:
                    shutil.copyfileobj(source, target, PIECE_BYTES)
    except FileExistsError:
        raise
    except Exception as error:
        raise OSError(f"{outputs[0]} cannot be written: {reason_for(error)}") from error


def _exists(output: str) -> FileExistsError:
    return FileExistsError(f"{output} exists already; choose another name, or {OVERWRITE}")
