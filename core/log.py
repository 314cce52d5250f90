"""Messages while the library works, through the logger "stembridge"; the command line shows them on stderr."""

import logging
from collections.abc import Callable

from .errors import one_line

logger = logging.getLogger("stembridge")


def say(line: str) -> None:
    """Log a message for the user.

    Args:
        line: One line, without a line end.
    """
    logger.warning("%s", line)


def report_safely(report: Callable[[str], None], line: str) -> None:
    """Report a line. If `report` fails, log the line, because a failing report must not stop anything.

    Args:
        report: Called with the line.
        line: The line.
    """
    try:
        report(line)
    except Exception as error:
        say(f"{line} ({type(error).__name__} in report: {one_line(error)})")
