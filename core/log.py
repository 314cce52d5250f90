"""What the library tells while it works, through the logger "stembridge"; the command line shows it on stderr."""

import logging

logger = logging.getLogger("stembridge")


def say(line: str) -> None:
    """Log a line that the user should see."""
    logger.warning("%s", line)
