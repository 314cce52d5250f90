"""`stembridge docs`."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..core.errors import StemBridgeError
from .complete import beginning

FOLDER = Path(__file__).parents[1] / "docs"
SITE_PAGE = "api"  # has no text of its own: the docs site fills it with docstrings


def show_page(
    page: Annotated[
        str | None,
        typer.Argument(
            metavar="[PAGE]", help="Name of a page in the list.", autocompletion=beginning(lambda: page_files())
        ),
    ] = None,
) -> None:
    """Show a page of the documentation, in a terminal with your pager ($PAGER). Without a page name, list all pages."""
    from ..core.suggest import did_you_mean
    from .table import print_table

    pages = page_files()
    if page is None:
        print_table(["page", "about"], [[name, _title(path)] for name, path in pages.items()])
        return
    name = page.removeprefix("docs/").removesuffix(".md")
    if name not in pages:
        raise StemBridgeError(f"unknown page {page!r}{did_you_mean(name, pages)}; choose from {', '.join(pages)}")
    text = pages[name].read_text("utf-8")
    if not sys.stdout.isatty():
        print(text, end="")
        return
    from rich.console import Console
    from rich.markdown import Markdown

    os.environ.setdefault("LESS", "-R")  # so that less shows colours
    console = Console()
    with console.pager(styles=True):
        console.print(Markdown(text, hyperlinks=False))


def page_files() -> dict[str, Path]:
    """Return the pages, name to Markdown file."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.md")) if path.stem != SITE_PAGE}


def _title(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.readline().lstrip("# ").rstrip()
