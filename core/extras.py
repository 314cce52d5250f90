"""Optional dependencies."""


def install_extra(extra: str) -> str:
    """Say how to install an extra. StemBridge is not on a package index yet, so it comes from a clone.

    >>> install_extra("live")
    "pip install '.[live]' in a clone of StemBridge"
    """
    return f"pip install '.[{extra}]' in a clone of StemBridge"
