"""docs/batch.md is true of the code, and its commands and examples work."""

import dataclasses
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from stembridge.core.settings import keys_of
from stembridge.render.batch.naming import FIELDS
from stembridge.render.report.results import SongReport
from stembridge.render.settings import RemixFiles, SeparateFiles

DOCUMENT = (Path(__file__).parents[2] / "docs" / "batch.md").read_text("utf-8")
COMMANDS = [line.strip() for line in re.findall(r"^ {4}stembridge .*$", DOCUMENT, re.MULTILINE) if "--dask" not in line]


def example(kind):
    (text,) = re.findall(rf"```{kind}\n(.*?)```", DOCUMENT, re.DOTALL)
    return text


@pytest.fixture
def music(desk):
    """Make a desk with the files that the document's commands name."""
    for name in "albums/Delta/a.flac", "albums/live/b.flac", "albums/c intro.flac", "folder/d.wav":
        (desk.folder / name).parent.mkdir(parents=True, exist_ok=True)
        desk.make_song(name, seconds=0.1)
    (desk.folder / "songs.m3u").write_text("folder/d.wav\n")
    return desk


def test_the_commands_run(music):
    assert len(COMMANDS) == 5
    for command in COMMANDS:
        arguments = shlex.split(command.replace("--jobs 2", "--jobs 1"))[1:]
        result = music.call(*arguments, "--model", music.model)
        assert (result.returncode, result.stderr) == (0, ""), command
    assert (music.folder / "look.html").exists()
    assert (music.folder / "stems" / "d" / "no_vocals.wav").exists()
    assert (music.folder / "sorted/Unknown Artist/Unknown Album/00 a.flac").exists()


def test_the_program_runs(music):
    program = example("python").replace("jobs=2", "jobs=1")
    done = subprocess.run([sys.executable, "-c", program], cwd=music.folder, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert (music.folder / "look.html").exists()


def test_the_recipe_works(music):
    (music.folder / "night.toml").write_text(example("toml").replace("jobs = 2", "jobs = 1"))
    result = music.call("remix", "--recipe", "night.toml")
    assert (result.returncode, result.stderr) == (0, "")
    names = {path.name for path in (music.folder / "night").rglob("*.flac")}
    assert names == {f"Unknown Artist - {name}.flac" for name in (
        "a (karaoke)", "b (karaoke, vocals -12 dB, drums +3 dB)", "c intro (acapella)", "d (karaoke)"
    )}  # fmt: skip


def test_all_features_are_named():
    said = set(re.findall(r"`\{?(\w+)\}?`", DOCUMENT))
    assert said >= {*FIELDS, *keys_of(RemixFiles), *keys_of(SeparateFiles)}
    assert said >= {field.name for field in dataclasses.fields(SongReport)}
    assert "[[song]]" in DOCUMENT


def test_every_option_it_names_exists(desk):
    known = set(re.findall(r"--[a-z-]+", "".join(desk.call(job, "--help").stdout for job in ("remix", "separate"))))
    of_dask = {"--nworkers", "--nthreads"}
    assert set(re.findall(r"--[a-z][a-z-]+", DOCUMENT)) - of_dask <= known
