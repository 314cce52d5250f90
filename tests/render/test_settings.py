"""Render settings are the same in Python, on the command line and in recipes."""

import inspect
import re
import subprocess
import sys
from typing import Any, get_type_hints

import pytest
from stembridge.core.errors import StemBridgeError
from stembridge.core.settings import Option, argument_of, fields_of
from stembridge.models import load_model
from stembridge.render import remix_file, remix_files, separate_file, separate_files
from stembridge.render.batch.job import make_job
from stembridge.render.batch.journal import canonical
from stembridge.render.settings import RemixFile, RemixFiles, SeparateFile, SeparateFiles

NOTHING: Any = None  # of types that checkers of types would refuse
FIVE: Any = 5
FUNCTIONS = {remix_file: RemixFile, remix_files: RemixFiles, separate_file: SeparateFile, separate_files: SeparateFiles}


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_each_field_is_an_argument_with_a_type_and_a_line_of_documentation(function):
    names = [field.name for field in fields_of(FUNCTIONS[function])]
    assert list(inspect.signature(function).parameters) == names
    assert set(get_type_hints(function)) == {*names, "return"}
    section = inspect.getdoc(function).partition("Args:")[2].partition("Returns:")[0]
    documented = re.findall(r"^    (\w+): \S", section, re.MULTILINE)
    assert documented == names


def test_arguments_by_position_are_the_same_in_all():
    for function in FUNCTIONS:
        kinds = inspect.signature(function).parameters.items()
        places = [name for name, parameter in kinds if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
        assert places[:2] in (["source", "target"], ["songs", "output"])
        assert places[2:] in (["gains_db", "model"], ["stems", "model"])


@pytest.mark.parametrize(("command", "kind"), [("remix", RemixFiles), ("separate", SeparateFiles)])
def test_each_option_is_on_the_command_line(command, kind):
    shown = subprocess.run(
        [sys.executable, "-m", "stembridge", command, "--help"], capture_output=True, text=True, check=True
    ).stdout
    flags = set(re.findall(r"--[a-z-]+", shown))
    for field in fields_of(kind):
        option = argument_of(field)
        if isinstance(option, Option):
            assert (option.flags or (f"--{field.name.replace('_', '-')}",))[0] in flags


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: remix_file("song.wav", NOTHING), "target is of type NoneType, not a path; name a file"),
        (lambda: remix_file(FIVE, "out.wav"), "source is of type int, not a path; for samples use remix or separate"),
        (lambda: remix_file("song.wav", ""), "target is empty; give a name or a path"),
        (lambda: remix_file("song.wav", "out.wav", automation=""), "automation is empty; give a name or a path"),
        (lambda: separate_file("", "stems"), "source is empty; give a name or a path"),
        (lambda: remix_files(NOTHING, "out"), "None is not a path or URL; name files"),
        (lambda: remix_files([FIVE], "out"), "5 is not a path or URL; name files"),
        (lambda: remix_files([""], "out"), "the name of a song is empty; name a file"),
        (lambda: separate_files(["song.wav"], NOTHING), "None is not a path or URL; name files"),
    ],
)
def test_a_path_that_is_none_is_named_with_a_remedy(tmp_path, monkeypatch, call, says):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StemBridgeError, match=f"^{says}"):
        call()
    assert list(tmp_path.iterdir()) == []


def test_each_setting_that_shapes_the_result_is_in_the_journal(tiny_live_model):
    """A value other than the default makes another result, and the default adds nothing."""
    model = load_model(tiny_live_model)
    plain = make_job(model, RemixFiles("a.wav", "out")).settings
    assert canonical(plain) == canonical({"job": "remix", "model": model.card.sha256, "gains_db": {}})
    for name, value in {
        "normalize": True, "sample_format": "int16", "stream": 2, "loudness": -14, "gains_db": {"bass": 3},
        "preset": "karaoke",
    }.items():  # fmt: skip
        assert canonical(make_job(model, RemixFiles("a.wav", "out", **{name: value})).settings) != canonical(plain)
    assert canonical({**plain, "later": None, "another": False}) == canonical(plain)
