"""Python processors as plugins of pedalboard."""

import inspect
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ..core.errors import BridgeError, StemBridgeError
from ..core.suggest import did_you_mean
from ..core.version import __version__
from .bridge.bundle import import_folders, temporary_bundles, worker_arguments
from .bridge.descriptor import BYPASS, RATES_HZ, Descriptor
from .bridge.factory import declared_parameters, declared_timing, find_factory, find_timings
from .hosted import HostedPlugin, explain


def load_processor(factory: str, /, **kwargs: Any) -> HostedPlugin:
    """Load a Python processor as a pedalboard plugin: `load_processor("package.module:factory", depth=0.5)`.

    Args:
        factory: A class or function that makes an object with `process(block)`, `reset()`, `latency_samples` and
            `parameters`; see docs/plugin.md.
        kwargs: JSON values for the factory's arguments, and values of parameters at the start.

    Raises:
        ValueError: The factory or a value cannot be used.
        TypeError: An argument is missing or unknown.
    """
    return _Processor(factory, **kwargs)


class _Processor(HostedPlugin):
    _shown_as = "load_processor"

    def __init__(self, factory: str, /, **kwargs: Any) -> None:
        descriptor, starts = describe_processor(factory, kwargs, import_folders())
        super().__init__(temporary_bundles.get(descriptor), **starts)
        self._recipe = _Processor, (factory,), kwargs


def describe_processor(
    path: str, kwargs: Mapping[str, Any], folders: list[str], name: str | None = None
) -> tuple[Descriptor, dict[str, Any]]:
    """Return the descriptor of a processor, and the values of its parameters at the start.

    Args:
        path: The factory, see `load_processor`.
        kwargs: Arguments of the factory, and values of parameters.
        folders: Folders to import modules from, after the interpreter's own.
        name: Name in hosts, by default the factory's.

    Raises:
        BridgeError: The factory cannot be used.
        ValueError: An argument cannot be used.
        TypeError: An argument is missing or unknown.
    """
    factory = find_processor(path)
    try:
        made = _arguments_for(factory, kwargs)
    except TypeError as error:
        raise TypeError(f"{path}: {error}") from None
    for argument, value in made.items():
        if argument in ("sample_rate", "num_channels"):
            raise StemBridgeError(f"{path}: {argument} is set by the host; leave it out")
        if not _is_json(value):
            raise StemBridgeError(
                f"{path}: the argument {argument!r} is {value!r}; give a JSON value: text, a number, True, False, "
                "None, or a list or dict of these"
            )
    try:
        parameters = declared_parameters(factory, made)
    except (Exception, SystemExit) as error:
        raise BridgeError(f"{path}: {explain(error)}") from error
    if taken := [name for name in parameters if hasattr(HostedPlugin, name)]:
        raise BridgeError(f"{path}: a parameter cannot be called {taken[0]!r}, a name that all plugins use; rename it")
    starts = {argument: value for argument, value in kwargs.items() if argument in parameters or argument == BYPASS}
    for argument in kwargs.keys() - made.keys() - starts.keys():
        hint = did_you_mean(argument, [*parameters, BYPASS, *inspect.signature(factory).parameters])
        raise TypeError(f"{path} has no parameter or argument {argument!r}{hint}")
    title = name or re.sub(r"[^A-Za-z0-9_]", "_", path.rpartition(":")[2])[:63]
    arguments = worker_arguments(path, made, parameters, folders)
    return Descriptor(title, __version__, arguments, parameters, f"processor {path}"), starts


def describe_for_hosts(path: str, folders: list[str], name: str | None = None) -> Descriptor:
    """Return the descriptor of a processor to install, which is made without arguments, with its timing.

    Args:
        path: The factory, see `load_processor`.
        folders: Folders to import modules from, after the interpreter's own.
        name: Name in hosts, by default the factory's.

    Raises:
        BridgeError: The factory cannot be used, or does not make a processor.
    """
    try:
        descriptor, _ = describe_processor(path, {}, folders, name)
    except TypeError as error:
        remedy = "give the argument a default, because hosts provide only sample_rate and num_channels"
        raise BridgeError(f"{error}; {remedy}") from error
    try:
        timings = find_timings(find_processor(path), {}, RATES_HZ)
    except (Exception, SystemExit) as error:
        raise BridgeError(f"{path}: {explain(error)}") from error
    return replace(descriptor, latencies=timings, shows_status=True)


def find_processor(path: str) -> Callable[..., Any]:
    """Import a factory.

    Args:
        path: "package.module:factory".

    Raises:
        BridgeError: It cannot be imported, or is not a factory.
    """
    if not isinstance(path, str) or path.startswith("__main__:"):
        raise BridgeError(f"{path!r} cannot be imported by another process; give 'package.module:factory'")
    try:
        factory = find_factory(path)
    except (Exception, SystemExit) as error:  # modules may raise anything
        line = explain(error) if str(error).startswith(repr(path)) else f"{path!r} cannot be imported: {explain(error)}"
        raise BridgeError(line) from error
    for method in ("process", "reset"):
        if isinstance(factory, type) and not callable(getattr(factory, method, None)):
            raise BridgeError(f"{path!r} is not a processor: it has no method {method!r}; add one")
    if isinstance(factory, type):
        try:
            declared_timing(factory)
        except BridgeError as error:
            raise BridgeError(f"{path}: {error}") from error
    return factory


def _arguments_for(factory: Callable[..., Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments for the factory: those that it names, and those for its **. TypeError if one is missing."""
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):  # a builtin has no signature
        return dict(kwargs)
    takes = signature.parameters.values()
    named = {taken.name for taken in takes if taken.kind in (taken.POSITIONAL_OR_KEYWORD, taken.KEYWORD_ONLY)}
    made = {name: value for name, value in kwargs.items() if name in named}
    if any(taken.kind == taken.VAR_KEYWORD for taken in takes):
        declared = getattr(factory, "parameters", None)
        known = {BYPASS, *declared} if isinstance(declared, Mapping) else {BYPASS}
        made |= {name: value for name, value in kwargs.items() if name not in known | named}
    signature.bind(**(dict.fromkeys(named & {"sample_rate", "num_channels"}) | made))
    return made


def _is_json(value: Any) -> bool:
    """Return whether JSON keeps a value as it is. A tuple, for example, would become a list."""
    try:
        back = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        return False
    return type(back) is type(value) and back == value
