"""The package as a whole: the cost of importing it, its layers, and that it is complete."""

import ast
import graphlib
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
import typing
from pathlib import Path

import pytest
import stembridge

ROOT = Path(stembridge.__file__).parent
# Each room's floor: an arrow may only point down, and rooms of one floor do not know each other.
FLOORS = {
    "core": 1, "audio": 2, "models": 2, "presets": 2, "control": 3, "engine": 3, "live": 4, "plugin": 4, "render": 4,
    "training": 4, "cli": 5,
}  # fmt: skip
ROOMS = sorted(room for room in FLOORS if (ROOT / room / "__init__.py").exists())
HEAVY = [
    "numpy", "onnxruntime", "onnx", "av", "soundfile", "pedalboard", "mido", "mutagen", "torch", "typer", "rich",
    "platformdirs", "jsonschema", "pydantic", "soxr", "safetensors", "museval", "loky", "jinja2", "fsspec",
    "distributed", "pyo", "matplotlib", "miniaudio", "textual",
]  # fmt: skip


def modules():
    """Return the dotted names of all modules of the package, the package itself first."""
    paths = [path.relative_to(ROOT) for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    names = [".".join(["stembridge", *path.with_suffix("").parts]) for path in paths]
    return ["stembridge", "stembridge.__main__", *(name.removesuffix(".__init__") for name in names)]


def public(module):
    """Yield (name, value) of a module's public names: those in __all__, else its own without an underscore."""
    for name in getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")]):
        value = getattr(module, name)
        if hasattr(module, "__all__") or getattr(value, "__module__", None) == module.__name__:
            yield name, value


def imports(path):
    """Return the names of all modules that a module imports, except for types."""
    inside = path.relative_to(ROOT).parts[:-1]
    waiting = [ast.parse(path.read_text("utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ["stembridge", *inside[: len(inside) - node.level + 1]] if node.level else []
            base += node.module.split(".") if node.module else []
            yield from (".".join([*base, alias.name]) for alias in node.names)


def rooms_of(path):
    """Return the rooms that a module imports from; "" for the package itself."""
    for name in imports(path):
        top, *rest = name.split(".")
        if top == "stembridge":
            yield rest[0] if rest and rest[0] in FLOORS else ""


def libraries_of(path):
    """Return the top-level names of the other packages that a module imports."""
    return {name.split(".")[0] for name in imports(path)} - {"stembridge"}


def python(code, *arguments):
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_rooms_exist():
    assert set(ROOMS) == set(FLOORS)
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert folders == set(ROOMS), "and no others"


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys; before = set(sys.modules); import stembridge; print(*sorted(set(sys.modules) - before))"
    loaded = {name.split(".")[0] for name in python(code).split()}
    assert "stembridge" in loaded
    assert not loaded & set(HEAVY)
    assert loaded <= {"stembridge", "typing"} | sys.stdlib_module_names


@pytest.mark.parametrize("room", ["control", "core", "live", "plugin", "presets"])
def test_some_rooms_import_nothing_heavy_either(room):
    code = f"import sys; import stembridge.{room}; print(*sys.modules)"
    loaded = {name.split(".")[0] for name in python(code).split()}
    assert "stembridge" in loaded
    assert not loaded & set(HEAVY)


PUBLIC = {
    "remix", "separate", "remix_file", "separate_file", "remix_files", "separate_files", "StemProcessor", "StemMix",
    "StemRack", "load_processor", "Automation", "MidiMap", "MidiControl", "Live", "load_model", "load_preset",
    "StemBridgeError",
}  # fmt: skip


def test_all_promised_names_exist():
    assert set(stembridge.__all__) == PUBLIC | {"__version__"}
    for name in PUBLIC:
        value = getattr(stembridge, name)
        assert inspect.isclass(value) if name[0].isupper() else inspect.isfunction(value), name
    namespace = {}
    exec("from stembridge import *", namespace)
    assert set(stembridge.__all__) <= set(namespace)
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        stembridge.nothing_of_the_kind  # noqa: B018


@pytest.mark.parametrize("room", ["", *ROOMS])
def test_completion_shows_a_rooms_exports_before_first_use(room):
    code = "import sys; from importlib import import_module; print(*dir(import_module(sys.argv[1])))"
    name = f"stembridge.{room}".rstrip(".")
    shown = {word for word in python(code, name).split() if not word.startswith("_")}
    exported = set(getattr(importlib.import_module(name), "__all__", ())) - {"__version__"}
    assert exported <= shown
    if not room:
        assert shown == PUBLIC


def test_types_resolve():
    for name in PUBLIC:
        value = getattr(stembridge, name)
        methods = [method for key, method in vars(value).items() if inspect.isfunction(method) and key[0] != "_"]
        for function in [value] if inspect.isfunction(value) else [value.__init__, *methods]:
            typing.get_type_hints(function)


def test_all_errors_have_one_base():
    for name in modules():
        for public_name, value in public(importlib.import_module(name)):
            if inspect.isclass(value) and issubclass(value, ValueError):
                assert issubclass(value, stembridge.StemBridgeError), public_name
    assert issubclass(stembridge.StemBridgeError, ValueError)


def test_wrong_input_raises_our_errors():
    """Wrong input raises a StemBridgeError, or an OSError for files."""
    for path in (path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        raised = (node.exc for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Raise))
        names = {ast.unparse(error.func if isinstance(error, ast.Call) else error) for error in raised if error}
        assert not names & {"ValueError", "Exception", "LookupError"}, path


def test_library_code_does_not_print():
    for path in (path for room in ROOMS if room != "cli" for path in (ROOT / room).rglob("*.py")):
        calls = (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call))
        assert not [call for call in calls if ast.unparse(call.func) == "print"], path


def test_every_module_imports_and_every_public_function_stays_callable():
    loaded = {name: importlib.import_module(name) for name in modules()}
    assert len(loaded) > 20
    counted = 0
    for name, module in loaded.items():
        for public_name, value in public(module):
            if not (inspect.isfunction(value) or inspect.isclass(value)):
                assert not inspect.ismodule(value), f"{name}.{public_name} is shadowed by a module"
                continue
            counted += 1
            home = importlib.import_module(value.__module__)
            assert getattr(home, value.__name__, value) is value, f"{value.__module__}.{value.__name__} is shadowed"
            assert callable(value)
    assert counted > 40


def test_public_functions_answer_when_they_are_called_after_all_is_imported(tiny_live_model):
    """Import every module first, in a separate process: no module may replace a function of the same name."""
    code = """
import importlib, sys
import numpy as np
for name in sys.argv[2:]:
    importlib.import_module(name)
import stembridge
from stembridge import StemProcessor, remix, separate
from stembridge.models import load_model, model_names
from stembridge.presets import load_preset, preset_names
audio = np.zeros((2, 3000), np.float32)
assert stembridge.remix(audio, 44100, {"vocals": -80}, sys.argv[1]).shape == audio.shape
assert remix is stembridge.remix and separate is stembridge.separate
assert list(stembridge.separate(audio, 44100, sys.argv[1])) == ["vocals", "drums", "bass", "other"]
assert StemProcessor(sys.argv[1]).process(audio).shape == audio.shape
assert load_model(sys.argv[1]).card.name == "tiny_live"
assert all(load_preset(name) for name in preset_names()) and model_names() == sorted(model_names())
print("answered")
"""
    assert python(code, tiny_live_model, *modules()) == "answered\n"


@pytest.mark.parametrize("room", ROOMS)
def test_no_public_function_is_named_like_a_room_or_a_module_of_its_room(room):
    paths = sorted((ROOT / room).rglob("*.py"))
    modules = {path.stem for path in paths} | {path.parent.name for path in paths}
    for path in paths:
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) and node.name[0] != "_":
                assert node.name not in set(FLOORS) | modules, f"{path.relative_to(ROOT)}: {node.name}"


def test_no_name_of_the_package_is_the_name_of_a_room():
    assert not set(stembridge.__all__) & set(FLOORS)


@pytest.mark.parametrize("room", ROOMS)
def test_arrows_only_point_down(room):
    below = {other for other, floor in FLOORS.items() if floor < FLOORS[room]}
    for path in (ROOT / room).rglob("*.py"):
        assert set(rooms_of(path)) <= {room} | below, path.relative_to(ROOT)


def test_no_modules_import_each_other_in_a_circle():
    names = modules()
    graph = {}
    for name in names:
        place = ROOT.joinpath(*name.split(".")[1:])
        path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        found = {other if other in names else other.rpartition(".")[0] for other in imports(path)}
        graph[name] = found & set(names) - {name}
    assert graph["stembridge.cli.entry"] == {
        "stembridge.cli.app", "stembridge.cli.lines", "stembridge.core.errors", "stembridge.core.log",
        "stembridge.core.suggest",
    }, "the search finds imports"  # fmt: skip
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError with the circle


def test_core_needs_only_the_standard_library_except_to_check_documents_and_for_locks():
    needed = {"documents.py": {"pydantic"}, "locks.py": {"filelock"}}
    for path in (ROOT / "core").rglob("*.py"):
        assert libraries_of(path) <= sys.stdlib_module_names | needed.get(path.name, set()), path


def test_the_engine_needs_numpy_onnx_runtime_and_soxr_only():
    foreign = set().union(*(libraries_of(path) for path in (ROOT / "engine").rglob("*.py")))
    assert foreign - sys.stdlib_module_names == {"numpy", "onnxruntime", "soxr"}


@pytest.mark.parametrize(("library", "home"), [("torch", "training"), ("pedalboard", "plugin")])
def test_some_libraries_are_used_in_one_room_only(library, home):
    users = {path.relative_to(ROOT).parts[0] for path in ROOT.glob("*/**/*.py") if library in libraries_of(path)}
    assert users & set(ROOMS) == {home}


def test_nothing_is_ever_unpickled():
    for path in ROOT.glob("*/**/*.py"):
        if path.relative_to(ROOT).parts[0] in ROOMS:
            foreign = libraries_of(path)
            assert not foreign & {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"}, path
            # loky passes work to processes; joblib would read pickles from the disk.
            assert "joblib" not in foreign, path
            assert "loky" not in foreign or path.name == "executors.py", path
            assert "allow_pickle=True" not in path.read_text("utf-8"), path
            assert "weights_only=False" not in path.read_text("utf-8"), path


def test_a_base_install_remixes_without_the_extras(tiny_live_model):
    """As after `pip install stembridge`: the packages of [train] and [test] cannot be imported."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = {re.match(r"[\w.-]+", line)[0] for lines in project["optional-dependencies"].values() for line in lines}
    extras -= {"stembridge"}
    assert {"torch", "onnx"} <= extras
    code = """
import sys
for name in sys.argv[2].split(","):
    sys.modules[name] = None  # importing it raises ImportError
import numpy as np
import stembridge
from stembridge.models import model_names
audio = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 5000)).astype(np.float32)
assert (stembridge.remix(audio, 44100, {}, sys.argv[1]) == audio).all()
assert (stembridge.remix(audio, 44100, {"vocals": -80}, sys.argv[1]) != audio).any()
assert len(stembridge.separate(audio, 44100, sys.argv[1])) == 4
import stembridge.audio, stembridge.presets, stembridge.render, stembridge.render.batch.executors, stembridge.cli.app
print("done", [name for name in sys.argv[2].split(",") if sys.modules.get(name)])
"""
    assert python(code, tiny_live_model, ",".join(sorted(extras))) == "done []\n"


def test_the_package_is_typed():
    assert (ROOT / "py.typed").is_file()
    data = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["package-data"]
    assert "py.typed" in data["stembridge"]
    assert {"*.onnx", "*.json"} <= set(data["stembridge.models"])
    assert data["stembridge.control.maps"] == data["stembridge.presets"] == ["*.json"]


def test_every_room_is_packaged():
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["packages"]
    folders = {path.parent for room in ROOMS for path in (ROOT / room).rglob("__init__.py")}
    assert set(packages) == {"stembridge", *(".".join(["stembridge", *f.relative_to(ROOT).parts]) for f in folders)}


def test_the_version_is_in_one_place():
    version = stembridge.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+\w*", version)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert "version" not in project["project"]
    assert "version" in project["project"]["dynamic"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "stembridge.core.version.__version__"}
    for path in [*ROOT.glob("*.py"), *(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))]:
        if path != ROOT / "core" / "version.py":
            assert f'"{version}"' not in path.read_text("utf-8"), path
