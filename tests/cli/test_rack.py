"""`stembridge remix --rack`: a rack from a file or a module."""

import os

import numpy as np
import pytest
import soundfile

RACK = """
from pedalboard import Gain
from stembridge import StemRack
from neighbour import MODEL

rack = StemRack(MODEL, vocals=Gain(-6))

def loud(sample_rate, num_channels):
    assert (sample_rate, num_channels) == (44100, 2)
    return StemRack(MODEL, vocals=Gain(6))

def broken():
    return 1 / 0

def forgetful():
    StemRack(MODEL)

def leaving():
    raise SystemExit

class Rack(StemRack):
    def __init__(self):
        super().__init__(MODEL, vocals=Gain(-6))

number = 3
"""


@pytest.fixture
def studio(desk):
    """Make a desk with a song and racks.py."""
    (desk.folder / "neighbour.py").write_text(f"MODEL = {desk.model!r}\n")
    (desk.folder / "racks.py").write_text(RACK)
    desk.make_song(subtype="FLOAT")
    return desk


def read(desk, name):
    return soundfile.read(desk.folder / name)[0]


@pytest.mark.parametrize(
    ("place", "gain_db"), [("racks.py:rack", -6), ("racks:rack", -6), ("racks.py:loud", 6), ("./racks.py:Rack", -6)]
)
def test_a_rack_sounds_as_its_boards_do(studio, place, gain_db):
    result = studio.run("remix", "song.wav", "--rack", place, "--drums", "-3", "-o", "racked.wav")
    assert result.returncode == 0, result.stderr
    gains = "--vocals", gain_db, "--drums", "-3"
    assert studio.call("remix", "song.wav", *gains, "-o", "plain.wav", "--model", studio.model).returncode == 0
    np.testing.assert_allclose(read(studio, "racked.wav"), read(studio, "plain.wav"), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("racks.py", "--rack racks.py does not work; give FILE.py:NAME or package.module:NAME, like rack.py:rack"),
        ("racks.py:", "give FILE.py:NAME or package.module:NAME"),
        ("nowhere.py:rack", "--rack nowhere.py:rack: the file does not exist"),
        ("nowhere:rack", "--rack nowhere:rack: module 'nowhere' was not found; check the name"),
        (
            "racks.py:wreck",
            "--rack racks.py:wreck: no 'wreck' in it; choose from rack, loud, broken, forgetful, leaving, Rack\n",
        ),
        ("racks.py:Rack.wreck", "no 'wreck' in it; it contains no processor"),
        ("racks.py:broken", "--rack racks.py:broken: ZeroDivisionError: division by zero"),
        ("racks.py:forgetful", "--rack racks.py:forgetful: is None; name a processor, or a function that returns one"),
        ("racks.py:leaving", "--rack racks.py:leaving: SystemExit"),
        ("racks.py:number", "int is not a processor: it has no process;"),
        ("text.py:rack", "SyntaxError"),
    ],
)
def test_wrong_input_is_one_line(studio, place, line):
    (studio.folder / "text.py").write_text("la la la\n")
    tidy = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    assert line in studio.refused("remix", "song.wav", "--rack", place, "-o", "out.wav", env=tidy)


def test_the_rack_chooses_the_model(studio):
    arguments = "remix", "song.wav", "--rack", "racks.py:rack", "-o", "out.wav", "--model", "live"
    assert "--model has no effect on a rack; set it in racks.py:rack, and leave the option out" in studio.refused(
        *arguments, here=True
    )
