"""What goes wrong with something that a user gave."""


class AudioError(ValueError):
    """A file cannot be read or written as audio; `str()` is one line that names the file and a remedy."""


class ModelError(ValueError):
    """A model that cannot be used; the text says which, why, and what to do."""


class PresetError(ValueError):
    """A preset that cannot be used; its text is one line."""


class ControlError(ValueError):
    """A timeline, map or file that cannot be used; its text is one line."""


class LiveError(ValueError):
    """Live audio that cannot be had; one line that says why, and what to do."""


class DataError(ValueError):
    """Training material that cannot be used; the text says which and what to do."""
