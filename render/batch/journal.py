"""The journal of a batch: JSON lines next to its outputs, from which the next run learns what is done already."""

import hashlib
import json
import os
import secrets
import shutil
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Self

from ...core.locks import locked
from ...core.places import is_url
from ..report.results import SongReport
from ..song.overview import Overview
from ..storage import Seen

FOLDER = ".stembridge"


class Key(NamedTuple):
    """Identifies one result of one song.

    Attributes:
        song: Its real path or URL.
        base: Name of the outputs without a number.
        settings: All settings that change the result, as `canonical` text.
    """

    song: str
    base: str
    settings: str


@dataclass
class Entry:
    """The last result for a key.

    Attributes:
        song: The song when it was rendered.
        outputs: Names below the output folder to the files as they were written.
        offset: Position of the line in the journal, in bytes.
        number: Number of the result among those with the same name.
        claimed: Outputs of work that began later.
    """

    song: Seen | None = None
    outputs: dict[str, Seen] = field(default_factory=dict)
    offset: int | None = None
    number: int = 1
    claimed: tuple[str, ...] = ()


def state_folder(output: str) -> Path:
    """Return the folder for the journal and temporary files: in the output folder, or for a URL in the user's own.

    Args:
        output: Path or URL of the output folder.
    """
    if not is_url(output):
        return Path(output, FOLDER)
    from platformdirs import user_state_path

    return user_state_path("stembridge") / "batches" / hashlib.sha256(output.rstrip("/").encode()).hexdigest()[:32]


class Journal:
    """The journal of an output folder, open in a `with` block, in which no other process can write to it.

    Args:
        output: Path or URL of the output folder.
        read_only: Only read. Then other processes may write.

    Attributes:
        entries: The last result for each key.
        owned: Outputs of the batch: name below the output folder to its key, and the file as it was written. Instead of
            that file None, if work began and its end is not known.
        scratch: A folder for this run, deleted when the run ends.

    Raises:
        OSError: The journal cannot be written, or another run works in that folder.
    """

    def __init__(self, output: str, *, read_only: bool = False) -> None:
        self._output, self._folder, self._read_only = output, state_folder(output), read_only
        self._path = self._folder / "journal.jsonl"
        self._writing = Lock()
        self._lock = ExitStack()
        self._file: BinaryIO | None = None
        self.scratch = self._folder / f"run-{secrets.token_hex(4)}"
        self.entries: dict[Key, Entry] = {}
        self.owned: dict[str, tuple[Key, Seen | None]] = {}
        self._claims: dict[str, Key] = {}  # outputs of work that began and did not end

    def __enter__(self) -> Self:
        if self._read_only:
            self._read()
            return self
        try:
            self._made_output = not is_url(self._output) and not os.path.lexists(self._output)
            os.makedirs(os.path.realpath(self._folder), exist_ok=True)
            try:
                self._lock.enter_context(locked(self._folder / "lock", wait=False))
            except BlockingIOError:
                raise OSError(
                    f"another run works in {self._output}; wait until it ends, or choose another folder"
                ) from None
            for left_over in self._folder.glob("run-*"):
                # Rename first: workers may not have noticed yet that their run was killed.
                left_over.rename(left_over.with_name(f"old-{secrets.token_hex(4)}"))
            for left_over in self._folder.glob("old-*"):
                shutil.rmtree(left_over, ignore_errors=True)
            self.scratch.mkdir()
            self._file = self._path.open("ab")
            self._file.truncate(self._read())
            self._file.seek(0, os.SEEK_END)
        except OSError as error:
            self._lock.close()
            if error.strerror is None:
                raise
            line = f"cannot write in the folder {self._output}: {error.strerror}; choose another folder"
            raise OSError(line) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        with suppress(OSError):  # for a line that could not be written, which was reported already
            self._file.close()
        shutil.rmtree(self.scratch, ignore_errors=True)
        with suppress(OSError):  # the folder is gone
            if not self._path.stat().st_size:
                self._remove()
        self._lock.close()

    def _remove(self) -> None:
        """Remove the journal's folder, and that of the outputs if this run made it and it is empty."""
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._made_output:
            with suppress(OSError):
                os.rmdir(self._output)

    def _read(self) -> int:
        """Read all lines, and return where the last complete one ends, in bytes."""
        end = 0
        if not self._path.exists():
            return end
        with self._path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break  # incomplete, because its run was killed
                with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):  # damaged
                    self._take(json.loads(line), end)
                end += len(line)
        self.owned |= {name: (key, None) for name, key in self._claims.items()}
        return end

    def _take(self, line: Mapping[str, Any], offset: int) -> None:
        key = Key(line["song"], line["base"], sys.intern(canonical(line["settings"])))
        entry = self.entries.setdefault(key, Entry())
        outcome = line["outcome"]
        if outcome == "claimed":
            entry.claimed, entry.number = tuple(map(str, line["outputs"])), int(line["number"])
            self._claims.update(dict.fromkeys(entry.claimed, key))
        elif outcome == "failed":
            self._end_claims(key, entry.claimed)
            entry.claimed = ()
        elif outcome == "done":
            outputs = {str(name): Seen(*seen) for name, seen in line["outputs"].items()}
            entry.song = Seen(line["size"], line["stamp"], line["sha256"])
            self._end_claims(key, entry.claimed)
            entry.outputs, entry.offset, entry.claimed = outputs, offset, ()
            self.owned.update((name, (key, seen)) for name, seen in outputs.items())

    def _end_claims(self, key: Key, names: Iterable[str]) -> None:
        for name in names:
            if self._claims.get(name) == key:  # and no other result has begun under that name since
                del self._claims[name]

    def _append(self, key: Key, **values: Any) -> None:
        assert self._file is not None
        line = {**key._asdict(), "settings": json.loads(key.settings), **values}
        with self._writing:
            offset = self._file.tell()
            try:
                self._file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
                self._file.flush()
                os.fsync(self._file.fileno())
            except OSError as error:
                reason = f"cannot write {self._path}: {error.strerror}; make room, and start the batch again"
                raise OSError(reason) from error
            self._take(line, offset)

    def claim(self, key: Key, number: int, outputs: Iterable[str]) -> None:
        """Record that the work on some outputs begins. Any thread may call this.

        Args:
            key: The result.
            number: Its number among results with the same name.
            outputs: Names below the output folder.
        """
        self._append(key, outcome="claimed", number=number, outputs=list(outputs))

    def failed(self, key: Key, reason: str) -> None:
        """Record that the work failed and left no files.

        Args:
            key: The result.
            reason: Why, in one line.
        """
        self._append(key, outcome="failed", reason=reason)

    def done(
        self,
        key: Key,
        report: SongReport,
        overview: Mapping[str, Any] | None,
        *,
        song: Seen,
        outputs: Mapping[str, Seen],
    ) -> None:
        """Record that the work is done.

        Args:
            key: The result.
            report: What is reported about the song.
            overview: Data for a picture, from `Overview.to_dict`.
            song: The song as it was read.
            outputs: Names below the output folder to the files as they were written.
        """
        of_song = {"size": song.size, "stamp": song.stamp, "sha256": song.checksum}
        self._append(key, outcome="done", **of_song, outputs=outputs, report=report.to_dict(), overview=overview)

    def report(self, entry: Entry) -> SongReport | None:
        """Return the report of finished work, None if it cannot be read.

        Args:
            entry: A result in `entries`.
        """
        with suppress(OSError, ValueError, TypeError, KeyError):
            return SongReport.from_dict(self._line(entry)["report"])
        return None

    def overview(self, entry: Entry) -> Overview | None:
        """Return the data for a picture of a finished song, None if there is no such data.

        This works after the journal was closed, too.

        Args:
            entry: A result in `entries`.
        """
        with suppress(OSError, ValueError, TypeError, KeyError):
            return Overview.from_dict(self._line(entry)["overview"])
        return None

    def _line(self, entry: Entry) -> dict[str, Any]:
        # Overviews stay in the file, because those of ten thousand songs would fill the memory.
        with self._path.open("rb") as file:
            file.seek(entry.offset or 0)
            line: dict[str, Any] = json.loads(file.readline())
        return line


def canonical(settings: Mapping[str, Any]) -> str:
    """Return settings as text that is the same for the same settings, with or without options that are not used.

    Args:
        settings: Settings as JSON values; None and False mean that an option is not used.
    """
    used = {name: value for name, value in settings.items() if value is not None and value is not False}
    return json.dumps(used, sort_keys=True, separators=(",", ":"))
