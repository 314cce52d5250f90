"""No telemetry: programs leave nothing in a fresh home folder, and strace sees no network connection."""

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile

STREAM = """
import sys, time
import numpy as np
from stembridge import StemProcessor
StemProcessor(sys.argv[1]).process(np.zeros((2, 44100), np.float32))
time.sleep(10)  # ONNX Runtime would call after about five seconds
"""
BOARD = """
import sys
import numpy as np
from pedalboard import Pedalboard
from stembridge import StemMix
Pedalboard([StemMix(sys.argv[1])])(np.zeros((2, 44100), np.float32), 44100)
"""
COMMANDS = {
    "batch": ["-m", "stembridge", "remix", "songs", "-o", "out", "--vocals", "-80", "--jobs", "2"],
    "live": ["-m", "stembridge", "live", "-i", "songs/0.wav", "-o", "live.wav", "--no-ui", "--seconds", "0.5"],
    "evaluate": ["-m", "stembridge", "evaluate", "--data", "stems", "--all", "--no-bss-eval"],
    "inspect": ["-m", "stembridge", "inspect", "songs/0.wav", "-o", "song.png"],
    "board": ["-c", BOARD],
    "stream": ["-c", STREAM],
}
# matplotlib's list of fonts, and an empty folder.
CACHES = {"inspect": {".cache", ".cache/matplotlib", ".config", ".config/matplotlib"}}


def can_trace():
    return shutil.which("strace") and subprocess.run(["strace", "-qq", "true"], capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_live_model):
    """Run all commands; return their folder, with home folders in `homes` and traces in `traces`."""
    folder = tmp_path_factory.mktemp("privacy")
    noise = 0.1 * np.random.default_rng(0).standard_normal((44100, 2))
    for name in ("homes", "songs", "stems/song", "temporary", "traces"):
        (folder / name).mkdir(parents=True)
    for name in ("songs/0", "songs/1", *(f"stems/song/{stem}" for stem in ("vocals", "drums", "bass", "other"))):
        soundfile.write(folder / f"{name}.wav", noise, 44100)
    processes = {}
    for name, command in COMMANDS.items():
        home = folder / "homes" / name
        home.mkdir()
        # As if the user wanted ONNX Runtime's telemetry: that is the hardest case.
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "MPL"))}
        environment |= {"HOME": str(home), "TMPDIR": str(folder / "temporary"), "ORT_DISABLE_TELEMETRY": "0"}
        model = [tiny_live_model] if command[0] == "-c" else ["--model", tiny_live_model]
        trace = ["strace", "-f", "-qq", "-e", "trace=socket", "-o", folder / "traces" / name] if can_trace() else []
        processes[name] = subprocess.Popen(
            [*trace, sys.executable, *command, *model],
            cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
    for name, process in processes.items():
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, f"{name}: {said}"
    return folder


@pytest.mark.parametrize("name", COMMANDS)
def test_a_run_writes_nothing_that_was_not_asked_for(folder, name):
    home = folder / "homes" / name
    written = {str(path.relative_to(home)) for path in home.rglob("*") if path.parent.name != "matplotlib"}
    assert written == CACHES.get(name, set())
    assert not os.listdir(folder / "temporary")


def test_no_run_opens_a_connection(folder):
    if not can_trace():
        pytest.skip("needs strace, and the right to trace")
    sockets = {path.name: re.findall(r"socket\((?!AF_UNIX).*", path.read_text()) for path in folder.glob("traces/*")}
    assert sockets == {name: [] for name in COMMANDS}
