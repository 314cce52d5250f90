"""Calls of hosts other than playing, in the usual order and in any other."""

import json
import subprocess
from dataclasses import replace

import pytest
from stembridge.plugin.bridge.bundle import bundle_library, import_folders, write_bundle
from stembridge.plugin.bridge.factory import Timing
from stembridge.plugin.processors import describe_processor

TYPED = {"-6": "-6", "-6.5": "-6.5", "-6,5": "-6.5", "+3": "3", " 3": "3", "3 ": "3", "-6 dB": "-6", "-6,5dB": "-6.5"}
TYPED |= {"minus6": "-6", "1e1": "10", "99": "20"}
TYPED |= dict.fromkeys(("-inf", "-inf dB", "-INF", "minus infinity"), "-inf")
NO_NUMBERS = ("", " ", "-", "+", "+-3", "3x", "six", "1,5.5", "1.2.3", "inf", "nan", "dB", "3 Hz")
SWITCHED = dict.fromkeys(("on", "On", "ON", "true", " on ", "1"), "On") | dict.fromkeys(
    ("off", "Off", "false", "0"), "Off"
)


SOURCE = """
class Gain:
    parameters = {"level_db": (-80.0, 20.0, 0.0), "switch": False}
    latency_samples = 0
    def reset(self): pass
    def process(self, block): return 0.5 * block
"""
OUTPUT = "1 Output 2 main active"


@pytest.fixture
def check(host, write_module, tmp_path):
    """(changes to the descriptor) -> the lines of the host, key -> values, and its stderr."""

    def check(**changes):
        descriptor, _ = describe_processor(f"{write_module(SOURCE)}:Gain", {}, import_folders())
        bundle = tmp_path / "it.vst3"
        write_bundle(bundle, replace(descriptor, lowest={"level_db": "-inf"}, **changes))
        command = [host, bundle_library(bundle), "check"]
        run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        found: dict[str, list[str]] = {}
        for line in run.stdout.splitlines():
            key, _, value = line.partition(" ")
            found.setdefault(key, []).append(value)
        return found, run.stderr, bundle

    return check


def test_calls_out_of_order_are_safe(check):
    found, stderr, _ = check()
    expected = {
        "initialized_twice": "0",
        "without_setup": "0 1 0 0",  # accepted; passed unchanged; latency; processes
        "children_set_up": "0",
        "arranged_while_active": "0",
        "no_input": "0 1",
        "flagged_input": "0 1 3",
        "arranged_again": "1",
        "arranged_mono_to_stereo": "1",
        "arranged_stereo_to_mono": "0",
        "arranged_main_only": "1",
        "arranged_too_many": "0",
        "sizes": "1 1 0",
        "requirements": str(1 << 2 | 1 << 4 | 1 << 6 | 1 << 10),  # the transport, musical time, its loop and the tempo
        "lowest": "-inf",
        "highest": "20",
    }
    assert {key: found[key] for key in expected} == {key: [value] for key, value in expected.items()}
    rates = [value.split() for value in found["rate"]]
    assert [rate for rate, accepted in rates if accepted == "1"] == ["8000", "192000", "44100"]
    assert len(rates) == 11
    assert "384000 Hz" in stderr


def test_typed_values(check):
    typed = [tuple(value.split("|")) for value in check()[0]["typed"]]
    expected = {("Level", text): value for text, value in TYPED.items()}
    expected |= {("Level", text): "refused" for text in NO_NUMBERS}
    expected |= {("Switch", text): value for text, value in SWITCHED.items()}
    expected |= {("Switch", text): "refused" for text in ("maybe", "")}
    assert {(title, text): value for title, text, value in typed} == expected


def test_the_library_and_moduleinfo_agree(check):
    found, _, bundle = check(categories=("Fx", "Tools"))
    module = json.loads((bundle / "Contents" / "Resources" / "moduleinfo.json").read_text())
    (the_class,) = module["Classes"]
    keys = "Name", "Vendor", "Version", "Category", "Sub Categories", "SDKVersion", "CID"
    said = [the_class[key] if key != "Sub Categories" else "|".join(the_class[key]) for key in keys]
    assert found["class"] == ["|".join(said)]
    assert said[4] == "Fx|Tools"
    maker = module["Factory Info"]
    assert found["vendor"] == [f"{maker['Vendor']}|{maker['URL']}|{maker['E-Mail']}"]
    assert all(found["vendor"][0].split("|"))


def test_other_outputs_are_inactive_buses_that_carla_does_not_see(check):
    found, _, _ = check(outputs=("Low", "High"))
    assert found["bus"] == ["0 Input 2 main active", OUTPUT, "1 Low 2 aux inactive", "1 High 2 aux inactive"]
    assert found["bus_in_carla"] == ["0 Input 2 main active", OUTPUT]
    assert found["bus_mono_to_stereo"] == ["0 Input 1 main active", *found["bus"][1:]]
    assert check()[0]["bus"] == ["0 Input 2 main active", OUTPUT]


@pytest.mark.parametrize(("tail", "said"), [(-1, 0xFFFFFFFF), (0, 0), (4410, 4410)])
def test_the_tail_is_reported_without_the_latency(check, tail, said):
    """An unknown tail is reported as infinite."""
    found, _, _ = check(latencies={44100.0: Timing(100, 64, tail)})
    assert found["latency"] == ["164"], "with the extra latency of real time"
    assert found["tail"] == [str(said)]


def test_presets_are_programs_that_move_parameters(check):
    """A program moves parameters when it is chosen, not when a host repeats its number."""
    found, _, _ = check(presets={"quiet": {"level_db": -20.0}, "gone": {"level_db": -80.0, "switch": 1.0}})
    assert found["units"] == ["1 -1"]
    assert found["program"] == ["-1 refused", "0 No preset", "1 quiet", "2 gone", "3 refused"]
    assert found["chosen"] == ["quiet -20 1", "gone -inf 2", "gone 10 2"]
    assert found["restored"] == ["gone 10"]
    assert found["repeated"] == ["10"]


def test_midi_controllers_move_parameters(check):
    found, _, _ = check(controllers={16: "level_db", 127: "switch"})
    assert found["controller"] == ["0 16 Level", "0 127 Switch"]
    assert found["events"] == ["MIDI 16"]


def test_without_presets_and_controllers_there_is_no_list_and_no_midi_input(check):
    found, _, _ = check()
    assert found["units"] == ["1 -1"]
    assert not {"program", "controller", "events", "chosen"} & found.keys()
