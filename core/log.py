"""Messages while the library works, through the logger "stembridge"; the command line shows them on stderr."""

import logging

logger = logging.getLogger("stembridge")


def say(line: str) -> None:
    """Log a message for the user.

    Args:
        line: One line, without a line end.
    """
    logger.warning("%s", line)
