"""The wheel and the sdist hold everything that is needed, and an installed wheel runs."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHELL = f"stembridge/plugin/bridge/_shell{sysconfig.get_config_var('EXT_SUFFIX')}"


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """Copy the files that a clone of the project has into a folder of another name."""
    clone = tmp_path_factory.mktemp("packaging") / "clone"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info", "*.so")
    shutil.copytree(ROOT, clone, ignore=ignored)
    return clone


def build(kind: str, source: Path, target: Path, **environment: str) -> tuple[Path, str]:
    """Build a wheel or an sdist in a new folder; return its path and the log."""
    command = [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", str(target), str(source)]
    run = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=os.environ | environment
    )
    assert run.returncode == 0, run.stdout
    (built,) = target.iterdir()
    return built, run.stdout


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory) -> Path:
    return build("wheel", source, tmp_path_factory.mktemp("wheel"))[0]


def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.partition("/")[0].endswith(".dist-info")}


def test_the_wheel_holds_all_modules_networks_cards_presets_types_and_the_shell(wheel):
    rooms = ("audio", "cli", "control", "core", "engine", "live", "models", "plugin", "presets", "render", "training")
    paths = [ROOT / "__init__.py", ROOT / "__main__.py", ROOT / "py.typed"]
    paths += (ROOT / "docs").glob("*.md")
    paths += [
        path
        for room in rooms
        for kind in ("*.py", "*.json", "*.onnx", "*.css", "*.jinja")
        for path in (ROOT / room).rglob(kind)
    ]
    wanted = {f"stembridge/{path.relative_to(ROOT)}" for path in paths} | {SHELL}
    assert contents(wheel) == wanted
    assert {f"stembridge/models/{name}.onnx" for name in ("live", "mix", "studio")} <= wanted


def test_the_wheel_is_tagged_for_its_platform(wheel):
    assert wheel.stem.endswith(re.sub("[.-]", "_", sysconfig.get_platform()))


def test_the_shell_exports_only_what_hosts_need(wheel, tmp_path):
    """The shell needs no C++ library of the host either."""
    with zipfile.ZipFile(wheel) as archive:
        shell = archive.extract(SHELL, tmp_path)
    symbols = subprocess.run(["nm", "-D", "-P", shell], check=True, capture_output=True, text=True).stdout
    seen = {line.split()[0] for line in symbols.splitlines() if line.split()[1] not in "Uw"}
    own = {name for name in seen if name.startswith("stembridge_")}
    assert own
    assert seen - own == {"GetPluginFactory", "ModuleEntry", "ModuleExit"}
    needed = {line.split()[0] for line in symbols.splitlines()} - seen
    assert not {name for name in needed if name.startswith(("_Z", "__cxa_throw", "Py"))}


def test_without_a_compiler_the_wheel_lacks_the_shell_only_and_the_log_says_so(source, wheel, tmp_path):
    clone = shutil.copytree(source, tmp_path / "clone", ignore=shutil.ignore_patterns("build"))
    bare, log = build("wheel", clone, tmp_path / "wheel", CC="/nonexistent", CXX="/nonexistent")
    assert contents(bare) == contents(wheel) - {SHELL}
    (line,) = [line for line in log.splitlines() if "failed" in line]
    assert '"stembridge.plugin.bridge._shell" failed' in line
    assert "/nonexistent" in line


def test_the_sdist_makes_the_same_wheel(source, wheel, tmp_path):
    sdist, _ = build("sdist", source, tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert (unpacked / "tests" / "conftest.py").is_file()
    again, _ = build("wheel", unpacked, tmp_path / "wheel")
    assert again.name == wheel.name
    assert contents(again) == contents(wheel)


def test_an_installed_wheel_runs(wheel, tmp_path):
    target = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", target, wheel]
    subprocess.run(install, check=True, capture_output=True)
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1))\n"
        "import stembridge; from stembridge.cli import main\n"
        "assert stembridge.__file__.startswith(sys.path[0]), stembridge.__file__\n"
        "sys.exit(main())"
    )
    command = [sys.executable, "-c", code, target, "models", "show", "studio"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["name"] == "studio"


def test_the_tests_run_whatever_the_folder_is_called(source):
    folder = source.with_name("stem-bridge 2")
    shutil.copytree(source, folder)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/core/test_settings.py"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
    assert re.search(r"\d+ passed", run.stdout)
