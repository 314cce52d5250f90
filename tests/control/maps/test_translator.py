"""Messages through a map: effects and state of each control; no message causes an error."""

import mido
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mido.messages.specs import SPEC_BY_TYPE
from stembridge.control import load_map
from stembridge.control.maps.midimap import Binding, Control, MidiMap
from stembridge.control.maps.translator import Change, Translator

STEMS = ("vocals", "drums")


def bind(control, number=0, action="gain", stem="vocals", channel=None, preset=None, mode="toggle", **fields):
    return Binding(
        Control(control, number, **fields), action, stem, preset, channel, (-80.0, 12.0), "unity", mode
    )  # fmt: skip


def make(*bindings, takeover="jump", feedback=True, gains_db=None, stems=STEMS):
    return Translator(MidiMap("test", "", None, takeover, feedback, bindings), stems, gains_db)


def cc(control, value, channel=0):
    return mido.Message("control_change", channel=channel, control=control, value=value)


def feed(translator, *messages):
    return [change for message in messages for change in translator.feed(message)]


def gains(translator, *messages):
    return [change.value for change in feed(translator, *messages)]


# --- faders


def test_a_controller_is_a_fader():
    (binding,) = load_map("general").bindings[:1]
    translator = Translator(load_map("general"), STEMS)
    for value in range(128):
        assert translator.feed(cc(16, value, value % 16)) == [Change("gain", "vocals", binding.gain_db(value))]
    assert translator.feed(cc(16, 0)) == [("gain", "vocals", -80.0)]
    assert translator.feed(cc(17, 100)) == [("gain", "drums", 0.0)]
    assert translator.feed(cc(18, 100)) == [], "this target has no bass"
    assert translator.feed(cc(20, 100)) == []


def test_one_control_may_move_several_stems():
    translator = make(bind("cc", 1), bind("cc", 1, stem="drums"))
    assert feed(translator, cc(1, 100)) == [("gain", "vocals", 0.0), ("gain", "drums", 0.0)]


@pytest.mark.parametrize("value", [0, 1, 127, 128, 8191, 8192, 12900, 16382, 16383])
def test_a_fourteen_bit_value_arrives_coarse_part_first(value):
    fader = bind("cc14", 7)
    translator = make(fader)
    assert gains(translator, cc(7, value >> 7), cc(39, value & 127)) == [
        fader.gain_db(value & ~127), fader.gain_db(value)
    ]  # fmt: skip
    assert gains(translator, cc(39, 5)) == [fader.gain_db(value & ~127 | 5)], "the fine part alone refines"


def test_a_fine_part_before_any_coarse_one_means_nothing():
    assert feed(make(bind("cc14", 7)), cc(39, 64), cc(7 + 64, 64)) == []


def test_fine_parts_belong_to_the_channel_of_their_coarse_part():
    fader = bind("cc14", 7)
    translator = make(fader)
    assert gains(translator, cc(7, 10, 0), cc(7, 20, 1), cc(39, 1, 0), cc(39, 2, 1)) == [
        fader.gain_db(10 << 7), fader.gain_db(20 << 7), fader.gain_db(10 << 7 | 1), fader.gain_db(20 << 7 | 2)
    ]  # fmt: skip


def nrpn(number, value=None, channel=0):
    chosen = [cc(99, number >> 7, channel), cc(98, number & 127, channel)]
    return chosen if value is None else [*chosen, cc(6, value >> 7, channel), cc(38, value & 127, channel)]


@pytest.mark.parametrize("number", [0, 1, 127, 128, 700, 16382])
def test_an_nrpn_is_a_fader(number):
    fader = bind("nrpn", number)
    assert gains(make(fader), *nrpn(number, 12345)) == [fader.gain_db(12345 & ~127), fader.gain_db(12345)]
    assert feed(make(fader), *nrpn(number ^ 1, 12345)) == []


def test_interleaved_nrpns_are_kept_apart():
    one, two = bind("nrpn", 300), bind("nrpn", 301, stem="drums")
    translator = make(one, two, bind("cc", 16))
    first, second = nrpn(300, 5000, channel=3), nrpn(301, 9000, channel=4)
    woven = [message for pair in zip(first, second, strict=True) for message in (*pair, cc(16, 100, 3))]
    changes = [change for change in feed(translator, *woven) if change.value]
    assert changes == [
        ("gain", "vocals", one.gain_db(5000 & ~127)), ("gain", "drums", two.gain_db(9000 & ~127)),
        ("gain", "vocals", one.gain_db(5000)), ("gain", "drums", two.gain_db(9000)),
    ]  # fmt: skip
    assert gains(translator, cc(98, 45, 3), cc(6, 100, 3)) == [two.gain_db(100 << 7)], "one half may change alone"
    assert gains(translator, cc(98, 44, 3), cc(38, 7, 3)) == [one.gain_db(5000 & ~127 | 7)], "each channel has its own"


@pytest.mark.parametrize(
    "closing",
    [[cc(101, 0), cc(100, 0)], [cc(100, 0)], [cc(101, 127)], nrpn(16383)],
    ids=["registered", "its fine part", "none", "none of ours"],
)  # fmt: skip
def test_data_for_another_parameter_moves_nothing(closing):
    translator = make(bind("nrpn", 300), bind("nrpn", 16383, stem="drums"))
    assert feed(translator, *nrpn(300), *closing, cc(6, 100), cc(38, 3)) == []
    assert len(feed(translator, *nrpn(300, 4000))) == 2


def test_half_an_nrpn_moves_nothing():
    translator = make(bind("nrpn", 0))
    assert feed(translator, cc(6, 1), cc(38, 1), cc(99, 0), cc(6, 1), cc(38, 1), cc(98, 0), cc(38, 1)) == []


@pytest.mark.parametrize("value", [0, 1, 6450, 12900, 16383])
def test_a_pitch_bend_is_a_fader(value):
    fader = bind("pitchbend", channel=2)
    translator = make(fader)
    bend = mido.Message("pitchwheel", channel=1, pitch=value - 8192)
    assert gains(translator, bend) == [fader.gain_db(value)]
    assert feed(translator, bend.copy(channel=0)) == []


@pytest.mark.parametrize(
    ("encoding", "turns"),
    [
        ("twos", {1: 1, 2: 2, 63: 63, 64: -64, 65: -63, 126: -2, 127: -1}),
        ("offset", {0: -64, 1: -63, 62: -2, 63: -1, 65: 1, 66: 2, 127: 63}),
        ("sign", {1: 1, 2: 2, 63: 63, 65: -1, 66: -2, 127: -63}),
    ],
)
def test_an_encoder_turns_from_where_the_fader_is(encoding, turns):
    knob = bind("relative", 20, encoding=encoding, step_db=0.25)
    for value, number in turns.items():
        translator = make(knob, gains_db={"vocals": -20})
        wanted = max(-80, min(12, -20 + 0.25 * number))
        assert gains(translator, cc(20, value)) == [wanted]
        assert gains(translator, cc(20, value)) == [max(-80, min(12, wanted + 0.25 * number))]


@pytest.mark.parametrize(("encoding", "values"), [("twos", [0]), ("offset", [64]), ("sign", [0, 64])])
def test_an_encoder_that_was_not_turned_changes_nothing(encoding, values):
    translator = make(bind("relative", 20, encoding=encoding))
    assert feed(translator, *(cc(20, value) for value in values)) == []


def test_an_encoder_stops_at_the_ends_of_its_range():
    translator = make(bind("relative", 20, step_db=10))
    assert gains(translator, *[cc(20, 1)] * 3) == [10, 12, 12]
    assert gains(translator, *[cc(20, 127)] * 11)[-2:] == [-80, -80]


def test_a_gain_out_of_the_range_is_turned_towards_it_only():
    assert gains(make(bind("relative", 20), gains_db={"vocals": 15}), cc(20, 1), cc(20, 127)) == [15, 14.5]


# --- buttons


def note(number, velocity=64, channel=0):
    return mido.Message("note_on", channel=channel, note=number, velocity=velocity)


def release(number, channel=0):
    return mido.Message("note_off", channel=channel, note=number)


@pytest.mark.parametrize("action", ["mute", "solo"])
def test_a_note_toggles(action):
    translator = make(bind("note", 60, action))
    keys = [note(60, 1), release(60), note(60), note(60, 0), note(60, 127)]
    assert feed(translator, *keys) == [(action, "vocals", True), (action, "vocals", False), (action, "vocals", True)]
    assert feed(translator, note(61), release(61)) == []


@pytest.mark.parametrize("action", ["mute", "solo"])
@pytest.mark.parametrize("up", [release(60), note(60, 0)])
def test_a_note_is_on_while_it_is_down(action, up):
    translator = make(bind("note", 60, action, mode="momentary"))
    assert feed(translator, note(60), up, note(60)) == [
        (action, "vocals", True), (action, "vocals", False), (action, "vocals", True)
    ]  # fmt: skip


def test_a_controller_is_a_button_too():
    translator = make(bind("cc", 48, "mute"), bind("cc", 32, "solo", mode="momentary"))
    assert feed(translator, cc(48, 127), cc(48, 0), cc(48, 64), cc(48, 63)) == [
        ("mute", "vocals", True), ("mute", "vocals", False)
    ]  # fmt: skip
    assert feed(translator, cc(32, 127), cc(32, 0)) == [("solo", "vocals", True), ("solo", "vocals", False)]


def test_stems_and_actions_toggle_independently():
    translator = make(bind("note", 1, "mute"), bind("note", 2, "solo"), bind("note", 3, "mute", "drums"))
    assert [change.value for change in feed(translator, note(1), note(2), note(3), note(2))] == [
        True,
        True,
        True,
        False,
    ]


def test_programs_notes_and_controllers_choose_presets():
    translator = make(
        bind("program", 5, "preset", None, preset="karaoke"),
        bind("note", 60, "preset", None, preset="acapella"),
        bind("cc", 64, "preset", None, preset="drumless"),
    )
    program = mido.Message("program_change", program=5)
    changes = feed(translator, program, note(60), release(60), cc(64, 127), cc(64, 0), program.copy(program=6), program)
    assert changes == [("preset", None, name) for name in ("karaoke", "acapella", "drumless", "karaoke")]


# --- channels


def test_a_binding_receives_its_channel_only_or_all():
    translator = make(bind("cc", 1, channel=1), bind("cc", 1, stem="drums", channel=16), bind("note", 1, "mute"))
    for channel in range(16):
        stems = [change.stem for change in feed(translator, cc(1, 100, channel))]
        assert stems == {0: ["vocals"], 15: ["drums"]}.get(channel, [])
        assert len(feed(translator, note(1, channel=channel))) == 1


# --- takeover


def test_jump_always_follows_the_control():
    translator = make(bind("cc", 1))
    assert gains(translator, cc(1, 127)) == [12]
    translator.preset_loaded({"vocals": -40})
    assert gains(translator, cc(1, 127)) == [12]


def test_after_a_preset_a_control_must_pass_the_gain_first():
    fader = bind("cc", 1)
    translator = make(fader, bind("cc", 2, stem="drums"), takeover="pickup-after-preset")
    assert gains(translator, cc(1, 127)) == [12]
    translator.preset_loaded({"vocals": -40})  # at 50
    assert gains(translator, cc(1, 126), cc(1, 90), cc(1, 52)) == []
    assert gains(translator, cc(1, 40), cc(1, 90)) == [fader.gain_db(40), fader.gain_db(90)]
    assert gains(translator, cc(2, 98)) == [], "a stem that a preset does not name is at 0 dB, at 100"
    assert gains(translator, cc(2, 99)) == [pytest.approx(-0.8)]


@pytest.mark.parametrize("value", [49, 50, 51])
def test_within_one_step_a_control_takes_hold(value):
    translator = make(bind("cc", 1), takeover="pickup", gains_db={"vocals": -40})
    assert len(gains(translator, cc(1, value))) == 1


@pytest.mark.parametrize("values", [(0, 100), (100, 0), (52, 48), (50, 50)])
def test_pickup_holds_from_the_start_until_the_gain_is_passed(values):
    fader = bind("cc", 1)
    translator = make(fader, takeover="pickup", gains_db={"vocals": -40})
    first, second = values
    assert gains(translator, cc(1, first)) == ([] if first != 50 else [-40])
    assert gains(translator, cc(1, second)) == [fader.gain_db(second)]


@given(values=st.lists(st.integers(0, 127), min_size=1, max_size=30), gain=st.floats(-90, 20))
def test_pickup_never_jumps_before_the_gain_is_passed(values, gain):
    fader = bind("cc", 1)
    translator = make(fader, takeover="pickup", gains_db={"vocals": gain})
    there = fader.position(gain)
    heard = [translator.feed(cc(1, value)) for value in values]
    sides = [value > there for value in values]
    held = [i for i, changes in enumerate(heard) if changes]
    if held:
        assert all(heard[held[0] :]), "once picked up, it stays so"
        first = held[0]
        assert abs(values[first] - there) <= 1 or sides[first] != sides[first - 1] or there in values[: first + 1]
    else:
        assert len(set(sides)) == 1
        assert min(abs(value - there) for value in values) > 1


def test_fine_controls_pick_up_too():
    fader = bind("cc14", 1)
    translator = make(fader, takeover="pickup", gains_db={"vocals": -40})  # at 6450
    assert feed(translator, cc(1, 60), cc(33, 5)) == []
    assert gains(translator, cc(1, 50), cc(33, 50)) == [fader.gain_db(50 << 7), fader.gain_db(6450)]


@pytest.mark.parametrize(("takeover", "held"), [("jump", False), ("pickup", True), ("pickup-after-preset", True)])
def test_only_faders_that_something_else_moved_must_be_picked_up_again(takeover, held):
    translator = make(bind("cc", 1), bind("cc", 2, stem="drums"), takeover=takeover)
    feed(translator, cc(1, 0), cc(1, 127), cc(2, 0), cc(2, 127))
    translator.faders_moved({"vocals": -40, "piano": 3})
    assert len(gains(translator, cc(1, 126))) == (not held)
    assert len(gains(translator, cc(2, 126))) == 1
    assert len(gains(translator, cc(1, 50))) == 1


def test_an_encoder_goes_on_from_where_something_else_moved_the_fader():
    translator = make(bind("relative", 20))
    translator.faders_moved({"vocals": -40})
    assert gains(translator, cc(20, 1)) == [-39.5]


@pytest.mark.parametrize("action", ["mute", "solo"])
def test_toggles_know_which_stems_are_on_already(action):
    translator = Translator(
        MidiMap("test", "", None, "jump", True, (bind("note", 1, action), bind("note", 2, action, stem="drums"))),
        STEMS,
        muted=["vocals"],
        soloed=["vocals"],
    )
    assert [change.value for change in feed(translator, note(1), note(2))] == [False, True]
    translator.switched(action, "drums", False)
    assert [change.value for change in feed(translator, note(1), note(2))] == [True, True]


def test_encoders_and_buttons_need_no_pickup():
    translator = make(bind("relative", 20), bind("note", 1, "mute"), takeover="pickup", gains_db={"vocals": -40})
    translator.preset_loaded({"vocals": -30})
    assert gains(translator, cc(20, 1)) == [-29.5]
    assert len(feed(translator, note(1))) == 1


# --- feedback


@pytest.mark.parametrize("control", ["cc", "cc14", "nrpn", "pitchbend"])
@given(gain=st.floats(-200, 20))
def test_a_motor_fader_is_sent_to_the_position_of_the_gain(control, gain):
    fader = bind(control, 0 if control == "pitchbend" else 16, channel=7)
    translator = make(fader)
    messages = translator.feedback("vocals", "gain", gain)
    assert {message.channel for message in messages} == {6}
    told = gains(make(fader), *messages)[-1]
    assert abs(told - min(max(gain, -80), 12)) <= (0.41 if control == "cc" else 0.0032)
    assert translator.feedback("drums", "gain", gain) == []


def test_lights_show_mutes_and_solos():
    translator = make(bind("note", 16, "mute", channel=3), bind("cc", 32, "solo"))
    assert translator.feedback("vocals", "mute", True) == [note(16, 127, channel=2)]
    assert translator.feedback("vocals", "mute", False) == [note(16, 0, channel=2)]
    assert translator.feedback("vocals", "solo", True) == [cc(32, 127)]
    assert translator.feedback("vocals", "solo", False) == [cc(32, 0)]


def test_an_encoder_shows_no_position_and_a_map_may_disable_feedback():
    assert make(bind("relative", 20)).feedback("vocals", "gain", -6.0) == []
    assert make(bind("cc", 20), feedback=False).feedback("vocals", "gain", -6.0) == []


# --- anything may come


def every_message():
    """Strategy of any message that mido can make, meta messages included."""
    for kind, spec in SPEC_BY_TYPE.items():
        values = {name: st.integers(0, 15 if name in ("channel", "frame_value") else 7 if name == "frame_type" else 127)
                  for name in spec["value_names"]}  # fmt: skip
        if kind == "pitchwheel":
            values["pitch"] = st.integers(-8192, 8191)
        if kind == "sysex":
            values["data"] = st.lists(st.integers(0, 127))
        yield st.builds(mido.Message, st.just(kind), **values)
    yield st.builds(mido.MetaMessage, st.sampled_from(["set_tempo", "text", "end_of_track", "channel_prefix"]))
    yield st.builds(mido.UnknownMetaMessage, st.integers(0, 127))


BUSY = [
    *(bind(kind, number) for kind in ("cc", "cc14", "nrpn") for number in range(0, 32, 3)),
    *(bind("relative", number, encoding=encoding) for number, encoding in ((1, "twos"), (2, "sign"), (3, "offset"))),
    *(bind(kind, number, action, mode=mode) for kind in ("cc", "note") for number in (64, 38)
      for action, mode in (("mute", "toggle"), ("solo", "momentary"))),
    bind("pitchbend"), bind("program", 0, "preset", None, preset="karaoke"),
]  # fmt: skip
TYPICAL = st.builds(cc, st.sampled_from([0, 3, 6, 32, 35, 38, 64, 98, 99, 100, 101]), st.integers(0, 127))


@pytest.mark.parametrize("takeover", ["jump", "pickup", "pickup-after-preset"])
@given(messages=st.lists(st.one_of(TYPICAL, *every_message()), max_size=40))
def test_no_message_raises_and_all_gains_are_in_range(takeover, messages):
    translator = make(*BUSY, takeover=takeover)
    for message in messages:
        for change in translator.feed(message):
            if change.kind == "gain":
                assert -80 <= change.value <= 12
            elif change.kind == "preset":
                translator.preset_loaded({})
            else:
                assert change.value in (True, False)


def test_values_that_are_not_messages_are_ignored():
    assert make(*BUSY).feed(None) == []


# --- buttons whose release is lost

RESET = mido.Message("reset")


@pytest.mark.parametrize("action", ["mute", "solo"])
@pytest.mark.parametrize("message", [*(cc(n, 0) for n in (120, 121, 123, 124, 125, 126, 127)), cc(123, 127), RESET])
def test_a_device_can_release_all_momentary_buttons(action, message):
    translator = make(
        bind("note", 60, action, mode="momentary"), bind("cc", 48, action, "drums", mode="momentary"),
        bind("note", 61, action, "bass"), stems=("vocals", "drums", "bass"),
    )  # fmt: skip
    feed(translator, note(60), cc(48, 127), note(61))
    assert translator.feed(message) == [(action, "vocals", False), (action, "drums", False)]
    assert translator.feed(message) == [], "the buttons are up now"
    assert translator.feed(note(60)) == [(action, "vocals", True)]


def test_only_the_buttons_of_the_channel_are_released():
    translator = make(bind("note", 60, "mute", mode="momentary"))
    translator.feed(note(60, channel=3))
    assert translator.feed(cc(123, 0, channel=2)) == []
    assert translator.feed(cc(123, 0, channel=3)) == [("mute", "vocals", False)]


def test_a_controller_that_the_map_binds_is_not_a_release():
    translator = make(bind("note", 60, "mute", mode="momentary"), bind("cc", 123, "gain", "drums"))
    translator.feed(note(60))
    assert translator.feed(cc(123, 0)) == [("gain", "drums", -80.0)]
    assert translator.feed(cc(121, 0)) == [("mute", "vocals", False)]


def test_stems_switched_by_the_program_since_are_not_released():
    translator = make(bind("note", 60, "mute", mode="momentary"))
    translator.feed(note(60))
    translator.switched("mute", "vocals", True)
    assert translator.feed(RESET) == []
