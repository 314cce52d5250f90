"""Which commands there are."""

from typing import Annotated

import typer

from .. import __version__
from .evaluate import evaluate_model
from .models import list_models
from .presets import list_presets
from .remix import remix_song
from .separate import separate_song
from .train import run_training

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

# The modules of commands import what is heavy when they are called, so that `stembridge --help` is quick.
app.command("remix")(remix_song)
app.command("separate")(separate_song)
app.command("presets")(list_presets)
app.command("models")(list_models)
app.command("train")(run_training)
app.command("evaluate")(evaluate_model)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"stembridge {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _stembridge(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Four faders on a finished song: vocals, drums, bass and other."""
    if context.invoked_subcommand is None:
        print(context.get_help())
