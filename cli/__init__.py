"""The command line. Each command is a small module; `app` lists them, `entry` runs them."""

import sys

try:
    from .entry import main
except KeyboardInterrupt:  # Ctrl-C so early that `main` cannot handle it
    print("stembridge: interrupted", file=sys.stderr)
    sys.exit(130)

__all__ = ["main"]
