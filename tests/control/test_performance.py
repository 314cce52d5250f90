"""MIDI files as timelines: the faders repeat what a device did, for any map and kind of file."""

import json
import warnings

import numpy as np
import pytest
from stembridge.control import Automation, ControlError, load_map
from stembridge.control.point import Point
from stembridge.presets import load_preset

STEMS = ("vocals", "drums", "bass", "other")


def cc(control, value, channel=0):
    return bytes([0xB0 | channel, control, value])


def key(number, down=True):
    return bytes([0x90, number, 100 if down else 0])


def program(number):
    return bytes([0xC0, number])


def found(ride):
    """Return points as (seconds, stem, gain)."""
    return [(point.at, point.stem, pytest.approx(point.gain_db)) for point in ride.points]


@pytest.fixture
def stage(tmp_path):
    """Return a function that makes a map with a control of each kind; fields override its own."""

    def stage(**fields):
        def button(number, action, stem, mode="toggle"):
            return {"control": {"type": "note", "number": number}, "action": action, "stem": stem, "mode": mode}

        def preset(number, name):
            return {"control": {"type": "program", "number": number}, "action": "preset", "preset": name}

        bindings = [
            *({"control": {"type": "cc", "number": 16 + i}, "action": "gain", "stem": s} for i, s in enumerate(STEMS)),
            {"control": {"type": "cc14", "number": 20}, "action": "gain", "stem": "vocals"},
            *(button(40 + i, "mute", stem) for i, stem in enumerate(STEMS)),
            *(button(50 + i, "solo", stem, "momentary") for i, stem in enumerate(STEMS)),
            preset(0, "acapella"),
            preset(1, "nosuch"),
            preset(2, str(tmp_path / "piano.json")),
        ]
        path = tmp_path / "stage.json"
        path.write_text(json.dumps({"name": "stage", "description": "", "bindings": bindings} | fields))
        return path

    return stage


def test_controllers_16_to_19_are_the_faders(midi_file):
    path = midi_file([(0, cc(16, 0)), (480, cc(17, 100)), (0, cc(18, 127, 9)), (480, cc(19, 50)), (0, cc(20, 1))])
    ride = Automation.from_midi(path)
    assert found(ride) == [
        (0.0, "vocals", -80), (0.5, "drums", 0), (0.5, "bass", 12), (1.0, "other", -40)
    ]  # fmt: skip
    assert all(point.shape == "step" for point in ride.points)
    assert ride.initial() == {"vocals": -80.0}
    assert ride.moves(0, 48000, 48000)[0] == (24000, "drums", 0.0)


def test_a_fader_that_does_not_move_is_not_moved(midi_file):
    path = midi_file([(480, cc(16, 50)), (1, cc(16, 50)), (1, cc(16, 50))])
    assert found(Automation.from_midi(path)) == [(0.5, "vocals", -40)]


def test_a_map_may_be_a_name_a_path_or_loaded(midi_file, stage):
    path = midi_file([(480, bytes([0xE1, 0, 0x40]))])
    assert Automation.from_midi(path).points == ()
    (point,) = Automation.from_midi(path, "mackie").points
    assert point.stem == "drums"
    assert Automation.from_midi(path, map=load_map("mackie")).points == (point,)
    assert Automation.from_midi(midi_file([(0, cc(16, 50))]), stage()).stems == ("vocals",)


def test_fourteen_bits_at_one_time_are_one_gain(midi_file, stage, ride):
    path = midi_file([(48, cc(20, 100)), (0, cc(52, 100))], division=480)
    automation = Automation.from_midi(path, stage())
    assert found(automation)[-1] == (0.05, "vocals", 0)
    out = ride(automation, 8000, 1000)[0]
    np.testing.assert_allclose(out, 1, rtol=1e-6)


def test_a_mute_is_silence_and_the_fader_returns_after_it(midi_file, stage):
    path = midi_file(
        [(0, cc(16, 75)), (480, key(40)), (10, key(40, False)), (470, cc(16, 50)), (480, key(40)), (0, key(41))]
    )
    assert found(Automation.from_midi(path, stage())) == [
        (0.0, "vocals", -20), (0.5, "vocals", -80), (1.5, "vocals", -40), (1.5, "drums", -80)
    ]  # fmt: skip


def test_a_solo_silences_the_others_while_it_is_held_and_a_mute_is_stronger(midi_file, stage):
    path = midi_file(
        [(0, cc(17, 75)), (480, key(51)), (480, key(50)), (480, key(40)), (480, key(51, False)), (480, key(50, False))]
    )
    ride = Automation.from_midi(path, stage())
    heard, now = {}, dict.fromkeys(STEMS, 0.0) | ride.initial()
    for at, stem, gain, _ in ride.points:
        now[stem] = gain
        heard[at] = dict(now)
    silent = dict.fromkeys(STEMS, -80.0)
    assert heard == {
        0.0: pytest.approx(dict.fromkeys(STEMS, 0.0) | {"drums": -20}),
        0.5: pytest.approx(silent | {"drums": -20}),
        1.0: pytest.approx(silent | {"drums": -20, "vocals": 0}),
        1.5: pytest.approx(silent | {"drums": -20}),
        2.0: silent,
        2.5: pytest.approx({"vocals": -80, "drums": -20, "bass": 0, "other": 0}),
    }


def test_the_lights_of_a_nanokontrol_file(midi_file):
    """Its buttons send 127 when pressed, and 0 after."""
    path = midi_file([(480, cc(48, 127)), (100, cc(48, 0)), (380, cc(48, 127)), (100, cc(48, 0))])
    assert found(Automation.from_midi(path, "nanokontrol2")) == [(0.5, "vocals", -80), (1.0, "vocals", 0)]


def test_a_program_loads_a_preset_and_keeps_mutes(midi_file, stage, tmp_path):
    (tmp_path / "piano.json").write_text('{"name": "p", "description": "", "gains_db": {"piano": -6, "bass": 3}}')
    path = midi_file([(0, cc(16, 75)), (0, key(41)), (480, program(0)), (480, program(2)), (480, key(41))])
    ride = Automation.from_midi(path, stage())
    assert load_preset("acapella") == {"drums": -80, "bass": -80, "other": -80}
    assert found(ride) == [
        (0.0, "vocals", -20), (0.0, "drums", -80),
        (0.5, "vocals", 0), (0.5, "bass", -80), (0.5, "other", -80),
        (1.0, "bass", 3), (1.0, "other", 0), (1.0, "piano", -6),
        (1.5, "drums", 0),
    ]  # fmt: skip


def test_after_a_preset_a_fader_is_picked_up(midi_file, stage):
    path = midi_file([(0, cc(16, 75)), (480, program(0)), (480, cc(16, 75)), (480, cc(16, 90)), (480, cc(16, 101))])
    ride = Automation.from_midi(path, stage())
    assert found(ride)[0] == (0.0, "vocals", -20)
    assert [point for point in found(ride) if point[1] == "vocals"][1:] == [
        (0.5, "vocals", 0), (2.0, "vocals", 12 / 27)
    ]  # fmt: skip
    jumping = Automation.from_midi(path, stage(takeover="jump"))
    assert (1.0, "vocals", -20) in found(jumping)


def test_the_gains_at_the_start_may_be_given(midi_file, stage):
    path = midi_file([(480, key(40)), (480, key(40)), (480, cc(17, 100)), (0, key(50)), (480, key(50, False))])
    ride = Automation.from_midi(path, stage(takeover="pickup"), gains_db={"vocals": -6, "drums": -40, "piano": -3})
    assert found(ride)[:2] == [(0.5, "vocals", -80), (1.0, "vocals", -6)]
    assert [point for point in found(ride) if point[1] == "drums"] == [
        (1.5, "drums", -80), (2.0, "drums", -40)
    ], "a fader that was not picked up has not moved"  # fmt: skip


def test_tempos_and_frames_are_followed(midi_file):
    slow = [(0, b"\xff\x51\x03" + (1_000_000).to_bytes(3))]
    assert found(Automation.from_midi(midi_file(slow, [(480, cc(16, 50))]))) == [(1.0, "vocals", -40)]
    assert found(Automation.from_midi(midi_file([(1000, cc(16, 50))], division=(25, 40)))) == [(1.0, "vocals", -40)]
    both = midi_file([(480, cc(16, 50))], [(480, cc(17, 50))], kind=2)
    assert found(Automation.from_midi(both)) == [(0.5, "vocals", -40), (1.0, "drums", -40)]


def test_a_ride_goes_through_csv_unchanged(midi_file, tmp_path):
    ride = Automation.from_midi(midi_file([(7, cc(16 + i % 4, i * 37 % 128)) for i in range(100)]))
    ride.to_csv(tmp_path / "ride.csv")
    assert Automation.from_csv(tmp_path / "ride.csv").points == ride.points
    assert len(ride.points) > 90
    assert isinstance(ride.points[0], Point)


@pytest.mark.parametrize(
    ("track", "says"),
    [
        ([(480, program(1))], r"ride\.mid, at 0\.5 seconds: unknown preset 'nosuch'"),
        ([(480, program(2))], r"ride\.mid, at 0\.5 seconds: preset '.*piano\.json' cannot be read"),
        ([(480, b"\x10\x20")], r"ride\.mid, track 1, event 1: byte 0x10 does not begin an event"),
    ],
)
def test_an_unusable_file_is_one_line_that_names_it(midi_file, stage, track, says):
    with pytest.raises(ControlError, match=says) as error:
        Automation.from_midi(midi_file(track), stage())
    assert "\n" not in str(error.value)


def test_an_unknown_map_is_refused_with_the_known_maps(midi_file):
    with pytest.raises(ControlError, match="unknown MIDI map 'nosuch': choose from general, mackie, nanokontrol2"):
        Automation.from_midi(midi_file([]), "nosuch")


@pytest.mark.parametrize(
    ("track", "says"),
    [
        ([(0, cc(number, 64)) for number in (0, 1, 2, 3, 7)], "it has controllers 0 to 3, 7; try map nanokontrol2$"),
        ([(0, b"\xe0\0\0")], "it has pitch bend on channel 1; try map mackie$"),
        ([(0, b"\x90\x3c\x40"), (9, b"\x90\x3c\0")], "it has note 60; make a map for it with `stembridge midi learn`$"),
        ([(0, b"\xf7\1\xff"), (9, cc(0, 64))], "it has system reset, controller 0; try map nanokontrol2$"),
        ([], "it has no message for a fader$"),
    ],
)
def test_a_file_that_moves_nothing_says_what_it_has_and_which_map_would_fit(midi_file, track, says):
    ride = Automation.from_midi(midi_file(track))
    assert not ride.points
    with pytest.warns(UserWarning, match=rf"^nothing in .*ride\.mid moves a fader with map general; {says}"):
        ride.starting({"vocals": -6.0})


def test_a_file_that_leaves_faders_where_they_are_moves_nothing(midi_file):
    ride = Automation.from_midi(midi_file([(480, cc(16, 100))]))
    with pytest.warns(UserWarning, match=r"^nothing in .*ride\.mid moves a fader; its gains are the same as those"):
        ride.starting({"vocals": 0.0})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ride.starting({"vocals": -1.0})
