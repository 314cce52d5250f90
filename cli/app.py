"""The app: all commands, each in its own module."""

from collections.abc import Callable
from typing import Annotated

import typer

from ..core.version import __version__
from .docs import show_page
from .evaluate import evaluate_model
from .examples import EXAMPLES
from .help import Command, Commands
from .inspect import inspect_song
from .live import play_live
from .midi import app as midi
from .models import app as models
from .presets import app as presets
from .remix import remix_song
from .separate import separate_song
from .train import run_training
from .vst3 import app as vst3

app = typer.Typer(
    cls=Commands,
    epilog=EXAMPLES[""],
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

# Commands import heavy modules only when they are called, so that `stembridge --help` is quick.
COMMANDS: dict[str, Callable[..., None]] = {
    "remix": remix_song,
    "separate": separate_song,
    "live": play_live,
    "inspect": inspect_song,
    "train": run_training,
    "evaluate": evaluate_model,
    "docs": show_page,
}
for name, command in COMMANDS.items():
    app.command(name, cls=Command, epilog=EXAMPLES[name])(command)
app.add_typer(models, name="models")
app.add_typer(presets, name="presets")
app.add_typer(vst3, name="vst3")
app.add_typer(midi, name="midi")


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
