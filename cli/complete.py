"""Completion in the shell, for the names of presets, models, stems, maps and ports."""

from collections.abc import Callable, Iterable
from contextlib import suppress

Complete = Callable[[str], list[str]]


def beginning(names: Callable[[], Iterable[str]]) -> Complete:
    """Return a function that completes a name, or the last of several names with commas between them.

    Args:
        names: Returns all names. If it fails, nothing is completed.
    """

    def complete(incomplete: str) -> list[str]:
        before, comma, begun = incomplete.rpartition(",")
        with suppress(ValueError, OSError):
            return [f"{before}{comma}{name}" for name in names() if name.startswith(begun)]
        return []

    return complete


def _presets() -> Iterable[str]:
    from ..presets import preset_names

    return preset_names()


def _models() -> Iterable[str]:
    from ..models import model_names

    return model_names()


def _stems() -> Iterable[str]:
    from ..core.stems import stem_parts
    from ..models import load_model

    stems = load_model("studio").card.stems
    return [*stem_parts(stems, None), *(f"no_{stem}" for stem in stems), "instrumental"]


def _maps() -> Iterable[str]:
    from ..control import map_names

    return map_names()


def _inputs() -> Iterable[str]:
    from ..control.ports import port_names

    return port_names()[0]


def _own_presets() -> Iterable[str]:
    from ..presets import own_presets

    return own_presets()


def _gains() -> Iterable[str]:
    from ..models import load_model

    return (f"{stem}=" for stem in load_model("studio").card.stems)


preset_names_from = beginning(_presets)
own_preset_names_from = beginning(_own_presets)
gains_from = beginning(_gains)
model_names_from = beginning(_models)
stem_names_from = beginning(_stems)
map_names_from = beginning(_maps)
port_names_from = beginning(_inputs)
