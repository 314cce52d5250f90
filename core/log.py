"""Messages while the library works, through the logger "stembridge"; the command line shows them on stderr."""

import logging

logger = logging.getLogger("stembridge")


def say(line: str) -> None:
    """Log a line that the user should see."""
    logger.warning("%s", line)
