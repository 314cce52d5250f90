"""The mixer: keys, mouse and display; the mixer never holds up the sound."""

import asyncio
import queue
import threading
import time
from types import SimpleNamespace

import mido
import numpy as np
import pytest
import soundfile
from stembridge.cli import undo
from stembridge.cli.mixer import Mixer
from stembridge.cli.mixer_keys import NUM_KEYS
from stembridge.cli.mixer_screens import Help, PresetList, usable_presets
from stembridge.cli.strip import ChannelStrip
from stembridge.control import MidiControl
from stembridge.live import Live
from stembridge.presets import load_preset, save_preset

STEMS = "vocals", "drums", "bass", "other"


class Port:
    """A controller with motor faders."""

    callback = None

    def __init__(self):
        self.told = []

    def send(self, message):
        self.told.append(message)


@pytest.fixture(scope="module")
def playing(tiny_live_model, tmp_path_factory):
    """Play sound without end; yield the session that moves its faders."""
    songs = [tmp_path_factory.mktemp("mixer") / name for name in ("song.wav", "other.wav")]
    for song in songs:
        soundfile.write(song, 0.1 * np.random.default_rng(0).standard_normal((60 * 44100, 2)), 44100)
    port = Port()
    with (
        Live(songs, "none", model=tiny_live_model) as live,
        MidiControl(live, "mackie", port, position=lambda: live.position) as control,
    ):
        yield SimpleNamespace(live=live, control=control, port=port)


@pytest.fixture
def mixer(playing):
    """Return a function that runs a conversation with the mixer: async (mixer, pilot) -> None."""
    for stem in STEMS:
        playing.live.set_gains_db(**{stem: 0})
        playing.live.mute(stem, False)
        playing.live.solo(stem, False)
    playing.live.transport.play(0)
    playing.live.transport.pause(False)

    def run(talk, size=(80, 24), live=playing.live, lines=None):
        async def session():
            app = Mixer(live, playing.control, queue.SimpleQueue() if lines is None else lines)
            async with app.run_test(size=size, notifications=True) as pilot:
                await talk(app, pilot)

        asyncio.run(session())

    run.live, run.port, run.control = playing.live, playing.port, playing.control
    return run


async def until(pilot, happened):
    """Let the mixer run until the condition is true."""
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline, "\n".join(shown(pilot.app))
        await pilot.pause(0.02)


def shown(app):
    """Return the screen as lines of text."""
    return [
        "".join(segment.text for segment in app.screen._compositor.render_strips()[y]) for y in range(app.size.height)
    ]


def test_keys_move_the_chosen_fader(mixer):
    live = mixer.live

    async def talk(app, pilot):
        await pilot.press("up")
        await until(pilot, lambda: live.gains_db["vocals"] == 1)
        await pilot.press("right", "pagedown")
        await until(pilot, lambda: live.gains_db["drums"] == -6)
        await pilot.press("left", "left", "end")
        await until(pilot, lambda: live.gains_db["other"] == -80)
        await pilot.press("up")
        await until(pilot, lambda: live.gains_db["other"] == -60)
        await pilot.press("down")
        await until(pilot, lambda: live.gains_db["other"] == -80)
        await pilot.press("home")
        await until(pilot, lambda: live.gains_db == {"vocals": 1, "drums": -6, "bass": 0, "other": 0})
        await pilot.press("m", "right", "s")
        await until(pilot, lambda: (live.muted, live.soloed) == (("other",), ("vocals",)))
        await pilot.press(*["pageup"] * 5)
        await until(pilot, lambda: live.gains_db["vocals"] == 20)
        await pilot.press("r")
        await until(pilot, lambda: not live.muted and not live.soloed and not any(live.gains_db.values()))

    mixer(talk)


@pytest.fixture
def held(monkeypatch):
    """Hold the faders until the event is set, and then let them follow slowly."""
    go = threading.Event()
    for name in ("set_gains_db", "mute", "solo"):
        follow = getattr(Live, name)

        def slowly(*arguments, follow=follow, **gains_db):
            assert go.wait(30)
            time.sleep(0.01)
            follow(*arguments, **gains_db)

        monkeypatch.setattr(Live, name, slowly)
    yield go
    go.set()


STORMS = {  # keys -> where vocals are after them, muted, soloed
    ("pagedown", "pageup") * 3: (0, False, False),
    ("end", "r", "up", "up"): (2, False, False),
    ("down",) * 20: (-20, False, False),
    ("m", "m", "m", "s", "s", "end", "up", "up", "pagedown"): (-80, True, False),
    ("m", "s", "r", "s", *["pageup"] * 5, "down"): (19, False, True),
    ("2", "down"): (-81, False, False),
    ("down", "2", "r", "1", "home", "up"): (1, False, False),
}


@pytest.mark.parametrize("keys", STORMS, ids="-".join)
def test_each_of_several_fast_keys_starts_from_the_one_before(mixer, held, keys):
    gain, muted, soloed = STORMS[keys]
    if keys == ("2", "down"):
        gain = load_preset(list(usable_presets(STEMS))[1]).get("vocals", 0.0) - 1

    async def talk(app, pilot):
        await pilot.press(*keys)
        number = "-∞ dB" if gain <= -80 else f"{gain:+.1f} dB" if gain else "0.0 dB"
        button = "[M] muted" if muted else "solo [S]" if soloed else "[M]"
        await until(pilot, lambda: number in (text := "\n".join(shown(app))) and button in text)
        assert not any(mixer.live.gains_db.values()), "it has not followed yet"
        held.set()
        await until(pilot, lambda: not mixer.control._wanted.pending)
        assert mixer.live.gains_db["vocals"] == max(-80, gain)
        assert (mixer.live.muted, mixer.live.soloed) == (("vocals",) * muted, ("vocals",) * soloed)

    mixer(talk)


def test_the_mouse_and_a_controller_between_fast_keys(mixer, held):
    async def talk(app, pilot):
        vocals = app.query(ChannelStrip).first()
        for scroll in (vocals.on_mouse_scroll_down, vocals.on_mouse_scroll_down, vocals.on_mouse_scroll_up):
            scroll()
        await pilot.press("down")
        assert mixer.control.gains_db["vocals"] == -2
        mixer.port.callback(mido.Message("pitchwheel", pitch=-8192))  # the fader of the first channel
        assert mixer.control.gains_db["vocals"] == -80
        await pilot.press("up", "up")
        assert mixer.control.gains_db["vocals"] == -59
        await pilot.press("m")
        mixer.port.callback(mido.Message("note_on", note=16, velocity=127))  # the mute button of the first channel
        assert mixer.control.muted == ()
        await pilot.press("m")
        held.set()
        await until(pilot, lambda: mixer.live.gains_db["vocals"] == -59 and mixer.live.muted == ("vocals",))

    mixer(talk)


def test_number_keys_and_clicks_load_presets(mixer):
    async def talk(app, pilot):
        names = app._presets
        await pilot.press("2")
        await until(pilot, lambda: mixer.live.gains_db == dict.fromkeys(STEMS, 0.0) | load_preset(names[1]))
        await pilot.click("#presets", offset=(3, 0))
        await until(pilot, lambda: mixer.live.gains_db == dict.fromkeys(STEMS, 0.0) | load_preset(names[0]))

    mixer(talk)


def test_the_mouse(mixer):
    live = mixer.live

    async def talk(app, pilot):
        drums = list(app.query(ChannelStrip))[1]
        await pilot.mouse_down(drums, offset=(6, drums.size.height - 3))
        await until(pilot, lambda: live.gains_db["drums"] == -80)
        await pilot.hover(drums, offset=(6, 1))
        await until(pilot, lambda: live.gains_db["drums"] == 20)
        await pilot.mouse_up(drums, offset=(6, 1))
        await pilot.hover(drums, offset=(6, 8))
        assert live.gains_db["drums"] == 20, "the mouse button is up"
        zero = next(y for y, line in enumerate(shown(app)) if "──┼──" in line) - drums.region.y
        await pilot.click(drums, offset=(6, zero))
        await until(pilot, lambda: live.gains_db["drums"] == 0)
        await pilot.click(drums, offset=(4, drums.size.height - 1))
        await until(pilot, lambda: live.muted == ("drums",))
        await pilot.click(drums, offset=(15, drums.size.height - 1))
        await until(pilot, lambda: live.soloed == ("drums",))
        assert app.focused is drums

    mixer(talk)


def test_keys_move_through_songs(mixer):
    transport = mixer.live.transport

    async def talk(app, pilot):
        await until(pilot, lambda: "1:00" in "\n".join(shown(app)))
        await pilot.press("space")
        await until(pilot, lambda: "‖" in "\n".join(shown(app)))
        await until(pilot, lambda: mixer.live.mix_level[0] < -20)  # and now it is paused
        before = transport.position
        await pilot.press("full_stop", "full_stop", "full_stop", "comma")
        await until(pilot, lambda: transport.position == pytest.approx(before + 10, abs=1e-3))
        still = transport.position, mixer.live.position
        await pilot.pause(0.2)
        assert (transport.position, mixer.live.position) == still
        await pilot.press("l", "full_stop")
        await until(pilot, lambda: transport.position == pytest.approx(still[0] + 5, abs=1e-3))
        await pilot.press("l")
        await until(pilot, lambda: transport.loop == pytest.approx((still[0], still[0] + 5), abs=1e-3))
        await until(pilot, lambda: "══" in "\n".join(shown(app)))
        await pilot.press("l", "space")
        await until(pilot, lambda: transport.loop is None and "▶ " in "\n".join(shown(app)))
        await pilot.press("n")
        await until(pilot, lambda: "other.wav (2 of 2)" in shown(app)[0])
        await pilot.press("b")
        await until(pilot, lambda: "song.wav (1 of 2)" in shown(app)[0])
        await pilot.press("space")
        await until(pilot, lambda: mixer.live.mix_level[0] < -20)
        await pilot.press("l", "l")
        await until(pilot, lambda: "is too short; let it last 0.1 s or longer" in "\n".join(shown(app)))

    mixer(talk)


def test_the_mouse_on_the_songs_line(mixer):
    transport = mixer.live.transport

    async def talk(app, pilot):
        await until(pilot, lambda: transport.length == 60)
        await pilot.press("space")
        await pilot.mouse_down("SongLine", offset=(40, 0))
        await until(pilot, lambda: 28 < transport.position < 32)
        await pilot.hover("SongLine", offset=(10, 0))
        await until(pilot, lambda: transport.position == 0)
        await pilot.mouse_up("SongLine", offset=(10, 0))
        await pilot.hover("SongLine", offset=(50, 0))
        await pilot.click("SongLine", offset=(69, 0))
        await until(pilot, lambda: transport.position == 60)

    mixer(talk)


def test_song_keys_without_a_song_say_so(mixer, tiny_live_model):
    with Live("none", "none", model=tiny_live_model) as live:

        async def talk(app, pilot):
            for key in ("space", "comma", "n", "l"):
                await pilot.press(key)
                await until(pilot, lambda: "only songs can be paused" in "\n".join(shown(app)))
                await pilot.press("escape")
                await until(pilot, lambda: "only songs can be paused" not in "\n".join(shown(app)))
            assert not app.query("SongLine")

        mixer(talk, live=live)


def test_moves_are_undone_one_by_one(mixer, monkeypatch):
    live = mixer.live
    monkeypatch.setattr(undo, "ONE_MOVE_S", 60)  # as if the machine were never busy

    async def talk(app, pilot):
        drums = list(app.query(ChannelStrip))[1]
        await pilot.press("down", "down", "pagedown", "m", "right", "s")
        await pilot.mouse_down(drums, offset=(6, drums.size.height - 3))
        await pilot.hover(drums, offset=(6, 8))
        await pilot.hover(drums, offset=(6, 1))
        await pilot.mouse_up(drums, offset=(6, 1))
        await until(pilot, lambda: live.gains_db["drums"] == 20)
        mixer.port.callback(mido.Message("pitchwheel", channel=2, pitch=-8192))  # the controller moves the bass
        await pilot.press("r")
        await until(pilot, lambda: not any(live.gains_db.values()) and not live.muted)
        await pilot.press("1")
        await until(pilot, lambda: live.gains_db["other"] == -80)
        steps = [
            (dict.fromkeys(STEMS, 0), (), ()),
            ({"vocals": -8, "drums": 20, "bass": -80, "other": 0}, ("vocals",), ("drums",)),
            ({"vocals": -8, "drums": 0, "bass": -80, "other": 0}, ("vocals",), ("drums",)),
            ({"vocals": -8, "drums": 0, "bass": -80, "other": 0}, ("vocals",), ()),
            ({"vocals": -8, "drums": 0, "bass": -80, "other": 0}, (), ()),
            ({"vocals": 0, "drums": 0, "bass": -80, "other": 0}, (), ()),
        ]
        for state in steps:
            await pilot.press("u")
            await until(pilot, lambda state=state: (live.gains_db, live.muted, live.soloed) == state)
        monkeypatch.setattr(undo, "ONE_MOVE_S", 0)
        await pilot.press("down", "down", "u")
        await until(pilot, lambda: live.gains_db["drums"] == -1)
        await pilot.press("u")
        await until(pilot, lambda: live.gains_db["drums"] == 0)
        await pilot.press("u")
        await until(pilot, lambda: "there is nothing to undo" in "\n".join(shown(app)))
        await pilot.press("u", "u")
        await pilot.pause()
        assert "\n".join(shown(app)).count("there is nothing to undo") == 1

    mixer(talk)


def test_all_presets_can_be_chosen_from_a_list(mixer, own_folder):
    first = list(usable_presets(STEMS))[:NUM_KEYS]
    save_preset("a duet", {"vocals": -12, "other": -3}, "A quieter singer")
    save_preset("sixth", {"guitar": -12}, "For a network with six stems")
    (own_folder / "aa.json").write_text("{}")

    async def talk(app, pilot):
        assert app._presets == first, "the user's own presets keep the others on their keys"
        await pilot.press("p")
        assert isinstance(app.screen, PresetList)
        await until(pilot, lambda: "a duet          A quieter singer (yours)" in "\n".join(shown(app)))
        text = "\n".join(shown(app))
        assert "vocal-boost" in text
        assert "sixth" not in text, "it names a stem that this network does not have"
        await pilot.press("end", "enter")
        await until(pilot, lambda: mixer.live.gains_db == dict.fromkeys(STEMS, 0.0) | {"vocals": -12, "other": -3})
        await pilot.press("p", "escape")
        assert not isinstance(app.screen, PresetList)
        await pilot.press("p")
        await pilot.click("#all-presets", offset=(5, 1))
        await until(pilot, lambda: mixer.live.gains_db == dict.fromkeys(STEMS, 0.0) | load_preset(first[0]))
        await pilot.press("p")
        await pilot.click(offset=(0, 0))
        assert not isinstance(app.screen, PresetList)

    mixer(talk, (80, 26))


def test_a_missing_preset_is_reported(mixer):
    path = save_preset("a duet", {"vocals": -12})

    async def talk(app, pilot):
        await pilot.press("p")
        path.unlink()
        await pilot.press("end", "enter")
        await until(pilot, lambda: "unknown preset 'a duet'" in "\n".join(shown(app)))

    mixer(talk)


def test_the_clip_light(mixer):
    def lit(app):
        return "CLIP" in "\n".join(shown(app))

    async def talk(app, pilot):
        meter = app.query_one("MasterMeter")
        meter.put_out()
        await until(pilot, lambda: not lit(app))
        await pilot.press(*["pageup"] * 4)
        await until(pilot, lambda: lit(app))
        await pilot.press("r", "space")
        await until(pilot, lambda: mixer.live.mix_level[0] < -10)
        assert lit(app), "it stays"
        await pilot.press("c")
        await until(pilot, lambda: not lit(app))
        await pilot.press("space", "end", *["pageup"] * 14)
        await until(pilot, lambda: lit(app))
        await pilot.press("home", "space")
        await until(pilot, lambda: mixer.live.mix_level[0] < -10)
        await pilot.click(meter, offset=(1, meter.size.height - 1))
        await until(pilot, lambda: not lit(app))

    mixer(talk)


def test_motor_faders_follow(mixer):
    async def talk(app, pilot):
        mixer.port.told.clear()
        await pilot.press("down")
        await until(pilot, lambda: any(message.type == "pitchwheel" for message in mixer.port.told))

    mixer(talk)


@pytest.mark.parametrize("size", [(60, 16), (120, 40)])
def test_everything_is_visible_in_any_size(mixer, size):
    async def talk(app, pilot):
        await pilot.press("m", "right", "s", "right", "end")
        await until(pilot, lambda: mixer.live.gains_db["bass"] == -80)
        await until(pilot, lambda: mixer.live.levels["drums"][1] > -40)
        await pilot.pause(0.2)
        lines = shown(app)
        text = "\n".join(lines)
        assert all(stem in lines[1] for stem in STEMS)
        assert "▶ bass ◀" in text
        assert "44100 Hz  song.wav (1 of 2) → nothing" in lines[0]
        assert all(f" {key} " in text for key in range(1, 10)), "all presets that have a key"
        for part in ("LOAD", "LATE ", "768 samples 17.4 ms", "[M] muted", "solo [S]", "-∞", "? help", "q quit"):
            assert part in text, part
        assert any(bar in text for bar in "▁▂▃▄▅▆▇█")
        assert all(line[:10].strip() for line in lines[-2:]), "the lowest lines"

    mixer(talk, size)


def test_it_can_be_resized(mixer):
    async def talk(app, pilot):
        await pilot.resize_terminal(60, 16)
        await pilot.pause()
        assert "768 samples" in "\n".join(shown(app))
        await pilot.resize_terminal(120, 40)
        await pilot.pause()
        assert len(shown(app)) == 40
        assert "48" not in shown(app)[-2]
        assert all(strip.size.height > 25 for strip in app.query(ChannelStrip))

    mixer(talk)


def test_more_stems_than_fit_can_be_reached(mixer):
    """For example with a network of ten stems, in a narrow terminal."""

    async def talk(app, pilot):
        await pilot.press("right", "right", "right")
        await pilot.pause(0.5)
        assert app.focused.stem == "other"
        assert "▶ other ◀" in "\n".join(shown(app))

    mixer(talk, (30, 16))


def test_help_opens_and_closes(mixer):
    async def talk(app, pilot):
        await pilot.press("question_mark")
        assert isinstance(app.screen, Help)
        assert "load a preset" in "\n".join(shown(app))
        await pilot.press("up")
        assert not isinstance(app.screen, Help)
        assert mixer.live.gains_db["vocals"] == 0

    mixer(talk, (60, 16))


def test_events_are_shown(mixer):
    lines = queue.SimpleQueue()
    said = [f"lost device {name}; looking for it every second" for name in ("Horn", "Tuba", "Harp", "Lute")]
    for line in said:
        lines.put(line)

    async def talk(app, pilot):
        await pilot.press("question_mark")
        await until(pilot, lambda: lines.empty())
        await pilot.press("question_mark")
        await until(pilot, lambda: said[3] in "\n".join(shown(app)))
        here = [line.strip() for line in shown(app)]
        assert [line for line in here if line in said] == said[:0:-1], "the last three, the newest above"
        assert here[-1].startswith("? help  q quit")
        lines.put("found")
        await until(pilot, lambda: "found" in "\n".join(shown(app)))
        await pilot.click("#message")
        await until(pilot, lambda: "device" not in "\n".join(shown(app)))
        lines.put("lost again")
        await until(pilot, lambda: "lost again" in "\n".join(shown(app)))
        await pilot.press("escape")
        await until(pilot, lambda: "lost again" not in "\n".join(shown(app)))

    mixer(talk, (60, 16), lines=lines)


def test_it_ends_with_the_sound(mixer, tiny_live_model):
    with Live("none", "none", model=tiny_live_model, seconds=0.2) as live:

        async def talk(app, pilot):
            await until(pilot, lambda: app._exit)

        mixer(talk, live=live)


def test_the_sound_goes_on_while_the_screen_hangs(mixer):
    async def talk(app, pilot):
        before = mixer.live.blocks
        time.sleep(1)  # nothing in this process can interrupt this
        assert mixer.live.blocks > before + 20

    mixer(talk)


def test_a_screenshot(mixer, tmp_path):
    async def talk(app, pilot):
        await pilot.pause(0.2)
        app.save_screenshot(str(tmp_path / "mixer.svg"))

    mixer(talk)
    picture = (tmp_path / "mixer.svg").read_text()
    assert picture.startswith("<svg")
    assert all(stem in picture for stem in STEMS)
