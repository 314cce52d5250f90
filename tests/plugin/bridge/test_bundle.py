"""Descriptors and bundles: their contents, writing them whole or not at all, and leaving other bundles alone."""

import ast
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pedalboard._pedalboard import normalize_python_parameter_name
from stembridge.core.errors import BridgeError
from stembridge.plugin.bridge import bundle as bundles
from stembridge.plugin.bridge.bundle import (
    bundle_library,
    home_folders,
    import_folders,
    read_bundle,
    remove_bundle,
    shell_library,
    temporary_bundles,
    worker_arguments,
    write_bundle,
)
from stembridge.plugin.bridge.descriptor import Descriptor, parse_descriptor
from stembridge.plugin.bridge.factory import Parameter, Timing, Toggle, read_parameters

PARAMETERS: dict[str, Parameter | Toggle] = {
    "depth": Parameter(0.0, 1.0, 0.5),
    "rate_hz": Parameter(0.1, 20.0, 5.0),
    "square": Toggle(False),
}
DESCRIPTOR = Descriptor("Tremolo", "1.2.3", ("python", "-c", "pass"), PARAMETERS, "processor tremolo:Tremolo")

names = st.from_regex(r"[a-z][a-z0-9]{0,5}(_[a-z0-9]{1,4}){0,2}(_db|_hz|_ms)?", fullmatch=True)
lines = st.text(st.characters(exclude_characters="\t\r\n\0", exclude_categories=["Cs"]), max_size=20)
finite = st.floats(-1e9, 1e9)
ranges = st.lists(finite, min_size=3, max_size=3, unique=True).map(sorted).map(lambda v: Parameter(v[0], v[2], v[1]))
declared = st.dictionaries(names, ranges | st.builds(Toggle, st.booleans()), max_size=6)


timings = st.builds(Timing, st.integers(0, 10**7), st.integers(0, 10**6), st.integers(-1, 10**6))
latencies = st.dictionaries(st.floats(8000, 192000), timings, max_size=3)


@given(
    parameters=declared,
    arguments=st.lists(lines, min_size=1, max_size=5),
    version=lines,
    identity=lines,
    latencies=latencies,
    outputs=st.lists(names, max_size=3),
    meters=st.dictionaries(names.map(lambda name: f"measured_{name}"), ranges, max_size=3),
    shows_status=st.booleans(),
)
def test_a_descriptor_reads_back_unchanged(
    parameters, arguments, version, identity, latencies, outputs, meters, shows_status
):
    shown = parameters | meters
    written = Descriptor(
        "Some Name",
        version,
        tuple(arguments),
        parameters,
        identity,
        latencies,
        {name: "-inf" for name, value in shown.items() if isinstance(value, Parameter) and "db" in name},
        ("Fx", "Tools"),
        tuple(outputs),
        meters,
        shows_status,
        {"all": dict.fromkeys(parameters, 0.5), "nothing": {}},
        {16 + k: name for k, name in enumerate(parameters)},
    )
    assert parse_descriptor(written.text()) == written
    assert list(parse_descriptor(written.text()).parameters) == list(parameters), "the shell numbers them in order"


def test_the_text_of_a_descriptor():
    assert DESCRIPTOR.text().splitlines() == [
        "descriptor\t1",
        "name\tTremolo",
        f"uid\t{DESCRIPTOR.uid}",
        "version\t1.2.3",
        "vendor\tStemBridge\tno web site yet\tno e-mail address yet",
        "categories\tFx",
        "argument\tpython",
        "argument\t-c",
        "argument\tpass",
        "identity\tprocessor tremolo:Tremolo",
        "parameter\tdepth\tDepth\t\t0\t1\t0.5",
        "parameter\trate_hz\tRate\tHz\t0.1\t20\t5",
        "toggle\tsquare\tSquare\t0",
        "status\t0",
    ]


def test_hosts_know_a_plugin_by_its_name_in_every_version():
    ours = Descriptor("StemBridge", "0.1.0", ("python",), {})
    assert ours.uid == Descriptor("StemBridge", "9", ("elsewhere",), PARAMETERS).uid
    assert ours.uid == "ce70882b2e0a82f74e5cd64b36546b2d", "saved projects would lose the plugin"
    assert ours.uid != DESCRIPTOR.uid


@given(parameters=declared)
@example(parameters=read_parameters({"bypass_db": (0, 1, 0), "bypass_hz": (0, 1, 0)}))
@example(parameters=read_parameters({"rate_hz": (0, 1, 0), "rate_ms": (0, 1, 0), "rate": (0, 1, 0)}))
@example(parameters=read_parameters({"lead_mute_db": (0, 1, 0), "lead_mute": False}))
@example(parameters=read_parameters({"p123": (0, 1, 0), "p123_db": (0, 1, 0)}))
def test_pedalboard_derives_every_name_from_its_title(parameters):
    titles = Descriptor("Name", "1", ("python",), parameters).titles
    for name, (title, unit) in titles.items():
        assert normalize_python_parameter_name(f"{title} {unit}") == name
        assert not (unit and isinstance(parameters[name], Toggle)), "the line of a toggle has no unit"
    shown = [title for title, _ in titles.values()]
    assert len({*shown, "Bypass"}) == len(shown) + 1, "pedalboard looks them up by title"


@pytest.mark.parametrize("name", ["", " a", "a ", "a/b", "..", ".hidden", "a.", "ü", "a" * 64, "a\n"])
def test_names_that_hosts_cannot_show_are_refused(name):
    with pytest.raises(BridgeError, match="cannot be a plugin's name"):
        Descriptor(name, "1", ("python",), {})


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"arguments": ("py\nthon",)}, "line break"),
        ({"arguments": ("python", "a\tb")}, "tab"),
        ({"identity": "model\nx"}, "line break"),
        ({"parameters": {"a" * 128: Toggle(False)}}, "too long"),
        ({"parameters": {f"p{i}": Toggle(False) for i in range(1001)}}, "at most 1000"),
        ({"outputs": ("a",) * 65}, "at most 64"),
        ({"meters": {f"m{i}": Parameter(0, 1, 0) for i in range(65)}}, "at most 64"),
        ({"outputs": ("a\tb",)}, "tab"),
        ({"presets": {"a": {"b": 1.0}}}, "not a parameter"),
        ({"controllers": {7: "b"}}, "not a parameter"),
        ({"parameters": {"a": Toggle(False)}, "meters": {"a": Parameter(0, 1, 0)}}, "both a parameter and a meter"),
    ],
)
def test_values_that_a_descriptor_cannot_hold_are_refused(change, what):
    fields = {"name": "Name", "version": "1", "arguments": ("python",), "parameters": {}} | change
    with pytest.raises(BridgeError, match=what):
        Descriptor(**fields)


def test_the_worker_is_started_in_this_interpreter_with_json():
    program, *options, code, text = worker_arguments("module:factory", {"title": "a\tb\n"}, PARAMETERS, [])
    assert program == sys.executable
    assert options == ["-E", "-P", "-c"]
    assert json.loads(text) == {
        "factory": "module:factory",
        "kwargs": {"title": "a\tb\n"},
        "parameters": {"depth": [0.0, 1.0, 0.5], "rate_hz": [0.1, 20.0, 5.0], "square": False},
    }
    assert not set("\t\n") & set(code + text)


def test_the_workers_own_folders_come_first(tmp_path):
    strange = [str(tmp_path / "it's"), str(tmp_path / 'a\n"b"\t\\'), os.fsdecode(b"/caf\xe9")]
    program, *options, code, text = worker_arguments("module:factory", {}, {}, strange)
    own, _, start = ast.literal_eval(code.removeprefix("exec(").removesuffix(")")).partition("try:")
    assert "stembridge" in start
    command = [program, *options, f"{own}print(ascii(sys.path))", text]
    # A module of the same name in PYTHONPATH or the current folder must not be imported.
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=tmp_path).stdout
    path = eval(shown)
    assert path[-3:] == strange
    assert str(tmp_path) not in path
    assert "" not in path


def test_an_interpreter_without_stembridge_is_reported_in_one_line():
    program, *options, code, text = worker_arguments("module:factory", {}, {}, [])
    bare = [program, "-S", *options, code, text]  # without its site-packages
    run = subprocess.run(bare, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1
    assert "No module named 'stembridge'; install it again" in run.stderr


def test_import_folders_are_those_of_this_process(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    monkeypatch.setattr(sys, "path", ["", "here", "missing", *sys.path])
    assert import_folders()[:2] == [str(tmp_path), str(tmp_path / "here")]
    assert all(os.path.isabs(folder) and os.path.exists(folder) for folder in import_folders())


def test_home_folders(write_module):
    name = write_module("")
    module = __import__(name)
    assert home_folders(name) == [str(Path(module.__file__).parent)]
    import numpy

    assert home_folders("numpy") == [str(Path(numpy.__file__).parents[1])]
    assert home_folders("sys") == []


def test_a_bundle_is_written_and_read_back(tmp_path):
    path = tmp_path / "new" / "Tremolo.vst3"
    write_bundle(path, DESCRIPTOR)
    assert read_bundle(path) == DESCRIPTOR
    files = {file.relative_to(path) for file in path.rglob("*") if file.is_file()}
    assert len(files) == 3
    assert {Path("Contents/Resources") / name for name in ("descriptor.txt", "moduleinfo.json")} < files
    library = bundle_library(path)
    assert library.name == "Tremolo.so"
    assert library.read_bytes() == shell_library().read_bytes()
    assert not library.is_symlink()
    assert library.stat().st_nlink == 1, "each file is loaded as a separate library"
    assert [entry.name for entry in path.parent.iterdir()] == ["Tremolo.vst3"]


def test_a_stembridge_bundle_is_replaced(tmp_path):
    path = tmp_path / "Tremolo.vst3"
    write_bundle(path, Descriptor("Tremolo", "0", ("old",), {}))
    (path / "stale").touch()
    write_bundle(path, DESCRIPTOR)
    assert read_bundle(path) == DESCRIPTOR
    assert not (path / "stale").exists()
    assert [entry.name for entry in tmp_path.iterdir()] == ["Tremolo.vst3"]


def foreign_folder(path):
    (path / "Contents").mkdir(parents=True)


def foreign_file(path):
    path.write_text("a Windows plugin")


def foreign_descriptor(path):
    write_bundle(path, DESCRIPTOR)
    (path / "Contents/Resources/descriptor.txt").write_text("hello\tworld\n")


def newer_descriptor(path):
    write_bundle(path, DESCRIPTOR)
    (path / "Contents/Resources/descriptor.txt").write_text(DESCRIPTOR.text().replace("descriptor\t1", "descriptor\t2"))


def cut_descriptor(path):
    write_bundle(path, DESCRIPTOR)
    (path / "Contents/Resources/descriptor.txt").write_text(DESCRIPTOR.text() + "parameter\tgain_db\n")


def descriptor_without_numbers(path):
    write_bundle(path, DESCRIPTOR)
    (path / "Contents/Resources/descriptor.txt").write_text(DESCRIPTOR.text() + "latency\t44100\n")


@pytest.mark.parametrize(
    "make",
    [
        foreign_folder, foreign_file, foreign_descriptor, newer_descriptor, cut_descriptor, descriptor_without_numbers,
    ],
)  # fmt: skip
def test_other_bundles_are_neither_read_replaced_nor_removed(tmp_path, make):
    path = tmp_path / "Tremolo.vst3"
    make(path)
    before = sorted(tmp_path.rglob("*"))
    for act in (read_bundle, remove_bundle, lambda path: write_bundle(path, DESCRIPTOR)):
        with pytest.raises(BridgeError, match=r"Tremolo\.vst3 was not made by StemBridge"):
            act(path)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_bundle_that_cannot_be_written_keeps_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "Tremolo.vst3"
    write_bundle(path, Descriptor("Tremolo", "0", ("old",), {}))
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    rename = os.rename

    def fails(source, target):
        if target == path:
            monkeypatch.setattr(os, "rename", rename)
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fails)
    with pytest.raises(BridgeError, match=r"cannot write .*Tremolo\.vst3: No space left"):
        write_bundle(path, DESCRIPTOR)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_only_the_bundle_is_removed(tmp_path):
    write_bundle(tmp_path / "Tremolo.vst3", DESCRIPTOR)
    (tmp_path / "other").touch()
    remove_bundle(tmp_path / "Tremolo.vst3")
    assert [entry.name for entry in tmp_path.iterdir()] == ["other"]


def test_a_link_to_a_bundle_is_replaced_and_removed_and_not_followed(tmp_path):
    real, link = tmp_path / "real" / "Tremolo.vst3", tmp_path / "Tremolo.vst3"
    write_bundle(real, DESCRIPTOR)
    link.symlink_to(real)
    remove_bundle(link)
    assert not os.path.lexists(link)
    link.symlink_to(real)
    write_bundle(link, Descriptor("Tremolo", "2", ("python",), {}))
    assert not link.is_symlink()
    assert read_bundle(real) == DESCRIPTOR


def test_hosts_look_for_vst3_only(tmp_path):
    with pytest.raises(BridgeError, match=r"end in \.vst3"):
        write_bundle(tmp_path / "Tremolo", DESCRIPTOR)
    with pytest.raises(BridgeError, match="does not exist"):
        read_bundle(tmp_path / "Tremolo.vst3")


def test_without_the_native_part_the_error_names_it_and_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(bundles, "HERE", tmp_path)
    with pytest.raises(BridgeError) as caught:
        write_bundle(tmp_path / "Tremolo.vst3", DESCRIPTOR)
    line = str(caught.value)
    assert "not built" in line
    assert "apt install g++" in line
    assert "pip install" in line
    assert "\n" not in line
    assert not list(tmp_path.iterdir())


def test_equal_descriptors_share_a_bundle_made_on_the_fly():
    first = temporary_bundles.get(DESCRIPTOR)
    assert read_bundle(first) == DESCRIPTOR
    assert first.name == "Tremolo.vst3"
    assert temporary_bundles.get(parse_descriptor(DESCRIPTOR.text())) == first
    assert temporary_bundles.get(Descriptor("Tremolo", "2", ("python",), PARAMETERS)) != first


@pytest.mark.parametrize("lost", ["Contents/Resources/descriptor.txt", "Contents", "..", "../.."])
def test_a_deleted_bundle_is_made_again_elsewhere(lost):
    first = temporary_bundles.get(DESCRIPTOR)
    gone = first / lost
    gone = gone.resolve()
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    second = temporary_bundles.get(DESCRIPTOR)
    assert read_bundle(second) == DESCRIPTOR
    assert second != first, "the old library may still be loaded, by its path"


def test_threads_share_bundles_made_on_the_fly():
    descriptor = Descriptor("Threads", "1", ("python",), {})
    found, start = [], threading.Barrier(8)

    def get():
        start.wait()
        found.append(temporary_bundles.get(descriptor))

    threads = [threading.Thread(target=get) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


FAMILY = """
import multiprocessing, os, sys
from stembridge.plugin.bridge.bundle import temporary_bundles
from stembridge.plugin.bridge.descriptor import Descriptor

def get(pipe):
    print(temporary_bundles.get(Descriptor("A", "1", ("python",), {})), flush=True)

get(None)
child = os.fork()
if child == 0:
    get(None)
    sys.exit()
os.waitpid(child, 0)
process = multiprocessing.get_context("fork").Process(target=get, args=(None,))
process.start()
process.join()
get(None)
"""


def test_forks_have_their_own_bundles_and_each_process_removes_its_own():
    done = subprocess.run([sys.executable, "-c", FAMILY], capture_output=True, text=True, check=True)
    parent, forked, worker, again = map(Path, done.stdout.split())
    assert done.stderr == ""
    assert parent == again, "no child has removed it"
    assert len({parent, forked, worker}) == 3
    assert not any(path.parents[1].exists() for path in (parent, forked, worker))


def test_folders_of_processes_that_were_killed_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    left = tmp_path / f"stembridge-{int(gone.stdout)}-abc"
    ours = tmp_path / f"stembridge-{os.getpid()}-abc"
    others = tmp_path / "stembridge-notes"
    for folder in left, ours, others:
        (folder / "deep").mkdir(parents=True)
    bundle = bundles.TemporaryBundles().get(Descriptor("Name", "1", ("python",), {}))
    assert bundle.is_relative_to(tmp_path)
    assert not left.exists()
    assert ours.exists()
    assert others.exists()
