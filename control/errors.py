"""What goes wrong in control."""


class ControlError(ValueError):
    """A timeline, map or file that cannot be used; its text is one line."""
