"""What goes wrong with a user's file."""


class AudioError(ValueError):
    """A file cannot be read or written as audio; `str()` is one line that names the file and a remedy."""
