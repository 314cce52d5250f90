"""Optional dependencies."""


def install_extra(extra: str) -> str:
    """Return how to install an extra. StemBridge is not on a package index yet, so this needs a clone.

    Args:
        extra: Name of an extra of pyproject.toml.

    >>> install_extra("live")
    "pip install '.[live]' in a clone of StemBridge"
    """
    return f"pip install '.[{extra}]' in a clone of StemBridge"
