"""The examples in docstrings are true."""

import doctest
import importlib
from pathlib import Path

import pytest
import stembridge

ROOT = Path(stembridge.__file__).parent
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def modules_with_examples():
    """Return the names of the package's modules that have examples; no other module has to be imported."""
    rooms = [path.parent for path in ROOT.glob("*/__init__.py")]
    paths = sorted(path for room in rooms for path in room.rglob("*.py") if ">>> " in path.read_text("utf-8"))
    return [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths]


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples(name):
    ran = doctest.testmod(importlib.import_module(f"stembridge.{name}"), optionflags=OPTIONS)
    assert ran.attempted > ran.failed == 0


def test_no_example_is_skipped():
    skipped = [name for name in modules_with_examples() if "doctest: +SKIP" in source(name)]
    assert not skipped


def source(name):
    path = ROOT.joinpath(*name.split("."))
    return (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text("utf-8")
