"""Files that appear complete and together, or not at all."""

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self


class Outputs:
    """Temporary files in the folder of the targets. They take the targets' names on `commit` and vanish without it.

    targets: files of one folder. They must not exist unless `overwrite`, and none of them may be `source`.
    make_folder: make the folder where it is missing; its own parent must exist.
    parts: where to write, one path per target, with the target's suffix.

    Entering raises OSError (one line) if the targets cannot be written.
    """

    def __init__(self, targets: Sequence[Path], source: Path, *, overwrite: bool, make_folder: bool = False) -> None:
        self._folder = Path(os.path.realpath(targets[0].parent))
        self.targets = [self._folder / target.name for target in targets]
        self.parts: list[Path] = []
        self._source, self._overwrite, self._make_folder = source, overwrite, make_folder
        self._temporary: list[Path] = []
        self._made_folder = False

    def __enter__(self) -> Self:
        for target in self.targets:
            self._check(target)
        try:
            self._enter_folder()
            self.parts = [self.scratch(target.suffix) for target in self.targets]
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def scratch(self, suffix: str) -> Path:
        """A new, empty, hidden file beside the targets, removed at the end."""
        path = self._folder / f".stembridge-{secrets.token_hex(6)}{suffix}"
        self._temporary.append(path)  # first, so that it goes even if we are stopped in the next line
        try:
            path.open("xb").close()
        except OSError as error:
            line = f"cannot write in the folder {self._folder}: {error.strerror}; choose another folder"
            raise OSError(line) from error
        return path

    def commit(self) -> None:
        """Give the parts their names."""
        placed: list[Path] = []
        try:
            for part, target in zip(self.parts, self.targets, strict=True):
                if not os.path.lexists(target):
                    placed.append(target)
                os.replace(part, target)
        except BaseException:
            for target in placed:
                target.unlink(missing_ok=True)
            raise

    def _check(self, target: Path) -> None:
        if not os.path.lexists(target):
            return
        if target.exists() and target.samefile(self._source):
            raise FileExistsError(f"{target} is the song itself; choose another name for the output")
        if target.is_dir():
            raise IsADirectoryError(f"{target} is a folder; name a file in it")
        if not self._overwrite:
            raise FileExistsError(f"{target} exists already; choose another name or overwrite it with --force")

    def _enter_folder(self) -> None:
        folder = self._folder
        if folder.is_dir():
            return
        if folder.exists():
            raise NotADirectoryError(f"{folder} is not a folder; choose another")
        missing = folder.parent if self._make_folder else folder
        if not missing.is_dir():
            raise FileNotFoundError(f"the folder {missing} does not exist; make it first or choose another")
        try:
            folder.mkdir()
        except OSError as error:
            raise OSError(f"cannot make the folder {folder}: {error.strerror}; choose another") from error
        self._made_folder = True

    def _remove(self) -> None:
        for path in self._temporary:
            path.unlink(missing_ok=True)
        if self._made_folder:
            with suppress(OSError):  # not empty: the outputs are in it
                self._folder.rmdir()
