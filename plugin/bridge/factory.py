"""Processors made by a "package.module:factory", and the parameters that they declare."""

import inspect
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from importlib import import_module
from operator import index
from typing import Any, NamedTuple

from ...core.errors import BridgeError
from ...core.protocols import check_processor

MAX_SAMPLES = 1_000_000_000  # of a latency, a hop or a tail; native/descriptor.cpp refuses more


class Parameter(NamedTuple):
    """A number that can be set, or is measured.

    Attributes:
        minimum: Lowest value.
        maximum: Highest value.
        default: Value at the start.
    """

    minimum: float
    maximum: float
    default: float


class Toggle(NamedTuple):
    """A switch.

    Attributes:
        default: Whether it is on at the start.
    """

    default: bool


class Timing(NamedTuple):
    """Timing of a processor, in samples.

    Attributes:
        latency: Samples by which the output is later than the input.
        hop: Samples that are processed at a time; 0 if that is not known.
        tail: After silence as long as this and the latency, the output is silent; -1 if it may go on for ever.
    """

    latency: int
    hop: int = 0
    tail: int = -1


def timing_of(processor: Any) -> Timing:
    """Return the timing of a processor.

    Args:
        processor: Has `latency_samples`, and perhaps `hop_samples` and `tail_samples`.

    Raises:
        ValueError: It is not a processor, or a number is not whole or out of range.
    """
    check_processor(processor)
    return declared_timing(processor)


def declared_timing(processor: Any) -> Timing:
    """Return the timing that a processor or its class declares; a class may leave numbers to its processors.

    Args:
        processor: The processor or the class.

    Raises:
        ValueError: A number is not whole or out of range.
    """
    lowest = Timing(0)._asdict()  # and what a missing number means
    return Timing(**{field: _samples(processor, f"{field}_samples", least) for field, least in lowest.items()})


def _samples(processor: Any, name: str, least: int) -> int:
    value = getattr(processor, name, least)
    if isinstance(processor, type) and hasattr(value, "__get__"):  # a property
        return least
    with suppress(TypeError):
        if least <= index(value) <= MAX_SAMPLES:
            return index(value)
    raise BridgeError(f"{name} is {value!r}; it must be a whole number from 0 to {MAX_SAMPLES:,}")


_importing = ""  # name of the module that is being imported for its processor

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def find_factory(path: str) -> Callable[..., Any]:
    """Import a factory.

    Args:
        path: "package.module:factory".

    Raises:
        ValueError: There is no such module, or no such factory in it.
        Exception: Whatever the module raises.
    """
    module_name, colon, name = path.partition(":")
    if not (colon and module_name and name):
        raise BridgeError(f"{path!r} does not name a processor; give 'package.module:factory'")
    if module_name.endswith(".py") or "/" in module_name or os.sep in module_name:
        module = os.path.basename(module_name).removesuffix(".py")
        raise BridgeError(f"{path!r} names a file; give its module, such as {module}:{name}, in the module's folder")
    global _importing
    outer, _importing = _importing, module_name
    try:
        found: Any = import_module(module_name)
    except ModuleNotFoundError as error:
        raise BridgeError(
            f"{path!r}: no module named {error.name!r} was found; check the name, and sys.path"
        ) from error
    finally:
        _importing = outer
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise BridgeError(f"{path!r}: {module_name} has no factory {name!r}; give a class or a function in it")
    factory: Callable[..., Any] = found
    return factory


def refuse_while_importing() -> None:
    """Refuse to load a plugin in a module that is being imported for its processor.

    Raises:
        ValueError: Such a module is being imported.
    """
    if _importing:
        raise BridgeError(
            f"{_importing} loads a plugin when it is imported, and the process that makes its sound would do the same "
            'again and again; put the code that loads it under `if __name__ == "__main__":`'
        )


def make_processor(factory: Callable[..., Any], kwargs: Mapping[str, Any], sample_rate: float, channels: int) -> Any:
    """Return factory(**kwargs), with sample_rate and num_channels too if the factory has such arguments.

    Args:
        factory: Makes the processor.
        kwargs: Its arguments.
        sample_rate: In Hz.
        channels: 1 or 2.
    """
    audio = {"sample_rate": sample_rate, "num_channels": channels}
    return factory(**{name: value for name, value in audio.items() if _takes(factory, name)} | dict(kwargs))


def find_timings(factory: Callable[..., Any], kwargs: Mapping[str, Any], rates: Iterable[float]) -> dict[float, Timing]:
    """Make a processor at each sample rate, and return the timings. Rates at which this fails are left out.

    So that no plugin is installed that cannot work, a processor that is made must keep its contract.

    Args:
        factory: Makes the processor.
        kwargs: Its arguments.
        rates: In Hz.

    Returns:
        Sample rate to timing.

    Raises:
        ValueError: The factory makes something that is not a processor, or has an impossible timing.
        Exception: Whatever the factory raises, if it does so at every rate.
    """
    timings: dict[float, Timing] = {}
    failure = None
    for rate in rates:
        try:
            processor = make_processor(factory, kwargs, rate, 2)
        except Exception as error:
            failure = failure or error
        else:
            timings[float(rate)] = timing_of(processor)
    if failure is not None and not timings:
        raise failure
    return timings


def takes_moves(processor: Any) -> bool:
    """Return whether a processor follows moves itself, by `process(block, moves)`.

    Args:
        processor: The processor.
    """
    return _takes(processor.process, "moves")


def _takes(function: Callable[..., Any], name: str) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a builtin has no signature
        return False
    return any(parameter.name == name or parameter.kind == parameter.VAR_KEYWORD for parameter in parameters)


def declared_parameters(factory: Callable[..., Any], kwargs: Mapping[str, Any]) -> dict[str, Parameter | Toggle]:
    """Return the parameters in order, as the factory or its processor declares them in `parameters`.

    Args:
        factory: Makes the processor.
        kwargs: Its arguments.

    Raises:
        ValueError: A declaration cannot be used.
    """
    declared = getattr(factory, "parameters", None)
    if not isinstance(declared, Mapping):
        processor = make_processor(factory, kwargs, 44100.0, 2)
        timing_of(processor)  # refuses what is not a processor
        declared = getattr(processor, "parameters", {})
    if not isinstance(declared, Mapping):
        raise BridgeError(f"parameters are {declared!r}; declare a mapping of name to (minimum, maximum, default)")
    return read_parameters(declared)


def read_parameters(declared: Mapping[str, Any]) -> dict[str, Parameter | Toggle]:
    """Return the parameters that a processor declares.

    Args:
        declared: Name to (minimum, maximum, default), or to a bool.

    Raises:
        ValueError: A declaration cannot be used.
    """
    return {name: _checked(name, value) for name, value in declared.items()}


def _checked(name: Any, value: Any) -> Parameter | Toggle:
    if not isinstance(name, str) or not NAME.fullmatch(name) or name == "bypass":
        raise BridgeError(
            f"{name!r} cannot be a parameter's name; use small letters, digits and single _, not 'bypass'"
        )
    if isinstance(value, bool):
        return Toggle(value)
    try:
        minimum, maximum, default = map(float, value)
    except (TypeError, ValueError):
        raise BridgeError(f"parameter {name!r} is {value!r}; give (minimum, maximum, default), or a bool") from None
    if not (minimum <= default <= maximum and minimum < maximum and math.isfinite(maximum - minimum)):
        raise BridgeError(f"parameter {name!r} is {value!r}; give (minimum, maximum, default) with the default between")
    return Parameter(minimum, maximum, default)
