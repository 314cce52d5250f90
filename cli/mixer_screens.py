"""Screens that come in front of the mixer: the keys, and the list of presets."""

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ..presets import PresetError, own_presets, preset_names, read_preset
from .mixer_keys import HELP


class Help(ModalScreen[None]):
    """The list of keys."""

    def compose(self) -> ComposeResult:
        """Yield the box with the text."""
        yield Static(HELP, id="help")

    def on_key(self, event: events.Key) -> None:
        """Close the list at any key, which does nothing else."""
        event.stop()
        self.dismiss()

    def on_click(self) -> None:
        """Close the list at a click."""
        self.dismiss()


class PresetList(ModalScreen[str]):
    """All presets to choose from.

    Args:
        presets: Name to description.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,p,q", "dismiss", show=False)]

    def __init__(self, presets: dict[str, str]) -> None:
        super().__init__()
        self._options = [Option(f"{name:<15} {text}", id=name) for name, text in presets.items()]

    def compose(self) -> ComposeResult:
        """Yield the list."""
        yield OptionList(*self._options, id="all-presets", markup=False)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Close the list with the chosen preset."""
        self.dismiss(event.option_id)

    def on_click(self, event: events.Click) -> None:
        """Close the list if the click was outside it."""
        if event.widget is self:
            self.dismiss()


def usable_presets(stems: tuple[str, ...]) -> dict[str, str]:
    """Return the presets for these stems, name to description. The user's own presets come last.

    Args:
        stems: Names of the stems. Presets with other stems are left out.
    """
    own = own_presets()
    found = {}
    for name in sorted(preset_names(), key=lambda name: (name in own, name)):
        try:
            preset = read_preset(name)
        except PresetError:  # a file in the user's folder that is not a preset
            continue
        if set(preset.gains_db) <= set(stems):
            found[name] = f"{preset.description} (yours)" if name in own else preset.description
    return found
