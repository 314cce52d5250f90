"""Files that appear whole or not at all.

A new file is written under a hidden name in its final folder, and then renamed. If the final name is a symbolic link,
the link stays and the file it points to is replaced. Other hard links to a replaced file keep the old content.
"""

import errno
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path


def final_path(path: str | os.PathLike[str]) -> Path:
    """Follow symbolic links from `path` to the file that would be written, which need not exist.

    Args:
        path: The path that the user gave.

    Returns:
        A path that is not a symbolic link. Its folder may still contain links.

    Raises:
        OSError: The links form a loop, or end at something that is not a file: a folder, a device, a pipe, a socket.
    """
    path = Path(path)
    with suppress(FileNotFoundError, NotADirectoryError):
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise _not_a_file(path)
    while True:
        if path.parent.resolve().is_relative_to("/proc"):  # where /dev/stdout links, even if redirected to a file
            raise _not_a_file(path)
        if not path.is_symlink():
            return path
        path = path.parent / os.readlink(path)


def final_paths(targets: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Return `final_path` of each of several files, and check that they are different files.

    Args:
        targets: The paths that the user gave.

    Raises:
        OSError: As `final_path`, or two targets are the same file.
    """
    places = [final_path(target) for target in targets]
    seen: set[str] = set()
    for target, place in zip(targets, places, strict=True):
        if (real := os.path.realpath(place)) in seen:
            raise OSError(errno.EINVAL, "another output leads to the same file", os.fspath(target))
        seen.add(real)
    return places


def hidden_path(path: str | os.PathLike[str], suffix: str = "") -> Path:
    """Return a new hidden name in the folder of `final_path(path)`.

    Args:
        path: The path that the file will have in the end.
        suffix: Ending of the hidden name, such as ".wav".

    Raises:
        OSError: As `final_path`.
    """
    return final_path(path).with_name(f".stembridge-{secrets.token_hex(6)}{suffix}")


@contextmanager
def new_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path to write to, then move that file to `path`. If the block raises, nothing changes.

    Args:
        path: The path that the file will have in the end. An older file there is replaced.

    Raises:
        OSError: The file cannot be written; the error names `path`.
    """
    with naming(path):
        part = hidden_path(path)
        try:
            yield part
            publish([part], [path])
        finally:
            part.unlink(missing_ok=True)


def write_whole(path: str | os.PathLike[str], content: bytes | memoryview) -> None:
    """Write a file, replacing an older one.

    Args:
        path: The file.
        content: Its new content.

    Raises:
        OSError: The file cannot be written; the error names `path`, and nothing has changed.
    """
    with new_file(path) as part:
        part.write_bytes(content)


def publish(parts: Sequence[Path], targets: Sequence[str | os.PathLike[str]]) -> None:
    """Move finished files to their places: all of them or, if that fails, none.

    A file that replaces another takes over its permissions and, where that is allowed, its owner.

    Args:
        parts: The finished files. They may be lost if this fails.
        targets: The final path of each, on the same file system or another. Older files there are replaced.

    Raises:
        OSError: A file cannot be moved; the error names its target. The older files have been restored.
    """
    places = final_paths(targets)
    staged = []
    with ExitStack() as temporary, ExitStack() as undo:
        for part, place, target in zip(parts, places, targets, strict=True):
            with naming(target):
                staged.append(_staged(part, place, temporary))
        for part, place, target in zip(staged, places, targets, strict=True):
            with naming(target):
                if len(places) > 1:
                    _prepare_undo(place, temporary, undo)
                os.replace(part, place)
        undo.pop_all()


def _staged(part: Path, place: Path, temporary: ExitStack) -> Path:
    """Move a finished file into its final folder, with the permissions of the file it will replace."""
    if part.parent != place.parent:
        finished, part = part, hidden_path(place)
        temporary.callback(part.unlink, missing_ok=True)
        try:
            os.replace(finished, part)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            shutil.copy2(finished, part)
    with suppress(FileNotFoundError):
        old = place.stat()
        if sys.platform != "win32":
            with suppress(OSError):  # another user's file, or a disk without owners
                os.chown(part, old.st_uid, old.st_gid)
        with suppress(OSError):  # a disk without permissions
            os.chmod(part, stat.S_IMODE(old.st_mode))
    return part


def _prepare_undo(place: Path, temporary: ExitStack, undo: ExitStack) -> None:
    """Make `undo` restore what is at `place` now."""
    if not place.exists():
        undo.callback(place.unlink, missing_ok=True)
        return
    kept = hidden_path(place)
    temporary.callback(kept.unlink, missing_ok=True)
    try:
        os.link(place, kept)
    except OSError:  # a disk without links
        shutil.copy2(place, kept)
    undo.callback(os.replace, kept, place)


@contextmanager
def naming(target: str | os.PathLike[str]) -> Iterator[None]:
    """Make errors name a file: those of a full disk name none, and the user has never seen a hidden file.

    Args:
        target: The file that is written.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, os.fspath(target)) from error


def _not_a_file(path: Path) -> OSError:
    return OSError(errno.EINVAL, "it is a device or a pipe, not a file", str(path))
