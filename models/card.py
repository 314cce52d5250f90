"""Read a model's card, which describes the network for the engine and for its user."""

from pathlib import Path
from typing import Any

from ..core.documents import read_json
from ..core.errors import ModelError
from .mask_card import MaskCard
from .stems_card import StemsCard

Card = MaskCard | StemsCard
"""Both have `name`, `version`, `sha256`, `mode`, `stems`, `sample_rate`, `realtime`, `latency_samples` and `values`."""

FORMATS: dict[float, type[MaskCard] | type[StemsCard]] = {1: MaskCard, 2: StemsCard}


def read_card(path: Path) -> Any:
    """Read the JSON of a card, without checking it.

    Args:
        path: Path of the card.

    Raises:
        ModelError: The file cannot be read or is not JSON.
    """
    if not path.exists():
        raise ModelError(f"{path}: there is no model card; it must be next to the .onnx file")
    return read_json(path, f"{path}: the model card", ModelError)


def parse_card(values: Any, source: object) -> Card:
    """Return the card that JSON describes.

    Args:
        values: The JSON value.
        source: How errors call the card: usually its path.

    Raises:
        ModelError: The card is not valid, or its format is too new.
    """
    # Check the format first: errors from today's schemas would not help with a newer format.
    number = values.get("format") if isinstance(values, dict) else None
    if not isinstance(number, int | float):
        return MaskCard.from_dict(values, source)  # which says what is wrong
    if number > (newest := max(FORMATS)):
        raise ModelError(f"{source}: card format {number} is newer than {newest}; update stembridge to use it")
    return FORMATS.get(number, MaskCard).from_dict(values, source)
