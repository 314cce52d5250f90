"""The `stembridge` command: runs the app, and turns whatever ends it into one line and an exit code."""

import io
import logging
import os
import re
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from ..core.log import logger

USAGE, FAILED = 2, 1  # exit codes; a signal gives 128 + its number
PATIENCE = 5.0  # seconds in which further signals are ignored
# Remedies for file errors whose message has none.
REMEDIES = {
    FileNotFoundError: "check the name",
    NotADirectoryError: "check the name",
    IsADirectoryError: "name a file",
    PermissionError: "check its permissions, and its folder's",
}
# What else may have been meant where the value of an option is wrong, by the name of the option.
MEANT = {"quality": "the quality of lossy files is --encoding-quality, from 0 to 10"}
STOPPED_BY = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "terminated"}


class _Stopped(KeyboardInterrupt):
    """A signal asked us to stop."""

    def __init__(self, number: int) -> None:
        self.number = number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, by default that of this process, and return its exit code.

    0: done. 2: bad input or usage, said in one line on stderr. 130 and 143: stopped by Ctrl-C and SIGTERM, cleaned up.
    1: a bug, or nobody reads stdout. STEMBRIDGE_DEBUG=1 in the environment adds the traceback.
    """
    # Closed from outside: what is said is lost, and must not end up in a file that takes the number.
    sys.stdout, sys.stderr = (stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names need not be text
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        with warnings.catch_warnings(), _log_shown(), _signals_stop_us():
            warnings.showwarning = _show_warning
            code = _run(arguments)
            if sys.stdout:
                sys.stdout.flush()
            return code
    except _Stopped as stop:
        for name in STOPPED_BY:  # all is tidied up, and what ends the interpreter should not be interrupted
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.SIG_IGN)
        _say(STOPPED_BY[signal.Signals(stop.number).name])
        return 128 + stop.number
    except Exception as error:
        if os.environ.get("STEMBRIDGE_DEBUG"):
            traceback.print_exc()
        return _explain(error, arguments)


def _run(arguments: Sequence[str]) -> int:
    is_completing = "_STEMBRIDGE_COMPLETE" in os.environ  # the shell asks how a command line may go on
    if is_completing:
        os.environ["COLUMNS"] = "1000"  # so that typer breaks no description: a shell takes a line for a name
    import typer

    from .app import app

    # Not app(): that has its own ways with errors, Ctrl-C and broken pipes.
    command = typer.main.get_command(app)
    if is_completing:
        command.main(arguments, prog_name="stembridge")
    try:
        with command.make_context("stembridge", list(arguments)) as context:
            command.invoke(context)
    except typer.Exit as done:
        return done.exit_code
    return 0


def _explain(error: Exception, arguments: Sequence[str]) -> int:
    """Print in one line why a command failed, and return its exit code."""
    if isinstance(error, BrokenPipeError):
        _forget_stdout()
        return FAILED
    # ONNX Runtime's message, and Python's where there is no memory for a thread's stack.
    shortages = "Failed to allocate memory", "can't start new thread"
    if isinstance(error, MemoryError) or any(shortage in str(error) for shortage in shortages):
        files = [argument for argument in arguments if os.path.isfile(argument)]
        work = f" while working on {', '.join(files)}" if files else ""
        _say(f"memory ran out{work}; close other programs, or use a computer with more memory")
        return USAGE
    if (reason := _reason(error)) is None:
        _say(f"this is a bug, please report it: {type(error).__name__}: {error} (STEMBRIDGE_DEBUG=1 shows where)")
        return FAILED
    if _lost_folder(error):
        known = "" if isinstance(error, OSError) and error.strerror == reason else f"{reason}; "  # which names no file
        reason = f"{known}the current folder has been deleted: change to another (cd)"
    _say(reason)
    if isinstance(error, OSError):
        _forget_stdout()
    return USAGE


def _reason(error: Exception) -> str | None:
    """Return what is wrong with the input or the machine; None if the error is a bug."""
    if hasattr(error, "format_message"):  # a usage error of click, which newer versions of typer bring along
        context = getattr(error, "ctx", None)
        if choices := getattr(error, "possibilities", None):  # an unknown option
            from ..core.suggest import did_you_mean

            name = getattr(error, "option_name", "")
            return f"No such option: {name}{did_you_mean(name, choices)}; {_see(context)}"
        message = error.format_message().rstrip(".").replace("Value error, ", "")  # so pydantic begins, for typer
        meant = MEANT.get(getattr(getattr(error, "param", None), "name", None) or "")
        return f"{message}; {f'{meant}; ' if meant else ''}{_see(context)}"
    if isinstance(error, OSError) and error.strerror:
        remedy = next((f"; {text}" for kind, text in REMEDIES.items() if isinstance(error, kind)), "")
        return f"{error.filename}: {error.strerror}{remedy}" if error.filename else error.strerror
    return str(error) if isinstance(error, ValueError | OSError) else None


def _see(context: Any) -> str:
    return f"see {context.command_path if context else 'stembridge'} --help"


def _lost_folder(error: BaseException | None) -> bool:
    """Return whether a file was not found because the current folder has been deleted."""
    while error is not None and not isinstance(error, FileNotFoundError):
        error = error.__cause__ or error.__context__
    try:
        os.getcwd()
    except FileNotFoundError:
        return error is not None
    return False


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    _say(f"warning: {message}")


def _say(text: str) -> None:
    line = re.sub(r"\s*[\r\n]+\s*", " ", text.strip())
    with suppress(OSError):
        print(f"stembridge: {line}", file=sys.stderr, flush=True)


def _forget_stdout() -> None:
    """Let nothing be written to stdout at exit, where it would fail once more."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Shown(logging.Handler):
    """Shows what the library logs as lines on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Show a line."""
        _say(record.getMessage())


@contextmanager
def _log_shown() -> Iterator[None]:
    handler = _Shown()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@contextmanager
def _signals_stop_us() -> Iterator[None]:
    """Make Ctrl-C, SIGTERM and a closed terminal raise. More of them soon after, while we tidy up, are ignored."""
    numbers = [getattr(signal, name) for name in STOPPED_BY if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    ours = [number for number in numbers if before[number] is not signal.SIG_IGN]  # nohup and & stay in force

    last = -PATIENCE

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal last
        if time.monotonic() - last >= PATIENCE:
            last = time.monotonic()
            before.clear()
            raise _Stopped(number)

    for number in ours:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
