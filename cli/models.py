"""`stembridge models`: those that come with StemBridge, and those that were imported."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .complete import model_names_from
from .examples import EXAMPLES
from .help import Command, Group
from .importing import import_model

if TYPE_CHECKING:
    from ..models import Card

app = typer.Typer(cls=Group, epilog=EXAMPLES["models"])
app.command("import", cls=Command, epilog=EXAMPLES["models import"])(import_model)

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME", autocompletion=model_names_from, help="As in the list; also the path of an .onnx file."
    ),
]


@app.callback(invoke_without_command=True)
def _models(
    context: typer.Context,
    card: Annotated[
        str | None, typer.Option("--card", metavar="NAME", help="Print the whole card of a model, as JSON, and exit.")
    ] = None,
) -> None:
    """List the networks that --model knows by name; import the networks of others."""
    if card is not None:
        show_model(card)
        raise typer.Exit
    if context.invoked_subcommand is None:
        list_models()


@app.command("list", cls=Command, epilog=EXAMPLES["models list"])
def list_models() -> None:
    """List the networks that come with StemBridge, and those that you imported."""
    from ..models import ModelError, load_model, model_names
    from .table import print_table

    rows = []
    for name in model_names():
        try:
            model = load_model(name)
        except ModelError as error:  # an imported one, which must not hide the others
            rows.append([name, "", "", "", "", "", str(error)])
            continue
        latency, rate = model.card.latency_samples, model.card.sample_rate
        rows.append(
            [
                name,
                model.card.mode,
                ", ".join(model.card.stems),
                f"{latency} at {rate} Hz, {1000 * latency / rate:.1f} ms",
                f"{model.size_bytes / 1e6:.1f} MB",
                _scores(model.card),
                model.card.values["terms"],
            ]
        )
    print_table(["name", "mode", "stems", "latency in samples", "size", "scores", "terms"], rows)


@app.command("show", cls=Command, epilog=EXAMPLES["models show"])
def show_model(name: ModelArgument) -> None:
    """Print the whole card of a model, as JSON."""
    import json

    from ..models import load_model

    print(json.dumps(load_model(name).card.values, indent=2, ensure_ascii=False))


@app.command("remove", cls=Command, epilog=EXAMPLES["models remove"])
def remove_imported(
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=model_names_from, help="As in the list.")],
) -> None:
    """Remove a model that was imported, with its graphs."""
    from ..models.guests import remove_model

    remove_model(name)
    print(f"removed {name}")


def _scores(card: "Card") -> str:
    """Score of each stem in dB: the first part of the card's scores that is by stem."""
    parts: list[Any] = [card.values.get("scores")]
    for part in parts:
        if isinstance(part, dict):
            if set(card.stems) & set(part):
                return ", ".join(f"{stem} {part[stem]:.1f}" for stem in card.stems if stem in part)
            parts += part.values()
    return "none"
