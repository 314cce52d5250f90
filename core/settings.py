"""Settings: frozen dataclasses in which each option of StemBridge is declared once.

The arguments of Python functions, the options of the command line, the keys of recipes and the settings in a batch's
journal are all made from these declarations.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from functools import wraps
from types import UnionType
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

from .documents import adapter_of
from .suggest import did_you_mean

OWN: Any = ...  # the type in a file is the field's own
GIVE = {bool: "true or false", int: "a whole number", str: "a text"}

P = ParamSpec("P")
S = TypeVar("S")
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class Argument:
    """Describes a field beyond its type and default.

    Attributes:
        help: What it does, in a sentence or two.
        give: What to give instead of a wrong value; not needed for bools, whole numbers, texts and choices.
        in_file: The field's type in a TOML file: `OWN` for the type that it has in Python, another type if Python takes
            objects that a file cannot hold, or None if the field is not for files.
    """

    help: str
    give: str = ""
    in_file: Any = None


@dataclass(frozen=True, kw_only=True)
class Option(Argument):
    """An argument that is also an option of the command line.

    Attributes:
        flags: The option's names, by default made from the field's.
        metavar: The word for its value in `--help`.
        panel: The heading above it in `--help`.
        spelt: Pairs of the text on the command line and the value that it stands for.
    """

    in_file: Any = OWN
    flags: tuple[str, ...] = ()
    metavar: str | None = None
    panel: str | None = None
    spelt: tuple[tuple[str, str], ...] = ()


class Settings:
    """A base for frozen dataclasses. Each field is `Annotated` with an `Argument` or an `Option`.

    Raises:
        ValueError: A field has a value that does not work.
    """

    def __post_init__(self) -> None:
        for field in fields_of(type(self)):
            if argument_of(field).in_file is OWN:
                check_value(field, getattr(self, field.name), field.name)


def fields_of(kind: type) -> list[Field[Any]]:
    """Return the fields of settings in the order of arguments: those that may be given by position first."""
    return sorted(fields(kind), key=lambda field: bool(field.kw_only))


def argument_of(field: Field[Any]) -> Argument:
    """Return the `Argument` or `Option` of a field."""
    return next(item for item in get_args(field.type)[1:] if isinstance(item, Argument))


def values_of(settings: Any, kind: type) -> dict[str, Any]:
    """Return the values of those fields that settings share with one of their bases, by name."""
    return {field.name: getattr(settings, field.name) for field in fields_of(kind)}


def names_of(kind: type) -> set[str]:
    """Return the names of all fields of settings."""
    return {field.name for field in fields_of(kind)}


def arguments_from(kind: Callable[P, S]) -> Callable[[Callable[[S], R]], Callable[P, R]]:
    """Turn a function of settings into one that takes each field as an argument, for people and type checkers alike."""

    def decorate(function: Callable[[S], R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                given = signature.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{function.__name__}() {error}") from None
            return function(kind(*given.args, **given.kwargs))

        types = {field.name: get_args(field.type)[0] for field in fields_of(kind)}  # type: ignore[arg-type]
        types["return"] = function.__annotations__["return"]
        signature = inspect.signature(kind)
        parameters = [parameter.replace(annotation=types[name]) for name, parameter in signature.parameters.items()]
        signature = signature.replace(parameters=parameters, return_annotation=types["return"])
        call.__signature__ = signature  # type: ignore[attr-defined]
        call.__annotations__ = types
        call.__doc__ = _with_arguments(function.__doc__ or "", kind)  # type: ignore[arg-type]
        return call

    return decorate


def _with_arguments(text: str, kind: type) -> str:
    """Return a docstring with a section about the arguments after its first paragraphs."""
    lines = [f"        {field.name}: {argument_of(field).help}" for field in fields_of(kind)]
    about, heading, rest = text.partition("\n    Returns:")
    return about.rstrip() + "\n\n    Args:\n" + "\n".join(lines) + "\n" + (f"{heading}{rest}" if heading else "    ")


def check_value(field: Field[Any], value: Any, name: str, sign: str = " ", in_file: bool = False) -> None:
    """Raise ValueError, with a remedy, if a value is not of the field's type.

    Args:
        field: A field of settings.
        value: The value, which is not converted: "1" is not a number.
        name: How the message begins.
        sign: What stands between name and value.
        in_file: Check the type that the field has in files.
    """
    kind: Any = _type_in_file(field) if in_file else field.type
    try:
        adapter_of(kind).validate_python(value, strict=True)
    except ValueError:
        raise ValueError(f"{name}{sign}{value!r} does not work; give {remedy_for(field)}") from None


def value_from_text(field: Field[Any], text: str, name: str) -> Any:
    """Return the value that a text stands for on the command line. Raises ValueError as `check_value` does."""
    kind: Any = field.type
    try:
        return adapter_of(kind).validate_python(text)
    except ValueError:
        raise ValueError(f"{name} {text} does not work; give {remedy_for(field)}") from None


def remedy_for(field: Field[Any]) -> str:
    """Return what to give for a field."""
    if give := argument_of(field).give:
        return give
    kinds = list(plain_types(field.type))
    choices = [str(choice) for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
    return f"one of {', '.join(choices)}" if choices else next(GIVE[kind] for kind in kinds if kind in GIVE)


def plain_types(kind: Any) -> Iterator[Any]:
    """Yield the types that a type is made of, without None and annotations."""
    if get_origin(kind) is Annotated:
        yield from plain_types(get_args(kind)[0])
    elif get_origin(kind) in (Union, UnionType):
        for part in get_args(kind):
            yield from plain_types(part)
    elif kind is not type(None):
        yield kind


def default_of(field: Field[Any]) -> Any:
    """Return a field's default, `inspect.Parameter.empty` if it has none."""
    return inspect.Parameter.empty if field.default is MISSING else field.default


def keys_of(kind: type) -> dict[str, Field[Any]]:
    """Return the fields that may stand in a file, by name."""
    return {field.name: field for field in fields_of(kind) if argument_of(field).in_file is not None}


def check_table(values: Mapping[str, Any], keys: Mapping[str, Field[Any]], where: str) -> None:
    """Raise ValueError if a table of a file has an unknown key, or a value that does not work."""
    for key, value in values.items():
        check_key(key, keys, where)
        check_value(keys[key], value, f"{where}: {key}", " = ", in_file=True)


def check_key(key: str, keys: Iterable[str], where: str) -> None:
    """Raise ValueError if a key of a table is not one of those that may be in it."""
    known = tuple(keys)
    if key not in known:
        raise ValueError(f"{where}: unknown key {key!r}{did_you_mean(key, known)}; choose from {', '.join(known)}")


def _type_in_file(field: Field[Any]) -> Any:
    in_file = argument_of(field).in_file
    return field.type if in_file is OWN else in_file
