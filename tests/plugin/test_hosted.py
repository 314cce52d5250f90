"""StemMix and load_processor as Python objects: parameters, repr, copies and error messages."""

import copy
import inspect
import json
import os
import pickle
import shutil
import subprocess
import sys
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pedalboard
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stembridge import StemMix, StemProcessor, load_processor
from stembridge.core.errors import BridgeError
from stembridge.models import ModelError, load_model
from stembridge.plugin import HostedPlugin
from stembridge.plugin.bridge import bundle as bundles
from stembridge.plugin.bridge.bundle import bundle_library, import_folders, temporary_bundles
from stembridge.plugin.stemmix import describe_stem_mix
from stembridge.presets import PresetError

RATE = 44100
STEMS = ("vocals", "drums", "bass", "other")
UNITY = dict.fromkeys((f"{stem}_db" for stem in STEMS), 0.0)
UNITY |= {f"{stem}_{kind}": False for kind in ("mute", "solo") for stem in STEMS}


@pytest.fixture(scope="module")
def shared_mix(tiny_live_model):
    return StemMix(tiny_live_model)


@pytest.fixture
def mix(shared_mix):
    """Reset the shared StemMix to unity. The tests share one, as they leave its process alive."""
    for name, value in (UNITY | {"bypass": False}).items():
        setattr(shared_mix, name, value)
    return shared_mix


@pytest.fixture(scope="module")
def audio(noise):
    return noise(2, 20000)


@pytest.fixture
def mortal(tiny_live_model, new_children):
    """Make a StemMix in the middle of a stream, and its process; if a test kills it, the next sound is dry."""
    mix = StemMix(tiny_live_model)
    (process,) = new_children()
    mix(np.zeros((2, 1000), np.float32), RATE)
    return mix, process


def remixed(audio, model, **gains_db):
    processor = StemProcessor(model, RATE, 2, gains_db)
    late = processor.process(np.pad(audio, ((0, 0), (0, processor.latency_samples))))
    return late[:, processor.latency_samples :]


def test_it_is_a_real_plugin_and_sounds_like_the_processor(mix, audio, tiny_live_model):
    assert isinstance(mix, pedalboard.Plugin)
    assert isinstance(mix, pedalboard.VST3Plugin)
    mix.vocals_db, mix.drums_db, mix.bass_mute = -80, 3.3, True
    expected = remixed(audio, tiny_live_model, vocals=-80, drums=3.3, bass=-80)
    np.testing.assert_allclose(mix(audio, RATE), expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(mix.process(audio, RATE, buffer_size=512), expected, rtol=0, atol=1e-6)
    board = pedalboard.Pedalboard([pedalboard.Gain(6), mix, pedalboard.Gain(-6)])
    np.testing.assert_allclose(board(audio, RATE), expected, rtol=0, atol=1e-5)
    assert mix.dropouts == 0
    assert mix._reload_type.name == "ClearsAudioOnReset", "otherwise only the thread that loaded it may use it"


def test_it_has_its_model_and_stems(mix, tiny_live_model):
    assert mix.model == str(tiny_live_model)
    assert mix.stems == STEMS
    assert mix.name == "StemMix"
    assert StemMix().model == "mix"


def test_parameters_are_as_pedalboard_shows_them(mix):
    assert list(mix.parameters) == [*UNITY, "bypass"]
    for stem in STEMS:
        assert mix.parameters[f"{stem}_db"].range[:2] == (-80, 20)
        assert mix.parameters[f"{stem}_db"].units == "dB"
        assert mix.parameters[f"{stem}_mute"].type is bool
    assert {*UNITY, "bypass", "dropouts", "model"} <= set(dir(mix))
    mix.vocals_db = -6.3
    assert float(mix.parameters["vocals_db"].string_value) == mix.vocals_db == -6.3
    mix.parameters["vocals_db"].raw_value = 0.5
    assert mix.vocals_db == -30


@given(st.floats(-80, 20))
@settings(max_examples=200)
def test_a_value_is_not_snapped_to_pedalboards_grid(shared_mix, value):
    shared_mix.drums_db = value
    assert shared_mix.parameters["drums_db"].raw_value == np.float32((value + 80) / 100)
    assert shared_mix.drums_db == pytest.approx(value, abs=0.001)


@given(st.integers(-8000, 2000))
def test_hundredths_of_a_decibel_come_back_as_they_are(shared_mix, hundredths):
    shared_mix.bass_db = hundredths / 100
    assert shared_mix.bass_db == hundredths / 100


@pytest.mark.parametrize("value", [-80, -80.001, -300.0, float("-inf"), np.float32(-90), np.int64(-100)])
def test_silence_has_many_names(mix, value):
    mix.vocals_db = value
    assert mix.vocals_db == -80


@pytest.mark.parametrize("value", [float("nan"), 20.01, float("inf"), "3", "-3 dB", None, True, [1], 1j, np.zeros(1)])
def test_values_that_are_not_gains_are_refused(mix, value):
    mix.vocals_db = -1
    with pytest.raises(ValueError, match=r"^vocals_db: [^\n]*$"):
        mix.vocals_db = value
    assert mix.vocals_db == -1


@pytest.mark.parametrize("name", ["vocals_mute", "bypass"])
@pytest.mark.parametrize("on", [True, 1, 1.0, np.True_])
def test_toggles(mix, name, on):
    setattr(mix, name, on)
    assert getattr(mix, name) is True
    setattr(mix, name, type(on)(0))
    assert getattr(mix, name) is False


@pytest.mark.parametrize("value", [2, 0.5, "on", "False", None, float("nan")])
def test_values_that_are_not_toggles_are_refused(mix, value):
    with pytest.raises(ValueError, match=r"^bypass: .* does not work; give True or False$"):
        mix.bypass = value


@pytest.mark.parametrize(
    ("name", "nearest"), [("vocal_db", "vocals_db"), ("bypas", "bypass"), ("dropout", "dropouts"), ("reste", "reset")]
)
def test_a_misspelt_attribute_raises_and_names_the_nearest(mix, name, nearest):
    with pytest.raises(AttributeError, match=rf"'{name}' \(did you mean '{nearest}'\?\)"):
        getattr(mix, name)
    with pytest.raises(AttributeError, match=rf"'{name}' \(did you mean '{nearest}'\?\)"):
        setattr(mix, name, 0)
    assert name not in vars(mix)


def test_an_attribute_unlike_all_others_lists_the_parameters(mix):
    with pytest.raises(AttributeError, match="its parameters are vocals_db, drums_db"):
        mix.qqqq = 1
    assert not hasattr(mix, "__array_interface__")
    for name in ("model", "stems", "dropouts", "name"):
        with pytest.raises(AttributeError):
            setattr(mix, name, 1)


def test_the_constructor(tiny_live_model, monkeypatch):
    monkeypatch.chdir(tiny_live_model.parent)
    mix = StemMix(tiny_live_model.name, preset="karaoke", drums_db=3, other_db=float("-inf"), bass_mute=True, bypass=1)
    assert repr(mix) == (
        f"StemMix(model={str(tiny_live_model)!r}, vocals_db=-80.0, drums_db=3.0, bass_db=0.0, other_db=-80.0, "
        "bass_mute=True, bypass=True)"
    )
    again = eval(repr(mix))
    assert repr(again) == repr(mix)
    assert StemMix(tiny_live_model.name, preset="karaoke", vocals_db=-3).vocals_db == -3


def test_a_preset_for_stems_that_the_model_lacks(tiny_live_model, tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"name": "m", "description": "", "gains_db": {"piano": -6}}))
    with pytest.raises(ValueError, match=r"'piano'; the stems are vocals, drums, bass, other"):
        StemMix(tiny_live_model, preset=path)


@pytest.mark.parametrize(
    ("arguments", "kind", "what"),
    [
        ({"vocal_db": 1}, TypeError, r"'vocal_db' \(did you mean 'vocals_db'\?\)"),
        ({"dropouts": 1}, TypeError, "'dropouts'"),
        ({"vocals_db": 21}, ValueError, "vocals_db: gain 21 dB"),
        ({"vocals_db": float("nan")}, ValueError, "vocals_db: gain nan dB"),
        ({"vocals_mute": "yes"}, ValueError, "vocals_mute: 'yes'"),
        ({"preset": "karaok"}, PresetError, "unknown preset 'karaok'"),
        ({"model": "lives"}, ModelError, "unknown model 'lives'"),
        ({"model": "missing.onnx"}, ModelError, r"missing\.onnx"),
    ],
)
def test_the_constructor_refuses_in_one_line_before_it_starts_anything(
    arguments, kind, what, tiny_live_model, new_children
):
    with pytest.raises(kind, match=what) as caught:
        StemMix(**({"model": tiny_live_model} | arguments))
    assert "\n" not in str(caught.value)
    assert not new_children()


def test_without_the_native_part(monkeypatch, tmp_path, tremolo):
    monkeypatch.setattr(bundles, "HERE", tmp_path)
    monkeypatch.setattr(temporary_bundles, "_bundles", {})
    for load in (StemMix, lambda: load_processor(tremolo)):
        with pytest.raises(BridgeError, match="not built; install a C"):
            load()


def test_on_systems_other_than_linux_one_line_names_the_alternative(monkeypatch, tremolo):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(temporary_bundles, "_bundles", {})
    for load in (StemMix, lambda: load_processor(tremolo), lambda: HostedPlugin("Tremolo.vst3")):
        with pytest.raises(BridgeError, match=r"^VST3 plugins of StemBridge run on Linux only, .* use [^\n]*$"):
            load()


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda plugin: pickle.loads(pickle.dumps(plugin))])
def test_copies_have_the_same_settings_and_sound(mix, audio, again):
    mix.vocals_db, mix.drums_db, mix.other_mute = -4.56789, 3.3, True
    other = again(mix)
    assert type(other) is StemMix
    assert repr(other) == repr(mix)
    np.testing.assert_array_equal(other(audio, RATE), mix(audio, RATE))
    raw = [[parameter.raw_value for parameter in plugin.parameters.values()] for plugin in (mix, other)]
    assert raw[0] == raw[1], "to the last bit"
    other.vocals_db = 0
    assert mix.vocals_db != 0


class Karaoke(StemMix):
    """A subclass as users write them, with more arguments and attributes."""

    singer = "nobody"

    def __init__(self, model, level, *, room):
        super().__init__(model, vocals_db=level)
        self._room = room
        self.singer = "somebody"


def test_a_subclass_pickles_with_its_own_attributes(tiny_live_model):
    sys.modules.setdefault(Karaoke.__module__, sys.modules[__name__])
    mix = Karaoke(tiny_live_model, -12, room="hall")
    mix.drums_db = 2
    other = copy.copy(mix)
    assert type(other) is Karaoke
    assert (other._room, other.singer, other.vocals_db, other.drums_db) == ("hall", "somebody", -12, 2)
    assert repr(other).startswith("Karaoke(model=")


SPAWN = """
import multiprocessing, sys
import numpy as np
from stembridge import StemMix

def render(mix, audio):
    return repr(mix), mix(audio, 44100)

if __name__ == "__main__":
    mix = StemMix(sys.argv[1], vocals_db=-7)
    audio = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 5000)).astype(np.float32)
    pool = multiprocessing.get_context("spawn").Pool(1)
    shown, theirs = pool.apply(render, (mix, audio))
    pool.close()
    pool.join()
    assert shown == repr(mix)
    assert (theirs == mix(audio, 44100)).all()
    print("equal")
"""


def test_multiprocessing_spawns_with_it(tiny_live_model, tmp_path):
    script = tmp_path / "spawn.py"
    script.write_text(SPAWN)
    done = subprocess.run([sys.executable, script, tiny_live_model], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "equal\n", "")


def test_another_thread_may_use_it_but_not_make_one(mix, audio, tiny_live_model):
    with ThreadPoolExecutor(1) as thread:
        expected = remixed(audio, tiny_live_model)
        np.testing.assert_allclose(thread.submit(mix, audio, RATE).result(), expected, rtol=0, atol=1e-6)
        with pytest.raises(RuntimeError, match=r"^StemMix cannot be made on this thread: .*; make this one on"):
            thread.submit(StemMix, tiny_live_model).result()


ON_THREADS = """
import gc, os, sys
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
import numpy as np
from stembridge import StemMix, StemRack, load_processor

model, audio, made = sys.argv[1], np.ones((2, 1000), np.float32), []

def make(kind=StemMix):
    made.append(kind(model))
    print("made", end=" ")

def on_a_thread(*arguments):
    thread = Thread(target=make, args=arguments)
    thread.start()
    thread.join()

def rack(model):
    return StemRack(model, other=StemMix(model))

def processor(model):
    return load_processor("stembridge.plugin.effect:StemEffect", model=model)

"""


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("on_a_thread(); make(); on_a_thread(rack); on_a_thread(processor); make(rack)", 5),
        ("with ThreadPoolExecutor(3) as pool:\n    [*pool.map(make, [StemMix, rack, processor])]\nmake()", 4),
        ("make(); made.clear(); gc.collect(); on_a_thread(); make(); on_a_thread()", 4),
        ("on_a_thread()\nif not os.fork():\n    make(); on_a_thread(); os._exit(0)\nos.wait(); make()", 4),
    ],
)
def test_threads_that_end_may_make_the_first(tiny_live_model, code, count):
    used = "\nfor mix in made:\n    if isinstance(mix, StemMix):\n        assert mix(audio, 44100).shape == audio.shape"
    quiet = ["-W", "ignore:This process:DeprecationWarning"]  # Python 3.12 and later warn of any fork with threads
    command = [sys.executable, *quiet, "-u", "-c", f"{ON_THREADS}{code}{used}", str(tiny_live_model)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "made " * count, "")


def test_equal_plugins_share_one_library(tiny_live_model):
    first, second = StemMix(tiny_live_model), StemMix(tiny_live_model, vocals_db=-3)
    assert first._recipe == second._recipe
    assert temporary_bundles.get(first._descriptor) == temporary_bundles.get(second._descriptor)
    with open("/proc/self/maps") as maps:
        libraries = {line.split()[-1] for line in maps if line.rstrip().endswith("StemMix.so")}
    assert str(bundle_library(temporary_bundles.get(first._descriptor))) in libraries


def test_each_counts_its_own_dropouts(mortal, mix, audio, kill):
    dead, process = mortal
    kill(process)
    with pytest.warns(RuntimeWarning):
        dead(audio, RATE, reset=False)
    assert dead.dropouts > 0
    assert mix.dropouts == 0


@pytest.fixture
def dry_render(mortal, audio, kill):
    """Render dry sound that Python does not see, as in a board."""
    mix, process = mortal
    board = pedalboard.Pedalboard([mix])
    kill(process)
    board(audio, RATE, reset=False)
    return mix


CALLS = {
    "get": lambda mix: mix.vocals_db,
    "set": lambda mix: setattr(mix, "vocals_db", -3),
    "misspelt": lambda mix: hasattr(mix, "vocal_db"),
    "repr": lambda mix: repr(mix),
    "reset": lambda mix: mix.reset(),
    "dropouts": lambda mix: mix.dropouts,
    "call": lambda mix: mix(np.zeros((2, 100), np.float32), RATE),
    "process": lambda mix: mix.process(np.zeros((2, 100), np.float32), RATE),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_dry_render_is_reported_once_by_the_next_call(dry_render, call):
    mix = dry_render
    with pytest.warns(RuntimeWarning) as told:
        call(mix)
    (warning,) = told
    assert str(warning.message).startswith("StemMix: ")
    assert "stderr has the reason" in str(warning.message)
    assert warning.filename == __file__
    assert warning.lineno == inspect.getsourcelines(call)[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call(mix)
    assert f"({mix.dropouts} in all)" in str(warning.message)


def test_a_dry_render_by_the_plugin_itself_is_reported_at_once(mortal, audio, kill):
    mix, process = mortal
    kill(process)
    with pytest.warns(RuntimeWarning, match=r"^StemMix: \d+ blocks? went out dry") as told:
        mix(audio, RATE, reset=False)
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mix(audio, RATE)


def test_a_whole_song_is_processed_in_long_blocks(tiny_live_model, tmp_path, new_children, noise, kill):
    """Pieces of a song have the requested blocks. The test counts dry blocks, and needs neither process nor model."""
    model = Path(shutil.copy(tiny_live_model, tmp_path))
    shutil.copy(tiny_live_model.with_suffix(".json"), tmp_path)
    mix = StemMix(model)
    song = noise(2, 3 * 8192 - 512)  # a whole song is processed until its end comes out, the latency later
    (process,) = new_children()
    mix(song, RATE)
    model.unlink()
    kill(process)

    def count(process, *arguments, **options):
        before = mix.dropouts
        with warnings.catch_warnings(action="ignore"):
            process(song, RATE, *arguments, **options)
        return mix.dropouts - before

    assert count(mix, 256) == count(mix.process, buffer_size=256) == count(mix) == 3
    assert count(mix, 12288) == 2
    assert count(mix, 256, False) == count(mix, buffer_size=256, reset=False) == 94


def test_if_the_warning_is_an_error_no_value_is_changed(dry_render, audio):
    mix = dry_render
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning):
            mix.vocals_db = -3
        assert mix.vocals_db == 0
        mix.vocals_db = -3
        assert mix.vocals_db == -3
        assert mix.dropouts > 0


def test_any_processor_becomes_a_plugin(tremolo, audio):
    plugin = load_processor(tremolo, depth=0.25)
    assert isinstance(plugin, HostedPlugin)
    assert isinstance(plugin, pedalboard.VST3Plugin)
    assert repr(plugin) == f"load_processor({tremolo!r}, depth=0.25, rate_hz=5.0)"
    plugin.rate_hz = 7
    seconds = np.arange(audio.shape[-1]) / RATE
    expected = audio * (1 - 0.25 * (0.5 + 0.5 * np.sin(2 * np.pi * 7 * seconds)))
    np.testing.assert_allclose(plugin(audio, RATE, buffer_size=512), expected, rtol=0, atol=1e-6)
    assert plugin.dropouts == 0
    plugin.square = True
    assert repr(plugin) == f"load_processor({tremolo!r}, depth=0.25, rate_hz=7.0, square=True)"
    other = copy.deepcopy(plugin)
    assert repr(other) == repr(plugin)
    with pytest.raises(ValueError, match=r"^depth: 2 is out of range; give 0 to 1$"):
        plugin.depth = 2


def test_arguments_go_to_the_factory_or_to_a_parameter(write_module, audio):
    name = write_module("""
class Gain:
    def __init__(self, factor, offset=0.0, depth=0.0, **more):
        self.parameters = {"depth": (0, 1, 0.5), "level": (0, 2, 1)}
        self.latency_samples = 0
        self._constant = factor + offset + depth + more["more"]
    def reset(self): pass
    def process(self, block): return block * (self._constant * self.depth * self.level)
""")
    plugin = load_processor(f"{name}:Gain", factor=1, depth=0.25, more=0.25)
    assert repr(plugin) == f"load_processor('{name}:Gain', factor=1, depth=0.25, more=0.25, level=1.0)"
    np.testing.assert_allclose(plugin(audio, RATE), audio * 0.375, rtol=0, atol=1e-6)
    plugin.depth = 0.5
    other = copy.copy(plugin)
    assert repr(other) == repr(plugin)
    np.testing.assert_allclose(other(audio, RATE), audio * 0.75, rtol=0, atol=1e-6)


def test_a_processor_next_to_the_script_is_found(tmp_path):
    (tmp_path / "beside.py").write_text(
        "class Silence:\n    parameters = {}\n    latency_samples = 0\n    def reset(self): pass\n"
        "    def process(self, block): return 0 * block\n"
    )
    code = (
        "import numpy as np; from stembridge import load_processor; "
        "print(load_processor('beside:Silence')(np.ones((1, 100), np.float32), 44100).any())"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert (done.stdout, done.stderr) == ("False\n", "")


METHODS = "\n    latency_samples = 0\n    def reset(self): pass\n    def process(self, block): return block\n"
BAD = {
    "def factory(): raise KeyError('x')": "KeyError: 'x'",
    "raise RuntimeError('two\\nlines')": "cannot be imported: RuntimeError: two lines",
    "from nowhere_at_all import factory": "no module named 'nowhere_at_all'",
    "import !": "cannot be imported: SyntaxError",
    "factory = 3": "no factory 'factory'",
    "class factory:\n    def reset(self): pass": "no method 'process'",
    "class factory:\n    def process(self): pass": "no method 'reset'",
    "def factory(): return 3": "int is not a processor: it has no process",
    "raise SystemExit": "cannot be imported: SystemExit",
    f"class factory:\n    parameters = {{}}{METHODS}    latency_samples = -1": "latency_samples is -1",
    f"class factory:\n    {METHODS}    tail_samples = 0.5": "tail_samples is 0.5; it must be a whole number from 0",
    f"class factory:\n    parameters = 3{METHODS}": "parameters",
    f"class factory:\n    parameters = {{'Depth': (0, 1, 0)}}{METHODS}": "'Depth' cannot be a parameter's name",
    f"class factory:\n    parameters = {{'bypass': True}}{METHODS}": "'bypass'",
    f"class factory:\n    parameters = {{'name': (0, 1, 0)}}{METHODS}": "cannot be called 'name'",
    f"class factory:\n    parameters = {{'dropouts': (0, 1, 0)}}{METHODS}": "cannot be called 'dropouts'",
    f"class factory:\n    parameters = {{'depth': (0, 1, 2)}}{METHODS}": "'depth'",
    f"class factory:\n    parameters = {{'depth': (0, 1)}}{METHODS}": "'depth'",
    f"class factory:\n    parameters = {{'depth': (0, float('nan'), 0)}}{METHODS}": "'depth'",
}


@pytest.mark.parametrize("source", BAD)
def test_objects_that_are_not_processors_are_refused(write_module, source, new_children):
    path = f"{write_module(source)}:factory"
    with pytest.raises(ValueError, match=BAD[source]) as caught:
        load_processor(path)
    assert path in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not new_children()


@pytest.mark.parametrize(
    "path", ["", "tremolo", ":x", "tremolo:", "no_such_module:x", "__main__:Effect", 3, None, "a:b c"]
)
def test_text_that_names_no_processor_is_refused(path):
    with pytest.raises(ValueError, match=r"package\.module:factory|no module named") as caught:
        load_processor(path)
    assert "\n" not in str(caught.value)


def test_a_state_that_was_tampered_with(mix):
    mix.vocals_db, mix.drums_db = -6, -12
    state = mix.preset_data
    assert b"vocals_db\t-6\n" in state
    mix.preset_data = state.replace(b"vocals_db\t-6\n", b"vocals_db\tna\n").replace(b"drums_db\t-12", b"drums_db\tnan")
    assert mix.vocals_db == mix.drums_db == 0, "invalid values are ignored"


def test_arguments_that_no_command_line_can_hold_are_refused(tremolo):
    with pytest.raises(BridgeError, match=r"the arguments have 200\d\d\d characters; give at most 100000"):
        load_processor(tremolo, title="x" * 200_000)


def test_a_module_that_loads_its_own_processor_is_refused(tmp_path):
    """Its process would import it, load the plugin, and so start another process, without end."""
    (tmp_path / "own.py").write_text(
        "from stembridge import load_processor\n"
        "class Through:\n"
        "    latency_samples = 0\n"
        "    def process(self, block): return block\n"
        "    def reset(self): pass\n"
        "load_processor('own:Through')\n"
    )
    run = subprocess.run(
        [sys.executable, "own.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 1
    assert "own loads a plugin when it is imported" in run.stderr
    assert 'put the code that loads it under `if __name__ == "__main__":`' in run.stderr.splitlines()[-1]


def test_another_configuration_starts_over_after_a_failure(mix, audio, tiny_live_model):
    with pytest.warns(RuntimeWarning):
        mix(audio, 7000)
    np.testing.assert_allclose(mix(audio, RATE), remixed(audio, tiny_live_model), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("kwargs", "kind", "what"),
    [
        ({"dept": 0.1}, TypeError, r"'dept' \(did you mean 'depth'\?\)"),
        ({"zzz": 0.1}, TypeError, "'zzz'"),
        ({"depth": 2}, ValueError, "depth: 2 is out of range"),
        ({"title": object()}, ValueError, "'title'"),
        ({"title": (1, 2)}, ValueError, "'title'"),
        ({"title": {1: 2}}, ValueError, "'title'"),
        ({"title": np.float32(1)}, ValueError, "'title'"),
        ({"title": float("nan")}, ValueError, "'title'"),
        ({"sample_rate": 8000}, ValueError, "sample_rate is set by the host"),
    ],
)
def test_unusable_arguments_are_refused(tremolo, kwargs, kind, what):
    with pytest.raises(kind, match=what) as caught:
        load_processor(tremolo, **kwargs)
    assert "\n" not in str(caught.value)


def test_a_missing_argument(write_module):
    name = write_module(f"class Needs:\n    parameters = {{}}{METHODS}    def __init__(self, thing): pass\n")
    with pytest.raises(TypeError, match=rf"{name}:Needs: missing a required argument: 'thing'"):
        load_processor(f"{name}:Needs")


def test_a_bundle_by_its_path(tremolo, audio, tmp_path):
    loaded = load_processor(tremolo, depth=0.0)
    bundle = tmp_path / "Tremolo.vst3"
    bundles.write_bundle(bundle, loaded._descriptor)
    plugin = HostedPlugin(bundle, depth=0)
    assert repr(plugin) == f"HostedPlugin({str(bundle)!r}, depth=0.0, rate_hz=5.0)"
    np.testing.assert_array_equal(plugin(audio, RATE), audio)
    assert repr(copy.copy(plugin)) == repr(plugin)
    with pytest.raises(BridgeError, match="does not exist"):
        HostedPlugin(tmp_path / "missing.vst3")
    damaged = tmp_path / "Damaged.vst3"
    bundles.write_bundle(damaged, loaded._descriptor)
    bundle_library(damaged).write_bytes(b"")
    with pytest.raises(BridgeError, match=r"Damaged\.vst3 cannot be loaded"):
        HostedPlugin(damaged)


def test_the_lowest_gain_is_a_number_even_if_hosts_show_inf(tiny_live_model, tmp_path):
    descriptor = describe_stem_mix(load_model(tiny_live_model), "Mix", import_folders())
    bundle = tmp_path / "Mix.vst3"
    bundles.write_bundle(bundle, descriptor)
    plugin = HostedPlugin(bundle, vocals_db=-80)
    assert plugin.parameters["vocals_db"].string_value == "-inf"
    assert plugin.vocals_db == -80
    assert eval(repr(plugin)).vocals_db == -80
    assert pickle.loads(pickle.dumps(plugin)).vocals_db == -80
    assert plugin.parameters["vocals_db"].range[:2] == (-80, 20)
    assert "range=(-80.0, 20.0" in repr(plugin.parameters["vocals_db"])
    plugin.vocals_db = -79.9
    assert plugin.vocals_db == -79.9


def test_a_plugin_ends_with_its_last_reference(tremolo):
    """It ends at once: while it exists, pedalboard lets no other thread load a plugin."""
    plugin = load_processor(tremolo)
    plugin.depth = 0.2
    ended = weakref.ref(plugin)
    del plugin
    assert ended() is None


def test_a_path_that_is_not_text_is_refused(tmp_path, tiny_live_model):
    descriptor = describe_stem_mix(load_model(tiny_live_model), "Mix", [])
    bundle = tmp_path / os.fsdecode(b"b\xff") / "Mix.vst3"
    bundles.write_bundle(bundle, descriptor)
    with pytest.raises(
        BridgeError, match=r"pedalboard cannot load from a path that is not UTF-8; choose another folder"
    ):
        HostedPlugin(bundle)


def test_what_a_processor_prints_is_seen_at_once(write_module, capfd):
    module = write_module(
        "class Chatty:\n"
        "    latency_samples = 0\n\n"
        "    def reset(self):\n"
        "        pass\n\n"
        "    def process(self, block):\n"
        "        print('said', block.any())\n"
        "        return block\n"
    )
    load_processor(f"{module}:Chatty")(np.ones((1, 100), np.float32), RATE)
    assert "said True\n" in "".join(capfd.readouterr())
