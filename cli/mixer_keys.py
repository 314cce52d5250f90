"""The keys of the mixer, and the help that explains them."""

from textual.binding import Binding, BindingType

STEP_DB, LARGE_STEP_DB = 1.0, 6.0
SKIP_S = 5.0  # a key goes so far back or forward in a song
NUM_KEYS = 9  # number keys for presets
KEYS: list[BindingType] = [
    Binding("left", "choose(-1)", show=False),
    Binding("right", "choose(1)", show=False),
    Binding("question_mark", "help", "help", key_display="?"),
    Binding("q,ctrl+c", "quit", "quit", key_display="q"),
    Binding("space", "pause", "pause"),
    Binding("l", "loop", "loop"),
    Binding("m", "mute", "mute"),
    Binding("s", "solo", "solo"),
    Binding("u", "undo", "undo"),
    Binding("p", "presets", "presets"),
    Binding("r", "reset", show=False),
    Binding("comma", f"skip({-SKIP_S})", show=False),
    Binding("full_stop", f"skip({SKIP_S})", show=False),
    Binding("b", "step(-1)", show=False),
    Binding("n", "step(1)", show=False),
    Binding("c", "put_out", show=False),
    Binding("escape", "hush", show=False),
    Binding("up", f"move({STEP_DB})", show=False),
    Binding("down", f"move({-STEP_DB})", show=False),
    Binding("pageup", f"move({LARGE_STEP_DB})", show=False),
    Binding("pagedown", f"move({-LARGE_STEP_DB})", show=False),
    Binding("home", "set_gain(0)", show=False),
    Binding("end", "set_gain(-80)", show=False),
    *(Binding(str(key), f"preset({key})", show=False) for key in range(1, NUM_KEYS + 1)),
]
HELP = """\
 ← →        choose a stem      space  pause, resume
 ↑ ↓        1 dB up, down      , .    5 s back, ahead
 PgUp PgDn  6 dB up, down      b n    previous, next song
 Home End   0 dB, silence      l      loop from, to, off
 m s        mute, solo         1..9   load a preset
 r u        all to 0 dB, undo  p      all presets
 q          quit               c Esc  clip, message off
 mouse: drag faders and the song's line, turn the wheel
 on faders; click M, S, presets, clip light, message

 Meters show the level after the faders, from -60 dB to
 full scale: RMS as a bar, peak as a line. LOAD is the
 share of a core, LATE counts late blocks, LATENCY is that
 of the effect and of one block. Any key closes this.\
"""
