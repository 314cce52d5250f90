"""From "package.module:factory" to a processor, and what parameters it declares."""

import inspect
import math
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from importlib import import_module
from operator import index
from typing import Any, NamedTuple


class Parameter(NamedTuple):
    """A number that can be set, or is measured: its range, and where it starts."""

    minimum: float
    maximum: float
    default: float


class Toggle(NamedTuple):
    """A switch, and whether it is on at first."""

    default: bool


class Timing(NamedTuple):
    """How late a processor's output is, in samples.

    Attributes:
        latency: How many samples the output comes after the input.
        hop: How many samples are worked on at a time; 0 if that is not known.
        tail: After silence as long as this and the latency, the output is silent; -1 if it may go on for ever.
    """

    latency: int
    hop: int = 0
    tail: int = -1


def timing_of(processor: Any) -> Timing:
    """Return a processor's timing. Raises ValueError or TypeError if it is not made of whole numbers from 0 on."""
    timing = Timing(
        index(processor.latency_samples),
        index(getattr(processor, "hop_samples", 0)),
        index(getattr(processor, "tail_samples", -1)),
    )
    if min(timing.latency, timing.hop, timing.tail + 1) < 0:
        raise ValueError(
            f"latency_samples {timing.latency}, hop_samples {timing.hop} and tail_samples {timing.tail} "
            "must not be negative"
        )
    return timing


_importing = ""  # the module with a processor that is just being imported

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def find_factory(path: str) -> Callable[..., Any]:
    """Return the factory that "package.module:factory" names. Raises ValueError, in one line, if it is not callable."""
    module_name, colon, name = path.partition(":")
    if not (colon and module_name and name):
        raise ValueError(f"{path!r} names no processor; give 'package.module:factory'")
    global _importing
    outer, _importing = _importing, module_name
    try:
        found: Any = import_module(module_name)
    except ModuleNotFoundError as error:
        raise ValueError(f"{path!r}: no module named {error.name!r} here; check the name, and sys.path") from error
    finally:
        _importing = outer
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise ValueError(f"{path!r}: {module_name} has no factory {name!r}; give a class or a function in it")
    factory: Callable[..., Any] = found
    return factory


def refuse_while_importing() -> None:
    """Raise ValueError if a plugin is loaded by a module that is just being imported for its processor."""
    if _importing:
        raise ValueError(
            f"{_importing} loads a plugin when it is imported, and the process that makes its sound would do the same, "
            'without end; put what loads it under `if __name__ == "__main__":`'
        )


def make_processor(factory: Callable[..., Any], kwargs: Mapping[str, Any], sample_rate: float, channels: int) -> Any:
    """factory(**kwargs), told the rate in Hz and the number of channels if it wants to know."""
    audio = {"sample_rate": sample_rate, "num_channels": channels}
    return factory(**{name: value for name, value in audio.items() if _takes(factory, name)} | dict(kwargs))


def find_timings(factory: Callable[..., Any], kwargs: Mapping[str, Any], rates: Iterable[float]) -> dict[float, Timing]:
    """Make a processor at each rate in Hz, and return its timing. Rates at which this fails are left out."""
    timings = {}
    for rate in rates:
        with suppress(Exception):
            timings[float(rate)] = timing_of(make_processor(factory, kwargs, rate, 2))
    return timings


def takes_moves(processor: Any) -> bool:
    """Whether the processor follows moves by itself: `process(block, moves)`."""
    return _takes(processor.process, "moves")


def _takes(function: Callable[..., Any], name: str) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # of a builtin
        return False
    return any(parameter.name == name or parameter.kind == parameter.VAR_KEYWORD for parameter in parameters)


def declared_parameters(factory: Callable[..., Any], kwargs: Mapping[str, Any]) -> dict[str, Parameter | Toggle]:
    """The parameters in order, as the factory declares them in `parameters`, or else what it makes.

    Raises ValueError for what cannot be a parameter.
    """
    declared = getattr(factory, "parameters", None)
    if not isinstance(declared, Mapping):
        declared = getattr(make_processor(factory, kwargs, 44100.0, 2), "parameters", {})
    if not isinstance(declared, Mapping):
        raise ValueError(f"parameters are {declared!r}; declare a mapping of name -> (minimum, maximum, default)")
    return read_parameters(declared)


def read_parameters(declared: Mapping[str, Any]) -> dict[str, Parameter | Toggle]:
    """Read a processor's declaration: name -> (minimum, maximum, default), or a bool. Raises ValueError."""
    return {name: _checked(name, value) for name, value in declared.items()}


def _checked(name: Any, value: Any) -> Parameter | Toggle:
    if not isinstance(name, str) or not NAME.fullmatch(name) or name == "bypass":
        raise ValueError(f"{name!r} cannot be a parameter's name; use small letters, digits and single _, not 'bypass'")
    if isinstance(value, bool):
        return Toggle(value)
    try:
        minimum, maximum, default = map(float, value)
    except (TypeError, ValueError):
        raise ValueError(f"parameter {name!r} is {value!r}; give (minimum, maximum, default), or a bool") from None
    if not (minimum <= default <= maximum and minimum < maximum and math.isfinite(maximum - minimum)):
        raise ValueError(f"parameter {name!r}: {value!r} is not (minimum, maximum, default) with the default between")
    return Parameter(minimum, maximum, default)
