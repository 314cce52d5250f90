"""StemMix: faders on a finished song, as a pedalboard plugin."""

import numbers
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ..control.maps.midimap import load_map
from ..core.errors import ModelError, PresetError
from ..core.gains import SILENCE_DB, check_gain_db
from ..core.log import say
from ..core.version import __version__
from ..models import Card, Model, load_model, model_names
from ..presets import load_preset, preset_names
from ..presets.gains import read_gains
from .bridge.bundle import import_folders, temporary_bundles, worker_arguments
from .bridge.descriptor import RATES_HZ, Alternative, Descriptor
from .bridge.factory import Parameter, Timing, read_parameters
from .effect import PRE_FADER, parameter_prefixes, stem_meters, stem_parameters, stem_timing
from .hosted import HostedPlugin


class StemMix(HostedPlugin):
    """Faders on the stems of a song, as a plugin for pedalboard.

    All parameters are attributes: `mix.vocals_db = -6`.

    Args:
        model: Name of a shipped or imported model, or the path of an .onnx file.
        preset: Gains by name, or from a .json file.
        parameters: `<stem>_db` in dB, up to 20, where -80 or below is silence; `<stem>_mute`; `<stem>_solo`; `bypass`.
            They override the preset.

    Raises:
        ModelError: The model cannot be used.
        PresetError: The preset cannot be used.
        ValueError: A value is out of range.
        TypeError: A parameter is unknown.
    """

    _shortest_block = 8192  # pedalboard's usual size; short blocks sound the same, but cost more

    def __init__(
        self,
        model: str | os.PathLike[str] = "mix",
        *,
        preset: str | os.PathLike[str] | None = None,
        **parameters: float | bool,
    ) -> None:
        loaded = load_model(model)
        self._stems = loaded.card.stems
        self._model = _lasting_name(loaded)
        gains = {} if preset is None else _preset_parameters(preset, self._stems)
        descriptor = describe_stem_mix(loaded, "StemMix", import_folders(), for_pedalboard=True)
        super().__init__(temporary_bundles.get(descriptor), **(gains | parameters))
        self._recipe = StemMix, (), {"model": self._model}

    @property
    def model(self) -> str:
        """Name of a shipped model, or the absolute path of another model's .onnx file or card."""
        return self._model

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the model's stems."""
        return self._stems

    def _checked(self, name: str, value: Any) -> float | bool:
        if name.endswith("_db") and isinstance(value, numbers.Real) and not isinstance(value, bool):
            value = max(SILENCE_DB, check_gain_db(name, float(value)))
        return super()._checked(name, value)


def describe_stem_mix(model: Model, name: str, folders: list[str], for_pedalboard: bool = False) -> Descriptor:
    """Return the descriptor of a StemMix.

    Args:
        model: The model.
        name: Name in hosts.
        folders: Folders to import stembridge from, after the interpreter's own.
        for_pedalboard: Leave out stem outputs, meters, status and other models: pedalboard cannot use them, or makes
            another StemMix.
    """
    card = model.card
    declared = stem_parameters(card.stems)
    if not for_pedalboard:
        declared[PRE_FADER] = False
    parameters = read_parameters(declared)

    def hosted(made: Model) -> Alternative:
        kwargs = {"model": _lasting_name(made), "measure": not for_pedalboard, "stems": card.stems}
        return Alternative(
            worker_arguments("stembridge.plugin.effect:StemEffect", kwargs, parameters, folders),
            " ".join(f"model {made.card.name} {made.card.version} {made.card.sha256}".split()),
            _timings(made.card),
        )

    first = hosted(model)
    descriptor = Descriptor(
        name,
        __version__,
        first.arguments,
        parameters,
        first.identity,
        first.latencies,
        categories=("Fx", "Tools"),
    )
    if for_pedalboard:
        return descriptor  # without `lowest`, because pedalboard reads the texts of values as numbers, even -inf
    meters = {name: Parameter(*fields) for name, fields in stem_meters(card.stems).items()}
    faders = [f"{prefix}_db" for prefix in parameter_prefixes(card.stems).values()]
    return replace(
        descriptor,
        lowest=dict.fromkeys([*faders, *meters], "-inf"),
        outputs=tuple(stem.capitalize() for stem in card.stems),
        meters=meters,
        shows_status=True,
        presets=_presets(card.stems),
        controllers=_controllers(card.stems),
        model=model.path.stem,
        alternatives={name: hosted(other) for name, other in _alternatives(model).items()},
    )


def _timings(card: Card) -> dict[float, Timing]:
    """Return the timing at each usual sample rate in Hz, without those at which the model cannot work."""
    timings = {}
    for rate in RATES_HZ:
        with suppress(ModelError):
            timings[float(rate)] = stem_timing(card, rate)
    return timings


def _alternatives(model: Model) -> dict[str, Model]:
    """Return the other models that have the same stems, by name, without those that cannot be loaded."""
    found = {}
    for name in model_names():
        try:
            other = load_model(name)
        except ModelError as error:  # in a user's model; it must not stop the installation
            say(f"{error}; the plugin leaves it out")
            continue
        if set(other.card.stems) == set(model.card.stems) and name != model.path.stem:
            found[name] = other
    return found


def _presets(stems: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the presets for a model with these stems, as values of all faders, without presets for other stems."""
    prefixes = parameter_prefixes(stems)
    loaded = {}
    for name in preset_names():
        try:
            loaded[name] = load_preset(name)
        except PresetError as error:  # a broken file of the user must not prevent the installation
            say(f"{error}; the plugin leaves it out")
    return {
        name: {f"{prefixes[stem]}_db": gains_db.get(stem, 0.0) for stem in stems}
        for name, gains_db in loaded.items()
        if gains_db.keys() <= set(stems)
    }


def _controllers(stems: Sequence[str]) -> dict[int, str]:
    """Return the MIDI control changes of the general map, number to the parameter that it moves."""
    prefixes = parameter_prefixes(stems)
    return {
        binding.control.number: f"{prefixes[binding.stem]}_db"
        for binding in load_map("general").bindings
        if binding.action == "gain" and binding.stem in prefixes and binding.control.type == "cc"
    }


def _lasting_name(model: Model) -> str:
    """Return a name of the model that works in every process: its name if it ships, otherwise its absolute path."""
    return model.path.stem if model.shipped else os.path.abspath(model.path)


def _preset_parameters(preset: str | os.PathLike[str], stems: Sequence[str]) -> dict[str, float]:
    gains_db = read_gains(None, stems, preset)
    prefixes = parameter_prefixes(stems)
    return {f"{prefixes[stem]}_db": gain for stem, gain in gains_db.items()}
