"""Run the real command in a separate process and folder."""

import contextlib
import io
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from stembridge.cli import main


def default_signals() -> None:
    """Set the signal handlers that a terminal starts a program with."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Desk:
    """A folder, and the command to run in it."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder = folder
        self.model = str(model)

    def start(self, *arguments: object, prepare: Callable[[], None] = default_signals, **options) -> subprocess.Popen:
        """Start `stembridge` here."""
        command = [sys.executable, "-m", "stembridge", *map(str, arguments)]
        # os.environ, because pytest loads readline, which sets COLUMNS behind Python's back.
        inherited: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "env": os.environ,
        }
        return subprocess.Popen(command, cwd=self.folder, text=True, preexec_fn=prepare, **(inherited | options))

    def run(self, *arguments: object, **options) -> subprocess.CompletedProcess:
        """Run `stembridge` here to its end."""
        process = self.start(*arguments, **options)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def in_terminal(self, *arguments: object, stream: str = "stderr", **options) -> tuple[str, str]:
        """Run `stembridge` here, with stdout or stderr on a pseudo-terminal.

        Return the text on the terminal, and that of the other stream.
        """
        ours, theirs = pty.openpty()
        process = self.start(*arguments, **(options | {stream: theirs}))
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the other end is closed
            while part := os.read(ours, 65536):
                shown += part
        os.close(ours)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0
        return shown.decode(), out or err or ""

    def call(self, *arguments: object) -> subprocess.CompletedProcess:
        """Run `stembridge` here, in this process: a fast `run` for tests of many variants."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([*map(str, arguments)])
        return subprocess.CompletedProcess([*map(str, arguments)], code, out.getvalue(), err.getvalue())

    def refused(self, *arguments: object, here: bool = False, **options) -> str:
        """Run a command that must fail with one line and change nothing; return the line. here: in this process."""
        before = self.files()
        result = self.call(*arguments) if here else self.run(*arguments, **options)
        assert (result.returncode, result.stdout) == (2, ""), result.stderr
        assert result.stderr.count("\n") == 1
        assert result.stderr.startswith("stembridge: ")
        assert ".stembridge-" not in result.stderr
        assert "all files" not in result.stderr
        assert self.files() == before
        return result.stderr

    def files(self) -> dict[str, object]:
        """Return all files in the folder: name -> content and time."""
        return {
            str(path.relative_to(self.folder)): path.is_dir() or (path.read_bytes(), os.stat(path).st_mtime_ns)
            for path in self.folder.rglob("*")
            if path.exists()  # not a link to a missing file
        }

    def make_song(
        self, name: str = "song.wav", seconds: float = 0.5, num_channels: int = 2, subtype: str | None = None
    ) -> Path:
        """Write a song of quiet noise."""
        random = np.random.default_rng(0)
        path = self.folder / name
        soundfile.write(path, 0.1 * random.standard_normal((int(44100 * seconds), num_channels)), 44100, subtype)
        return path


@pytest.fixture
def desk(tmp_path: Path, tiny_live_model: Path) -> Desk:
    """Make an empty folder to run the command in."""
    return Desk(tmp_path, tiny_live_model)
