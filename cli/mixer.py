"""The mixer in the terminal."""

import queue
import signal
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text
from textual import events, on
from textual.app import App, ComposeResult
from textual.containers import Horizontal
from textual.widgets import Footer, Static

from ..core.times import clock
from .master import MasterMeter
from .mixer_keys import KEYS, NUM_KEYS
from .mixer_screens import Help, PresetList, usable_presets
from .song_line import SongLine
from .strip import ChannelStrip
from .undo import Undoable

if TYPE_CHECKING:
    from ..control import MidiControl
    from ..live import Live

REFRESH_INTERVAL_S = 1 / 15
MAX_MESSAGES = 3  # shown at a time
HIGH_LOAD = 0.7  # a load above this is marked


class Mixer(App[None]):
    """A strip for each stem, presets, and the state of the sound.

    Args:
        live: Sound that has been started.
        control: Moves the faders.
        lines: Messages to show.
    """

    TITLE = "stembridge live"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #strips { height: 1fr; align: center top; overflow-x: auto; }
    #presets, #status, #title { height: 1; padding: 0 1; }
    #presets { height: auto; max-height: 3; link-style: none; link-color: ansi_default; }
    #message { height: auto; max-height: 3; padding: 0 1; text-style: bold reverse; display: none; }
    Help, PresetList { align: center middle; }
    #help { width: 60; max-width: 100%; height: auto; border: round ansi_default; }
    #all-presets { width: 62; max-width: 100%; height: auto; max-height: 100%; border: round ansi_default;
                   text-wrap: nowrap; text-overflow: ellipsis; }
    """
    BINDINGS = KEYS

    def __init__(self, live: "Live", control: "MidiControl", lines: "queue.SimpleQueue[str]") -> None:
        super().__init__()
        self.theme = "ansi-dark"  # the colours of the terminal, whether it is light or dark
        self._live, self._control, self._lines = live, Undoable(control), lines
        self._presets = list(usable_presets(live.stems))[:NUM_KEYS]
        self._loop_from: tuple[int, float] | None = None  # the number of a song, and the start of its loop in seconds
        # Not found by queries, because they search the front screen, which may be the help.
        self._strips = [ChannelStrip(self._control, stem) for stem in live.stems]
        self._master, self._song = MasterMeter(live), SongLine(live.transport)
        self._head, self._keys, self._status = Static(id="title"), Static(id="presets"), Static(id="status")
        self._message = Static(id="message", markup=False)
        self._said: deque[str] = deque(maxlen=MAX_MESSAGES)

    def compose(self) -> ComposeResult:
        """Yield the parts of the mixer from top to bottom."""
        yield self._head
        yield Horizontal(*self._strips, self._master, id="strips")
        if self._live.transport.songs:
            yield self._song
        yield self._message
        yield self._keys
        yield self._status
        yield Footer()

    def on_mount(self) -> None:
        """Begin to follow the sound."""
        self._strips[0].focus()
        if not self.is_headless and sys.platform != "win32":
            # After SIGCONT Textual would start a second reader of keys, and never end. So Ctrl-Z does nothing.
            signal.signal(signal.SIGCONT, signal.SIG_DFL)
            signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        self.set_interval(REFRESH_INTERVAL_S, self._tick)

    def _tick(self) -> None:
        if self._live.wait(0):
            self.exit()
            return
        while not self._lines.empty():
            self._say(self._lines.get())
        if self._loop_from is not None and self._loop_from[0] != self._live.transport.song:
            self._loop_from = None
        self._song.mark = self._loop_from and self._loop_from[1]
        self._song.follow()
        self._master.follow()
        if self._ends() != self._head.content:
            self._head.update(self._ends())
        levels = self._live.levels
        for strip in self._strips:
            strip.follow(levels[strip.stem])
        self._status.update(self._health())

    def _ends(self) -> Text:
        settings, transport = self._live.settings, self._live.transport
        ends = [
            {"none": "nothing", "device": name or "default device"}.get(kind, str(name).rpartition("/")[2])
            for name, kind in ((settings.input, settings.input_kind), (settings.output, settings.output_kind))
        ]
        if songs := transport.songs:
            ends[0] = songs[transport.song].rpartition("/")[2]
            if len(songs) > 1:
                ends[0] += f" ({transport.song + 1} of {len(songs)})"
        rate = f"  {settings.sample_rate} Hz"
        return Text.assemble(
            ("StemBridge", "bold"), (rate, "dim"), f"  {ends[0]} → {ends[1]}", no_wrap=True, overflow="ellipsis"
        )

    def _health(self) -> Text:
        live, rate = self._live, self._live.settings.sample_rate
        latency = live.latency_samples + live.settings.block
        busy = Style(reverse=True) if live.load > HIGH_LOAD else Style()
        missed = Style(reverse=True) if live.misses else Style()
        return Text.assemble(
            f"{clock(live.position // rate)}",
            ("  LOAD ", "dim"),
            (f"{live.load:4.0%}", busy),
            ("  LATE ", "dim"),
            (f"{live.misses}", missed),
            ("  LATENCY ", "dim"),
            f"{latency} samples {1000 * latency / rate:.1f} ms",
            no_wrap=True,
        )

    def _buttons(self, width: int) -> Text:
        """Return the buttons of presets, in as many lines as they need."""
        lines = [Text()]
        buttons = [(str(key), name, f"app.preset({key})") for key, name in enumerate(self._presets, 1)]
        for key, name, action in [*buttons, ("p", "all", "app.presets")]:
            click = Style(meta={"@click": action})
            button = Text.assemble((f" {key} ", click + Style(reverse=True)), (f" {name}", click), "  ")
            if lines[-1] and lines[-1].cell_len + button.cell_len - 2 > width:
                lines.append(Text())
            lines[-1].append_text(button)
        return Text("\n").join(lines)

    @property
    def _chosen(self) -> ChannelStrip:
        return self.focused if isinstance(self.focused, ChannelStrip) else self._strips[0]

    def action_choose(self, by: int) -> None:
        """Go to another stem.

        Args:
            by: 1 for the next stem, -1 for the previous one.
        """
        (self.screen.focus_next if by > 0 else self.screen.focus_previous)(ChannelStrip)

    def action_move(self, by: float) -> None:
        """Move the chosen fader.

        Args:
            by: Change in dB.
        """
        self._chosen.move_to(self._chosen.gain_db + by)

    def action_set_gain(self, gain_db: float) -> None:
        """Move the chosen fader to a gain.

        Args:
            gain_db: Gain in dB.
        """
        self._chosen.move_to(gain_db)

    def action_mute(self) -> None:
        """Mute the chosen stem, or unmute it."""
        self._chosen.toggle("mute")

    def action_solo(self) -> None:
        """Solo the chosen stem, or end its solo."""
        self._chosen.toggle("solo")

    def action_reset(self) -> None:
        """Move all faders to 0 dB, and end all mutes and solos."""
        with self._control.one_move():
            for strip in self._strips:
                strip.reset()

    def action_preset(self, key: int) -> None:
        """Load the preset of a number key.

        Args:
            key: 1 to 9.
        """
        if key <= len(self._presets):
            self._load_preset(self._presets[key - 1])

    def action_presets(self) -> None:
        """Show all presets to choose from."""
        self.push_screen(PresetList(usable_presets(self._live.stems)), self._load_preset)

    def _load_preset(self, name: str | None) -> None:
        if name is not None:
            with self._failures_said():
                self._control.load_preset(name)

    def action_undo(self) -> None:
        """Undo the last move."""
        if not self._control.undo():
            self._say("there is nothing to undo")

    def action_pause(self) -> None:
        """Pause, or resume."""
        with self._failures_said():
            self._live.transport.pause(not self._live.transport.paused)

    def action_skip(self, seconds: float) -> None:
        """Go back or ahead in the song.

        Args:
            seconds: How far; back if negative.
        """
        with self._failures_said():
            self._live.transport.skip(seconds)

    def action_step(self, by: int) -> None:
        """Go to another song.

        Args:
            by: 1 for the next song, -1 for the previous one.
        """
        with self._failures_said():
            self._live.transport.step(by)

    def action_loop(self) -> None:
        """Start a loop here; at the next call end the loop here; at the third stop looping."""
        transport, begun = self._live.transport, self._loop_from
        self._loop_from = None
        with self._failures_said():
            if begun is not None:
                transport.set_loop(*sorted((begun[1], transport.position)))
            elif transport.loop is not None or not transport.songs:
                transport.set_loop(None)
            else:
                self._loop_from = transport.song, transport.position

    def action_put_out(self) -> None:
        """Put the clip light out."""
        self._master.put_out()

    def action_hush(self) -> None:
        """Hide the messages."""
        self._said.clear()
        self._message.display = False

    @on(events.Click, "#message")
    def _hush(self) -> None:
        self.action_hush()

    def _say(self, line: str) -> None:
        """Show a message above earlier ones, each once, until the user hides them."""
        if line in self._said:
            self._said.remove(line)
        self._said.appendleft(line)
        self._message.update("\n".join(self._said))
        self._message.display = True

    @contextmanager
    def _failures_said(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, OSError) as error:
            self._say(str(error))

    def action_help(self) -> None:
        """Show the list of keys."""
        self.push_screen(Help())

    def on_resize(self, event: events.Resize) -> None:
        """Give the presets the lines that they need."""
        self._keys.update(self._buttons(event.size.width - 2))
