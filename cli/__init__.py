"""The command line. Each command is a small module; `app` lists them, `entry` runs them."""

from .entry import main

__all__ = ["main"]
