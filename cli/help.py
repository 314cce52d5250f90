"""The text of `--help`, and the names of commands, which include those of presets."""

import textwrap
from collections.abc import Sequence
from copy import copy
from typing import Any

from typer.core import TyperCommand, TyperGroup

from ..core.errors import StemBridgeError
from ..render.settings import BATCH, FILE, NETWORK

INDENT, GAP = 2, 2
NAMES_WIDTH = 26  # columns for the names of options
NARROW_WIDTH, NARROW_NAMES_WIDTH = 60, 4  # in a terminal narrower than the first, names have the second
MAX_WIDTH = 100  # columns
NAMES = {"FILE": "file", "DIR": "folder", "SONG": "song", "PORT": "MIDI port"}  # words for values that cannot be empty
MAX_CHOICES_LENGTH = 20  # characters; longer lists of choices are not shown in the place of a value


class _OwnHelp:
    """The help that commands and groups of commands share."""

    def format_help(self, context: Any, formatter: Any) -> None:
        """Print the help, as wide as the terminal."""
        print_help(self, context)

    def parse_args(self, context: Any, arguments: list[str]) -> list[str]:
        """Parse arguments; a usage error gets the context, so that it can name this command's help.

        Raises:
            ValueError: A path or a port is empty, as it is if a script's variable is not set.
        """
        try:
            given, _, _ = self.make_parser(context).parse_args(list(arguments))  # type: ignore[attr-defined]
            for parameter in self.get_params(context):  # type: ignore[attr-defined]
                _refuse_empty_name(parameter, given.get(parameter.name))
            return super().parse_args(context, arguments)  # type: ignore[misc,no-any-return]
        except Exception as error:
            if getattr(error, "ctx", context) is None:
                error.ctx = context  # type: ignore[attr-defined]
            raise


def _refuse_empty_name(parameter: Any, given: Any) -> None:
    """Raise ValueError if a path or a port is empty; pathlib would take such a path for the current folder."""
    word = (parameter.metavar or "").strip("[].")
    if word in NAMES and "" in (given if isinstance(given, list | tuple) else [given]):
        name = word if parameter.param_type_name == "argument" else max(parameter.opts, key=len)
        raise StemBridgeError(f"{name} is empty; name a {NAMES[word]}")


class Command(_OwnHelp, TyperCommand):
    """A command. Its epilog has its examples, one on each line."""


class Group(_OwnHelp, TyperGroup):
    """A command with commands. Its epilog has its examples, one on each line."""

    def resolve_command(self, context: Any, arguments: list[str]) -> Any:
        """Return the name of a command, the command, and its arguments; a usage error suggests another name."""
        name = arguments[0]
        if self.get_command(context, name) is None and not name.startswith("-") and not context.resilient_parsing:
            from ..core.suggest import did_you_mean

            context.fail(f"No such command {name!r}{did_you_mean(name, self.list_commands(context))}")
        return super().resolve_command(context, arguments)


class Commands(Group):
    """All commands. A preset's name is a command too, short for `remix --preset NAME`."""

    def list_commands(self, context: Any) -> list[str]:
        """Return the names of the commands, then those of presets."""
        from ..presets import preset_names

        return list(dict.fromkeys([*self.commands, *preset_names()]))

    def get_command(self, context: Any, name: str) -> Any:
        """Return the command of that name; for a preset's name `remix`, under that name."""
        if name in self.commands or name not in self.list_commands(context):
            return super().get_command(context, name)
        remix = copy(self.commands["remix"])
        remix.name, remix.epilog = name, f"stembridge {name} song.mp3\nstembridge {name} song.mp3 -o out.wav"
        preset: Any = copy(next(option for option in remix.params if option.name == "preset"))
        preset.hidden = True  # the name of the command gives it
        remix.params = [preset if option.name == "preset" else option for option in remix.params]
        short = f"Short for `stembridge remix --preset {name}`."
        remix.help = "\n\n".join([f"{_description(name)}{short}", *_paragraphs(remix)[1:]])
        return remix

    def resolve_command(self, context: Any, arguments: list[str]) -> Any:
        """Return the same as for any group, but for a preset's name `remix` with that preset."""
        name, *rest = arguments
        if name not in self.commands and (remix := self.get_command(context, name)) is not None:
            if any(argument.partition("=")[0] == "--preset" for argument in rest):
                raise StemBridgeError(f"{name} is a preset itself; leave --preset out, or use `stembridge remix`")
            return name, remix, ["--preset", name, *rest]
        return super().resolve_command(context, arguments)


def _description(preset: str) -> str:
    from ..presets import PresetError, read_preset

    try:
        about = read_preset(preset).description.rstrip(".")
    except PresetError:  # which is said when the command runs
        return ""
    return f"{about}. " if about else ""


def print_help(command: Any, context: Any) -> None:
    """Print the description of a command, its examples, its arguments and options by panel, and its commands.

    Args:
        command: A `Command` or `Group`.
        context: Its context.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, markup=False, emoji=False)
    width = min(console.width, MAX_WIDTH)

    def show(*pieces: str | tuple[str, str]) -> None:
        console.print(Text.assemble(*pieces), soft_wrap=True)

    def show_rows(title: str, rows: list[tuple[str, str]]) -> None:
        show("\n", ("\n".join(_wrapped(title, width)), "bold"))
        column = min(NAMES_WIDTH if width >= NARROW_WIDTH else NARROW_NAMES_WIDTH, max(len(names) for names, _ in rows))
        for names, text in rows:
            *above, names = _wrapped(names, width - INDENT)
            for line in above:
                show(" " * INDENT, (line, "cyan"))
            if len(names) > column:
                show(" " * INDENT, (names, "cyan"))
                names = ""
            for line in _wrapped(text, width - column - INDENT - GAP):
                show(" " * INDENT, (names.ljust(column), "cyan"), " " * GAP, line)
                names = ""

    usage = _wrapped(f"Usage: {_usage(command, context)}", width)
    show(("Usage:", "bold"), "\n".join(usage).removeprefix("Usage:"))
    for paragraph in _paragraphs(command):
        show("\n", "\n".join(_wrapped(paragraph, width)))
    if command.epilog:
        show("\n", ("Examples", "bold"))
        for line in command.epilog.strip().splitlines():
            show(" " * INDENT, line.strip())
    panels: dict[str, list[tuple[str, str]]] = {name: [] for name in ("Arguments", "Options", FILE, NETWORK, BATCH)}
    for parameter in command.get_params(context):
        if not getattr(parameter, "hidden", False):
            usual = "Options" if parameter.param_type_name == "option" else "Arguments"
            panel = getattr(parameter, "rich_help_panel", None) or usual
            panels.setdefault(panel, []).append((_names(parameter), _text(parameter, context)))
    for title, rows in panels.items():
        if rows:
            show_rows(title, rows)
    commands: dict[str, Any] = getattr(command, "commands", {})
    if commands:
        show_rows("Commands", [(name, _paragraphs(each)[0]) for name, each in commands.items()])
    if presets := [name for name in (command.list_commands(context) if commands else ()) if name not in commands]:
        text = f"The names of presets are commands, too, short for remix --preset NAME: {', '.join(presets)}."
        show("\n", "\n".join(_wrapped(text, width)))


def _wrapped(text: str, width: int) -> list[str]:
    """Return the lines of a text; words are only cut where they are wider than all of it."""
    return textwrap.wrap(text, max(1, width), break_on_hyphens=False) or [""]


def _paragraphs(command: Any) -> list[str]:
    return [" ".join(paragraph.split()) for paragraph in (command.help or "").strip().split("\n\n")]


def _usage(command: Any, context: Any) -> str:
    pieces = [context.command_path]
    for argument in command.params:
        if argument.param_type_name == "argument" and not argument.hidden:
            name = _metavar(argument).removesuffix("...") + (" ..." if argument.nargs == -1 else "")
            pieces.append(name if argument.required else f"[{name}]")
    return " ".join([*pieces, "[OPTIONS]", *(["COMMAND ..."] if hasattr(command, "commands") else [])])


def _metavar(parameter: Any) -> str:
    """Return the word for a value in the help: the metavar, or the choices."""
    if parameter.metavar is not None:
        return str(parameter.metavar).strip("[]")
    choices = "|".join(_choices(parameter))
    if choices and len(choices) <= MAX_CHOICES_LENGTH:
        return choices
    return "N" if _range(parameter) else str(parameter.name).upper()


def _choices(parameter: Any) -> list[str]:
    choices = getattr(getattr(parameter, "type_descriptor", None) or parameter.type, "choices", None)
    return [str(getattr(choice, "value", choice)) for choice in choices or ()]


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return _metavar(parameter)
    names = ", ".join(sorted([*parameter.opts, *parameter.secondary_opts], key=len))
    return names if parameter.is_flag else f"{names} {_metavar(parameter)}"


def _text(parameter: Any, context: Any) -> str:
    text = (parameter.help or "").rstrip(".")
    default = parameter.get_default(context, call=False)
    choices = _choices(parameter)
    notes = [_range(parameter), _in_words(choices) if len("|".join(choices)) > MAX_CHOICES_LENGTH else ""]
    shown = parameter.show_default and "default" not in text.lower()
    if shown and not (default is None or isinstance(default, bool) or callable(default)):
        notes.append(f"default: {getattr(default, 'value', default)}")
    if parameter.required and parameter.param_type_name == "option":
        notes.append("required")
    if text.endswith(")"):
        text, _, note = text.removesuffix(")").rpartition(" (")
        notes.append(note)
    said = "; ".join(filter(None, notes))
    return f"{text} ({said})." if said else parameter.help or ""


def _in_words(choices: Sequence[str]) -> str:
    """Join choices.

    >>> _in_words(["wav", "flac", "mp3"])
    'wav, flac or mp3'
    """
    return " or ".join(filter(None, (", ".join(choices[:-1]), *choices[-1:])))


def _range(parameter: Any) -> str:
    """Return the range of a number, in words."""
    kind = parameter if hasattr(parameter, "min") else getattr(parameter, "type", None)
    low, high = getattr(kind, "min", None), getattr(kind, "max", None)
    if low is None and high is None:
        return ""
    if high is None:
        return f"{low:.12g} or more"
    return f"{low:.12g} to {high:.12g}" if low is not None else f"up to {high:.12g}"
