"""Descriptors: they describe a processor for the native shell, in the bundle's descriptor.txt."""

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import md5

from ...core.errors import BridgeError
from .factory import Parameter, Timing, Toggle

FORMAT = 1
UNITS = {"_db": "dB", "_hz": "Hz", "_ms": "ms"}
RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000, 128000, 176400, 192000)
BYPASS = "bypass"  # a parameter that the shell adds
MAX_ARGUMENT_LENGTH = 100_000  # Linux limits an argument of a program to 131,071 bytes
MAX_NAME_LENGTH, MAX_TITLE_LENGTH = 63, 127  # limits of VST3 hosts
MAX_PARAMETERS = 1000  # the values of all must fit into one packet to the worker
MAX_EXTRAS = 64  # outputs besides the main one; also meters
SDK = "VST 3.7.2"  # the version of the format that the shell uses
VENDOR = "StemBridge", "no web site yet", "no e-mail address yet"  # name, URL, e-mail


@dataclass(frozen=True)
class Alternative:
    """Describes another model that hosts may choose.

    Attributes:
        arguments: Command that starts the process that makes the sound.
        identity: A line that is kept in saved states.
        latencies: Sample rate in Hz to the timing, see `Descriptor`.
    """

    arguments: tuple[str, ...]
    identity: str = ""
    latencies: Mapping[float, Timing] = field(default_factory=dict)


@dataclass(frozen=True)
class Descriptor:
    """Describes a processor for the shell.

    Attributes:
        name: Name in hosts, which identifies the plugin in their projects.
        version: Version of the program that made this.
        arguments: Command that starts the process that makes the sound.
        parameters: Declarations by name, in the order of their numbers.
        identity: A line that is kept in saved states.
        latencies: Sample rate in Hz to the timing, if it is known before the process runs. At other rates the host has
            to wait for the process.
        lowest: Parameter or meter to a text for its lowest value, if that is not shown as a number.
        categories: Kinds of plugin, in VST3's words.
        outputs: Names of the outputs besides the main one, which hosts may use.
        meters: Meters that hosts show, by name.
        shows_status: Whether hosts show that the processor runs, in a parameter that cannot be set.
        presets: Name to values by parameter. Hosts list them as programs; choosing one moves these parameters.
        controllers: Number of a MIDI control change, 0 to 127, to the parameter that it moves.
        model: Name of the model that makes the sound, "" if there is no choice.
        alternatives: Name to another model with the same parameters, outputs and meters. A parameter chooses one.

    Raises:
        BridgeError: A text is too long or not allowed, or there are too many parameters, outputs or meters.
    """

    name: str
    version: str
    arguments: tuple[str, ...]
    parameters: Mapping[str, Parameter | Toggle]
    identity: str = ""
    latencies: Mapping[float, Timing] = field(default_factory=dict)
    lowest: Mapping[str, str] = field(default_factory=dict)
    categories: tuple[str, ...] = ("Fx",)
    outputs: tuple[str, ...] = ()
    meters: Mapping[str, Parameter] = field(default_factory=dict)
    shows_status: bool = False
    presets: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    controllers: Mapping[int, str] = field(default_factory=dict)
    model: str = ""
    alternatives: Mapping[str, Alternative] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (
            not re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9 ._+-]*[A-Za-z0-9_+-])?", self.name)
            or len(self.name) > MAX_NAME_LENGTH
        ):
            raise BridgeError(
                f"{self.name!r} cannot be a plugin's name; use up to {MAX_NAME_LENGTH} letters, digits, spaces . _ + -"
            )
        texts = [self.version, *self.outputs, *self.presets, self.model, *self.alternatives]
        models: list[Descriptor | Alternative] = [self, *self.alternatives.values()]
        for model in models:
            texts += [model.identity, *model.arguments]
        for text in texts:
            if re.search(r"[\t\r\n\0]", text):
                raise BridgeError(f"{text!r} contains a tab or a line break, which a descriptor cannot hold; rename it")
            if len(text) > MAX_ARGUMENT_LENGTH:
                raise BridgeError(
                    f"{self.name}: the arguments have {len(text)} characters; give at most {MAX_ARGUMENT_LENGTH}"
                )
        if self.model in self.alternatives:
            raise BridgeError(f"{self.name}: {self.model!r} is the name of two models; rename one")
        if twice := self.parameters.keys() & self.meters.keys():
            raise BridgeError(f"{self.name}: {min(twice)!r} is both a parameter and a meter; rename one")
        for name in (*(name for values in self.presets.values() for name in values), *self.controllers.values()):
            if name not in self.parameters:
                raise BridgeError(f"{self.name}: a preset or controller moves {name!r}, which is not a parameter")
        for kind, items in (("outputs", self.outputs), ("meters", self.meters)):
            if len(items) > MAX_EXTRAS:
                raise BridgeError(f"{self.name} has {len(items)} {kind}; declare at most {MAX_EXTRAS}")
        if len(self.parameters) > MAX_PARAMETERS:
            raise BridgeError(f"{self.name} has {len(self.parameters)} parameters; declare at most {MAX_PARAMETERS}")
        for name, (title, _) in self.titles.items():
            if len(title) > MAX_TITLE_LENGTH:
                raise BridgeError(
                    f"{self.name}: the parameter's name {name!r} is too long; use up to {MAX_TITLE_LENGTH} characters"
                )

    @property
    def uid(self) -> str:
        """32 hexadecimal digits that identify the plugin in hosts, the same in every version."""
        return md5(f"stembridge:{self.name}".encode(), usedforsecurity=False).hexdigest()

    @cached_property
    def titles(self) -> dict[str, tuple[str, str]]:
        """Parameter or meter to (title, unit), as hosts show it. All titles differ, also from the shell's parameters.

        >>> Descriptor("Tremolo", "1", (), {"rate_hz": Parameter(0.1, 20, 5), "soft_knee": Toggle(True)}).titles
        {'rate_hz': ('Rate', 'Hz'), 'soft_knee': ('Soft knee', '')}
        """
        shown = {**self.parameters, **self.meters}
        titles = {name: (_title(name), "") for name in shown}
        taken = {_title(BYPASS), *(title for title, _ in titles.values())}
        for name, declared in shown.items():
            short, unit = _title(name[:-3]), UNITS.get(name[-3:])
            if unit and short not in taken and isinstance(declared, Parameter):
                titles[name] = short, unit
                taken.add(short)
        return titles

    def text(self) -> str:
        """Return the content of descriptor.txt. Each line has a key and values, with tabs between."""
        lines: list[tuple[str, ...]] = [("descriptor", str(FORMAT)), ("name", self.name), ("uid", self.uid)]
        lines += [("version", self.version), ("vendor", *VENDOR), ("categories", "|".join(self.categories))]
        models: dict[str, Descriptor | Alternative] = {self.model: self, **self.alternatives}
        for model, fields in models.items():
            if model:
                lines.append(("model", model))
            lines += [("argument", argument) for argument in fields.arguments]
            if fields.identity:
                lines.append(("identity", fields.identity))
            lines += [("latency", _number(rate), *map(str, timing)) for rate, timing in fields.latencies.items()]
        for name, declared in self.parameters.items():
            if isinstance(declared, Toggle):
                lines.append(("toggle", name, self.titles[name][0], str(int(declared.default))))
            else:
                lines.append(("parameter", *self._range_fields(name, declared)))
        lines += [("meter", *self._range_fields(name, declared)) for name, declared in self.meters.items()]
        for name, values in self.presets.items():
            moved = [field for parameter, value in values.items() for field in (parameter, _number(value))]
            lines.append(("preset", name, *moved))
        lines += [("controller", str(number), name) for number, name in self.controllers.items()]
        lines += [("output", name) for name in self.outputs]
        lines.append(("status", str(int(self.shows_status))))
        return "".join("\t".join(line) + "\n" for line in lines)

    def _range_fields(self, name: str, declared: Parameter) -> tuple[str, ...]:
        lowest = [self.lowest[name]] if name in self.lowest else []
        return name, *self.titles[name], *map(_number, declared), *lowest


def _title(name: str) -> str:
    # pedalboard hides parameters that are called P and three digits.
    return name.replace("_", " ") if re.match(r"p\d\d\d", name) else name.replace("_", " ").capitalize()


def _number(value: float) -> str:
    """Return the shortest text that means exactly this number."""
    return repr(float(value)).removesuffix(".0")


def parse_descriptor(text: str) -> Descriptor:
    """Return the descriptor that a text describes.

    Args:
        text: Content of descriptor.txt.

    Raises:
        BridgeError: A newer version wrote it.
        ValueError: A value is wrong.
        LookupError: A value is missing.
        TypeError: There are too few or too many values.
    """
    single: dict[str, str] = {}
    model = ""  # that the next arguments, identity and latencies are of
    arguments: dict[str, list[str]] = defaultdict(list)
    identities: dict[str, str] = {}
    latencies: dict[str, dict[float, Timing]] = defaultdict(dict)
    outputs: list[str] = []
    parameters: dict[str, Parameter | Toggle] = {}
    meters: dict[str, Parameter] = {}
    lowest: dict[str, str] = {}
    presets: dict[str, dict[str, float]] = {}
    controllers: dict[int, str] = {}
    for line in text.split("\n"):
        key, *values = line.split("\t")
        if key == "model":
            model = values[0]
        elif key == "argument":
            arguments[model].append(values[0])
        elif key == "identity":
            identities[model] = values[0]
        elif key == "latency":
            latencies[model][float(values[0])] = Timing(*map(int, values[1:]))
        elif key == "output":
            outputs.append(values[0])
        elif key == "preset":
            presets[values[0]] = dict(zip(values[1::2], map(float, values[2::2]), strict=True))
        elif key == "controller":
            controllers[int(values[0])] = values[1]
        elif key == "toggle":
            parameters[values[0]] = Toggle(bool(int(values[2])))
        elif key in ("parameter", "meter"):
            read = Parameter(*map(float, values[3:6]))
            if key == "parameter":
                parameters[values[0]] = read
            else:
                meters[values[0]] = read
            if len(values) > 6:
                lowest[values[0]] = values[6]
        elif values:
            single[key] = values[0]
    if int(single["descriptor"]) > FORMAT:
        raise BridgeError("a newer version of StemBridge wrote it; update StemBridge")
    models = {
        name: Alternative(tuple(texts), identities.get(name, ""), latencies[name]) for name, texts in arguments.items()
    }
    model = next(iter(models), "")
    first = models.pop(model)
    return Descriptor(
        single["name"],
        single["version"],
        first.arguments,
        parameters,
        first.identity,
        first.latencies,
        lowest,
        tuple(single.get("categories", "Fx").split("|")),
        tuple(outputs),
        meters,
        single.get("status") == "1",
        presets,
        controllers,
        model,
        models,
    )


def module_info(descriptor: Descriptor) -> str:
    """Return the content of moduleinfo.json, which describes the plugin to hosts that do not load its library.

    Args:
        descriptor: The processor.
    """
    vendor, url, email = VENDOR
    plugin_class = {
        "CID": descriptor.uid.upper(),
        "Category": "Audio Module Class",
        "Name": descriptor.name,
        "Vendor": vendor,
        "Version": descriptor.version,
        "SDKVersion": SDK,
        "Sub Categories": list(descriptor.categories),
        "Class Flags": 0,
        "Cardinality": 0x7FFFFFFF,
        "Snapshots": [],
    }
    flags = {"Unicode": True, "Classes Discardable": False, "Component Non Discardable": False}
    module = {
        "Name": descriptor.name,
        "Version": descriptor.version,
        "Factory Info": {"Vendor": vendor, "URL": url, "E-Mail": email, "Flags": flags},
        "Compatibility": [],
        "Classes": [plugin_class],
    }
    return json.dumps(module, indent=2) + "\n"
