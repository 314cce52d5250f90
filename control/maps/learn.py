"""Controls, recognised by what they send when somebody moves them."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from .translator import PRESSED

if TYPE_CHECKING:
    from mido import Message

FEWEST = 4  # values that a fader or knob sends; less is a button
NULL = 127 << 7 | 127  # the parameter number that means none
SLOW = 15  # steps that a knob is turned at once, at most
# What relative encoders send to the right, and to the left.
TURNS = {
    "twos": (range(1, 1 + SLOW), range(128 - SLOW, 128)),
    "offset": (range(65, 65 + SLOW), range(64 - SLOW, 64)),
    "sign": (range(1, 1 + SLOW), range(65, 65 + SLOW)),
}


def recognise_fader(messages: "Sequence[Message]") -> dict[str, Any] | None:
    """What was moved: `control` and, but for a pitch bend, `channel` of a binding; None if it is no fader or knob.

    messages: of the channels, while it went up and down. Of several controls it is the one that sent most.
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
                if number == NULL:
                    continue
                sent.setdefault(("nrpn", channel, number), []).append(message.value)
            else:
                sent.setdefault(("cc", channel, message.control), []).append(message.value)
    if not sent:
        return None
    kind, channel, number = max(sent, key=lambda control: len(sent[control]))
    values = sent[kind, channel, number]
    if len(values) < FEWEST:
        return None
    if kind == "pitchbend":
        return {"control": {"type": kind, "channel": channel + 1}}
    control: dict[str, Any] = {"type": kind, "number": number}
    if kind == "cc":
        coarse = number % 32
        parts = [len(sent.get((kind, channel, part), ())) for part in (coarse, coarse + 32)]
        # A fine part may stand still for a while, but a button beside the fader sends far less.
        if number < 64 and min(parts) * 4 >= max(parts):
            control = {"type": "cc14", "number": coarse}
        elif (encoding := _encoding(values)) is not None:
            control = {"type": "relative", "number": number, "encoding": encoding}
    return {"control": control, "channel": channel + 1}


def recognise_button(messages: "Sequence[Message]") -> dict[str, Any] | None:
    """What was pressed: `control`, `channel` and `mode` of a binding; None if it is no button.

    messages: of the channels, from before it was pressed until it was let go. One that is not let go stays down until
    it is pressed again: for that the mode is momentary, as the button itself toggles.
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
        elif message.type == "control_change" and message.value >= PRESSED:
            same = [
                other.value
                for other in messages
                if other.type == "control_change"
                and (other.channel, other.control) == (message.channel, message.control)
            ]
            if set(same) - {0, message.value} or len(same) > 2:
                continue  # a fader on its way
            control, let_go = {"type": "cc", "number": message.control}, 0 in same
        else:
            continue
        return {"control": control, "channel": message.channel + 1, "mode": "toggle" if let_go else "momentary"}
    return None


def _encoding(values: Sequence[int]) -> str | None:
    """How a relative encoder tells of turns; None for what is a position.

    A position is not sent twice. Turned one way only, some encodings look the same; then it is the most common one.
    """
    if all(a != b for a, b in pairwise(values)):
        return None
    fits = [
        (any(v in right for v in values) + any(v in left for v in values), name)
        for name, (right, left) in TURNS.items()
        if all(v in right or v in left for v in values)
    ]
    return max(fits, key=lambda fit: fit[0])[1] if fits else None
