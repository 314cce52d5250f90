"""Tables and JSON on stdout."""

import os
import sys
from collections.abc import Sequence
from typing import Any

UNLIMITED_WIDTH = 1_000_000  # columns


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table. Long cells are wrapped, except in a pipe without COLUMNS, where each row is one line.

    Args:
        head: Names of the columns.
        rows: Cells of each row, one for each column.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), highlight=False)
    for name in head:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*map(printable, row))
    console = Console(highlight=False, markup=False, emoji=False)
    if not sys.stdout.isatty() and not os.environ.get("COLUMNS"):
        console.width = UNLIMITED_WIDTH
    with console.capture() as capture:
        console.print(table)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()))


def print_json(value: Any) -> None:
    """Print a value as JSON.

    Args:
        value: Any value that JSON can hold.
    """
    import json

    print(json.dumps(value, indent=2, ensure_ascii=False))


def printable(text: str) -> str:
    r"""Return a text as one line, without characters that control a terminal.

    Args:
        text: Any text, such as a file name.

    >>> printable("two\nlines")
    'two\\nlines'
    """
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
