"""The `stembridge` command: runs the app, and turns errors and signals into one line and an exit code."""

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

from ..core.errors import file_reason, is_of_stdout
from ..core.log import logger
from .lines import complain

USAGE, FAILED = 2, 1  # exit codes; a signal gives 128 + its number
REPEATED_SIGNALS_S = 5.0  # for so long after a signal, further ones are ignored
# Another option that may have been meant if the value of this one is wrong.
OTHER_OPTIONS = {"quality": "the quality of lossy files is --encoding-quality, from 0 to 10"}
STOPPED_BY = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "terminated"}


class _Stopped(KeyboardInterrupt):
    """A signal asked the command to stop."""

    def __init__(self, number: int) -> None:
        self.number = number


# Messages for numbers that pydantic refuses, by its names of the errors.
NUMBER_MESSAGES = {
    "int_parsing": "{input!r} is not a whole number",
    "float_parsing": "{input!r} is not a number",
    "greater_than_equal": "{input} is too small; give {ge:g} or more",
    "less_than_equal": "{input} is too large; give {le:g} or less",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line. If STEMBRIDGE_DEBUG=1 is in the environment, errors have a traceback.

    Args:
        arguments: The words after `stembridge`, by default those of this process.

    Returns:
        The exit code. 0: done. 1: some songs of a batch failed, a check failed, a bug, or stdout cannot be written.
        2: bad input or usage, or not enough memory, explained in one line on stderr. 129, 130 and 143: stopped by a
        closed terminal, Ctrl-C and SIGTERM, and cleaned up.
    """
    # stdout or stderr may have been closed; a file that is opened later must not get its number, and so its text.
    sys.stdout, sys.stderr = (stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names may not be valid text
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        with warnings.catch_warnings(), _log_shown(), _signals_stop_us():
            warnings.showwarning = _show_warning
            code = _run(arguments)
            if sys.stdout:
                sys.stdout.flush()
            return code
    except _Stopped as stop:
        for name in STOPPED_BY:  # everything is cleaned up, and the interpreter should end without an interruption
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

    # Not app(), which would handle errors, Ctrl-C and broken pipes itself.
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
    # The messages of ONNX Runtime, and of Python if there is no memory for a thread's stack.
    shortages = "Failed to allocate memory", "can't start new thread"
    if isinstance(error, MemoryError) or any(shortage in str(error) for shortage in shortages):
        files = [argument for argument in arguments if os.path.isfile(argument)]
        work = f" while working on {', '.join(files)}" if files else ""
        _say(f"memory ran out{work}; close other programs, or use a computer with more memory")
        return USAGE
    if (reason := _reason(error, arguments)) is None:
        _say(f"this is a bug, please report it: {type(error).__name__}: {error} (STEMBRIDGE_DEBUG=1 shows where)")
        return FAILED
    if _lost_folder(error):
        # Without a file name the reason says nothing more.
        known = "" if isinstance(error, OSError) and error.strerror == reason else f"{reason}; "
        reason = f"{known}the current folder has been deleted: change to another (cd)"
    if is_of_stdout(error):
        _forget_stdout()
        _say(f"standard output cannot be written: {reason}; send it somewhere else. Files that were written are whole")
        return FAILED
    _say(reason)
    return USAGE


def _reason(error: Exception, arguments: Sequence[str] = ()) -> str | None:
    """Return what is wrong with the input or the machine; None if the error is a bug."""
    if hasattr(error, "format_message"):  # a usage error of click, of which newer versions of typer have a copy
        context = getattr(error, "ctx", None)
        if hasattr(error, "possibilities"):  # an unknown option
            from ..core.suggest import did_you_mean

            name, choices = getattr(error, "option_name", ""), error.possibilities or ()
            if file := next((word for word in arguments if word.startswith(name) and os.path.exists(word)), ""):
                return f"No such option: {name}; for the file {file}, write ./{file}"
            return f"No such option: {name}{did_you_mean(name, choices)}; {_see(context)}"
        message = _in_plain_words(error.format_message().rstrip("."), error.__cause__)
        meant = OTHER_OPTIONS.get(getattr(getattr(error, "param", None), "name", None) or "")
        return f"{message}; {f'{meant}; ' if meant else ''}{_see(context)}"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {file_reason(error)}" if error.filename else error.strerror
    return str(error) if isinstance(error, ValueError | OSError) else None


def _in_plain_words(message: str, cause: Any) -> str:
    """Return the message of a usage error without pydantic's words, which newer versions of typer quote."""
    for problem in cause.errors() if hasattr(cause, "errors") else ():
        if text := NUMBER_MESSAGES.get(problem["type"]):
            message = message.replace(problem["msg"], text.format(input=problem["input"], **problem.get("ctx", {})))
    return message.replace("Value error, ", "")


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
    """Print a text on stderr as one line."""
    complain(re.sub(r"\s*[\r\n]+\s*", " ", text.strip()))


def _forget_stdout() -> None:
    """Prevent Python from writing to stdout at exit, which would fail again."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Shown(logging.Handler):
    """Shows the library's log messages as lines on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Show a message."""
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
    """Make Ctrl-C, SIGTERM and a closed terminal raise, and ignore repeated ones during the clean-up."""
    numbers = [getattr(signal, name) for name in STOPPED_BY if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    handled = [number for number in numbers if before[number] is not signal.SIG_IGN]  # nohup and & keep their effect

    last = -REPEATED_SIGNALS_S
    stopped: _Stopped | None = None

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal last, stopped
        if time.monotonic() - last >= REPEATED_SIGNALS_S:
            last = time.monotonic()
            before.clear()
            stopped = _Stopped(number)
            raise stopped

    for number in handled:
        signal.signal(number, stop)
    try:
        yield
    except Exception as error:
        # Not a bug after a signal: modules in C may raise an ImportError if something else is raised while they load.
        if stopped is not None and _reason(error) is None:
            raise stopped from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
