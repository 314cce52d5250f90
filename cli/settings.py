"""Options of commands, made from the declarations of settings."""

import inspect
import typing
from collections.abc import Callable
from dataclasses import Field
from typing import Annotated, Any, Literal, get_args

import typer
from annotated_types import Ge

from ..core.settings import Option, argument_of, default_of, fields_of, plain_types, value_from_text
from .complete import map_names_from, model_names_from, preset_names_from

Command = Callable[..., None]
# Completion of options, by the names of their fields.
COMPLETIONS = {"preset": preset_names_from, "model": model_names_from, "map": map_names_from}


def with_settings(kind: type, *, after: str) -> Callable[[Command], Command]:
    """Return a decorator that gives a command an option for each `Option` of the settings.

    Options that the command declares itself stay as they are. The command receives the values of the others, ready for
    `kind`, as keyword arguments.

    Args:
        kind: Settings such as `RemixFiles`.
        after: The command's own parameter that they follow in its help.
    """

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        names = {parameter.name for parameter in own}
        found = [f for f in fields_of(kind) if isinstance(argument_of(f), Option) and f.name not in names]
        options = {field.name: field for field in found}

        def call(**given: Any) -> None:
            values = {name: _value(options[name], value) for name, value in given.items() if name in options}
            command(**{**given, **values})

        call.__name__, call.__doc__ = command.__name__, command.__doc__
        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        place = [p.name for p in own].index(after) + 1
        parameters[place:place] = [_parameter(kind, field) for field in found]
        call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return call

    return decorate


def option_info(kind: type, name: str) -> Any:
    """Return a field of settings as an option of typer, for a command that declares this option itself.

    Args:
        kind: Settings such as `RemixFiles`.
        name: Name of the field.
    """
    (field,) = (field for field in fields_of(kind) if field.name == name)
    option = argument_of(field)
    assert isinstance(option, Option)
    at_least: Any = next((item.ge for item in _annotations(field.type) if isinstance(item, Ge)), None)
    return typer.Option(
        *(option.flags or (f"--{name.replace('_', '-')}",)),
        help=option.help,
        metavar=option.metavar,
        rich_help_panel=option.panel,
        autocompletion=COMPLETIONS.get(name),
        min=at_least if _command_line_type(field) is int else None,
    )


def _parameter(kind: type, field: Field[Any]) -> inspect.Parameter:
    default = default_of(field)
    type_ = _command_line_type(field)
    annotation: Any = Annotated[type_ | None if default is None else type_, option_info(kind, field.name)]
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _command_line_type(field: Field[Any]) -> Any:
    """Return a type that typer knows."""
    option, kinds = argument_of(field), list(plain_types(field.type))
    if isinstance(option, Option) and option.spelt:
        return Literal[tuple(text for text, _ in option.spelt)]
    known = len(kinds) == 1 and (kinds[0] in (bool, int, float) or typing.get_origin(kinds[0]) is Literal)
    return kinds[0] if known else str


def _value(field: Field[Any], given: Any) -> Any:
    option = argument_of(field)
    if isinstance(option, Option) and given is not None and option.spelt:
        return dict(option.spelt)[given]
    if isinstance(given, str) and str not in plain_types(field.type) and typing.Any not in plain_types(field.type):
        return value_from_text(field, given, f"--{field.name.replace('_', '-')}")
    return given


def _annotations(kind: Any) -> list[Any]:
    """Return all annotations in a type, those of a union's parts too."""
    return [*getattr(kind, "__metadata__", ()), *(item for part in get_args(kind) for item in _annotations(part))]
