"""`stembridge live`."""

import os
import queue
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import StemBridgeError
from ..core.extras import install_extra
from ..core.log import say
from .complete import port_names_from
from .options import Fader, Force, MapName, ModelName, PresetName, ProviderName, Stream, check_new, given_faders
from .table import printable

if TYPE_CHECKING:
    from ..control import MidiControl
    from ..live import Live

POLL_INTERVAL_S = 0.25  # between two checks for signals and for another song
MOVES_SUFFIXES = ".csv", ".mid"


def play_live(
    songs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SONG",
            show_default=False,
            help="Audio files and playlists (.m3u, .m3u8, .pls), played one after another, again and again.",
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("--input", "-i", metavar="WHAT", help="A device, a song, a playlist, or `none`."),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="WHAT", help="A device, a new audio file, or `none`.")
    ] = None,
    vocals: Fader = None,
    drums: Fader = None,
    bass: Fader = None,
    other: Fader = None,
    preset: PresetName = None,
    midi: Annotated[
        str | None,
        typer.Option(
            "--midi",
            metavar="PORT",
            autocompletion=port_names_from,
            help="MIDI port that moves the faders (`stembridge docs midi`).",
        ),
    ] = None,
    midi_map: Annotated[str, MapName] = "general",
    record_moves: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Record the moves of the faders to a .csv or .mid file.")
    ] = None,
    model: ModelName = "live",
    provider: ProviderName = None,
    stream: Stream = None,
    sample_rate: Annotated[
        int | None,
        typer.Option(
            "--sample-rate",
            min=8000,
            max=192000,
            metavar="HZ",
            help="Sample rate in Hz (default: the song's, else 44100).",
        ),
    ] = None,
    block: Annotated[int, typer.Option("--block", min=16, max=16384, metavar="N", help="Samples in a block.")] = 256,
    driver: Annotated[
        str | None, typer.Option("--driver", metavar="NAME", help="Driver of the devices: alsa, pulseaudio, jack ...")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=0.001, metavar="N", help="Stop after so many seconds.")
    ] = None,
    ui: Annotated[bool, typer.Option("--ui/--no-ui", help="Show the mixer in the terminal, or only play.")] = True,
    devices: Annotated[bool, typer.Option("--devices", help="List the audio devices, and exit.")] = False,
    force: Force = False,
) -> None:
    """Play live sound or songs through the faders, with a mixer in the terminal.

    Without SONG or --input, the input is the default device.
    """
    if songs and source is not None:
        raise StemBridgeError(f"songs and --input {source} cannot both play; give one of them")
    if devices:
        _list_devices(driver)
        return
    from ..control import load_map
    from ..live import Live

    chosen = load_map(midi_map)
    gains_db = given_faders(vocals=vocals, drums=drums, bass=bass, other=other)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    report = lines.put if ui else say
    live = Live(
        songs or source,
        output,
        stream=stream,
        overwrite=force,
        model=model,
        sample_rate=sample_rate,
        block=block,
        gains_db=gains_db,
        preset=preset,
        seconds=seconds,
        driver=driver,
        report=report,
    )
    if ui:
        _check_screen()
    if record_moves is not None:
        if record_moves.suffix.lower() not in MOVES_SUFFIXES:
            raise StemBridgeError(
                f"{record_moves}: moves are recorded to a {' or '.join(MOVES_SUFFIXES)} file; rename it"
            )
        check_new(record_moves, force)
    if output is not None and live.settings.output_kind == "file":
        check_new(Path(output), force)
    control, began = _control(live, chosen, midi, report), False
    try:
        with control, live:  # first the control, because a missing port must stop this before a file is written
            began = True
            if ui:
                from .mixer import Mixer
                from .terminal import run_app

                run_app(Mixer(live, control, lines))
            else:
                print(f"{_description(live)}; Ctrl-C ends", flush=True)
                transport, song = live.transport, 0
                while not live.wait(POLL_INTERVAL_S):
                    if song != (song := transport.song):
                        name = printable(transport.songs[song])
                        print(f"song {song + 1} of {len(transport.songs)}: {name}", flush=True)
    finally:
        while not lines.empty():  # the mixer did not show these
            say(lines.get())
        if began:
            stop = sys.exception()  # None at the end; a signal is not an error either, unless the terminal is gone
            moves = lost = None
            try:
                moves = _keep_moves(control, record_moves, live.settings.sample_rate, force)
            except (ValueError, OSError) as error:
                lost = error
            if not isinstance(stop, Exception) and getattr(stop, "number", 0) != getattr(signal, "SIGHUP", None):
                _sum_up(live, moves)
            if lost is not None and stop is None:
                raise lost
            if lost is not None:
                say(str(lost))  # what stopped it comes first


def _control(live: "Live", midi_map: Any, port: str | None, report: Callable[[str], None]) -> "MidiControl":
    """Return the control of all faders. It records and shows all moves, with or without a controller."""
    from ..control import MidiControl

    nobody = SimpleNamespace(callback=None, name="nobody")
    return MidiControl(live, midi_map, nobody if port is None else port, position=lambda: live.position, report=report)


def _check_screen() -> None:
    from importlib.util import find_spec

    if find_spec("textual") is None:
        raise StemBridgeError(f"the mixer needs textual: {install_extra('live')}, or give --no-ui")
    if os.environ.get("TERM") == "dumb" or not all(s and s.isatty() for s in (sys.stdin, sys.stdout)):
        raise StemBridgeError("the mixer needs a terminal; give --no-ui to play without one")


def _keep_moves(control: "MidiControl", path: Path | None, sample_rate: int, force: bool) -> Path | None:
    """Write the moves to a file, and return its path. It gets a number if another file has its name by now."""
    if path is None:
        return None
    from ..live.sources_sinks import numbered

    place = next(place for place in numbered(path) if force or not place.exists())
    if path.suffix.lower() == ".mid":
        control.recording.to_midi(place, sample_rate)
    else:
        control.recording.automation().to_csv(place)
    return place


def _description(live: "Live") -> str:
    """Return a line about input, output and latency."""
    settings, latency = live.settings, live.latency_samples
    total_ms = 1000 * (latency + settings.block) / settings.sample_rate
    source = _end(settings.input, settings.input_kind)
    if songs := settings.songs:
        source = songs[0] if len(songs) == 1 else f"{songs[0]} and {len(songs) - 1} more"
    ends = f"{source} to {_end(settings.output, settings.output_kind)}"
    return f"{ends}: {settings.sample_rate} Hz, latency {latency} + {settings.block} samples, {total_ms:.1f} ms"


def _end(name: str | None, kind: str) -> str:
    return {"none": "nothing", "device": name or "the default device"}.get(kind, str(name))


def _sum_up(live: "Live", moves: Path | None) -> None:
    files = [str(path) for path in (live.recorded, moves) if path is not None]
    wrote = f"; wrote {', '.join(files)}" if files else ""
    seconds = live.position / live.settings.sample_rate
    print(f"played {seconds:.1f} s, {live.misses} of {live.blocks} blocks late{wrote}")


def _list_devices(driver: str | None) -> None:
    from ..live import device_names
    from .table import print_table

    system, inputs, outputs = device_names(driver)
    print(f"through {system}:")
    print_table(
        ["device", "input", "output"],
        [
            [name, "yes" if name in inputs else "", "yes" if name in outputs else ""]
            for name in dict.fromkeys([*inputs, *outputs])
        ],
    )
