"""Settings: frozen dataclasses in which each option of StemBridge is declared once.

The arguments of Python functions, the options of the command line, the keys of recipes and the settings in a batch's
journal are all made from these declarations.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from functools import wraps
from os import PathLike
from types import UnionType
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

from .documents import adapter_of
from .errors import StemBridgeError
from .suggest import did_you_mean

SAME_TYPE: Any = ...  # a field has the same type in a file as in Python
REMEDIES = {bool: "true or false", int: "a whole number", str: "text"}

P = ParamSpec("P")
S = TypeVar("S")
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class Argument:
    """Describes a field beyond its type and default.

    Attributes:
        help: A sentence or two about what the field does.
        give: Text for an error about a wrong value: what to give instead. Fields of bools, whole numbers, text and
            choices do not need it.
        in_file: The field's type in a TOML file: `SAME_TYPE` for the type that it has in Python, another type if
            Python takes objects that a file cannot hold, or None if the field is not for files.
    """

    help: str
    give: str = ""
    in_file: Any = None


@dataclass(frozen=True, kw_only=True)
class Option(Argument):
    """An argument that is also an option of the command line.

    Attributes:
        flags: Names of the option; by default made from the field's name.
        metavar: Word for its value in `--help`.
        panel: Heading above it in `--help`.
        spelt: Pairs of a text on the command line and the value that it stands for.
    """

    in_file: Any = SAME_TYPE
    flags: tuple[str, ...] = ()
    metavar: str | None = None
    panel: str | None = None
    spelt: tuple[tuple[str, str], ...] = ()


class Settings:
    """A base for frozen dataclasses. Each field is `Annotated` with an `Argument` or an `Option`.

    Raises:
        ValueError: The value of a field is not of the field's type, or a path is empty.
    """

    def __post_init__(self) -> None:
        for field in fields_of(type(self)):
            value = getattr(self, field.name)
            if argument_of(field).in_file is SAME_TYPE:
                check_value(field, value, field.name)
            if isinstance(value, str) and not value and PathLike[str] in plain_types(field.type):
                raise StemBridgeError(f"{field.name} is empty; give a name or a path")


def fields_of(kind: type) -> list[Field[Any]]:
    """Return the fields of settings in the order of arguments: those that may be given by position come first.

    Args:
        kind: A class of settings.
    """
    return sorted(fields(kind), key=lambda field: bool(field.kw_only))


def argument_of(field: Field[Any]) -> Argument:
    """Return the `Argument` or `Option` of a field."""
    return next(item for item in get_args(field.type)[1:] if isinstance(item, Argument))


def values_of(settings: Any, kind: type) -> dict[str, Any]:
    """Return field name to value, for the fields that settings inherit from one of their base classes.

    Args:
        settings: The settings.
        kind: The base class.
    """
    return {field.name: getattr(settings, field.name) for field in fields_of(kind)}


def names_of(kind: type) -> set[str]:
    """Return the names of all fields of a class of settings."""
    return {field.name for field in fields_of(kind)}


def arguments_from(kind: Callable[P, S]) -> Callable[[Callable[[S], R]], Callable[P, R]]:
    """Turn a function of settings into one that takes each field as an argument.

    Its signature and docstring list the arguments, so that people, editors and type checkers see them.

    Args:
        kind: A class of settings.

    Returns:
        The decorator.
    """

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
        call.__doc__ = _with_arguments(inspect.getdoc(function) or "", kind)  # type: ignore[arg-type]
        return call

    return decorate


def _with_arguments(text: str, kind: type) -> str:
    """Insert a section `Args:` into a docstring without indentation, after its first paragraphs."""
    lines = [f"    {field.name}: {argument_of(field).help}" for field in fields_of(kind)]
    about, heading, after = text.partition("\nReturns:")
    return about.rstrip() + "\n\nArgs:\n" + "\n".join(lines) + "\n" + heading + after


def check_value(field: Field[Any], value: Any, name: str, sign: str = " ", in_file: bool = False) -> None:
    """Check that a value is of the field's type.

    Args:
        field: A field of settings.
        value: The value, which is not converted: "1" is not a number.
        name: How the error begins.
        sign: Separator between name and value in the error.
        in_file: Check the type that the field has in files.

    Raises:
        ValueError: The value is of another type; the error has a remedy.
    """
    kind: Any = _type_in_file(field) if in_file else field.type
    try:
        adapter_of(kind).validate_python(value, strict=True)
    except ValueError:
        raise StemBridgeError(f"{name}{sign}{value!r} does not work; give {remedy_for(field)}") from None


def value_from_text(field: Field[Any], text: str, name: str) -> Any:
    """Return the value that a text stands for on the command line.

    Args:
        field: A field of settings.
        text: The text.
        name: How the error begins.

    Raises:
        ValueError: The text does not fit the field's type; the error has a remedy.
    """
    kind: Any = field.type
    try:
        return adapter_of(kind).validate_python(text)
    except ValueError:
        raise StemBridgeError(f"{name} {text} does not work; give {remedy_for(field)}") from None


def remedy_for(field: Field[Any]) -> str:
    """Return the end of an error about a field: what to give for it."""
    if give := argument_of(field).give:
        return give
    kinds = list(plain_types(field.type))
    choices = [str(choice) for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
    return f"one of {', '.join(choices)}" if choices else next(REMEDIES[kind] for kind in kinds if kind in REMEDIES)


def plain_types(kind: Any) -> Iterator[Any]:
    """Yield the members of a union, or the type itself, without None and annotations.

    Args:
        kind: The type of a field.
    """
    if get_origin(kind) is Annotated:
        yield from plain_types(get_args(kind)[0])
    elif get_origin(kind) in (Union, UnionType):
        for part in get_args(kind):
            yield from plain_types(part)
    elif kind is not type(None):
        yield kind


def default_of(field: Field[Any]) -> Any:
    """Return a field's default, or `inspect.Parameter.empty` if it must be given."""
    return inspect.Parameter.empty if field.default is MISSING else field.default


def keys_of(kind: type) -> dict[str, Field[Any]]:
    """Return the fields of a class of settings that may stand in a TOML file, by name."""
    return {field.name: field for field in fields_of(kind) if argument_of(field).in_file is not None}


def check_table(values: Mapping[str, Any], keys: Mapping[str, Field[Any]], where: str) -> None:
    """Check the keys and values of a table in a TOML file.

    Args:
        values: The table.
        keys: Fields that it may have, by name.
        where: How the error begins: the file and the table.

    Raises:
        ValueError: A key is unknown, or a value is not of the field's type.
    """
    for key, value in values.items():
        check_key(key, keys, where)
        check_value(keys[key], value, f"{where}: {key}", " = ", in_file=True)


def check_key(key: str, keys: Iterable[str], where: str) -> None:
    """Check a key of a table in a TOML file.

    Args:
        key: The key.
        keys: All keys that the table may have.
        where: How the error begins: the file and the table.

    Raises:
        ValueError: The key is unknown; the error suggests one.
    """
    known = tuple(keys)
    if key not in known:
        raise StemBridgeError(f"{where}: unknown key {key!r}{did_you_mean(key, known)}; choose from {', '.join(known)}")


def _type_in_file(field: Field[Any]) -> Any:
    in_file = argument_of(field).in_file
    return field.type if in_file is SAME_TYPE else in_file
