"""Maps: shipped ones are valid, a user's file is checked, and every mistake is one line."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stembridge.control import ControlError, load_map, map_names
from stembridge.control.maps.document import MapDocument
from stembridge.control.maps.midimap import HIGHEST_VALUES, SHIPPED_FOLDER, Binding, Control
from stembridge.core.documents import schema_of

STEMS = ("vocals", "drums", "bass", "other")
FADER = {"control": {"type": "cc", "number": 7}, "action": "gain", "stem": "vocals"}
BUTTON = {"control": {"type": "note", "number": 7}, "action": "mute", "stem": "vocals"}
PROGRAM = {"control": {"type": "program", "number": 7}, "action": "preset", "preset": "karaoke"}
TYPES = {
    "cc": {"number": 7}, "cc14": {"number": 7}, "nrpn": {"number": 700}, "pitchbend": {"channel": 3},
}  # fmt: skip


@pytest.fixture
def make_map(tmp_path):
    """Return a function that writes a map of bindings and loads it."""

    def make_map(*bindings, **fields):
        path = tmp_path / "mine.json"
        path.write_text(json.dumps({"name": "mine", "description": "", "bindings": bindings} | fields))
        return load_map(path)

    return make_map


def test_the_shipped_maps_have_names():
    assert map_names() == ["general", "mackie", "nanokontrol2"]


@pytest.mark.parametrize("name", ["general", "mackie", "nanokontrol2"])
def test_each_shipped_map_is_valid(name):
    shipped = load_map(name)
    assert shipped.name == name
    assert shipped.description
    assert shipped.stems == STEMS
    faders = [binding for binding in shipped.bindings if binding.action == "gain"]
    assert [binding.stem for binding in faders] == list(STEMS)
    assert all(binding.range_db == (-80, 12) and binding.curve == "unity" for binding in faders)


def test_the_general_map_has_the_stems_on_controllers_16_to_19_of_any_channel():
    general = load_map("general")
    assert [(b.control.type, b.control.number, b.channel) for b in general.bindings] == [
        ("cc", 16, None), ("cc", 17, None), ("cc", 18, None), ("cc", 19, None)
    ]  # fmt: skip
    assert (general.takeover, general.feedback) == ("pickup-after-preset", False)


def test_a_file_can_have_all_fields(make_map):
    loaded = make_map(
        {**FADER, "range_db": [-40, 0], "curve": "straight", "channel": 5},
        {"control": {"type": "relative", "number": 20.0, "encoding": "sign", "step_db": -1}, "action": "gain",
         "stem": "lead"},
        {"control": {"type": "note", "number": 60}, "action": "solo", "stem": "vocals", "mode": "momentary"},
        {"control": {"type": "pitchbend", "channel": 3}, "action": "gain", "stem": "drums"},
        {"control": {"type": "program", "number": 0}, "action": "preset", "preset": "karaoke"},
        channel=2, takeover="jump", feedback=True,
    )  # fmt: skip
    assert (loaded.channel, loaded.takeover, loaded.feedback, loaded.stems) == (
        2, "jump", True, ("vocals", "lead", "drums")
    )  # fmt: skip
    assert [binding.channel for binding in loaded.bindings] == [5, 2, 2, 3, 2]
    fader, turn, key, bend, program = loaded.bindings
    assert (fader.range_db, fader.curve) == ((-40.0, 0.0), "straight")
    assert (turn.control.number, turn.control.encoding, turn.control.step_db) == (20, "sign", -1)
    assert (key.mode, bend.mode) == ("momentary", "toggle")
    assert (program.preset, program.stem) == ("karaoke", None)


# --- curves


@pytest.mark.parametrize("control", TYPES)
def test_the_curve_is_straight_in_db_through_unity_at_100_of_127(make_map, control):
    (fader,) = make_map({**FADER, "control": {"type": control, **TYPES[control]}, "range_db": [-80, 12]}).bindings
    highest = HIGHEST_VALUES[control]
    unity = 100 * highest // 127
    assert fader.gain_db(0) == -80
    assert fader.gain_db(unity) == 0
    assert fader.gain_db(highest) == 12
    assert fader.gain_db(unity // 2) == pytest.approx(-40)
    assert fader.gain_db(unity + 1) == pytest.approx(12 / (highest - unity))
    assert fader.gain_db(unity - 1) == pytest.approx(-80 / unity)


@pytest.mark.parametrize("control", TYPES)
@pytest.mark.parametrize("curve", ["unity", "straight"])
@given(range_db=st.tuples(st.floats(-80, -0.1), st.floats(0.1, 20)))
def test_each_position_has_its_own_gain_and_is_found_again(control, curve, range_db):
    fader = Binding(Control(control), "gain", "vocals", None, None, range_db, curve, "toggle")
    highest = HIGHEST_VALUES[control]
    positions = range(0, highest + 1, 1 if highest < 200 else 127)
    gains = [fader.gain_db(position) for position in positions]
    assert gains == sorted(set(gains))
    assert gains[0] == range_db[0]
    assert gains[-1] == pytest.approx(range_db[1])
    assert all(range_db[0] <= gain <= 20 for gain in gains)
    assert [fader.position(gain) for gain in gains] == list(positions)
    assert (fader.position(-200), fader.position(99)) == (0, highest)


def test_fourteen_bits_are_finer_than_a_hundredth_of_a_db(make_map):
    (fine,) = make_map({**FADER, "control": {"type": "cc14", "number": 7}}).bindings
    gains = [fine.gain_db(position) for position in range(16384)]
    assert len(set(gains)) == 16384
    assert max(b - a for a, b in pairwise(gains)) < 0.01


# --- refused input


@pytest.mark.parametrize(
    "name", ["nosuch", "", ".", "..", "GENERAL", "general\n", "map.schema", "..\\general", "midi"]
)  # fmt: skip
def test_an_unknown_name_is_refused_with_the_known_names(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ControlError, match=r"choose from general, mackie, nanokontrol2, or .*\.json"):
        load_map(name)


@pytest.mark.parametrize("path", ["../general", "./general", "midi/general", "general.json", "map.schema.json"])
def test_a_path_is_never_looked_up_among_the_shipped_maps(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ControlError, match="cannot be read: No such file"):
        load_map(path)


def test_the_schema_is_valid_and_not_a_map():
    from jsonschema import Draft202012Validator

    path = SHIPPED_FOLDER / "map.schema.json"
    schema = json.loads(path.read_text())
    Draft202012Validator.check_schema(schema)
    assert schema == schema_of(MapDocument), "regenerate the schema after the types have changed"
    for shipped in map_names():
        Draft202012Validator(schema).validate(json.loads((SHIPPED_FOLDER / f"{shipped}.json").read_text()))
    with pytest.raises(ControlError, match="is not a map"):
        load_map(path)


@pytest.mark.parametrize(
    ("binding", "says"),
    [
        ({"action": "gain", "stem": "vocals"}, "bindings.0: 'control' is a required property"),
        ({**FADER, "action": "volume"}, "bindings.0.action: 'volume' is not one of"),
        ({**FADER, "stem": 3}, "bindings.0.stem: 3 is not of type 'string'"),
        ({**FADER, "stem": ""}, "bindings.0.stem: '' should be non-empty"),
        ({"control": FADER["control"], "action": "gain"}, "bindings.0: 'stem' is a required property"),
        ({"control": FADER["control"], "action": "preset"}, "bindings.0: 'preset' is a required property"),
        ({**FADER, "mode": "toggle"}, "bindings.0: a gain has no 'mode'"),
        ({**BUTTON, "range_db": [-80, 6]}, "bindings.0: a mute has no 'range_db'"),
        ({**PROGRAM, "stem": "vocals"}, "bindings.0: a preset has no 'stem'"),
        (
            {**FADER, "control": {"type": "pitchbend", "channel": 2}, "channel": 3},
            "bindings.0: channel 3 differs from channel 2 of its control; give only one of them",
        ),
        ({**FADER, "control": {"type": "knob", "number": 1}}, "bindings.0.control.type: 'knob' is not one of"),
        ({**FADER, "control": {"type": "note", "number": 1}}, "bindings.0.control.type: 'note' is not one of"),
        ({**FADER, "control": {"type": "cc14", "number": 1}, "action": "mute"}, "control.type: 'cc14' is not one of"),
        ({**FADER, "control": {"type": "cc"}}, "bindings.0.control: 'number' is a required property"),
        ({**FADER, "control": {"number": 1}}, "bindings.0.control: 'type' is a required property"),
        ({**FADER, "control": {"type": "cc", "number": 128}}, "bindings.0.control.number: 128 is greater"),
        ({**FADER, "control": {"type": "cc", "number": -1}}, "bindings.0.control.number: -1 is less"),
        ({**FADER, "control": {"type": "cc", "number": 1.5}}, "bindings.0.control.number: 1.5 is not of type"),
        ({**FADER, "control": {"type": "cc14", "number": 32}}, "bindings.0.control.number: 32 is greater"),
        ({**FADER, "control": {"type": "nrpn", "number": 16383}}, "bindings.0.control.number: 16383 is greater"),
        ({**FADER, "control": {"type": "pitchbend"}}, "bindings.0.control: 'channel' is a required property"),
        ({**FADER, "control": {"type": "cc", "number": 1, "channel": 2}}, "bindings.0.control: "),
        ({**FADER, "control": {"type": "relative", "number": 1}}, "'encoding' is a required property"),
        ({**FADER, "control": {"type": "relative", "number": 1, "encoding": "ones"}}, "'ones' is not one of"),
        ({**FADER, "channel": 17}, "bindings.0.channel: 17 is greater"),
        ({**FADER, "channel": 0}, "bindings.0.channel: 0 is less"),
        ({**FADER, "range_db": [-80, 21]}, "bindings.0.range_db.1: 21 is greater"),
        ({**FADER, "range_db": [-80]}, "bindings.0.range_db: "),
        ({**FADER, "range_db": [6, -6]}, "bindings.0.range_db: 6 is not below -6"),
        ({**FADER, "range_db": [-80, 0]}, "bindings.0.range_db: 0 dB is not between -80 and 0"),
        ({**FADER, "curve": "log"}, "bindings.0.curve: 'log' is not one of"),
        ({**BUTTON, "mode": "latch"}, "bindings.0.mode: 'latch' is not one of"),
        ({**FADER, "gain": 1}, "bindings.0: a gain has no 'gain'"),
        ("fader", "bindings.0: 'fader' is not of type 'object'"),
    ],
)
def test_a_wrong_binding_is_one_line_that_names_it(make_map, tmp_path, binding, says):
    with pytest.raises(ControlError) as error:
        make_map(binding)
    assert says in str(error.value)
    assert str(tmp_path / "mine.json") in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"takeover": "soft"}, "takeover: 'soft' is not one of"),
        ({"channel": 17}, "channel: 17 is greater"),
        ({"feedback": "yes"}, "feedback: 'yes' is not of type"),
        ({"bindings": []}, "bindings: [] should be non-empty"),
        ({"name": ""}, "name: '' should be non-empty"),
        ({"stems": []}, "'stems' was unexpected"),
    ],
)
def test_a_wrong_field_is_one_line(make_map, fields, says):
    with pytest.raises(ControlError) as error:
        make_map(FADER, **fields)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"\xff\xfe\x80", "not valid JSON"),
        (b'{"channel": NaN}', "NaN is not a number"),
        (b'{"name": "a", "name": "b"}', "'name' appears twice in one object"),
        (b"[]", "not of type 'object'"),
        (b'{"name": "a", "description": ""}', "'bindings' is a required property"),
    ],
)
def test_a_file_that_is_not_a_map_says_why(tmp_path, content, says):
    (tmp_path / "mine.json").write_bytes(content)
    with pytest.raises(ControlError) as error:
        load_map(tmp_path / "mine.json")
    assert says in str(error.value)
    assert "mine.json" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_repeated_binding_is_refused(make_map):
    with pytest.raises(ControlError, match=r"bindings\.1 repeats an earlier binding"):
        make_map(FADER, FADER)


def test_the_path_of_a_preset_is_relative_to_the_map(make_map, tmp_path):
    (loaded,) = make_map({**PROGRAM, "preset": "presets/duet.json"}).bindings
    assert loaded.preset == str(tmp_path / "presets" / "duet.json")
    (named,) = make_map(PROGRAM).bindings
    assert named.preset == "karaoke"
    (absolute,) = make_map({**PROGRAM, "preset": "/presets/duet.json"}).bindings
    assert absolute.preset == "/presets/duet.json"
