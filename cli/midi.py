"""`stembridge midi`: the MIDI ports, the messages that come in, and maps for controllers."""

import json
import os
import queue
import shlex
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import StemBridgeError
from .complete import port_names_from
from .examples import EXAMPLES
from .help import Command, Group
from .options import AsJson, Force, MapName, check_new

if TYPE_CHECKING:
    from mido import Message

    from ..control.maps.translator import Change, Translator

    Events = queue.Queue[Message | None]  # None is the Enter key

MAX_WAITING = 1000  # messages that may wait to be shown; further ones are lost
FADER_QUIET_S = 0.6  # a fader has come to rest if it sends nothing for so long
BUTTON_HELD_S = 1.5  # a button that is not released for so long is a switch that stays down
MAX_MESSAGES = 2000  # then stop to wait for quiet: some control never stops sending

app = typer.Typer(cls=Group, epilog=EXAMPLES["midi"])

PortName = Annotated[
    str | None,
    typer.Argument(
        metavar="[PORT]",
        autocompletion=port_names_from,
        help="A name or a part of it, HOST:PORT, or :PORT to be a server; default: the first port.",
    ),
]


@app.callback(invoke_without_command=True)
def _midi(context: typer.Context) -> None:
    """List MIDI ports and maps, show the messages of a controller, and make a map for it by moving its controls."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command("ports", cls=Command, epilog=EXAMPLES["midi ports"])
def list_ports(as_json: AsJson = False) -> None:
    """List the MIDI ports of this machine."""
    from ..control.ports import port_names
    from .table import print_json, print_table

    inputs, outputs = port_names()
    names = dict.fromkeys([*inputs, *outputs])
    if as_json:
        print_json([{"port": name, "sends": name in inputs, "receives": name in outputs} for name in names])
        return
    if not inputs and not outputs:
        print("no MIDI ports found; plug a device in, or use HOST:PORT for one over the network")
        return
    print_table(
        ["port", "sends", "receives"],
        [[name, "yes" if name in inputs else "", "yes" if name in outputs else ""] for name in names],
    )


@app.command("maps", cls=Command, epilog=EXAMPLES["midi maps"])
def list_maps(as_json: AsJson = False) -> None:
    """List the maps that come with StemBridge."""
    from ..control import load_map, map_names
    from .table import print_json, print_table

    rows = [[name, load_map(name).description] for name in map_names()]
    if as_json:
        print_json([{"name": name, "description": description} for name, description in rows])
    else:
        print_table(["name", "for"], rows)


@app.command("monitor", cls=Command, epilog=EXAMPLES["midi monitor"])
def monitor_port(
    port: PortName = None,
    midi_map: Annotated[str, MapName] = "general",
) -> None:
    """Show the messages of a port, and what a map does with them, until Ctrl-C."""
    from ..control import load_map
    from ..control.listener import Listener
    from ..control.maps.translator import Translator

    chosen = load_map(midi_map)
    translator = Translator(chosen, chosen.stems)
    events: Events = queue.Queue(MAX_WAITING)
    with Listener(port, _into(events)) as listener:
        print(f"listening to {listener.name} with the map {chosen.name}; Ctrl-C ends", flush=True)
        while (message := events.get()) is not None:
            changes = ", ".join(_change_text(change, translator) for change in translator.feed(message))
            print(f"{_message_text(message):<44}{changes}".rstrip(), flush=True)


@app.command("learn", cls=Command, epilog=EXAMPLES["midi learn"])
def learn_map(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The .json file to write.")],
    port: Annotated[
        str | None,
        typer.Option(
            "--port",
            metavar="PORT",
            autocompletion=port_names_from,
            help="A port, as for `monitor` (default: the first).",
        ),
    ] = None,
    stems: Annotated[
        str, typer.Option("--stems", metavar="STEM,STEM...", help="Stems to move.")
    ] = "vocals,drums,bass,other",
    force: Force = False,
) -> None:
    """Make a map: for each fader and each mute button it asks you to move a control."""
    from ..control.listener import Listener
    from ..core.atomic import write_whole

    names = [name.strip() for name in stems.split(",")]
    if not all(names) or len(set(names)) < len(names):
        raise StemBridgeError(f"--stems {stems} does not work; give names with commas between them, each once")
    if output.suffix != ".json":
        raise StemBridgeError(f"{output}: a map is a .json file; let its name end in .json")
    check_new(output, force)
    events: Events = queue.Queue(MAX_WAITING)
    with Listener(port, _into(events)) as listener:
        print(f"listening to {listener.name}; Ctrl-C ends without a map", flush=True)
        _watch_enter(events)
        bindings = _ask(names, events)
        description = f"Learned from {listener.name}"
    if not bindings:
        raise StemBridgeError("no control was learned, so no map was written; start again and move a control")
    data = {"name": output.stem, "description": description, "bindings": bindings}
    write_whole(output, (json.dumps(data, indent=2) + "\n").encode())
    print(f"wrote {output}; use it with --map {shlex.quote(str(output))}")


def _ask(stems: list[str], events: "Events") -> list[dict[str, Any]]:
    """Return bindings for the fader and the mute of each stem, without those that the user skipped."""
    taken: set[tuple[Any, ...]] = set()
    bindings = []
    for stem in stems:
        for action, request, wait in (
            ("gain", "move its fader or knob all the way up and down", _next_fader),
            ("mute", "press the button that mutes it", _next_button),
        ):
            print(f"{stem}: {request} (Enter skips it)", flush=True)
            with suppress(_SkippedError):
                while True:
                    found = wait(events)
                    if found is None:
                        print("  that was not recognised; try again", flush=True)
                        continue
                    control = found["control"]
                    channel, number = control.get("channel", found.get("channel")), control.get("number")
                    key = (channel, control["type"] in ("note", "nrpn"), number)
                    if key not in taken:
                        break
                    print("  that control is taken; try another", flush=True)
                taken.add(key)
                bindings.append({"action": action, "stem": stem, **found})
                details = {name: value for name, value in found.items() if name != "control"} | control
                print("  " + ", ".join(f"{name} {value}" for name, value in details.items()), flush=True)
    return bindings


class _SkippedError(Exception):
    """Enter was pressed."""


def _next_fader(events: "Events") -> dict[str, Any] | None:
    """Return the control that is moved next, once it has come to rest."""
    from ..control.maps.learn import recognise_fader

    messages = [_next(events, None)]
    with suppress(queue.Empty):
        while len(messages) < MAX_MESSAGES:
            messages.append(_next(events, FADER_QUIET_S))
    return recognise_fader(messages)


def _next_button(events: "Events") -> dict[str, Any] | None:
    """Return the button that is pressed next, once it is released."""
    from ..control.maps.learn import recognise_button

    messages = [_next(events, None)]
    with suppress(queue.Empty):
        while len(messages) < MAX_MESSAGES:
            found = recognise_button(messages)
            if found is not None and found["mode"] == "toggle":
                break
            messages.append(_next(events, BUTTON_HELD_S))
    return recognise_button(messages)


def _next(events: "Events", timeout: float | None) -> "Message":
    event = events.get(timeout=timeout)
    if event is None:
        raise _SkippedError
    return event


def _into(events: "Events") -> Callable[["Message"], None]:
    def put(message: "Message") -> None:
        if hasattr(message, "channel"):
            with suppress(queue.Full):
                events.put_nowait(message)

    return put


def _watch_enter(events: "Events") -> None:
    """Put None for each line on stdin."""

    def watch(number: int) -> None:
        # Not through sys.stdin, whose lock this thread would hold when the interpreter ends.
        with suppress(OSError):
            while data := os.read(number, 1024):
                for _ in range(data.count(b"\n")):
                    with suppress(queue.Full):
                        events.put_nowait(None)

    with suppress(OSError, ValueError, AttributeError):  # stdin is closed, or is not a file
        threading.Thread(target=watch, args=(sys.stdin.fileno(),), daemon=True).start()


def _message_text(message: "Message") -> str:
    """Return a message in words, with the numbers that maps use."""
    channel = f"channel {message.channel + 1}"
    if message.type == "control_change":
        return f"{channel}, control {message.control}: {message.value}"
    if message.type in ("note_on", "note_off"):
        down = message.type == "note_on" and message.velocity
        return f"{channel}, note {message.note} {'down' if down else 'up'}"
    if message.type == "pitchwheel":
        return f"{channel}, pitch bend: {message.pitch + 8192}"
    if message.type == "program_change":
        return f"{channel}, program {message.program}"
    return f"{channel}, {message.type}: {message.value}"


def _change_text(change: "Change", translator: "Translator") -> str:
    """Return a change in words."""
    from ..presets import PresetError, load_preset

    if change.stem is None:
        try:
            translator.preset_loaded(load_preset(change.value))
        except PresetError as error:
            return str(error)
        return f"preset {change.value}"
    if change.kind == "gain":
        return f"{change.stem} {change.value:+.2f} dB"
    return f"{change.stem} {change.kind} {'on' if change.value else 'off'}"
