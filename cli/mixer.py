"""The mixer in the terminal."""

import queue
import signal
from typing import TYPE_CHECKING, Any, ClassVar

from rich.style import Style
from rich.text import Text
from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.screen import ModalScreen
from textual.widgets import Footer, Static

from ..core.durations import clock
from ..presets import PresetError, load_preset, preset_names
from .strip import ChannelStrip

if TYPE_CHECKING:
    from ..control import MidiControl
    from ..live import Live

REFRESH = 1 / 15  # s
STEP_DB, STRIDE_DB = 1.0, 6.0
KEYS = 9  # presets that a key chooses
ENDS = "SIGINT", "SIGTERM", "SIGHUP"
BUSY = 0.7  # load from which on it is told as a danger
HELP = """\
 ← →         choose a stem        m       mute
 ↑ ↓         1 dB up, down        s       solo
 PgUp PgDn   6 dB up, down        r       all to 0 dB
 Home End    0 dB, silence        1 .. 9  load a preset
 mouse       drag the fader, click M, S and presets

 Meters show what is behind the faders, from -60 dB to
 full scale: the RMS as a bar, the peak as a line. LOAD is
 the share of a core that the work takes, LATE counts
 blocks that came too late, LATENCY is that of the effect
 and of one block; devices add their own. Any key closes.\
"""


def run_mixer(live: "Live", control: "MidiControl", lines: "queue.SimpleQueue[str]") -> None:
    """Show the mixer until the user quits, the sound ends, or a signal comes, which is raised again.

    control: moves the faders. lines: what happens in the meantime, to be shown.
    """
    mixer = Mixer(live, control, lines)
    numbers = [getattr(signal, name) for name in ENDS if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    caught: list[int] = []

    def stop(number: int, _: Any) -> None:  # the terminal has to be put in order first
        if caught:  # it hangs
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        caught.append(number)
        mixer.call_later(mixer.exit)

    for number in numbers:
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        mixer.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in caught[:1]:  # which tells more than an error of a terminal that is gone
            signal.raise_signal(number)


class Help(ModalScreen[None]):
    """What the keys do."""

    def compose(self) -> ComposeResult:
        """One box."""
        yield Static(HELP, id="help")

    def on_key(self, event: events.Key) -> None:
        """Any key closes it, and does nothing else."""
        event.stop()
        self.dismiss()

    def on_click(self) -> None:
        """So does a click."""
        self.dismiss()


class Mixer(App[None]):
    """A strip for each stem, presets, and how the sound is doing."""

    TITLE = "stembridge live"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #strips { height: 1fr; align: center top; overflow-x: auto; }
    #presets, #status, #title { height: 1; padding: 0 1; }
    #presets { height: auto; max-height: 3; link-style: none; link-color: ansi_default; }
    Help { align: center middle; }
    #help { width: 60; height: auto; border: round ansi_default; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "choose(-1)", show=False),
        Binding("right", "choose(1)", show=False),
        Binding("m", "mute", "mute"),
        Binding("s", "solo", "solo"),
        Binding("r", "reset", "reset"),
        Binding("question_mark", "help", "help", key_display="?"),
        Binding("q,ctrl+c", "quit", "quit", key_display="q"),
        Binding("up", f"move({STEP_DB})", show=False),
        Binding("down", f"move({-STEP_DB})", show=False),
        Binding("pageup", f"move({STRIDE_DB})", show=False),
        Binding("pagedown", f"move({-STRIDE_DB})", show=False),
        Binding("home", "set_gain(0)", show=False),
        Binding("end", "set_gain(-80)", show=False),
        *(Binding(str(key), f"preset({key})", show=False) for key in range(1, KEYS + 1)),
    ]

    def __init__(self, live: "Live", control: "MidiControl", lines: "queue.SimpleQueue[str]") -> None:
        super().__init__()
        self.theme = "ansi-dark"  # the terminal's own colours, whether it is light or dark
        self._live, self._control, self._lines = live, control, lines
        self._presets = _usable_presets(live.stems)
        # Kept, because a query looks at the screen in front, which may be the help.
        self._strips = [ChannelStrip(control, stem) for stem in live.stems]
        self._head, self._keys, self._status = Static(id="title"), Static(id="presets"), Static(id="status")

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield self._head
        yield Horizontal(*self._strips, id="strips")
        yield self._keys
        yield self._status
        yield Footer()

    def on_mount(self) -> None:
        """Begin to follow the sound."""
        self._head.update(self._ends())
        self._strips[0].focus()
        if not self.is_headless and hasattr(signal, "SIGCONT"):
            # Textual starts to read keys once more, and then never ends; and a mixer is not put aside.
            signal.signal(signal.SIGCONT, signal.SIG_DFL)
            signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        self.set_interval(REFRESH, self._tick)

    def _tick(self) -> None:
        if self._live.wait(0):
            self.exit()
            return
        while not self._lines.empty():
            self.notify(self._lines.get(), timeout=10)
        levels = self._live.levels
        for strip in self._strips:
            strip.follow(levels[strip.stem])
        self._status.update(self._health())

    def _ends(self) -> Text:
        settings = self._live.settings
        ends = [
            {"none": "nothing", "device": name or "default device"}.get(kind, str(name).rpartition("/")[2])
            for name, kind in ((settings.input, settings.input_kind), (settings.output, settings.output_kind))
        ]
        rate = f"  {settings.sample_rate} Hz"
        return Text.assemble(
            ("StemBridge", "bold"), (rate, "dim"), f"  {ends[0]} → {ends[1]}", no_wrap=True, overflow="ellipsis"
        )

    def _health(self) -> Text:
        live, rate = self._live, self._live.settings.sample_rate
        seconds = live.position // rate
        late = live.latency_samples + live.settings.block
        busy = Style(reverse=True) if live.load > BUSY else Style()
        missed = Style(reverse=True) if live.misses else Style()
        return Text.assemble(
            f"{clock(seconds)}  ",
            ("LOAD ", "dim"),
            (f"{live.load:4.0%}", busy),
            ("  LATE ", "dim"),
            (f"{live.misses}", missed),
            ("  LATENCY ", "dim"),
            f"{late} samples {1000 * late / rate:.1f} ms",
            no_wrap=True,
        )

    def _buttons(self, width: int) -> Text:
        """The presets in as many lines as they need."""
        lines = [Text()]
        for key, name in enumerate(self._presets, 1):
            click = Style(meta={"@click": f"app.preset({key})"})
            button = Text.assemble((f" {key} ", click + Style(reverse=True)), (f" {name}", click), "  ")
            if lines[-1] and lines[-1].cell_len + button.cell_len - 2 > width:
                lines.append(Text())
            lines[-1].append_text(button)
        return Text("\n").join(lines)

    @property
    def _chosen(self) -> ChannelStrip:
        return self.focused if isinstance(self.focused, ChannelStrip) else self._strips[0]

    def action_choose(self, by: int) -> None:
        """Go to another stem."""
        (self.screen.focus_next if by > 0 else self.screen.focus_previous)(ChannelStrip)

    def action_move(self, by: float) -> None:
        """Move the chosen fader by so many dB."""
        self._chosen.move_to(self._chosen.gain_db + by)

    def action_set_gain(self, gain_db: float) -> None:
        """Bring the chosen fader there."""
        self._chosen.move_to(gain_db)

    def action_mute(self) -> None:
        """Mute the chosen stem, or end that."""
        self._chosen.toggle("mute")

    def action_solo(self) -> None:
        """Solo the chosen stem, or end that."""
        self._chosen.toggle("solo")

    def action_reset(self) -> None:
        """All faders to 0 dB, no mutes and no solos."""
        for strip in self._strips:
            strip.reset()

    def action_preset(self, key: int) -> None:
        """Load the preset of a number key."""
        if key <= len(self._presets):
            self._control.load_preset(self._presets[key - 1])

    def action_help(self) -> None:
        """Say what the keys do."""
        self.push_screen(Help())

    def on_resize(self, event: events.Resize) -> None:
        """Let the presets take the lines they need."""
        self._keys.update(self._buttons(event.size.width - 2))


def _usable_presets(stems: tuple[str, ...]) -> list[str]:
    """The first nine that have a stem in common with the model, and no other."""
    found = []
    for name in preset_names():
        try:
            gains = load_preset(name)
        except PresetError:  # a file of the user's that is none
            continue
        if set(gains) <= set(stems):
            found.append(name)
    return found[:KEYS]
