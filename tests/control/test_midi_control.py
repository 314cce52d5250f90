"""A controller moves faders while audio plays: real connections, floods, pulled cables, recorded performances."""

import json
import random
import socket
import sys
import threading
import time
import tracemalloc
import types
from dataclasses import replace

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mido.ports import BaseInput, BaseOutput, EchoPort
from stembridge import StemMix, StemProcessor, remix
from stembridge.control import Automation, ControlError, MidiControl, listener, load_map, ports
from stembridge.control.connections import Parser
from stembridge.control.listener import Listener
from stembridge.control.mailbox import Mailbox
from stembridge.control.ports import port_names
from stembridge.presets import PresetError

STEMS = ("vocals", "drums", "bass", "other")
GENERAL = load_map("general")


def cc(control, value, channel=0):
    return mido.Message("control_change", channel=channel, control=control, value=value)


def press(number):
    return mido.Message("note_on", note=number, velocity=90)


def let_go(number):
    return mido.Message("note_off", note=number)


def eventually(condition, what="it"):
    stop = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < stop, f"{what}: did not happen in 30 s"
        time.sleep(0.001)


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Look for ports often."""
    for module in (listener, ports):
        monkeypatch.setattr(module, "RETRY_INTERVAL_S", 0.02)


@pytest.fixture
def stage(tmp_path):
    """Return a function that makes a map with a control of each kind; fields override its own."""

    def stage(**fields):
        def bind(kind, number, action, stem, **more):
            control = {"type": kind, "number": number, **more.pop("control", {})}
            return {"control": control, "action": action, "stem": stem, **more}

        bindings = [
            bind("cc", 16, "gain", "vocals"),
            bind("cc14", 17, "gain", "drums"),
            bind("relative", 20, "gain", "bass", control={"encoding": "twos", "step_db": 0.3}),
            bind("nrpn", 300, "gain", "other"),
            *(bind("note", 40 + i, "mute", stem) for i, stem in enumerate(STEMS)),
            *(bind("note", 50 + i, "solo", stem, mode="momentary") for i, stem in enumerate(STEMS)),
            bind("note", 60, "mute", "vocals"),
            bind("note", 60, "mute", "drums"),
            {"control": {"type": "program", "number": 1}, "action": "preset", "preset": "karaoke"},
        ]
        path = tmp_path / "stage.json"
        path.write_text(json.dumps({"name": "stage", "description": "", "bindings": bindings} | fields))
        return load_map(path)

    return stage


class Desk:
    """Faders as attributes, which record the values that they are set to."""

    def __init__(self, **attributes):
        self.sets = []
        self.__dict__.update(attributes)
        self.sets.clear()

    def __setattr__(self, name, value):
        self.__dict__[name] = value
        if name != "sets":
            self.sets.append((name, value))


def make_desk(*kinds):
    return Desk(**{f"{stem}_{kind}": 0.0 if kind == "db" else False for stem in STEMS for kind in kinds})


# --- targets


def test_a_processor_over_the_network(midi_device, tiny_live_model):
    processor = StemProcessor(tiny_live_model)
    with MidiControl(processor, "nanokontrol2", midi_device.name) as control:
        assert control.port == midi_device.name
        midi_device.send(cc(0, 50), cc(3, 127), cc(48, 127), cc(33, 127))
        eventually(lambda: processor.soloed)
        assert processor.gains_db == pytest.approx({"vocals": -40, "drums": 0, "bass": 0, "other": 12})
        assert (processor.muted, processor.soloed) == (("vocals",), ("drums",))
        midi_device.send(cc(48, 0), cc(48, 127), cc(33, 127))
        eventually(lambda: not processor.soloed)
        assert processor.muted == ()


def test_a_plugin_in_its_own_process(midi_device, tiny_live_model):
    mix = StemMix(tiny_live_model)
    audio = np.random.default_rng(0).uniform(-0.3, 0.3, (2, 20_000)).astype(np.float32)
    with MidiControl(mix, "nanokontrol2", midi_device.name):
        midi_device.send(cc(0, 50), cc(1, 127), cc(50, 127))
        eventually(lambda: mix.bass_mute)
        assert (mix.vocals_db, mix.drums_db, mix.other_db) == pytest.approx((-40, 12, 0))
        out = mix(audio, 44100)
        midi_device.send(cc(34, 127))
        eventually(lambda: mix.bass_solo)
        assert not mix(audio, 44100).any(), "a mute is stronger than a solo"
        midi_device.send(cc(34, 127))
        eventually(lambda: not mix.bass_solo)
        assert (mix.vocals_mute, mix.drums_mute, mix.bass_mute, mix.other_mute) == (False, False, True, False)
    wanted = StemMix(tiny_live_model, vocals_db=-40, drums_db=12, bass_mute=True)(audio, 44100)
    np.testing.assert_allclose(out, wanted, rtol=0, atol=1e-6)


def test_a_stem_whose_parameter_has_another_name(midi_device, make_model):
    """A plugin's parameters have no doubled underscores."""
    mix = StemMix(make_model("masks = Identity (silent)", "frames, 1, 2, bins", stems=["lead__guitar_", "rest"]))
    bindings = (replace(GENERAL.bindings[0], stem="lead__guitar_"),)
    with MidiControl(mix, replace(GENERAL, bindings=bindings), midi_device.name):
        midi_device.send(cc(16, 50))
        eventually(lambda: mix.lead_guitar_db != 0)
        assert mix.lead_guitar_db == pytest.approx(-40)


def moved(desk, midi_map, *messages):
    """Apply messages one by one; return the attributes that changed."""
    port = EchoPort()
    with MidiControl(desk, midi_map, port):
        for message in messages:
            before = len(desk.sets)
            port.send(message)
            eventually(lambda before=before: len(desk.sets) > before, message)
            time.sleep(0.01)
    return desk.sets


def test_any_object_with_attributes(stage):
    desk = make_desk("db", "mute", "solo")
    assert moved(desk, stage(), cc(16, 50), press(41), press(52), let_go(52)) == [
        ("vocals_db", pytest.approx(-40)), ("drums_mute", True), ("bass_solo", True), ("bass_solo", False)
    ]  # fmt: skip


def test_without_a_solo_the_others_are_muted(stage):
    desk = make_desk("db", "mute")
    sets = moved(desk, stage(), press(41), press(52), press(50), let_go(52), let_go(50))
    assert sets[0] == ("drums_mute", True)
    assert sorted(sets[1:3]) == [("other_mute", True), ("vocals_mute", True)]
    assert sets[3:5] == [("vocals_mute", False), ("bass_mute", True)]
    assert sorted(sets[5:]) == [("bass_mute", False), ("other_mute", False)]
    assert desk.drums_mute


def test_without_a_mute_it_is_silence(stage):
    desk = make_desk("db")
    sets = moved(desk, stage(), cc(16, 75), press(40), press(40))
    assert sets == [("vocals_db", pytest.approx(-20)), ("vocals_db", -80.0), ("vocals_db", pytest.approx(-20))]


def test_a_fader_that_moves_in_silence_is_heard_after_it(stage):
    desk = make_desk("db")
    port = EchoPort()
    with MidiControl(desk, stage(), port):
        port.send(press(40))
        eventually(lambda: desk.sets)
        port.send(cc(16, 75))
        port.send(press(40))
        eventually(lambda: len(desk.sets) > 1)
    assert desk.sets == [("vocals_db", -80.0), ("vocals_db", pytest.approx(-20))]


def test_stems_that_the_object_lacks_are_left_out(midi_device):
    desk = Desk(drums_db=0.0)
    with MidiControl(desk, GENERAL, midi_device.name):
        midi_device.send(cc(16, 0), cc(18, 0), cc(17, 50))
        eventually(lambda: desk.sets)
    assert desk.sets == [("drums_db", pytest.approx(-40))]


def test_an_object_without_faders_is_refused():
    with pytest.raises(
        ControlError, match="the target, of type list, has no set_gains_db, and no attribute vocals_db, drums_db"
    ):
        MidiControl([], "general", EchoPort())


def test_a_value_that_the_target_refuses_is_reported_once_and_changes_nothing_else(midi_device):
    class Moody(Desk):
        def __setattr__(self, name, value):
            if name == "vocals_db":
                raise RuntimeError("not\nnow")
            super().__setattr__(name, value)

    desk = Moody(vocals_db=0.0, drums_db=0.0)
    lines = []
    with MidiControl(desk, GENERAL, midi_device.name, report=lines.append):
        for value in (1, 2, 3):
            midi_device.send(cc(16, value))
            time.sleep(0.02)
        midi_device.send(cc(17, 50))
        eventually(lambda: desk.sets)
    assert desk.sets == [("drums_db", pytest.approx(-40))]
    assert lines == ["MIDI: a gain could not be set: RuntimeError: not now"]


def test_a_fader_that_is_refused_does_not_stop_the_others(midi_device):
    class Narrow(Desk):
        def __setattr__(self, name, value):
            if name == "vocals_db" and value < -60:
                raise ValueError("too low")
            super().__setattr__(name, value)

    desk = Narrow(**{f"{stem}_db": 0.0 for stem in STEMS})
    with MidiControl(desk, GENERAL, midi_device.name, report=[].append) as control:
        control.load_preset({"vocals": -80, "drums": -6, "bass": 3})
        eventually(lambda: (desk.vocals_db, desk.drums_db, desk.bass_db) == (0, -6, 3))


@pytest.mark.parametrize(
    "call",
    [
        lambda control: control.load_preset("karaoke"),
        lambda control: control.set_gains_db(vocals=-6),
        lambda control: control.mute("vocals"),
        lambda control: control.solo("vocals"),
    ],
)
def test_before_the_start_and_after_the_close_nothing_can_be_moved(call):
    control = MidiControl(make_desk("db"), GENERAL, EchoPort())
    with pytest.raises(ControlError, match="this MidiControl is not running"):
        call(control)
    with control:
        call(control)
    with pytest.raises(ControlError, match="is not running"):
        call(control)


def test_a_callback_that_fails_does_not_stop_control(midi_device, caplog):
    def lost():
        raise RuntimeError("where\nam I")

    desk = make_desk("db")
    with MidiControl(desk, GENERAL, midi_device.name, position=lost, report=lambda line: 1 / 0):
        midi_device.send(cc(16, 50))
        eventually(lambda: desk.vocals_db == pytest.approx(-40))
        midi_device.unplug()
        time.sleep(0.1)
        midi_device.plug_in()
        midi_device.send(cc(17, 50))
        eventually(lambda: desk.drums_db == pytest.approx(-40))
    told = caplog.text
    assert "RuntimeError: where am I" in told
    assert "is back (ZeroDivisionError in report: division by zero)" in told
    assert "Traceback" not in told


# --- ports


class Called(BaseInput):
    """A port that calls, as python-rtmidi's do."""

    callback = None


def test_an_open_port_that_calls():
    desk, port = make_desk("db"), Called("desk")
    with MidiControl(desk, GENERAL, port) as control:
        eventually(lambda: port.callback)
        assert control.port == "desk"
        port.callback(cc(16, 50))
        eventually(lambda: desk.sets)
    assert port.callback is None
    assert not port.closed, "its owner must close it"


def test_an_open_port_of_a_mido_connection(midi_device):
    host, number = midi_device.name.split(":")
    desk, port = make_desk("db"), mido.sockets.connect(host, int(number))
    lines = []
    with MidiControl(desk, replace(GENERAL, feedback=True), port, report=lines.append):
        assert midi_device.receive() == cc(16, 100)
        midi_device.send(cc(17, 50))
        eventually(lambda: desk.sets)
        assert not lines
        midi_device.unplug()
        eventually(lambda: lines)
        assert "is gone" in lines[0]
    assert desk.sets == [("drums_db", pytest.approx(-40))]


def test_anything_that_yields_messages():
    desk, lines = make_desk("db"), []
    with MidiControl(desk, GENERAL, iter([cc(16, 50), mido.Message("clock"), cc(17, 0)]), report=lines.append):
        eventually(lambda: lines)
    assert set(desk.sets) == {("vocals_db", -40.0), ("drums_db", -80.0)}
    assert len(lines) == 1


def test_a_server_takes_one_connection_after_another():
    with socket.create_server(("localhost", 0)) as free:
        number = free.getsockname()[1]
    desk, lines = make_desk("db"), []
    with MidiControl(desk, replace(GENERAL, feedback=True), f":{number}", report=lines.append):
        for value in (50, 75):
            with socket.create_connection(("localhost", number)) as device:
                device.sendall(cc(16, value).bin())
                wanted = pytest.approx(-40 if value == 50 else -20)
                eventually(lambda wanted=wanted: desk.vocals_db == wanted)
                while device.recv(3)[:2] != b"\xb0\x10":  # it is sent the position of the first fader
                    pass
        eventually(lambda: len(lines) == 3)
    name = f"MIDI port :{number}"
    gone = f"{name} is gone; it will be opened again when it returns"
    assert lines == [gone, f"{name} is back", gone]


@pytest.mark.parametrize("port", [9080, 3.5, object(), ["nano"], b"nano", {}])
def test_an_object_that_is_not_a_port_is_refused(port):
    with pytest.raises(ControlError, match="is not a MIDI port; give a name, host:port, or an open port of mido"):
        MidiControl(make_desk("db"), GENERAL, port).start()


@pytest.mark.parametrize("times", [1, 3])
def test_a_cable_that_is_pulled_and_put_back(midi_device, times, caplog):
    desk = make_desk("db")
    with MidiControl(desk, GENERAL, midi_device.name):
        for value in range(1, times + 1):
            midi_device.send(cc(16, value))
            eventually(lambda value=value: len(desk.sets) == 2 * value - 1)
            midi_device.unplug()
            time.sleep(0.1)  # several searches find nothing
            midi_device.plug_in()
            midi_device.send(cc(17, value))
            eventually(lambda value=value: len(desk.sets) == 2 * value)
    line = f"MIDI port {midi_device.name} is"
    assert caplog.messages == [f"{line} gone; it will be opened again when it returns", f"{line} back"] * times


def test_control_can_end_while_a_cable_is_pulled(midi_device):
    control = MidiControl(make_desk("db"), GENERAL, midi_device.name, report=[].append)
    before = threading.active_count()
    with control:
        assert midi_device.port
        midi_device.unplug()
        time.sleep(0.05)
    assert threading.active_count() == before
    midi_device.plug_in()
    with control:  # and begins again
        midi_device.send(cc(16, 0))
    assert threading.active_count() == before


def test_it_is_started_once_and_a_failed_start_can_be_tried_again(midi_device):
    midi_device.unplug()
    control = MidiControl(make_desk("db"), GENERAL, midi_device.name)
    before = threading.active_count()
    with pytest.raises(ControlError, match=r"MIDI port localhost:\d+: Connection refused; is its server running\?"):
        control.start()
    with pytest.raises(ControlError, match="this MidiControl has no port until it is started"):
        control.port  # noqa: B018
    midi_device.plug_in()
    control.start()
    with pytest.raises(ControlError, match="started already"):
        control.start()
    control.close()
    control.close()
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("port", "says"),
    [
        ("localhost:0", "0 is not a network port"),
        (":65536", "65536 is not a network port"),
        ("no.such.host.invalid:9080", r"MIDI port no\.such\.host\.invalid:9080: "),
        ("a..b:9080", r"MIDI port a\.\.b:9080: "),
    ],
)
def test_an_impossible_network_port_is_refused_in_one_line(port, says):
    with pytest.raises(ControlError, match=says) as error:
        Listener(port, print)
    assert "\n" not in str(error.value)


def test_a_server_whose_port_is_taken_says_so(midi_device):
    with pytest.raises(ControlError, match="Address already in use; choose another port"):
        Listener(f":{midi_device.name.rpartition(':')[2]}", print)


def test_an_error_in_a_callback_is_reported_once_and_ends_nothing(midi_device):
    got, lines = [], []

    def receive(message):
        got.append(message.value)
        if message.value < 100:
            raise KeyError("no such\ncontrol")

    def connected():
        raise OSError("no lamp")

    with Listener(midi_device.name, receive, connected, lines.append) as listener:
        midi_device.send(*(cc(16, value) for value in range(101)))
        eventually(lambda: len(got) == 101)
    assert lines == [
        f"MIDI port {listener.name} goes on after an error while connecting (OSError: no lamp)",
        f"MIDI port {listener.name} goes on after an error while receiving (KeyError: 'no such\\ncontrol')",
    ]


@pytest.mark.parametrize("error", [RuntimeError("out\nof order"), ValueError("poll"), MemoryError(), OSError("gone")])
def test_a_port_that_fails_is_opened_again(error):
    class Port:
        name = "desk"

        def __init__(self):
            self.messages = [cc(16, 1), error, cc(16, 2), error, cc(16, 3)]

        def poll(self):
            message = self.messages.pop(0) if self.messages else None
            if isinstance(message, Exception):
                raise message
            return message

    got, lines = [], []
    with Listener(Port(), got.append, report=lines.append):
        eventually(lambda: len(got) == 3)
    text = " ".join(str(error).split())
    failed = "is gone; it will be opened again when it returns"
    if not isinstance(error, OSError):
        failed = f"failed ({type(error).__name__}{text and f': {text}'}); it will be opened again"
    assert [message.value for message in got] == [1, 2, 3]
    assert lines == [f"MIDI port desk {failed}", "MIDI port desk is back"] * 2


def test_a_port_that_always_fails_is_not_reopened_without_pause(monkeypatch):
    class Port:
        name, polled = "desk", 0

        def poll(self):
            self.polled += 1
            raise RuntimeError("out of order")

    for module in (listener, ports):
        monkeypatch.setattr(module, "RETRY_INTERVAL_S", 0.1)
    port, lines = Port(), []
    with Listener(port, print, report=lines.append):
        time.sleep(0.5)
    assert 2 <= port.polled <= 6


def test_unusable_values_are_reported_once_and_end_nothing():
    used, lines = [], []

    def use(table):
        used.append(dict(table))
        if len(used) < 3:
            raise AttributeError("gains_db")

    mailbox = Mailbox(use, "MIDI faders", lines.append)
    for value in range(4):
        mailbox.put({("gain", "vocals"): value})
        eventually(lambda value=value: used and used[-1] == {("gain", "vocals"): value})
    mailbox.close()
    assert lines == ["MIDI faders: an error was ignored (AttributeError: gains_db)"]


# --- ports of this machine, through mido and a driver that can be unplugged


@pytest.fixture
def driver(monkeypatch):
    """Make a driver: (inputs, outputs) by name, None for a port that is not open."""
    inputs, outputs = {}, {}

    class Input(BaseInput):
        def _open(self, callback=None, **_):
            if self.name not in inputs:
                raise OSError("unknown port")
            inputs[self.name] = self
            self.callback = callback

    class Output(BaseOutput):
        def _open(self, **_):
            outputs[self.name] = self
            self.sent = []

        def _send(self, message):
            self.sent.append(message)

    def get_devices(**_):
        names = dict.fromkeys([*inputs, *outputs])
        return [{"name": name, "is_input": name in inputs, "is_output": name in outputs} for name in names]

    module = types.SimpleNamespace(Input=Input, Output=Output, get_devices=get_devices)
    monkeypatch.setitem(sys.modules, "a_driver", module)
    before = mido.backend
    mido.set_backend("a_driver")
    yield inputs, outputs
    mido.set_backend(before)


def test_a_port_by_name_sends_and_receives(driver):
    inputs, outputs = driver
    inputs |= {"Midi Through:0 14:0": None, "nano:nano MIDI 1 20:0": None}
    outputs |= {"Midi Through:0 14:0": None, "nano:nano MIDI 1 20:0": None}
    desk = make_desk("db", "mute")
    with MidiControl(desk, "nanokontrol2", "NANO") as control:
        assert control.port == "nano:nano MIDI 1 20:0"
        inputs[control.port].callback(cc(48, 127))
        eventually(lambda: desk.vocals_mute)
        told = outputs[control.port]
        eventually(lambda: cc(48, 127) in told.sent)
        assert cc(0, 100) in told.sent
    assert inputs["nano:nano MIDI 1 20:0"].closed
    assert told.closed


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (None, "b:b 20:0"),
        ("b:b 20:0", "b:b 20:0"),
        ("b:b 99:0", "b:b 20:0"),
        ("B", "b:b 20:0"),
        ("b:bb 21:0", "b:bb 21:0"),
        ("bb", "b:bb 21:0"),
    ],
)
def test_part_of_a_name_finds_the_port(driver, wanted, found):
    driver[0].update(dict.fromkeys(["Midi Through:Midi Through Port-0 14:0", "b:b 20:0", "b:bb 21:0"]))
    with Listener(wanted, print) as listener:
        assert listener.name == found


def test_a_replugged_device_is_found_under_another_number(driver):
    inputs, outputs = driver
    inputs["nano 20:0"] = outputs["nano 20:0"] = None
    desk, lines = make_desk("db"), []
    with MidiControl(desk, replace(GENERAL, feedback=True), "nano 20:0", report=lines.append) as control:
        eventually(lambda: outputs["nano 20:0"].sent)
        del inputs["nano 20:0"], outputs["nano 20:0"]
        eventually(lambda: lines)
        time.sleep(0.1)
        outputs["nano 24:0"] = inputs["nano 24:0"] = None  # both are there when it is found
        eventually(lambda: len(lines) == 2)
        assert control.port == "nano 24:0"
        eventually(lambda: len(outputs["nano 24:0"].sent) == 4, "that it learns where all faders are")
        assert outputs["nano 24:0"].sent[0] == cc(16, 100)
        inputs["nano 24:0"].callback(cc(16, 50))
        eventually(lambda: desk.sets)
        eventually(lambda: cc(16, 50) in outputs["nano 24:0"].sent)
    assert lines == [
        "MIDI port nano 20:0 is gone; it will be opened again when it returns", "MIDI port nano 24:0 is back"
    ]  # fmt: skip


def test_a_driver_that_fails_is_tried_again(driver, monkeypatch):
    inputs, _ = driver
    inputs["nano 20:0"] = None
    got, lines = [], []
    with Listener("nano", got.append, report=lines.append):
        eventually(lambda: inputs["nano 20:0"])
        working = mido.backend.module.get_devices

        def fail(**_):
            raise RuntimeError("no sequencer")

        monkeypatch.setattr(mido.backend.module, "get_devices", fail)
        eventually(lambda: lines)
        with pytest.raises(ControlError, match="cannot be listed: no sequencer"):
            port_names()
        monkeypatch.setattr(mido.backend.module, "get_devices", working)
        eventually(lambda: len(lines) == 2)
        inputs["nano 20:0"].callback(cc(16, 50))
    assert got == [cc(16, 50)]
    assert lines == [
        "MIDI port nano 20:0 failed (RuntimeError: no sequencer); it will be opened again",
        "MIDI port nano 20:0 is back",
    ]


def test_an_unknown_name_is_refused_with_the_known_names(driver):
    with pytest.raises(ControlError, match=r"no MIDI port 'nano': this machine has no MIDI ports; plug a device in"):
        Listener("nano", print)
    driver[0]["Midi Through 14:0"] = None
    with pytest.raises(ControlError, match=r"no MIDI port 'nano': the ports are Midi Through 14:0"):
        Listener("nano", print)
    with pytest.raises(ControlError, match=r"no MIDI device: the ports are Midi Through 14:0"):
        Listener(None, print)


def test_without_rtmidi_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "rtmidi", None)
    monkeypatch.delitem(sys.modules, "mido.backends.rtmidi", raising=False)
    before = mido.backend
    mido.set_backend("mido.backends.rtmidi")
    try:
        with pytest.raises(ControlError, match=r"need python-rtmidi .*: pip install '.\[midi\]' in a clone"):
            port_names()
    finally:
        mido.set_backend(before)


@pytest.mark.parametrize("there", [False, True])
def test_without_a_sequencer_it_says_so(monkeypatch, tmp_path, there):
    monkeypatch.setattr(ports, "ALSA_SEQUENCER", str(tmp_path / "seq"))
    monkeypatch.setattr(ports.os, "access", lambda *_: False)
    if there:
        (tmp_path / "seq").touch()
    before = mido.backend
    mido.set_backend("mido.backends.rtmidi")
    try:
        says = "may not be opened by you" if there else "does not exist"
        with pytest.raises(ControlError, match=f"need ALSA's sequencer, but .*seq {says}"):
            port_names()
    finally:
        mido.set_backend(before)


def test_a_virtual_port_of_this_machine():
    """Use the real driver, and a port of another program that is unplugged and plugged in again."""
    try:
        port_names()
    except ControlError as error:
        pytest.skip(str(error))
    desk, lines, heard = make_desk("db"), [], []
    told = mido.open_input("stembridge test", virtual=True, callback=heard.append)
    device = mido.open_output("stembridge test", virtual=True)
    try:
        with MidiControl(desk, replace(GENERAL, feedback=True), "stembridge test", report=lines.append):
            device.send(cc(16, 50))
            eventually(lambda: desk.vocals_db == pytest.approx(-40))
            eventually(lambda: cc(16, 50) in heard)
            device.close()
            eventually(lambda: lines)
            device = mido.open_output("stembridge test", virtual=True)
            eventually(lambda: len(lines) == 2)
            device.send(cc(17, 50))
            eventually(lambda: desk.drums_db == pytest.approx(-40))
    finally:
        device.close()
        told.close()
    assert ["is gone" in lines[0], "is back" in lines[1]] == [True, True]


# --- buttons whose release is lost


@pytest.fixture
def held(midi_device, stage, tiny_live_model):
    """Solo vocals by a button that is down; yield the control, the processor and the reported lines."""
    processor, lines = StemProcessor(tiny_live_model), []
    control = MidiControl(processor, stage(feedback=True), midi_device.name, position=lambda: 0, report=lines.append)
    with control:
        midi_device.send(press(50))
        eventually(lambda: processor.soloed == ("vocals",))
        yield control, processor, lines


@pytest.mark.parametrize("message", [cc(123, 0), cc(120, 0), cc(121, 0), mido.Message("reset")])
def test_a_message_releases_the_button(midi_device, held, message):
    _, processor, _ = held
    midi_device.send(message)
    eventually(lambda: not processor.soloed)
    midi_device.send(press(50))
    eventually(lambda: processor.soloed, "the next press")


def test_a_lost_connection_releases_the_button(midi_device, held):
    control, processor, lines = held
    midi_device.unplug()
    eventually(lambda: not processor.soloed)
    assert control.soloed == ()
    eventually(lambda: lines)


def test_the_end_of_control_releases_the_button(held):
    control, processor, _ = held
    control.close()
    assert processor.soloed == ()


def test_a_message_in_a_file_releases_the_button(midi_file, stage):
    for release in (b"\xb0\x7b\x00", b"\xb0\x79\x00", b"\xf7\x01\xff"):
        path = midi_file([(0, bytes([0x90, 50, 90])), (480, release)])
        points = Automation.from_midi(path, stage()).points
        assert [(p.at, p.stem, p.gain_db) for p in points if p.at] == [(0.5, stem, 0.0) for stem in STEMS[1:]]


# --- bytes


def stream(*messages):
    return b"".join(message.bin() for message in messages)


def test_bytes_make_the_same_messages_however_they_are_split():
    messages = [cc(16, 5), press(3), mido.Message("program_change", program=7), mido.Message("pitchwheel", pitch=-3)]
    for cut in range(len(stream(*messages))):
        parser = Parser()
        assert parser.feed(stream(*messages)[:cut]) + parser.feed(stream(*messages)[cut:]) == messages


def test_running_status_and_a_clock_within_a_message():
    parser = Parser()
    assert parser.feed(bytes([5, 0xB0, 16, 0xF8, 1, 16, 2, 0xFE, 17, 3])) == [cc(16, 1), cc(16, 2), cc(17, 3)]
    assert parser.feed(bytes([0xF0, 1, 2, 0xF8, 3, 0xF7, 16, 4])) == [], "nothing follows system exclusive"
    assert parser.feed(cc(16, 4).bin()) == [cc(16, 4)]


def test_a_message_without_end_takes_no_memory():
    parser = Parser()
    parser.feed(b"\xf0" + bytes(1000))
    tracemalloc.start()
    try:
        for _ in range(100):
            assert parser.feed(bytes(1000)) == []
        assert tracemalloc.get_traced_memory()[0] < 10_000
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=200))
def test_any_bytes_are_channel_messages_or_nothing(data):
    for message in Parser().feed(data):
        assert 0 <= message.channel < 16


# --- much at once


def test_a_flood_takes_no_memory_and_the_last_value_wins():
    """The target is slow, and the port does not wait for it."""
    free, taken = threading.Event(), threading.Event()

    class Slow(Desk):
        def __setattr__(self, name, value):
            super().__setattr__(name, value)
            if name.endswith("_db") and name in self.__dict__ and hasattr(self, "ready"):
                taken.set()
                assert free.wait(600)

    desk, port = Slow(**{f"{stem}_db": 0.0 for stem in STEMS}), Called("flood")
    desk.ready = True
    desk.sets.clear()
    with MidiControl(desk, GENERAL, port):
        eventually(lambda: port.callback)
        port.callback(cc(16, 1))
        assert taken.wait(30)
        for value in range(400):
            port.callback(cc(16 + value % 4, value % 128))
        tracemalloc.start()
        try:
            for value in range(5_000):
                port.callback(cc(16 + value % 4, value % 127))
            assert tracemalloc.get_traced_memory()[0] < 5_000
        finally:
            tracemalloc.stop()
        for control in range(16, 20):
            port.callback(cc(control, 100))
        free.set()
    assert len(desk.sets) == 1 + 4, "messages for a busy target are merged into one value per fader"
    assert dict(desk.sets) == {f"{stem}_db": 0.0 for stem in STEMS}


def test_a_flood_over_the_network_does_not_change_the_sound(midi_device, tiny_live_model):
    processor, still = StemProcessor(tiny_live_model), StemProcessor(tiny_live_model)
    audio = np.random.default_rng(0).uniform(-0.3, 0.3, (2, 256 * 60)).astype(np.float32)
    flood = stream(*(cc(16 + k % 4 if k % 2 else 90, 100) for k in range(10_000)))
    with MidiControl(processor, GENERAL, midi_device.name):
        assert midi_device.port
        sender = threading.Thread(target=lambda: midi_device.port._socket.sendall(flood))
        sender.start()
        for k in range(60):
            block = audio[:, 256 * k : 256 * (k + 1)]
            assert (processor.process(block) == still.process(block)).all()
        sender.join()
        midi_device.send(cc(16, 0), *(cc(17, value) for value in range(51)))
        eventually(lambda: processor.gains_db["drums"] == pytest.approx(-40))
        assert processor.gains_db["vocals"] == -80


def test_a_device_that_does_not_read_stops_nothing(midi_device):
    desk = make_desk("db")
    mackie = load_map("mackie")
    chatty = replace(mackie, bindings=mackie.bindings * 30_000)  # more messages than the network buffers
    with MidiControl(desk, mackie, midi_device.name) as control:
        midi_device.port._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        control._listener._source._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        control._translator._map = chatty
        for channel, stem in enumerate(STEMS):
            midi_device.send(mido.Message("pitchwheel", channel=channel, pitch=-8192))
            eventually(lambda stem=stem: getattr(desk, f"{stem}_db") == -80)

        def stuck():
            return all(time.sleep(0.001) or control._listener._sending.locked() for _ in range(50))

        eventually(stuck)


# --- feedback


def test_motors_and_lights_follow(midi_device):
    def fader(channel, pitch):
        return mido.Message("pitchwheel", channel=channel, pitch=pitch)

    desk = make_desk("db", "mute")
    desk.bass_mute = True
    with MidiControl(desk, "mackie", midi_device.name) as control:
        unity = round(100 / 127 * 16383) - 8192
        wanted = [fader(channel, unity) for channel in range(4)]
        wanted += [mido.Message("note_on", note=note, velocity=127 if note == 18 else 0) for note in range(16, 20)]
        wanted += [mido.Message("note_on", note=note, velocity=0) for note in range(8, 12)]
        assert [midi_device.receive() for _ in wanted] == wanted
        midi_device.send(fader(1, 8191))
        assert midi_device.receive() == fader(1, 8191)
        midi_device.send(press(16))
        assert midi_device.receive() == mido.Message("note_on", note=16, velocity=127)
        control.load_preset("karaoke")
        wanted = [fader(0, -8192), *(fader(channel, unity) for channel in (1, 2, 3))]
        assert [midi_device.receive() for _ in wanted] == wanted
        assert (desk.vocals_db, desk.drums_db) == (-80, 0)


def test_nothing_is_sent_where_the_map_does_not_ask(midi_device):
    desk = make_desk("db")
    with MidiControl(desk, GENERAL, midi_device.name) as control:
        midi_device.send(cc(16, 50))
        eventually(lambda: desk.sets)
        control.load_preset("karaoke")
        eventually(lambda: desk.vocals_db == -80)
        assert midi_device.port.poll() is None


# --- presets


def test_a_program_selects_a_preset_and_faders_are_picked_up_after_it(midi_device, stage, tiny_live_model):
    processor = StemProcessor(tiny_live_model, gains_db={"other": -6})
    with MidiControl(processor, stage(), midi_device.name):
        midi_device.send(cc(16, 75))
        eventually(lambda: processor.gains_db["vocals"] == pytest.approx(-20))
        midi_device.send(mido.Message("program_change", program=1))
        eventually(lambda: processor.gains_db["vocals"] == -80)
        assert processor.gains_db == {"vocals": -80, "drums": 0, "bass": 0, "other": 0}
        midi_device.send(cc(16, 76), cc(17, 60))
        midi_device.send(cc(20, 1))  # an encoder needs no pickup
        eventually(lambda: processor.gains_db["bass"] != 0)
        assert processor.gains_db == {"vocals": -80, "drums": 0, "bass": 0.3, "other": 0}, "no fader is there yet"
        midi_device.send(cc(16, 0), cc(16, 50))
        eventually(lambda: processor.gains_db["vocals"] == pytest.approx(-40))


def test_a_preset_may_be_gains_or_a_file_and_is_checked_at_once(midi_device, tmp_path, tiny_live_model):
    processor = StemProcessor(tiny_live_model)
    (tmp_path / "duet.json").write_text('{"name": "duet", "description": "", "gains_db": {"vocals": -12}}')
    with MidiControl(processor, GENERAL, midi_device.name) as control:
        control.load_preset({"drums": -3, "bass": -100})
        eventually(lambda: processor.gains_db == {"vocals": 0, "drums": -3, "bass": -80, "other": 0})
        control.load_preset(tmp_path / "duet.json")
        eventually(lambda: processor.gains_db == {"vocals": -12, "drums": 0, "bass": 0, "other": 0})
        with pytest.raises(ControlError, match="unknown stem 'piano'; the stems are vocals, drums, bass, other"):
            control.load_preset({"piano": -3})
        with pytest.raises(PresetError, match="unknown preset 'nosuch'"):
            control.load_preset("nosuch")
        with pytest.raises(PresetError, match="vocals: gain nan dB is out of range"):
            control.load_preset({"vocals": float("nan")})


# --- changes made by the program


def test_controls_follow_changes_made_by_the_program(midi_device, tiny_live_model):
    """They follow with pickup, toggles, motors and lights."""
    processor = StemProcessor(tiny_live_model)
    processor.mute("other")
    desk_map = replace(load_map("mackie"), takeover="pickup-after-preset")
    with MidiControl(processor, desk_map, midi_device.name) as control:
        for _ in range(12):  # all current positions
            midi_device.receive()
        control.set_gains_db(vocals=-40, bass=-100)
        position = desk_map.bindings[0].position
        assert [midi_device.receive() for _ in range(2)] == [
            mido.Message("pitchwheel", channel=0, pitch=position(-40) - 8192),
            mido.Message("pitchwheel", channel=2, pitch=position(-80) - 8192),
        ]
        assert processor.gains_db == {"vocals": -40, "drums": 0, "bass": -80, "other": 0}
        midi_device.send(mido.Message("pitchwheel", channel=0, pitch=8191))  # has not passed -40 yet
        midi_device.send(mido.Message("pitchwheel", channel=1, pitch=8191))
        eventually(lambda: processor.gains_db["drums"] == 12)
        assert processor.gains_db["vocals"] == -40
        control.mute("drums")
        control.solo("bass")
        eventually(lambda: (set(processor.muted), set(processor.soloed)) == ({"drums", "other"}, {"bass"}))
        midi_device.send(press(16), press(17), press(19), press(10))
        eventually(lambda: (set(processor.muted), set(processor.soloed)) == ({"vocals"}, set()))
        with pytest.raises(ControlError, match=r"^unknown stem 'piano'; the stems are vocals, drums, bass, other"):
            control.set_gains_db(piano=-3)
        with pytest.raises(ControlError, match=r"^unknown stem 'piano'"):
            control.mute("piano")
        with pytest.raises(PresetError, match="vocals: gain 21 dB is out of range"):
            control.set_gains_db(vocals=21)


@pytest.mark.parametrize(
    ("preset", "says"), [("nosuch", "unknown preset 'nosuch'"), ("acapella", "preset acapella: unknown stem 'bass'")]
)
def test_a_map_whose_presets_cannot_be_used_is_refused_before_the_start(preset, says):
    binding = replace(GENERAL.bindings[0], action="preset", stem=None, preset=preset)
    with pytest.raises(ValueError, match=says):
        MidiControl(Desk(vocals_db=0.0, drums_db=0.0), replace(GENERAL, bindings=(binding,)), EchoPort())


# --- recorded performances


def watch(control):
    """Return a function that waits until a number of messages, in all, have arrived and taken effect."""
    translate, apply, put = control._translator.feed, control._wanted._use, control._wanted.put
    fed, asked, applied = [], {}, {}

    def feed(message):
        fed.append(message)
        return translate(message)

    def ask(wanted):
        asked.update(wanted)
        put(wanted)

    def use(wanted):
        apply(wanted)
        applied.update(wanted)

    def settled(count):
        with control._lock:
            return len(fed) == count and asked == applied

    control._translator.feed, control._wanted._use, control._wanted.put = feed, use, ask
    return lambda count: eventually(lambda: settled(count))


def perform(processor, midi_map, device, audio, script):
    """Play a song in blocks, each after the messages of its script; return the aligned sound and the control."""
    done, sent = 0, 0
    out = []
    sizes = random.Random(0)
    with MidiControl(processor, midi_map, device.name, position=lambda: done) as control:
        settle = watch(control)
        while done < audio.shape[-1]:
            for messages in script.get(len(out), ()):
                device.send(*messages)
                sent += len(messages)
                settle(sent)
            block = audio[:, done : done + sizes.randrange(1, 1500)]
            out.append(processor.process(block))
            done += block.shape[-1]
    assert len(out) > max(script)
    out.append(processor.process(np.zeros((2, processor.latency_samples), np.float32)))
    return np.concatenate(out, axis=-1)[:, processor.latency_samples :], control


SCRIPT = {
    3: [[cc(16, 50)]],
    5: [[cc(17, 90), cc(49, 17)], [cc(16, 88), cc(16, 89)]],
    6: [[cc(20, 127)], [cc(20, 126)]],
    7: [[press(40)], [press(51)]],
    9: [[cc(99, 2), cc(98, 44), cc(6, 64), cc(38, 3)], [let_go(51)]],
    11: [[cc(16, 70)], [press(60)]],
    13: [[mido.Message("program_change", program=1)], [cc(16, 0)]],
    14: [[cc(16, 40)], [press(40)], [cc(17, 127)]],
    16: [[press(60)], [cc(20, 3)]],
    18: [[press(53)], [press(50)], [let_go(53)]],
    20: [[let_go(50)], [cc(16, 100)], [press(60)]],
}
START = {"vocals": -12.0, "bass": -3.3, "drums": 1.0}


@pytest.mark.parametrize("takeover", ["jump", "pickup-after-preset"])
@pytest.mark.parametrize("rate", [44100, 48000, 96000])
def test_a_recorded_performance_renders_the_same_sound(
    midi_device, stage, tmp_path, tiny_live_model, noise, rate, takeover
):
    midi_map, audio = stage(takeover=takeover), noise(2, 24_000)
    processor = StemProcessor(tiny_live_model, rate, gains_db=START)
    sound, control = perform(processor, midi_map, midi_device, audio, SCRIPT)
    ride = control.recording.automation()
    assert ride.unit == "samples"
    assert len(ride.points) > 25
    ride.to_csv(tmp_path / "take.csv")
    control.recording.to_midi(tmp_path / "take.mid", rate)
    for gains, automation in (
        ({}, ride),
        ({}, Automation.from_csv(tmp_path / "take.csv")),
        (START, Automation.from_midi(tmp_path / "take.mid", midi_map, gains_db=START)),
    ):
        again = remix(audio, rate, gains, tiny_live_model, automation=automation)
        np.testing.assert_allclose(again, sound, rtol=0, atol=1e-6)
    assert np.abs(sound - audio).max() > 0.1


def test_a_recorded_performance_with_pickup_and_held_buttons(midi_device, stage, tmp_path, tiny_live_model, noise):
    midi_map, audio = stage(takeover="pickup"), noise(2, 12_000)
    processor = StemProcessor(tiny_live_model, gains_db=START)
    processor.solo("bass")
    processor.reset()
    script = {
        2: [[cc(16, 10), cc(16, 90)]],
        4: [[cc(17, 120), cc(49, 1), cc(17, 50)], [press(50)]],
        6: [[mido.Message("program_change", program=1)], [press(52)], [let_go(52)]],
        8: [[cc(16, 0)], [cc(16, 30)], [let_go(50)]],
    }
    sound, control = perform(processor, midi_map, midi_device, audio, script)
    ride = control.recording.automation()
    assert ride.initial() == {"vocals": -80, "drums": -80, "bass": -3.3, "other": -80}
    again = remix(audio, 44100, {}, tiny_live_model, automation=ride)
    np.testing.assert_allclose(again, sound, rtol=0, atol=1e-6)


def test_pickup_is_in_the_file_too(midi_device, stage, tmp_path, tiny_live_model, noise):
    midi_map, audio = stage(takeover="pickup"), noise(2, 12_000)
    processor = StemProcessor(tiny_live_model, gains_db=START)
    script = {
        2: [[cc(16, 10), cc(16, 90)]],
        6: [[mido.Message("program_change", program=1)]],
        8: [[cc(16, 0)], [cc(16, 30)]],
    }
    sound, control = perform(processor, midi_map, midi_device, audio, script)
    control.recording.to_midi(tmp_path / "take.mid", 44100)
    ride = Automation.from_midi(tmp_path / "take.mid", midi_map, gains_db=START)
    np.testing.assert_allclose(remix(audio, 44100, START, tiny_live_model, automation=ride), sound, rtol=0, atol=1e-6)


def test_a_preset_without_a_button_is_in_the_file_as_nearly_as_the_controls_allow(
    midi_device, tmp_path, tiny_live_model
):
    processor = StemProcessor(tiny_live_model)
    done = 0
    with MidiControl(processor, GENERAL, midi_device.name, position=lambda: done) as control:
        done = 44100 + 512
        control.load_preset({"vocals": -6.1, "drums": -80})
        eventually(lambda: processor.gains_db["drums"] == -80)
        eventually(lambda: len(control.recording.automation().points) == 6)
        control.recording.to_midi(tmp_path / "take.mid", 44100)
    assert [p for p in control.recording.automation().points if p.at] == [
        (44100, "vocals", -6.1, "step"), (44100, "drums", -80.0, "step")
    ]  # fmt: skip
    points = Automation.from_midi(tmp_path / "take.mid").points
    assert [(p.at, p.stem) for p in points] == [(1.0, "vocals"), (1.0, "drums")]
    assert points[0].gain_db == pytest.approx(-6.1, abs=0.4)
    assert points[1].gain_db == -80


def test_a_fader_that_returns_to_its_gain_before_a_preset_is_in_the_file(stage, tmp_path, tiny_live_model):
    """Both happen in one block."""
    control = MidiControl(StemProcessor(tiny_live_model), stage(takeover="jump"), EchoPort(), position=lambda: 0)
    recording = control.recording
    recording.add(44100, "gain", "vocals", -40.0)
    recording.add(88200, "preset", None, "karaoke")
    for stem, gain in {"vocals": -40.0, "drums": 0.0, "bass": 0.0, "other": 0.0}.items():
        recording.add(88200, "gain", stem, gain)
    recording.to_midi(tmp_path / "take.mid", 44100)
    for ride in recording.automation(), Automation.from_midi(tmp_path / "take.mid", stage(takeover="jump")):
        assert [point.gain_db for point in ride.points if point.stem == "vocals"][-1] == pytest.approx(-40)


def test_gains_that_a_plugin_rounds_are_recorded_as_rounded(midi_device, tiny_live_model):
    mix = StemMix(tiny_live_model)
    with MidiControl(mix, GENERAL, midi_device.name, position=lambda: 0) as control:
        midi_device.send(cc(16, 121))
        eventually(lambda: mix.vocals_db > 9)
        eventually(lambda: control.recording.automation().initial()["vocals"] != 0)
        assert control.recording.automation().initial()["vocals"] == mix.vocals_db != GENERAL.bindings[0].gain_db(121)


def test_the_gains_at_the_start_are_in_the_file_if_a_control_can_send_them(midi_device, tmp_path, tiny_live_model):
    exact = GENERAL.bindings[0].gain_db(90)
    processor = StemProcessor(tiny_live_model, gains_db={"vocals": exact, "drums": -6.1})
    control = MidiControl(processor, GENERAL, midi_device.name, position=lambda: 0)
    control.recording.to_midi(tmp_path / "take.mid", 44100)
    assert Automation.from_midi(tmp_path / "take.mid").initial() == {"vocals": pytest.approx(exact)}
    assert control.recording.automation().initial() == {"vocals": exact, "drums": -6.1, "bass": 0, "other": 0}


def test_mutes_at_the_start_are_in_the_file(midi_device, tmp_path, tiny_live_model):
    processor = StemProcessor(tiny_live_model)
    processor.mute("bass")
    done = 0
    with MidiControl(processor, "nanokontrol2", midi_device.name, position=lambda: done) as control:
        done = 44100 + processor.latency_samples
        control.mute("bass", False)
        eventually(lambda: not processor.muted)
        eventually(lambda: len(control.recording.automation().points) == 5)
        control.recording.to_midi(tmp_path / "take.mid", 44100)
    points = Automation.from_midi(tmp_path / "take.mid", "nanokontrol2").points
    assert points == ((0.0, "bass", -80.0, "step"), (1.0, "bass", 0.0, "step"))


def test_moves_before_the_song_sounds_set_its_start(midi_device, tiny_live_model):
    processor = StemProcessor(tiny_live_model)
    done = 100
    with MidiControl(processor, GENERAL, midi_device.name, position=lambda: done) as control:
        midi_device.send(cc(16, 50))
        eventually(lambda: control.recording.automation().initial()["vocals"] != 0)
        assert control.recording.automation().initial()["vocals"] == pytest.approx(-40)


def test_a_recorded_performance_on_a_plugin_renders_the_same_sound(midi_device, tiny_live_model, noise):
    """Its parameters act on the input, so no latency is subtracted."""
    mix, audio, done, out = StemMix(tiny_live_model), noise(2, 10_240), 0, []
    moves = {2048: cc(0, 50), 4096: cc(49, 127), 6144: cc(35, 127)}
    with MidiControl(mix, "nanokontrol2", midi_device.name, position=lambda: done) as control:
        settle, sent = watch(control), 0
        for done in range(0, 10_240, 512):
            if done in moves:
                midi_device.send(moves[done])
                sent += 1
                settle(sent)
            out.append(mix.process(audio[:, done : done + 512], 44100, 512, reset=False))
    assert (mix.drums_mute, mix.other_solo) == (True, True)
    sound = np.concatenate(out, axis=-1)[:, 512:]  # which is its latency
    again = remix(audio, 44100, {}, tiny_live_model, automation=control.recording.automation())
    np.testing.assert_allclose(again[:, :-512], sound, rtol=0, atol=1e-6)
    assert np.abs(sound - audio[:, :-512]).max() > 0.1


@pytest.mark.parametrize(
    ("target", "options", "at"),
    [("processor", {}, 1000 - 512), ("attributes", {}, 1000), ("processor", {"latency_samples": 300}, 700)],
)
def test_which_latency_is_subtracted(midi_device, tiny_live_model, target, options, at):
    """Attributes act on the input."""
    target = StemProcessor(tiny_live_model) if target == "processor" else make_desk("db")
    with MidiControl(target, GENERAL, midi_device.name, position=lambda: 1000, **options) as control:
        midi_device.send(cc(16, 50))
        eventually(lambda: len(control.recording.automation().points) == 5)
    assert control.recording.automation().points[-1].at == at


def test_a_flood_in_one_block_is_one_entry(midi_device, tiny_live_model):
    processor = StemProcessor(tiny_live_model)
    with MidiControl(processor, GENERAL, midi_device.name, position=lambda: 1000) as control:
        midi_device.send(*(cc(16, value % 128) for value in range(2000)), cc(16, 3), cc(17, 0))
        eventually(lambda: processor.gains_db["drums"] == -80)
    assert len(control.recording._done) == 2
    assert control.recording.automation().points[-2].gain_db == GENERAL.bindings[0].gain_db(3)


def test_without_a_position_nothing_is_recorded():
    with pytest.raises(ControlError, match="give MidiControl a `position`"):
        MidiControl(make_desk("db"), GENERAL, EchoPort()).recording  # noqa: B018


def test_a_file_that_cannot_be_written_says_so(tmp_path):
    control = MidiControl(make_desk("db"), GENERAL, EchoPort(), position=lambda: 0)
    with pytest.raises(ControlError, match=r"take\.mid cannot be written"):
        control.recording.to_midi(tmp_path / "no" / "take.mid", 44100)
