"""`stembridge models`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ..models import Card


def list_models(
    card: Annotated[
        str | None, typer.Option("--card", metavar="NAME", help="Print the whole card of a model, as JSON.")
    ] = None,
) -> None:
    """List the networks that come with StemBridge, or show one model's card."""
    import json

    from ..models import load_model, model_names
    from .table import print_table

    if card is not None:
        print(json.dumps(load_model(card).card.values, indent=2, ensure_ascii=False))
        return
    rows = []
    for name in model_names():
        model = load_model(name)
        latency, rate = model.card.latency_samples, model.card.sample_rate
        rows.append(
            [
                name,
                model.card.mode,
                f"{latency} at {rate} Hz, {1000 * latency / rate:.1f} ms",
                f"{len(model.graph) / 1e6:.1f} MB",
                _scores(model.card),
                model.card.values["terms"],
            ]
        )
    print_table(["name", "mode", "latency in samples", "size", "scores", "terms"], rows)


def _scores(card: "Card") -> str:
    """Score of each stem in dB: the first part of the card's scores that is by stem."""
    parts: list[Any] = [card.values.get("scores")]
    for part in parts:
        if isinstance(part, dict):
            if set(card.stems) & set(part):
                return ", ".join(f"{stem} {part[stem]:.1f}" for stem in card.stems if stem in part)
            parts += part.values()
    return "none"
