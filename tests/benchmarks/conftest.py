"""Run the benchmark that the test module is named after: test_midi_benchmark.py runs benchmarks/midi.py."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def run(request: pytest.FixtureRequest) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the benchmark to its end: run("--seconds", 0.2)."""
    script = BENCHMARKS / f"{request.path.stem.removeprefix('test_').removesuffix('_benchmark')}.py"
    return lambda *arguments: subprocess.run(
        [sys.executable, script, *map(str, arguments)], capture_output=True, text=True
    )


@pytest.fixture
def refused(run: Callable[..., subprocess.CompletedProcess[str]]) -> Callable[..., str]:
    """Run the benchmark with arguments that must fail with one line before anything is measured; return that line."""

    def refused(*arguments: object) -> str:
        done = run(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.count("\n") == 1
        return done.stderr

    return refused
