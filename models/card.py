"""A model's card: what the engine must know of a network, and what its user should."""

import json
from pathlib import Path
from typing import Any

from ..core.errors import ModelError
from .mask_card import MaskCard
from .stems_card import StemsCard

Card = MaskCard | StemsCard
"""Both have `name`, `version`, `sha256`, `mode`, `stems`, `sample_rate`, `realtime`, `latency_samples` and `values`."""

FORMATS: tuple[type[MaskCard], type[StemsCard]] = (MaskCard, StemsCard)  # 1, 2


def read_card(path: Path) -> Any:
    """A card's JSON, not yet checked. Raises ModelError if there is none to read."""
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ModelError(f"{path}: no model card to read ({error.strerror}); it belongs beside the .onnx") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: the model card is not JSON ({error})") from error


def parse_card(values: Any, source: object) -> Card:
    """Check a card's JSON against the schema of its format. source: what to call it in a ModelError."""
    # The format comes first: the schemas of today's formats can say nothing useful about a newer one.
    number = values.get("format") if isinstance(values, dict) else None
    if isinstance(number, int) and number > len(FORMATS):
        raise ModelError(f"{source}: card format {number} is newer than {len(FORMATS)}; update stembridge to use it")
    return (StemsCard if number == 2 else MaskCard).from_dict(values, source)
