"""`stembridge vst3`: install, list, check and remove StemBridge's plugins, and leave others alone."""

import json
import sys

import pytest
from stembridge import __version__
from stembridge.plugin.bridge import bundle as bundles
from stembridge.plugin.bridge.bundle import read_bundle, worker_arguments, write_bundle
from stembridge.plugin.bridge.descriptor import Descriptor
from stembridge.plugin.bridge.factory import Parameter

NOISY = """
import numpy as np

class Louder:
    parameters = {"gain_db": (0.0, 6.0, 6.0)}
    latency_samples = 0

    def reset(self):
        pass

    def process(self, block):
        return block * np.float32(10 ** (self.gain_db / 20))
"""


@pytest.fixture
def desk(desk, monkeypatch):
    """Make a desk with its own home folder."""
    monkeypatch.setenv("HOME", str(desk.folder))
    return desk


def rows(result):
    assert (result.returncode, result.stderr) == (0, "")
    if result.stdout.startswith("no StemBridge plugins are installed in "):
        return []
    return [line.split() for line in result.stdout.splitlines()[2:]]


def edit_descriptor(bundle, old, new):
    path = bundle / "Contents" / "Resources" / "descriptor.txt"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_install_list_check_remove(desk):
    """Run in separate processes, as users do."""
    result = desk.run("vst3", "install")
    assert (result.returncode, result.stderr) == (0, "")
    bundle = desk.folder / ".vst3" / "StemBridge.vst3"
    assert str(bundle) in result.stdout
    assert read_bundle(bundle).name == "StemBridge"
    ((name, version, *sound, interpreter, works),) = rows(desk.run("vst3", "list"))
    assert (name, version, interpreter, works) == ("StemBridge", __version__, sys.executable, "yes")
    assert sound[:2] == ["model", "mix"]
    result = desk.run("vst3", "check")
    assert (result.returncode, result.stderr) == (0, "")
    assert str(bundle) in result.stdout
    assert "44100 Hz: latency 6144 samples, 139.3 ms; noise comes back with a difference of 0" in result.stdout
    assert "48000 Hz: latency 6750 samples" in result.stdout
    table = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines() if "_" in line}
    assert table["vocals_db"] == ["-inf", "20", "0", "0", "dB"]
    assert table["other_mute"] == ["Off", "On", "Off", "Off"]
    result = desk.run("vst3", "remove", "StemBridge")
    assert (result.returncode, result.stdout) == (0, f"removed {bundle}\n")
    assert not bundle.exists()
    assert rows(desk.call("vst3", "list")) == []


def test_a_preset_that_cannot_be_read_is_left_out(desk, own_folder):
    own_folder.mkdir(parents=True)
    (own_folder / "broken.json").write_text("{")
    (own_folder / "mine.json").write_text('{"name": "mine", "description": "", "gains_db": {"drums": -6}}')
    result = desk.run("vst3", "install")
    assert result.returncode == 0
    assert "preset 'broken' is not valid JSON" in result.stderr
    assert result.stderr.rstrip().endswith("the plugin leaves it out")
    (bundle,) = (desk.folder / ".vst3").iterdir()
    names = read_bundle(bundle).presets
    assert "mine" in names
    assert "karaoke" in names
    assert "broken" not in names


def test_check_works_without_an_installed_plugin(desk):
    result = desk.call("vst3", "check")
    assert (result.returncode, result.stderr) == (0, "")
    assert "not installed" in result.stdout
    assert not (desk.folder / ".vst3").exists()


def test_another_model_has_another_name(desk):
    assert desk.call("vst3", "install", "--model", desk.model, "--dir", "plugins").returncode == 0
    assert desk.call("vst3", "install", "--model", desk.model, "--dir", "plugins", "--name", "Mine 2").returncode == 0
    assert desk.call("vst3", "install", "--dir", "plugins").returncode == 0
    table = rows(desk.call("vst3", "list", "--dir", "plugins"))
    assert [line[:2] for line in table] == [["Mine", "2"], ["StemBridge", __version__], ["StemBridge", "tiny_live"]]
    listed = json.loads(desk.call("vst3", "list", "--dir", "plugins", "--json").stdout)
    assert [plugin["name"] for plugin in listed] == ["Mine 2", "StemBridge", "StemBridge tiny_live"]
    assert {plugin["works"] for plugin in listed} == {"yes"}
    result = desk.call("vst3", "check", "StemBridge tiny_live", "--dir", "plugins")
    assert (result.returncode, result.stderr) == (0, "")
    assert "StemBridge tiny_live" in result.stdout


def test_installing_again_replaces_the_plugin(desk):
    for _ in range(2):
        assert desk.call("vst3", "install", "--dir", "plugins").returncode == 0
    assert [path.name for path in (desk.folder / "plugins").iterdir()] == ["StemBridge.vst3"]


def test_a_users_own_processor(desk):
    (desk.folder / "louder.py").write_text(NOISY)
    result = desk.run("vst3", "install", "louder:Louder", "--dir", "plugins")
    assert (result.returncode, result.stderr) == (0, "")
    ((name, _, *sound, _, works),) = rows(desk.call("vst3", "list", "--dir", "plugins"))
    assert (name, sound, works) == ("Louder", ["processor", "louder:Louder"], "yes")
    assert read_bundle(desk.folder / "plugins" / "Louder.vst3").latencies[48000] == (0, 0, -1)
    result = desk.run("vst3", "check", "plugins/Louder.vst3")  # its worker does not search the current folder
    assert (result.returncode, result.stderr) == (0, "")
    assert "gain_db" in result.stdout


PROCESSORS = """
import os
import sys

class Thru:
    parameters = {}
    latency_samples = 0

    def reset(self):
        pass

    def process(self, block):
        return block

class Other(Thru):
    pass

class Needs(Thru):
    def __init__(self, thing):
        pass

class Early(Thru):
    latency_samples = -1

class Vague(Thru):
    def __init__(self):
        self.latency_samples = "q"

class Endless(Thru):
    latency_samples = 1_000_000_001

class Broken(Thru):
    def __init__(self):
        raise RuntimeError("no oil")

class Choosy(Thru):
    def __init__(self, sample_rate):
        if sample_rate != 48000:
            raise ValueError(sample_rate)

def leave():
    sys.exit()

class Short(Thru):
    def process(self, block):
        return block[:, :-1]

class Fails(Thru):
    def process(self, block):
        raise RuntimeError("no oil")

class Leaves(Thru):
    def process(self, block):
        sys.exit()

class Crashes(Thru):
    def process(self, block):
        os._exit(3)

class Forgets(Thru):
    def process(self, block):
        pass

class Whole(Thru):
    def process(self, block):
        return (32767 * block).astype("int16")

class Turns(Thru):
    def process(self, block):
        return block * 1j

class Undefined(Thru):
    def process(self, block):
        return block * float("nan")
"""


@pytest.fixture
def processors(desk, monkeypatch):
    (desk.folder / "some_processors.py").write_text(PROCESSORS)
    monkeypatch.syspath_prepend(desk.folder)
    monkeypatch.delitem(sys.modules, "some_processors", raising=False)


@pytest.mark.usefixtures("processors")
@pytest.mark.parametrize(
    ("factory", "why"),
    [
        ("some_processors:Needs", "missing a required argument: 'thing'; give the argument a default"),
        ("json:dumps", "missing a required argument: 'obj'"),
        ("os:getcwd", "str is not a processor: it has no process"),
        ("some_processors:Early", "latency_samples is -1; it must be a whole number from 0 to 1,000,000,000"),
        ("some_processors:Vague", "latency_samples is 'q'; it must be a whole number from 0 to 1,000,000,000"),
        ("some_processors:Endless", "latency_samples is 1000000001; it must be a whole number"),
        ("some_processors:Broken", "RuntimeError: no oil"),
        ("some_processors:leave", "SystemExit"),
    ],
)
def test_what_cannot_work_is_not_installed(desk, factory, why):
    line = desk.refused("vst3", "install", factory, "--dir", "plugins", here=True)
    assert f"{factory}: {why}" in line


@pytest.mark.usefixtures("processors")
def test_a_processor_may_refuse_some_sample_rates(desk):
    assert desk.call("vst3", "install", "some_processors:Choosy", "--dir", "plugins").returncode == 0
    assert list(read_bundle(desk.folder / "plugins" / "Choosy.vst3").latencies) == [48000]


@pytest.mark.usefixtures("processors")
def test_only_rates_that_a_processor_takes_are_checked(desk):
    assert desk.call("vst3", "install", "some_processors:Choosy", "--dir", "plugins").returncode == 0
    result = desk.run("vst3", "check", "Choosy", "--dir", "plugins")
    assert result.returncode == 0
    assert "44100 Hz: not checked, because the processor refused this rate" in result.stdout
    assert "48000 Hz: latency 0 samples, 0.0 ms; noise comes back with a difference of 0" in result.stdout


@pytest.mark.usefixtures("processors")
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Short", "process returned shape (2, "),
        ("Fails", "RuntimeError: no oil"),
        ("Leaves", "SystemExit"),
        ("Crashes", "its process ended with exit code 3"),
        ("Forgets", "process returned shape ()"),
        ("Whole", "process returned int16 for a block of float32; it must return floats"),
        ("Turns", "process returned complex64 for a block of float32; it must return floats"),
        ("Undefined", None),
    ],
)
def test_a_processor_that_never_works_fails_the_check(desk, name, reason):
    assert desk.call("vst3", "install", f"some_processors:{name}", "--dir", "plugins").returncode == 0
    result = desk.run("vst3", "check", name, "--dir", "plugins")
    *why, last = result.stderr.splitlines()
    assert (result.returncode, "noise comes back" in result.stdout) == (1, False)
    if reason is None:
        assert (
            last
            == f"stembridge: {name}: the processor returned NaN or infinite samples; look for a division by zero in it"
        )
    else:
        assert last.endswith("blocks went out dry, for the reason above")
        assert any(reason in line for line in why)


@pytest.mark.usefixtures("processors")
@pytest.mark.parametrize(
    ("new", "last"),
    [
        (None, "blocks went out dry, for the reason above"),
        ("latency_samples = 7", "the latency is 7 samples at 44100 Hz, not 0 as installed; install it again"),
    ],
)
def test_a_processor_that_changes_after_its_installation_fails_the_check(desk, new, last):
    assert desk.call("vst3", "install", "some_processors:Thru", "--dir", "plugins").returncode == 0
    module = desk.folder / "some_processors.py"
    source = module.read_text()
    module.unlink()
    if new is not None:
        module.write_text(source.replace("latency_samples = 0", new))
    result = desk.run("vst3", "check", "Thru", "--dir", "plugins")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].endswith(last)


@pytest.mark.usefixtures("processors")
@pytest.mark.parametrize(
    "other", [["some_processors:Other", "--name", "StemBridge"], ["--model", "live", "--name", "StemBridge"]]
)
def test_another_plugin_is_not_replaced(desk, other):
    assert desk.call("vst3", "install", "--dir", "plugins").returncode == 0
    line = desk.refused("vst3", "install", *other, "--dir", "plugins", here=True)
    assert "StemBridge.vst3 is another plugin: model mix, not" in line
    assert "--name" in line
    assert "stembridge vst3 remove" in line


def test_a_plugin_that_changes_audio_is_reported(desk):
    (desk.folder / "louder.py").write_text(NOISY)
    parameters = {"gain_db": Parameter(0.0, 6.0, 6.0)}
    arguments = worker_arguments("louder:Louder", {}, parameters, [str(desk.folder)])
    write_bundle(desk.folder / "Wrong.vst3", Descriptor("Wrong", "1", arguments, parameters, "model wrong"))
    result = desk.call("vst3", "check", "Wrong.vst3")
    assert (result.returncode, result.stderr) == (1, "stembridge: Wrong: audio comes back changed\n")


def test_a_plugin_whose_environment_is_missing(desk):
    assert desk.call("vst3", "install", "--dir", "plugins").returncode == 0
    edit_descriptor(desk.folder / "plugins" / "StemBridge.vst3", sys.executable, "/gone/bin/python")
    (line,) = desk.call("vst3", "list", "--dir", "plugins").stdout.splitlines()[2:]
    assert "/gone/bin/python" in line
    assert "no, its interpreter is gone; install it again" in line
    result = desk.run("vst3", "check", "plugins/StemBridge.vst3")
    assert result.returncode == 1
    *why, last = result.stderr.splitlines()
    assert why
    assert all("/gone/bin/python" in line for line in why)
    assert "went out dry" in last


def test_a_plugin_of_another_version(desk):
    assert desk.call("vst3", "install", "--dir", "plugins").returncode == 0
    edit_descriptor(desk.folder / "plugins" / "StemBridge.vst3", f"version\t{__version__}", "version\t0.0.1")
    (line,) = desk.call("vst3", "list", "--dir", "plugins").stdout.splitlines()[2:]
    assert " 0.0.1 " in line
    assert "install it again" in line


def test_other_plugins_are_left_alone(desk):
    (desk.folder / "plugins" / "Foreign.vst3" / "Contents").mkdir(parents=True)
    (desk.folder / "plugins" / "File.vst3").write_text("")
    assert rows(desk.call("vst3", "list", "--dir", "plugins")) == []
    assert "'Foreign'" in desk.refused("vst3", "remove", "Foreign", "--dir", "plugins", here=True)
    install = ["vst3", "install", "--dir", "plugins", "--name", "Foreign"]
    assert "Foreign.vst3 was not made by StemBridge" in desk.refused(*install, here=True)


@pytest.mark.parametrize("name", ["../StemBridge", "..", ".", "", "/etc", "StemBridge.vst3/..", "stembridge"])
def test_nothing_outside_the_folder_can_be_removed(desk, name):
    assert desk.call("vst3", "install", "--dir", ".").returncode == 0
    (desk.folder / "plugins").mkdir()
    assert repr(name) in desk.refused("vst3", "remove", name, "--dir", "plugins", here=True)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["install", "--model", "lives"], "unknown model 'lives'"),
        (["install", "--name", "a/b"], "'a/b'"),
        (["install", "louder"], "'louder'"),
        (["install", "no_such_module:Effect"], "no_such_module"),
        (
            ["install", "./louder.py:Louder"],
            "'./louder.py:Louder' names a file; give its module, such as louder:Louder,",
        ),
        (["install", "louder.py:Louder"], "'louder.py:Louder' names a file; give its module, such as louder:Louder,"),
        (["install", "os:getcwd", "--model", "studio"], "--model studio"),
        (["install", "--dir", "/dev/null/plugins"], "/dev/null/plugins"),
        (["check", "missing.vst3"], "missing.vst3"),
        (
            ["check", "missing"],
            "no StemBridge plugin named 'missing' in ~/.vst3; install one with stembridge vst3 install",
        ),
        (["check", "."], "was not made by StemBridge"),
        (["remove"], "NAME"),
        (["uninstall"], "uninstall"),
    ],
)
def test_bad_input_is_one_line(desk, arguments, what):
    assert what in desk.refused("vst3", *arguments, here=True)


@pytest.mark.parametrize("command", ["install", "check"])
def test_without_the_native_part(desk, monkeypatch, tmp_path, command):
    monkeypatch.setattr(bundles, "HERE", tmp_path)
    monkeypatch.setattr(bundles, "temporary_bundles", bundles.TemporaryBundles())
    monkeypatch.setattr("stembridge.plugin.stemmix.temporary_bundles", bundles.temporary_bundles)
    line = desk.refused("vst3", command, here=True)
    assert "not built" in line
    assert "pip install" in line


@pytest.mark.parametrize("arguments", [[], ["--help"], ["install", "--help"], ["check", "--help"]])
def test_help(desk, arguments):
    result = desk.call("vst3", *arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert "Usage" in result.stdout
