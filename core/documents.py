"""Documents that a user names or writes: presets, MIDI maps."""

import os


def is_path(name_or_path: str) -> bool:
    """Whether a preset or a MIDI map is meant by its path: what ends in .json, or has a folder separator."""
    return name_or_path.endswith(".json") or any(mark in name_or_path for mark in (os.sep, os.altsep) if mark)
