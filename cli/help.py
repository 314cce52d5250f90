"""The text of `--help`, and the names of commands, presets among them."""

from copy import copy
from typing import Any

from typer.core import TyperCommand, TyperGroup

INDENT = 2
NAMES_WIDTH = 28  # of the column with options
MOST_WIDTH = 100


class Command(TyperCommand):
    """A command. Its epilog is its examples, a line each."""

    def format_help(self, context: Any, formatter: Any) -> None:
        """Print the help, as wide as the terminal."""
        print_help(self, context)


class Group(TyperGroup):
    """A command with commands. Its epilog is its examples, a line each."""

    def format_help(self, context: Any, formatter: Any) -> None:
        """Print the help, as wide as the terminal."""
        print_help(self, context)

    def resolve_command(self, context: Any, arguments: list[str]) -> Any:
        """Return the name of a command, the command, and its arguments; a usage error suggests another name."""
        name = arguments[0]
        if self.get_command(context, name) is None and not name.startswith("-") and not context.resilient_parsing:
            from ..core.suggest import did_you_mean

            context.fail(f"No such command {name!r}{did_you_mean(name, self.list_commands(context))}")
        return super().resolve_command(context, arguments)


class Commands(Group):
    """All commands. The names of presets are short for `remix --preset NAME`."""

    def list_commands(self, context: Any) -> list[str]:
        """Return the names of the commands, then those of presets."""
        from ..presets import preset_names

        return list(dict.fromkeys([*self.commands, *preset_names()]))

    def get_command(self, context: Any, name: str) -> Any:
        """Return the command of that name; for a preset's name `remix`, under that name."""
        if name in self.commands or name not in self.list_commands(context):
            return super().get_command(context, name)
        remix = copy(self.commands["remix"])
        remix.name, remix.help = name, f"Short for remix --preset {name}."
        return remix

    def resolve_command(self, context: Any, arguments: list[str]) -> Any:
        """As for any group; a preset's name becomes an option of `remix`."""
        name = arguments[0]
        if name not in self.commands and self.get_command(context, name) is not None:
            arguments = ["remix", "--preset", *arguments]
        return super().resolve_command(context, arguments)


def print_help(command: Any, context: Any) -> None:
    """Print what a command does, examples, and by panel its arguments and options; then its commands."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, markup=False, emoji=False)
    console.width = min(console.width, MOST_WIDTH)

    def show(title: str, rows: list[tuple[str, str]]) -> None:
        console.print(f"\n{title}", style="bold")
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="cyan", overflow="fold", width=min(NAMES_WIDTH, max(len(names) for names, _ in rows)))
        grid.add_column()
        for names, text in rows:
            grid.add_row(Text(names), Text(text))
        console.print(Padding(grid, (0, 0, 0, INDENT)))

    console.print(Text("Usage: ", "bold").append(_usage(command, context), ""))
    for paragraph in _paragraphs(command):
        console.print(f"\n{paragraph}")
    if command.epilog:
        console.print("\nExamples", style="bold")
        for line in command.epilog.strip().splitlines():
            console.print(f"{' ' * INDENT}{line.strip()}", soft_wrap=True)
    panels: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(context):
        if not getattr(parameter, "hidden", False):
            usual = "Options" if parameter.param_type_name == "option" else "Arguments"
            panel = getattr(parameter, "rich_help_panel", None) or usual
            panels.setdefault(panel, []).append((_names(parameter), _text(parameter, context)))
    for title, rows in panels.items():
        show(title, rows)
    commands: dict[str, Any] = getattr(command, "commands", {})
    if commands:
        show(
            "Commands",
            [(name, " ".join((each.help or "").split("\n\n")[0].split())) for name, each in commands.items()],
        )
    if presets := [name for name in (command.list_commands(context) if commands else ()) if name not in commands]:
        text = f"The names of presets are commands, too, short for remix --preset NAME: {', '.join(presets)}."
        console.print(f"\n{text}")


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
    choices = getattr(getattr(parameter, "type_descriptor", None) or parameter.type, "choices", None)
    if choices:
        return "|".join(str(getattr(choice, "value", choice)) for choice in choices)
    return "N" if _range(parameter) else str(parameter.name).upper()


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return _metavar(parameter)
    names = ", ".join(sorted([*parameter.opts, *parameter.secondary_opts], key=len))
    return names if parameter.is_flag else f"{names} {_metavar(parameter)}"


def _text(parameter: Any, context: Any) -> str:
    text = parameter.help or ""
    default = parameter.get_default(context, call=False)
    notes = [_range(parameter)]
    shown = parameter.show_default and "default" not in text.lower()
    if shown and not (default is None or isinstance(default, bool) or callable(default)):
        notes.append(f"default: {getattr(default, 'value', default)}")
    if parameter.required and parameter.param_type_name == "option":
        notes.append("required")
    said = "; ".join(filter(None, notes))
    return f"{text.rstrip('.')} ({said})." if said else text


def _range(parameter: Any) -> str:
    """Where a number lies, in words."""
    kind = parameter if hasattr(parameter, "min") else getattr(parameter, "type", None)
    low, high = getattr(kind, "min", None), getattr(kind, "max", None)
    if low is None and high is None:
        return ""
    if high is None:
        return f"{low:.12g} or more"
    return f"{low:.12g} to {high:.12g}" if low is not None else f"up to {high:.12g}"
