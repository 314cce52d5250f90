"""Recognise controls by the messages that they send when the user moves them."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from .translator import PRESSED_FROM

if TYPE_CHECKING:
    from mido import Message

MIN_FADER_VALUES = 4  # a fader or knob sends at least this many values; a button sends fewer
NULL_PARAMETER = 127 << 7 | 127  # the parameter number that deselects
MAX_STEPS_AT_ONCE = 15  # a relative encoder sends at most this many steps in a message
# Values that relative encoders send when turned to the right, and to the left.
TURN_VALUES = {
    "twos": (range(1, 1 + MAX_STEPS_AT_ONCE), range(128 - MAX_STEPS_AT_ONCE, 128)),
    "offset": (range(65, 65 + MAX_STEPS_AT_ONCE), range(64 - MAX_STEPS_AT_ONCE, 64)),
    "sign": (range(1, 1 + MAX_STEPS_AT_ONCE), range(65, 65 + MAX_STEPS_AT_ONCE)),
}


def recognise_fader(messages: "Sequence[Message]") -> dict[str, Any] | None:
    """Recognise the fader or knob that was moved up and down.

    Args:
        messages: Channel messages that came meanwhile. If several controls sent some, the one with most is chosen.

    Returns:
        `control` and, except for pitch bend, `channel` of a binding; None if no fader or knob was moved.
    """
    sent: dict[tuple[str, int, int], list[int]] = {}  # kind, channel and number -> values
    chosen: dict[int, dict[int, int]] = {}  # channel -> controllers 99 and 98, which choose a parameter
    for message in messages:
        channel = message.channel
        if message.type == "pitchwheel":
            sent.setdefault(("pitchbend", channel, 0), []).append(message.pitch)
        elif message.type == "control_change":
            parameter = chosen.setdefault(channel, {})
            if message.control in (98, 99):
                parameter[message.control] = message.value
            elif message.control in (6, 38) and len(parameter) == 2:
                number = parameter[99] << 7 | parameter[98]
                if number == NULL_PARAMETER:
                    continue
                sent.setdefault(("nrpn", channel, number), []).append(message.value)
            else:
                sent.setdefault(("cc", channel, message.control), []).append(message.value)
    if not sent:
        return None
    kind, channel, number = max(sent, key=lambda control: len(sent[control]))
    values = sent[kind, channel, number]
    if len(values) < MIN_FADER_VALUES:
        return None
    if kind == "pitchbend":
        return {"control": {"type": kind, "channel": channel + 1}}
    control: dict[str, Any] = {"type": kind, "number": number}
    if kind == "cc":
        coarse = number % 32
        parts = [len(sent.get((kind, channel, part), ())) for part in (coarse, coarse + 32)]
        # A fine part may send fewer messages than the coarse part, but a button sends far fewer.
        if number < 64 and min(parts) * 4 >= max(parts):
            control = {"type": "cc14", "number": coarse}
        elif (encoding := _encoding(values)) is not None:
            control = {"type": "relative", "number": number, "encoding": encoding}
    return {"control": control, "channel": channel + 1}


def recognise_button(messages: "Sequence[Message]") -> dict[str, Any] | None:
    """Recognise the button that was pressed.

    Args:
        messages: Channel messages from before it was pressed until it was let go.

    Returns:
        `control`, `channel` and `mode` of a binding; None if no button was pressed. If the button was not let go, it
        stays down until it is pressed again. It toggles by itself, so its mode is momentary.
    """
    for i, message in enumerate(messages):
        if message.type == "note_on" and message.velocity:
            control, others = {"type": "note", "number": message.note}, messages[i + 1 :]
            let_go = any(
                other.type in ("note_on", "note_off")
                and (other.channel, other.note) == (message.channel, message.note)
                and (other.type == "note_off" or not other.velocity)
                for other in others
            )
        elif message.type == "control_change" and message.value >= PRESSED_FROM:
            same = [
                other.value
                for other in messages
                if other.type == "control_change"
                and (other.channel, other.control) == (message.channel, message.control)
            ]
            if set(same) - {0, message.value} or len(same) > 2:
                continue  # a fader that moves
            control, let_go = {"type": "cc", "number": message.control}, 0 in same
        else:
            continue
        return {"control": control, "channel": message.channel + 1, "mode": "toggle" if let_go else "momentary"}
    return None


def _encoding(values: Sequence[int]) -> str | None:
    """Return the encoding of a relative encoder's turns; None if the values are positions.

    A fader never sends the same position twice in a row. Some encodings look the same if the encoder was turned in one
    direction only; then the most common one is returned.
    """
    if all(a != b for a, b in pairwise(values)):
        return None
    fits = [
        (any(v in right for v in values) + any(v in left for v in values), name)
        for name, (right, left) in TURN_VALUES.items()
        if all(v in right or v in left for v in values)
    ]
    return max(fits, key=lambda fit: fit[0])[1] if fits else None
