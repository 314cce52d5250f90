"""`stembridge presets`: the presets that come with StemBridge, and the user's own."""

import shlex
from typing import Annotated, Any

import typer

from ..core.errors import StemBridgeError
from .complete import own_preset_names_from, preset_names_from
from .examples import EXAMPLES
from .help import Command, Group
from .options import AsJson, Fader, Force, Gains, given_faders

app = typer.Typer(cls=Group, epilog=EXAMPLES["presets"])

Description = Annotated[
    str | None, typer.Option("--description", metavar="TEXT", help="Description (default: that of --from).")
]


@app.callback(invoke_without_command=True)
def _presets(context: typer.Context, as_json: AsJson = False) -> None:
    """List the presets that `remix --preset` knows by name; show one, save and delete your own."""
    if context.invoked_subcommand is None:
        list_presets(as_json)


@app.command("list", cls=Command, epilog=EXAMPLES["presets list"])
def list_presets(as_json: AsJson = False) -> None:
    """List the presets that come with StemBridge, and your own."""
    from ..presets import PresetError, own_presets, preset_names, read_preset
    from .table import print_json, print_table

    own = own_presets()
    rows: list[dict[str, Any]] = []
    for name in preset_names():
        row = {"name": name, "gains_db": {}, "description": "", "own": name in own}
        try:
            preset = read_preset(name)
        except PresetError as error:  # a broken file of the user must not hide the others
            row["description"] = str(error)
        else:
            row |= {"gains_db": preset.gains_db, "description": preset.description}
        rows.append(row)
    if as_json:
        print_json(rows)
        return
    print_table(
        ["name", "gains in dB", "description"],
        [
            [
                row["name"],
                " ".join(f"{stem} {gain:+g}" for stem, gain in row["gains_db"].items()),
                f"{row['description']} (yours)".lstrip() if row["own"] else row["description"],
            ]
            for row in rows
        ],
    )


@app.command("show", cls=Command, epilog=EXAMPLES["presets show"])
def show_preset(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", autocompletion=preset_names_from, help="Name in the list, or the path of a .json file."
        ),
    ],
) -> None:
    """Print a whole preset, as JSON."""
    from ..presets import read_preset

    print(read_preset(name).text(), end="")


@app.command("save", cls=Command, epilog=EXAMPLES["presets save"])
def save_gains(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the preset: a-z, 0-9, space, - and _.")],
    vocals: Fader = None,
    drums: Fader = None,
    bass: Fader = None,
    other: Fader = None,
    gain: Gains = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="NAME",
            autocompletion=preset_names_from,
            help="Start from the gains of a preset or a .json file.",
        ),
    ] = None,
    description: Description = None,
    force: Force = False,
) -> None:
    """Save gains as a preset. Gains given here override those of --from."""
    from ..presets import read_preset, save_preset

    gains_db: dict[str, float] = {}
    if source is not None:
        start = read_preset(source)
        gains_db |= start.gains_db
        description = start.description if description is None else description
    gains_db |= given_faders(gain, vocals=vocals, drums=drums, bass=bass, other=other)
    if not gains_db:
        raise StemBridgeError("there is nothing to save; give a gain, such as --vocals -6, or --from NAME")
    path = save_preset(name, gains_db, description or "", overwrite=force)
    print(f"wrote {path}; use it with --preset {shlex.quote(name)}")


@app.command("delete", cls=Command, epilog=EXAMPLES["presets delete"])
def delete_own(
    name: Annotated[
        str, typer.Argument(metavar="NAME", autocompletion=own_preset_names_from, help="Name in the list.")
    ],
) -> None:
    """Delete a preset of your own."""
    from ..presets import delete_preset

    print(f"deleted {delete_preset(name)}")
