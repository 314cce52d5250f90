"""Tables and JSON on stdout."""

import os
import sys
from collections.abc import Sequence
from typing import Any

UNLIMITED = 1_000_000  # characters


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a head. Long cells wrap, except in a pipe: there a row stays a line unless COLUMNS is set."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), highlight=False)
    for name in head:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*map(printable, row))
    console = Console(highlight=False, markup=False, emoji=False)
    if not sys.stdout.isatty() and "COLUMNS" not in os.environ:
        console.width = UNLIMITED
    with console.capture() as capture:
        console.print(table)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()))


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    import json

    print(json.dumps(value, indent=2, ensure_ascii=False))


def printable(text: str) -> str:
    """The text as one line that does nothing to a terminal.

    >>> printable("two\\nlines")
    'two\\\\nlines'
    """
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
