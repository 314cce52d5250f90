"""`stembridge models`: the networks that come with StemBridge, and imported ones."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .complete import model_names_from
from .examples import EXAMPLES
from .help import Command, Group
from .importing import import_model
from .options import AsJson

if TYPE_CHECKING:
    from ..models import Card

app = typer.Typer(cls=Group, epilog=EXAMPLES["models"])
app.command("import", cls=Command, epilog=EXAMPLES["models import"])(import_model)

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME", autocompletion=model_names_from, help="Name in the list, or the path of an .onnx file."
    ),
]


@app.callback(invoke_without_command=True)
def _models(
    context: typer.Context,
    as_json: AsJson = False,
) -> None:
    """List the networks that --model knows by name; import networks by others.

    Each network's weights have their own terms: see `stembridge models show NAME`.
    """
    if context.invoked_subcommand is None:
        list_models(as_json)


@app.command("list", cls=Command, epilog=EXAMPLES["models list"])
def list_models(as_json: AsJson = False) -> None:
    """List the networks that come with StemBridge, and those that you imported.

    `stembridge models show NAME` prints more about a network, such as the terms of its weights.
    """
    from ..models import ModelError, load_model, model_names
    from .table import print_json, print_table

    rows: list[dict[str, Any]] = []
    for name in model_names():
        try:
            model = load_model(name)
        except ModelError as error:  # a broken imported model must not hide the others
            rows.append({"name": name, "problem": str(error)})
            continue
        card = model.card
        rows.append(
            {
                "name": name,
                "mode": card.mode,
                "stems": list(card.stems),
                "latency_s": card.latency_samples / card.sample_rate,
                "size_mb": model.size_bytes / 1e6,
                "sdr_db": _scores(card),
                "terms": card.values["terms"],
            }
        )
    if as_json:
        print_json(rows)
        return
    print_table(
        ["name", "mode", "latency", "size", "stems and their SDR in dB"],
        [[row["name"], "", "", "", row["problem"]] if "problem" in row else _cells(row) for row in rows],
    )


def _cells(row: dict[str, Any]) -> list[str]:
    scores = row["sdr_db"]
    stems = " ".join(f"{stem} {scores[stem]:.1f}" if stem in scores else stem for stem in row["stems"])
    latency = f"{1000 * row['latency_s']:.1f} ms" if row["latency_s"] < 1 else f"{row['latency_s']:.1f} s"
    return [row["name"], row["mode"], latency, f"{row['size_mb']:.1f} MB", stems]


@app.command("show", cls=Command, epilog=EXAMPLES["models show"])
def show_model(name: ModelArgument) -> None:
    """Print the card of a model, as JSON."""
    import json

    from ..models import load_model

    print(json.dumps(load_model(name).card.values, indent=2, ensure_ascii=False))


@app.command("remove", cls=Command, epilog=EXAMPLES["models remove"])
def remove_imported(
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=model_names_from, help="Name in the list.")],
) -> None:
    """Remove an imported model and its graphs."""
    from ..models.guests import remove_model

    remove_model(name)
    print(f"removed {name}")


def _scores(card: "Card") -> dict[str, float]:
    """Return the score of each stem in dB, from the first part of the card's scores whose keys are stems."""
    parts: list[Any] = [card.values.get("scores")]
    for part in parts:
        if isinstance(part, dict):
            if set(card.stems) & set(part):
                return {stem: part[stem] for stem in card.stems if stem in part}
            parts += part.values()
    return {}
