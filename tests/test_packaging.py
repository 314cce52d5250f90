"""What a user installs: the wheel and the sdist hold everything that is needed, and it runs from there."""

import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A copy of the project as a clone has it, under another name."""
    clone = tmp_path_factory.mktemp("packaging") / "clone"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info")
    shutil.copytree(ROOT, clone, ignore=ignored)
    return clone


def build(kind: str, source: Path, target: Path) -> Path:
    command = [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", target, source]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    (built,) = target.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory) -> Path:
    return build("wheel", source, tmp_path_factory.mktemp("wheel"))


def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.partition("/")[0].endswith(".dist-info")}


def test_the_wheel_holds_all_modules_networks_cards_presets_and_types(wheel):
    rooms = ("audio", "cli", "engine", "models", "presets", "render", "training")
    wanted = {f"stembridge/{path.name}" for path in ROOT.glob("*.py")} | {"stembridge/py.typed"}
    for room in rooms:
        found = [path for kind in ("*.py", "*.json", "*.onnx") for path in (ROOT / room).glob(kind)]
        wanted |= {f"stembridge/{room}/{path.name}" for path in found}
    assert contents(wheel) == wanted
    assert {"stembridge/models/live.onnx", "stembridge/models/studio.onnx"} <= wanted


def test_the_sdist_makes_the_same_wheel(source, wheel, tmp_path):
    with tarfile.open(build("sdist", source, tmp_path / "sdist")) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert (unpacked / "tests" / "conftest.py").is_file()
    assert contents(build("wheel", unpacked, tmp_path / "wheel")) == contents(wheel)


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
    command = [sys.executable, "-c", code, target, "models", "--card", "studio"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["name"] == "studio"
