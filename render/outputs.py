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

FULL = errno.ENOSPC, errno.EDQUOT, errno.EFBIG  # which come without a name while a file is written


class Outputs:
    """A hidden folder, to write the targets in. `commit` puts them in their places; else all vanishes.

    targets: files of one folder. They must not exist unless `overwrite`, and none of them may be `source`.
    make_folder: make the targets' folder if it is missing; its own parent must exist.
    beside: the folder that holds the hidden one, on the targets' file system, made if missing; by default the targets'.
    parts: where to write, one path per target. scratch: the folder that they are in, for other temporary files.

    Raises OSError (one line), when entered if the targets cannot be written, and for any disk error on the way.
    """

    def __init__(
        self,
        targets: Sequence[Path],
        source: Path,
        *,
        overwrite: bool,
        make_folder: bool = False,
        beside: Path | None = None,
    ) -> None:
        self._folder = targets[0].parent
        self._beside = beside or self._folder
        self._source, self._overwrite, self._make_folder = source, overwrite, make_folder
        self._made_folder = False
        self.targets = list(targets)
        self.scratch = self._beside / f".stembridge-{secrets.token_hex(6)}"
        # In a folder of their own: a target may have any name.
        self.parts = [self.scratch / "parts" / target.name for target in targets]

    def __enter__(self) -> Self:
        self._check()
        try:
            self._enter_folder()
            (self.scratch / "parts").mkdir(parents=True)
            if self.scratch.stat().st_dev != self._folder.stat().st_dev:
                raise OSError(f"{self._beside} is on another disk than {self._folder}; choose a folder on the same")
        except OSError as error:
            self._remove()
            if error.strerror is None:
                raise
            folder = self._beside if str(error.filename).startswith(str(self._beside)) else self._folder
            line = f"cannot write in the folder {folder}: {error.strerror}; choose another folder"
            raise OSError(line) from error
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()
        if isinstance(error, OSError) and (error.errno in FULL or str(error.filename).startswith(str(self.scratch))):
            names = dict(zip(map(str, self.parts), self.targets, strict=True))
            only = self.targets[0] if error.filename is None and len(self.targets) == 1 else self._beside
            place = names.get(str(error.filename), only)
            line = f"cannot write {place}: {error.strerror}; make room or choose another folder"
            raise OSError(line) from error
        if isinstance(error, ValueError):  # what a container cannot hold: say the name that the user knows
            error.args = (str(error).replace(str(self.scratch / "parts"), str(self._folder)),)

    def commit(self) -> None:
        """Give the parts their names."""
        self._check()
        new = [target for target in self.targets if not os.path.lexists(target)]
        try:
            for part, target in zip(self.parts, self.targets, strict=True):
                os.replace(part, target)
        except BaseException:
            for target in new:
                target.unlink(missing_ok=True)
            raise

    def _check(self) -> None:
        for target in self.targets:
            if not os.path.lexists(target):
                continue
            if target.exists() and target.samefile(self._source):
                raise FileExistsError(f"{target} is the song itself; choose another name for the output")
            if target.is_dir():
                raise IsADirectoryError(f"{target} is a folder; name a file in it")
            if not self._overwrite:
                raise FileExistsError(f"{target} exists already; choose another name, or overwrite it with --force")

    def _enter_folder(self) -> None:
        folder = self._folder
        if folder.is_dir():
            return
        if os.path.lexists(folder):
            raise NotADirectoryError(f"{folder} is not a folder; choose another")
        missing = folder.parent if self._make_folder else folder
        if not missing.is_dir():
            raise FileNotFoundError(f"the folder {missing} does not exist; make it first or choose another")
        self._made_folder = True  # before it is true, so that it goes even if we are stopped in the next line
        folder.mkdir()

    def _remove(self) -> None:
        shutil.rmtree(self.scratch, ignore_errors=True)
        if self._made_folder:
            with suppress(OSError):  # not empty: the outputs are in it
                self._folder.rmdir()
