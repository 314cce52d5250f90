"""`stembridge midi`: list ports, show messages and learn a map, with a device on the network."""

import json
import os
import signal
import subprocess

import mido
import pytest
from stembridge.control import load_map
from stembridge.control.maps.midimap import Control


def cc(control, value, channel=0):
    return mido.Message("control_change", channel=channel, control=control, value=value)


def press(number, channel=0):
    return [
        mido.Message("note_on", note=number, velocity=90, channel=channel),
        mido.Message("note_off", note=number, channel=channel),
    ]


TRAVEL = [*range(0, 128, 2), *range(127, 0, -2)]


def stop(process):
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "stembridge: interrupted\n")
    return out


def test_the_shipped_maps_are_listed(desk):
    result = desk.call("midi", "maps")
    assert (result.returncode, result.stderr) == (0, "")
    for name in ("general", "mackie", "nanokontrol2"):
        assert load_map(name).description in result.stdout


def test_the_ports_of_this_machine_or_the_reason_for_none(desk):
    result = desk.run("midi", "ports", env={**os.environ, "MIDO_BACKEND": "no_such_driver"})
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("stembridge: MIDO_BACKEND=no_such_driver cannot be loaded (No module named")
    devices = [
        {"name": "Nano 20:0", "is_input": True, "is_output": True},
        {"name": "Amp", "is_input": False, "is_output": True},
    ]
    (desk.folder / "driver.py").write_text(f"def get_devices(**_): return {devices}")
    there = {**os.environ, "MIDO_BACKEND": "driver", "PYTHONPATH": str(desk.folder)}
    result = desk.run("midi", "ports", env=there)
    assert (result.returncode, result.stderr) == (0, "")
    assert [line.split() for line in result.stdout.splitlines()[2:]] == [["Nano", "20:0", "yes", "yes"], ["Amp", "yes"]]
    (desk.folder / "driver.py").write_text("def get_devices(**_): return []")
    result = desk.run("midi", "ports", env=there)
    assert result.stdout == "no MIDI ports found; plug a device in, or use HOST:PORT for one over the network\n"


def test_monitor_shows_messages_and_their_effect_through_the_map(desk, midi_device):
    (desk.folder / "stage.json").write_text(
        json.dumps(
            {
                "name": "stage",
                "description": "",
                "bindings": [
                    {"control": {"type": "cc", "number": 16}, "action": "gain", "stem": "vocals"},
                    {"control": {"type": "pitchbend", "channel": 2}, "action": "gain", "stem": "drums"},
                    {"control": {"type": "note", "number": 60}, "action": "mute", "stem": "piano"},
                    {"control": {"type": "program", "number": 3}, "action": "preset", "preset": "karaoke"},
                    {"control": {"type": "program", "number": 4}, "action": "preset", "preset": "nosuch"},
                ],
            }
        )
    )
    process = desk.start("midi", "monitor", midi_device.name, "--map", "stage.json")
    assert process.stdout.readline() == f"listening to {midi_device.name} with the map stage; Ctrl-C ends\n"
    shown = [
        (cc(16, 50), "channel 1, control 16: 50                   vocals -40.00 dB"),
        (cc(17, 50, 9), "channel 10, control 17: 50"),
        (
            mido.Message("pitchwheel", channel=1, pitch=8191),
            "channel 2, pitch bend: 16383                drums +12.00 dB",
        ),
        (press(60)[0], "channel 1, note 60 down                     piano mute on"),
        (press(60)[1], "channel 1, note 60 up"),
        (mido.Message("program_change", program=3), "channel 1, program 3                        preset karaoke"),
        (mido.Message("program_change", program=4), "channel 1, program 4                        unknown preset 'nosu"),
        (cc(16, 50, 1), "channel 2, control 16: 50\n"),  # held off
        (mido.Message("aftertouch", value=9), "channel 1, aftertouch: 9"),
        (mido.Message("polytouch", note=3, value=9), "channel 1, polytouch: 9"),
    ]
    for message, line in shown:
        midi_device.send(mido.Message("clock"), message)
        assert process.stdout.readline().startswith(line), line
    assert stop(process) == ""


def test_monitor_reports_a_pulled_cable(desk, midi_device):
    process = desk.start("midi", "monitor", midi_device.name)
    assert "general" in process.stdout.readline()
    assert midi_device.port
    midi_device.unplug()
    assert process.stderr.readline() == (
        f"stembridge: MIDI port {midi_device.name} is gone; it will be opened again when it returns\n"
    )
    midi_device.plug_in()
    assert process.stderr.readline() == f"stembridge: MIDI port {midi_device.name} is back\n"
    midi_device.send(cc(16, 0))
    assert "vocals -80.00 dB" in process.stdout.readline()
    stop(process)


def test_monitor_ends_when_nobody_reads(desk, midi_device):
    process = desk.start("midi", "monitor", midi_device.name)
    process.stdout.readline()
    process.stdout.close()
    midi_device.send(cc(1, 1), cc(1, 2))
    assert process.wait(60) == 1
    assert process.stderr.read() == ""


def test_learn_writes_a_map_of_the_moved_controls(desk, midi_device):
    stems = "vocals,lead guitar"
    arguments = ["midi", "learn", "-o", "my desk.json", "--port", midi_device.name, "--stems", stems]
    process = desk.start(*arguments, stdin=subprocess.PIPE)
    line = process.stdout.readline
    assert line() == f"listening to {midi_device.name}; Ctrl-C ends without a map\n"
    assert line() == "vocals: move its fader or knob all the way up and down (Enter skips it)\n"
    midi_device.send(*press(60), mido.Message("clock"))
    assert line() == "  that was not recognised; try again\n"
    midi_device.send(*(cc(16, value, 2) for value in TRAVEL))
    assert line() == "  channel 3, type cc, number 16\n"
    assert line() == "vocals: press the button that mutes it (Enter skips it)\n"
    midi_device.send(*press(60))
    assert line() == "  channel 1, mode toggle, type note, number 60\n"
    assert line().startswith("lead guitar: move")
    midi_device.send(*(cc(16, value, 2) for value in TRAVEL))
    assert line() == "  that control is taken; try another\n"
    midi_device.send(*(cc(20, value) for value in (1, 1, 1, 127, 127, 127)))
    assert line() == "  channel 1, type relative, number 20, encoding twos\n"
    assert line().startswith("lead guitar: press")
    process.stdin.write("\n")
    process.stdin.flush()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out == "wrote my desk.json; use it with --map 'my desk.json'\n"
    learned = load_map(desk.folder / "my desk.json")
    assert learned.name == "my desk"
    assert learned.description == f"Learned from {midi_device.name}"
    assert [(b.control, b.action, b.stem, b.channel, b.mode) for b in learned.bindings] == [
        (Control("cc", 16), "gain", "vocals", 3, "toggle"),
        (Control("note", 60), "mute", "vocals", 1, "toggle"),
        (Control("relative", 20, "twos"), "gain", "lead guitar", 1, "toggle"),
    ]
    assert set(desk.files()) == {"my desk.json"}


def test_stopping_learn_writes_nothing(desk, midi_device):
    process = desk.start("midi", "learn", "-o", "my.json", "--port", midi_device.name)
    process.stdout.readline()
    process.stdout.readline()
    midi_device.send(*(mido.Message("pitchwheel", pitch=60 * value) for value in TRAVEL[:64]))
    assert process.stdout.readline() == "  type pitchbend, channel 1\n"
    stop(process)
    assert desk.files() == {}


def test_learn_without_messages_writes_nothing(desk, midi_device):
    process = desk.start("midi", "learn", "-o", "my.json", "--port", midi_device.name, stdin=subprocess.PIPE)
    out, err = process.communicate("\n" * 8, timeout=60)
    assert (process.returncode, out.count("Enter")) == (2, 8)
    assert err == "stembridge: no control was learned, so no map was written; start again and move a control\n"
    assert desk.files() == {}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["monitor", "localhost:0"], "0 is not a network port"),
        (["monitor", "localhost:1", "--map", "nosuch"], "unknown MIDI map 'nosuch'"),
        (["monitor", "localhost:1"], "MIDI port localhost:1: Connection refused"),
        (["learn", "-o", "there.json", "--port", "localhost:1"], "there.json exists already"),
        (["learn", "-o", "there.json", "--force", "--port", "localhost:1"], "Connection refused"),
        (["learn", "-o", "my.txt", "--port", "localhost:1"], "a map is a .json file; let its name end in .json"),
        (["learn", "-o", "no/my.json", "--port", "localhost:1"], "the folder no does not exist; make it first"),
        (["learn", "-o", "my.json", "--stems", "vocals,,drums"], "--stems vocals,,drums does not work; give names"),
        (["learn", "-o", "my.json", "--stems", "vocals,vocals"], "each once"),
    ],
)
def test_impossible_requests_are_one_line(desk, arguments, says):
    (desk.folder / "there.json").write_text("{}")
    assert says in desk.refused("midi", *arguments, here=True)
