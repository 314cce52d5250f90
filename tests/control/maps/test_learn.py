"""Controls are recognised by the messages that they send."""

import mido
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stembridge.control.maps.learn import recognise_button, recognise_fader

UP = range(0, 128, 3)
TRAVEL = [*UP, *reversed(UP)]


def cc(control, value, channel=0):
    return mido.Message("control_change", channel=channel, control=control, value=value)


def note(number, velocity, channel=0):
    return mido.Message("note_on", note=number, velocity=velocity, channel=channel)


def fine(control, channel=0):
    """Return the messages of a 14-bit fader that moves."""
    for value in range(0, 16384, 300):
        yield cc(control, value >> 7, channel)
        yield cc(control + 32, value & 127, channel)


def parameter(number, channel=0, ended=False):
    """Return the messages of a fader that sends its parameter number each time, with or without a reset after it."""
    for value in range(0, 16384, 300):
        yield from (cc(99, number >> 7, channel), cc(98, number & 127, channel))
        yield from (cc(6, value >> 7, channel), cc(38, value & 127, channel))
        if ended:
            yield from (cc(99, 127, channel), cc(98, 127, channel), cc(6, 127, channel))


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        ([cc(16, v) for v in TRAVEL], {"control": {"type": "cc", "number": 16}, "channel": 1}),
        ([cc(6, v, 15) for v in TRAVEL], {"control": {"type": "cc", "number": 6}, "channel": 16}),
        ([cc(40, v) for v in TRAVEL], {"control": {"type": "cc", "number": 40}, "channel": 1}),
        (list(fine(0, 2)), {"control": {"type": "cc14", "number": 0}, "channel": 3}),
        (list(parameter(300)), {"control": {"type": "nrpn", "number": 300}, "channel": 1}),
        (list(parameter(1, 4, ended=True)), {"control": {"type": "nrpn", "number": 1}, "channel": 5}),
        (
            [mido.Message("pitchwheel", channel=3, pitch=v * 100 - 6400) for v in TRAVEL],
            {"control": {"type": "pitchbend", "channel": 4}},
        ),
        (
            [note(104, 127), *(mido.Message("pitchwheel", pitch=v) for v in TRAVEL), note(104, 0)],
            {"control": {"type": "pitchbend", "channel": 1}},
        ),
        (
            [cc(32, 127), cc(32, 0), *(cc(0, v) for v in TRAVEL), cc(1, 5), cc(1, 6)],
            {"control": {"type": "cc", "number": 0}, "channel": 1},
        ),
    ],
)
def test_faders(messages, found):
    assert recognise_fader(messages) == found


@pytest.mark.parametrize(
    ("values", "encoding"),
    [
        ([1, 1, 2, 1, 1, 127, 127, 126], "twos"),
        ([1, 1, 1, 3, 1], "twos"),
        ([127, 127, 125, 127], "twos"),
        ([65, 65, 66, 65, 63, 63, 60], "offset"),
        ([65, 65, 65, 65], "offset"),
        ([1, 1, 2, 1, 65, 65, 66], "sign"),
        ([1, 2, 3, 4, 3, 2, 1], None),
        ([64, 64, 65, 66, 66], None),
        ([0, 0, 10, 50, 50, 127], None),
    ],
)
def test_endless_knobs(values, encoding):
    found = recognise_fader([cc(20, value) for value in values])
    wanted = {"type": "cc", "number": 20} if encoding is None else {"type": "relative", "number": 20}
    assert found["control"] == (wanted if encoding is None else {**wanted, "encoding": encoding})


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [note(60, 100), note(60, 0)] * 5,
        [cc(48, 127), cc(48, 0)],
        [mido.Message("program_change", program=3)] * 9,
        [mido.Message("aftertouch", value=v) for v in TRAVEL],
        [cc(99, 1), cc(98, 1)] * 9,
    ],
)
def test_messages_that_are_not_from_a_fader(messages):
    assert recognise_fader(messages) is None


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        ([note(60, 100), note(60, 0)], {"control": {"type": "note", "number": 60}, "channel": 1, "mode": "toggle"}),
        (
            [note(60, 100, 9), mido.Message("note_off", note=60, channel=9)],
            {"control": {"type": "note", "number": 60}, "channel": 10, "mode": "toggle"},
        ),
        ([cc(48, 127), cc(48, 0)], {"control": {"type": "cc", "number": 48}, "channel": 1, "mode": "toggle"}),
        ([cc(48, 127)], {"control": {"type": "cc", "number": 48}, "channel": 1, "mode": "momentary"}),
        ([note(1, 1)], {"control": {"type": "note", "number": 1}, "channel": 1, "mode": "momentary"}),
        (
            [*(cc(0, v) for v in TRAVEL), cc(48, 127), cc(48, 0)],
            {"control": {"type": "cc", "number": 48}, "channel": 1, "mode": "toggle"},
        ),
        (
            [note(60, 0), note(61, 5), mido.Message("note_off", note=60)],
            {"control": {"type": "note", "number": 61}, "channel": 1, "mode": "momentary"},
        ),
    ],
)
def test_buttons(messages, found):
    assert recognise_button(messages) == found


@pytest.mark.parametrize(
    "messages", [[], [note(60, 0)], [cc(0, v) for v in TRAVEL], [cc(48, 0)], [mido.Message("program_change")]]
)
def test_messages_that_are_not_from_a_button(messages):
    assert recognise_button(messages) is None


CHANNEL = st.one_of(
    st.builds(cc, st.integers(0, 127), st.integers(0, 127), st.integers(0, 15)),
    st.builds(note, st.integers(0, 127), st.integers(0, 127)),
    st.builds(lambda pitch: mido.Message("pitchwheel", pitch=pitch), st.integers(-8192, 8191)),
)


@given(st.lists(CHANNEL, max_size=40))
def test_any_messages_are_recognised_or_not(messages):
    for recognise in (recognise_fader, recognise_button):
        found = recognise(messages)
        assert found is None or 0 <= found["control"].get("number", 0) < 16383
