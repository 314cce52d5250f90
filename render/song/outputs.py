"""Files that appear complete and together, or not at all."""

import errno
import os
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from ...core.atomic import final_path, final_paths, publish
from ...core.errors import OVERWRITE

DISK_FULL = errno.ENOSPC, errno.EDQUOT, errno.EFBIG  # such errors have no file name


class Outputs:
    """A hidden folder in which outputs are written. `commit` moves them to their targets; otherwise they are deleted.

    Args:
        targets: Final paths, in one folder; they may be links to files elsewhere. They must not exist unless
            `overwrite` is set.
        source: The song. None of the targets may be it, unless `replace_source` is set.
        overwrite: Replace files that exist.
        replace_source: With `overwrite`, replace the song, too.
        make_folder: Make the targets' folder if it is missing; its own parent must exist.
        beside: Where to create the hidden folder, on the targets' file system, made if missing; by default the folder
            of the first target.

    Attributes:
        parts: Where to write, one path for each target.
        scratch: The hidden folder, for other temporary files too.
        replaces_source: Whether a target is the song.

    Raises:
        OSError: The targets cannot be written, or a disk error occurs later.
    """

    def __init__(
        self,
        targets: Sequence[Path],
        source: Path,
        *,
        overwrite: bool,
        replace_source: bool = False,
        make_folder: bool = False,
        beside: Path | None = None,
    ) -> None:
        self._folder = targets[0].parent
        self._source, self._overwrite, self._make_folder = source, overwrite, make_folder
        self._replace_source, self.replaces_source = replace_source, False
        self._made_folder: Path | None = None
        self.targets = list(targets)
        self._check()
        self._own_disk = beside is not None  # `beside` must be on the targets' disk, or each output would be copied
        self._beside = beside or final_path(self.targets[0]).parent
        self.scratch = self._beside / f".stembridge-{secrets.token_hex(6)}"
        # In their own folder, because a target may have any name.
        self.parts = [self.scratch / "parts" / target.name for target in targets]

    def __enter__(self) -> Self:
        try:
            self._enter_folder()
            for folder in {place.parent for place in final_paths(self.targets)}:
                if not folder.is_dir():
                    raise FileNotFoundError(f"the folder {folder} does not exist; make it first or choose another")
            (self.scratch / "parts").mkdir(parents=True)
            if self._own_disk and self.scratch.stat().st_dev != self._folder.stat().st_dev:
                raise OSError(f"{self._beside} is on another disk than {self._folder}; choose a folder on the same")
        except OSError as error:
            self._remove()
            if error.strerror is None:
                raise
            folder = self._beside if str(error.filename).startswith(str(self._beside)) else self._folder
            where = "the current folder" if folder == Path() else f"the folder {folder}"
            line = f"cannot write in {where}: {error.strerror}; choose another folder"
            raise OSError(line) from error
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        is_lost = isinstance(error, OSError | ValueError) and not self.scratch.exists()
        self._remove()
        if is_lost:
            raise OSError(f"the folder {self._beside} was deleted or moved during the work; start again") from error
        if isinstance(error, OSError) and (
            error.errno in DISK_FULL or str(error.filename).startswith(str(self.scratch))
        ):
            names = dict(zip(map(str, self.parts), self.targets, strict=True))
            only = self.targets[0] if error.filename is None and len(self.targets) == 1 else self._beside
            place = names.get(str(error.filename), only)
            line = f"cannot write {place}: {error.strerror}; make room or choose another folder"
            raise OSError(line) from error
        if isinstance(error, ValueError):  # a container that cannot hold something: use the name that the user knows
            line = str(error)
            for part, target in zip(self.parts, self.targets, strict=True):
                line = line.replace(str(part), str(target))
            error.args = (line,)

    def commit(self) -> None:
        """Move the parts to their targets: all of them, or none."""
        self._check()
        try:
            publish(self.parts, self.targets)
        except OSError as error:
            raise OSError(f"cannot write {error.filename}: {error.strerror}; choose another place") from error

    def _check(self) -> None:
        for target in self.targets:
            if os.path.isdir(target):
                raise IsADirectoryError(f"{target} is a folder; name a file in it")
            if not os.path.exists(target):
                continue
            if target.samefile(self._source):
                if not (self._replace_source and self._overwrite):
                    remedy = (
                        ", or replace the song with --force (in Python, overwrite=True)"
                        if self._replace_source
                        else " for the output"
                    )
                    raise FileExistsError(f"{target} is the song itself; choose another name{remedy}")
                self.replaces_source = True
            if not self._overwrite and target.is_file():
                raise FileExistsError(f"{target} exists already; choose another name, or {OVERWRITE}")
        try:
            final_paths(self.targets)
        except OSError as error:
            # Without a name: the current folder has been deleted.
            name = error.filename or self.targets[0]
            raise OSError(f"cannot write {name}: {error.strerror}; choose another name") from error

    def _enter_folder(self) -> None:
        if self._folder.is_dir():
            return
        if self._folder.exists():
            raise NotADirectoryError(f"{self._folder} is not a folder; choose another")
        folder = Path(os.path.realpath(self._folder)) if self._folder.is_symlink() else self._folder
        missing = folder.parent if self._make_folder else folder
        if not missing.is_dir():
            raise FileNotFoundError(f"the folder {missing} does not exist; make it first or choose another")
        self._made_folder = folder  # set first, so that the folder is removed even after an interrupt in the next line
        folder.mkdir()

    def _remove(self) -> None:
        shutil.rmtree(self.scratch, ignore_errors=True)
        if self._made_folder:
            with suppress(OSError):  # not empty: the outputs are in it
                self._made_folder.rmdir()
