"""Files in, files out: one song remixed or taken apart, in constant memory."""

from .song import Progress, Rendered, remix_file, separate_file

__all__ = ["Progress", "Rendered", "remix_file", "separate_file"]
