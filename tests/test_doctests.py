"""The examples in docstrings are true."""

import ast
import doctest
import importlib
from pathlib import Path

import pytest
import stembridge

ROOT = Path(stembridge.__file__).parent
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def examples():
    """Yield (name of a module, docstring) for each docstring with examples; no other module has to be imported."""
    for room in sorted(path.parent for path in ROOT.glob("*/__init__.py")):
        for path in sorted(room.rglob("*.py")):
            module = ".".join(["stembridge", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                text = isinstance(node, DOCUMENTED) and ast.get_docstring(node)
                if text and ">>>" in text:
                    yield pytest.param(module, text, id=f"{module}.{getattr(node, 'name', '')}".rstrip("."))


@pytest.mark.parametrize(("module", "text"), list(examples()))
def test_an_example_gives_the_result_that_it_shows(module, text):
    names = dict(vars(importlib.import_module(module)))
    test = doctest.DocTestParser().get_doctest(text, names, module, None, None)
    ran = doctest.DocTestRunner().run(test)
    assert (ran.failed, ran.attempted) == (0, text.count(">>>"))
    assert "+SKIP" not in text
