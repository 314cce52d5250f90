"""The programs in docs/midi.md run."""

import re
from pathlib import Path

import numpy as np
import pytest
import stembridge
from stembridge.control import MidiControl

DOCUMENT = (Path(__file__).parents[2] / "docs" / "midi.md").read_text("utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)


@pytest.fixture
def run(midi_device, tmp_path, monkeypatch):
    """Return a function that runs a program with the names that it expects."""
    monkeypatch.chdir(tmp_path)
    song = np.zeros((2, 2000), np.float32)
    played = []

    def run(program):
        program = program.replace('"nanoKONTROL2"', "port")
        mix = stembridge.StemProcessor("live", 48000)
        names = {"mix": mix, "port": midi_device.name, "blocks": np.split(song, 4, axis=-1), "song": song}
        names |= {"play": played.append, "stembridge": stembridge, "MidiControl": MidiControl}
        exec(program, names)
        return played

    return run


def test_a_controller_moves_a_stream(run):
    assert len(run(EXAMPLES[0])) == 4


def test_a_performance_is_kept(run, tmp_path):
    assert len(run(EXAMPLES[2])) == 4
    assert {path.name for path in tmp_path.iterdir()} >= {"take.csv", "take.mid"}


def test_all_other_programs_compile():
    assert len(EXAMPLES) == 3
    compile(EXAMPLES[1], "docs/midi.md", "exec")
