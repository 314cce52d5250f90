"""`--help`, suggestions for misspelt names, completion, tables and JSON."""

import json
import os
import re
import shlex
import subprocess
import sys

import pytest
import typer
from stembridge.cli.app import app
from stembridge.cli.examples import EXAMPLES
from stembridge.presets import preset_names

ROOT = typer.main.get_command(app)


def commands(command=ROOT, names=()):
    yield names, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*names, name))


ALL = [pytest.param(names, command, id=" ".join(names) or "stembridge") for names, command in commands()]


@pytest.mark.parametrize(("names", "command"), ALL)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_has_help_with_examples_for_people(desk, names, command, option):
    result = desk.call(*names, option)
    assert (result.returncode, result.stderr) == (0, "")
    text = result.stdout
    assert text.startswith(f"Usage: {' '.join(['stembridge', *names])}")
    assert "\nExamples\n  stembridge " in text
    assert max(map(len, text.splitlines())) <= 80
    for sign in "<bool>", "...]...", "x>=", "<=x", "docs/", ".md", "[default", "[required", "\x1b":
        assert sign not in text
    for parameter in command.params:
        if not parameter.hidden:
            assert parameter.help, parameter.name
            assert all(name in text for name in parameter.opts if name.startswith("-"))


def test_there_are_examples_for_each_command_and_no_other():
    assert set(EXAMPLES) == {" ".join(names) for names, _ in commands()}


@pytest.mark.parametrize("line", [line.strip() for text in EXAMPLES.values() for line in text.strip().splitlines()])
def test_examples_are_command_lines(line):
    """The command lines are parsed but not run."""
    program, *arguments = shlex.split(line)
    assert program == "stembridge"
    context, command = None, ROOT
    while True:
        context = command.make_context(command.name or "stembridge", list(arguments), parent=context)
        left = [*context._protected_args, *context.args] if hasattr(command, "commands") else []
        if not left:
            break
        _, command, arguments = command.resolve_command(context, left)


@pytest.mark.parametrize("width", [30, 40, 50, 80, 300])
@pytest.mark.parametrize("command", ["models", "remix", "live"])
def test_help_is_as_wide_as_the_terminal_but_readable(desk, monkeypatch, command, width):
    monkeypatch.setenv("COLUMNS", "300")
    words = set(desk.call(command, "--help").stdout.split())
    monkeypatch.setenv("COLUMNS", str(width))
    text = desk.call(command, "--help").stdout
    lines = [line for line in text.splitlines() if not line.startswith("  stem")]
    assert max(map(len, lines)) <= min(width, 100)
    assert set(text.split()) == words, "no word is cut"
    assert not any(line.endswith(" ") for line in lines)


def test_common_options_come_first(desk):
    text = desk.call("remix", "--help").stdout.partition("\nOptions\n")[2]
    names = re.findall(r"^  (?:-\w, )?(--[a-z-]+)", text, re.MULTILINE)
    wanted = "--output", "--preset", "--vocals", "--help", "--bitrate", "--model", "--rack", "--jobs"
    assert [name for name in names if name in wanted] == list(wanted)


def test_notes_on_an_option_are_in_one_pair_of_brackets(desk):
    for names, _ in commands():
        assert not re.search(r"\)\s+\(", desk.call(*names, "--help").stdout), names


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["remx", "song.wav"], "'remix'"),
        (["Karaoke!", "song.wav"], "'karaoke'"),
        (["vst3", "lst"], "'list'"),
        (["remix", "song.wav", "--vocal", "-80"], "'--vocals'"),
        (["remix", "song.wav", "--prest", "karaoke"], "'--preset'"),
        (["remix", "song.wav", "--preset", "karaoe"], "'karaoke'"),
        (["remix", "song.wav", "--preset", "KARAOKE"], "'karaoke'"),
        (["remix", "song.wav", "--vocals=-80", "--model", "studo"], "'studio'"),
        (["separate", "song.wav", "--stems", "vocal"], "'vocals'"),
        (["separate", "song.wav", "--stems", "no_vocal"], "'no_vocals'"),
        (["midi", "monitor", "--map", "nanokontrol"], "'nanokontrol2'"),
        (["remix", "song.wav", "--vocals=-6", "-o", "out/", "--name", "{titel}.{ext}"], "'title'"),
        (["docs", "automatoin"], "'automation'"),
    ],
)
def test_a_misspelt_name_gets_a_suggestion(desk, arguments, meant):
    desk.make_song()
    assert f"(did you mean {meant}?)" in desk.refused(*arguments, here=True)


def test_a_name_unlike_all_others_gets_no_suggestion(desk):
    assert "did you mean" not in desk.refused("xylophone", here=True)


def test_the_name_of_a_preset_is_a_command(desk, monkeypatch):
    """It runs remix with that preset. The user's own presets work too, and options may follow."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(desk.folder / "config"))
    assert desk.call("presets", "save", "duet", "--vocals=-6").returncode == 0
    desk.make_song()
    for arguments, name in (
        (["karaoke", "song.wav"], "song (karaoke).wav"),
        (["acapella", "song.wav", "--format=flac"], "song (acapella).flac"),
        (["duet", "song.wav", "--bass=-80"], "song (duet, no bass).wav"),
    ):
        result = desk.call(*arguments, "--model", desk.model)
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout.startswith(f"wrote {name}: ")
    assert desk.call("remix", "song.wav", "--preset=karaoke", "-o", "x.wav", "--model", desk.model).returncode == 0
    assert (desk.folder / "x.wav").read_bytes() == (desk.folder / "song (karaoke).wav").read_bytes()
    text = desk.call("karaoke", "--help").stdout
    assert text.startswith("Usage: stembridge karaoke ")
    assert "The band without the singer. Short for `stembridge remix --preset karaoke`." in text
    assert "--preset NAME" not in text
    assert "leave --preset out" in desk.refused("karaoke", "song.wav", "--preset", "drumless", here=True)
    assert "see stembridge remix --help" in desk.refused("remix", "song.wav", "--vocals", here=True)
    assert "see stembridge karaoke --help" in desk.refused("karaoke", "song.wav", "--drumz", "3", here=True)


def answer_to_shell(**environment):
    command = [sys.executable, "-m", "stembridge"]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def completed(words):
    count = len(words.split(" ")) - 1
    return answer_to_shell(COMP_WORDS=words, COMP_CWORD=str(count), _STEMBRIDGE_COMPLETE="complete_bash").split()


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("stembridge se", ["separate"]),
        ("stembridge kar", ["karaoke"]),
        ("stembridge karaoke --vo", ["--vocals"]),
        ("stembridge remix song.wav --preset karao", ["karaoke"]),
        ("stembridge remix song.wav --model st", ["studio"]),
        ("stembridge presets show karao", ["karaoke"]),
        ("stembridge models show st", ["studio"]),
        ("stembridge live --map mack", ["mackie"]),
        ("stembridge train --teacher st", ["studio"]),
        ("stembridge separate song.wav --stems vocals,no_d", ["vocals,no_drums"]),
        ("stembridge separate song.wav --stems inst", ["instrumental"]),
        ("stembridge remix song.wav --gain dr", ["drums="]),
        ("stembridge presets delete kar", []),
        ("stembridge midi monitor --map nano", ["nanokontrol2"]),
        ("stembridge docs autom", ["automation"]),
        ("stembridge midi monitor nothing-like-this", []),
    ],
)
def test_the_shell_completes_names(words, names):
    assert completed(words) == names


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_each_description_is_on_the_line_of_its_name(shell):
    get = {"_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    answer = answer_to_shell(
        _STEMBRIDGE_COMPLETE=f"complete_{shell}", _TYPER_COMPLETE_ARGS="stembridge remix --", **get
    )
    lines = answer.removeprefix("_arguments '*: :((").splitlines()
    assert len(lines) > 20
    assert all(line.startswith(("--", '"--')) for line in lines)


def test_completion_can_be_installed(desk):
    text = desk.call("--help").stdout
    assert "--install-completion" in text
    assert "--show-completion" in text


def test_docs_shows_a_page(desk):
    table = desk.call("docs").stdout
    assert "automation" in table
    for name in "automation", "docs/automation.md":
        assert desk.call("docs", name).stdout.startswith("# Automation")


def test_lists_have_their_own_commands(desk):
    for group in "presets", "models":
        for more in [], ["--json"]:
            assert desk.call(group, "list", *more).stdout == desk.call(group, *more).stdout
    assert json.loads(desk.call("presets", "show", "karaoke").stdout)["gains_db"] == {"vocals": -80}


def test_maps_as_json(desk):
    listed = json.loads(desk.call("midi", "maps", "--json").stdout)
    assert [row["name"] for row in listed] == ["general", "mackie", "nanokontrol2"]
    assert all(row["description"] for row in listed)


def test_presets_as_json(desk):
    listed = json.loads(desk.call("presets", "--json").stdout)
    assert [row["name"] for row in listed] == preset_names()
    assert {"name": "karaoke", "gains_db": {"vocals": -80}, "own": False}.items() <= listed[6].items()


@pytest.mark.parametrize("command", [["presets"], ["models"], ["midi", "maps"], ["docs"]])
def test_tables_fit_in_80_columns_and_wrap_in_pipes_only_if_asked(desk, monkeypatch, command):
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(desk.folder))
    monkeypatch.setenv("XDG_DATA_HOME", str(desk.folder))
    lines = desk.call(*command).stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert not any(line.endswith(" ") for line in lines)
    monkeypatch.setenv("COLUMNS", "30")
    wrapped = desk.call(*command).stdout.splitlines()
    assert len(wrapped) > len(lines)
    assert max(map(len, wrapped)) <= 30


@pytest.mark.parametrize("columns", [None, ""])
def test_a_long_row_stays_a_line_in_a_pipe(desk, monkeypatch, columns):
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(desk.folder))
    assert desk.call("presets", "save", "duet", "--vocals=-6", "--description", 20 * "long ").returncode == 0
    lines = desk.call("presets").stdout.splitlines()
    assert len(lines) == 2 + len(preset_names())
    (own,) = (line for line in lines if line.endswith("(yours)"))
    assert own.startswith("duet ")


@pytest.mark.parametrize(("settings", "colours"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_tables_are_as_wide_as_the_terminal(desk, settings, colours):
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    environment |= {"COLUMNS": "60", "TERM": "xterm-256color", **settings}
    for command in ["presets"], ["remix", "--help"]:
        shown, _ = desk.in_terminal(*command, stream="stdout", env=environment)
        assert ("\x1b[36m" in shown) == (colours and command != ["presets"])
        lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
        assert 40 < max(len(line.rstrip()) for line in lines if not line.startswith("  stembridge ")) <= 60


@pytest.mark.parametrize("command", [["remix", "--vocals=-6"], ["separate"], ["inspect", "-o", "x.png"]])
def test_a_missing_provider_is_one_line(desk, monkeypatch, command):
    monkeypatch.setenv("STEMBRIDGE_PROVIDER", "")  # which is put back afterwards
    line = desk.refused(*command, desk.make_song(), "--provider", "directml", "--model", desk.model, here=True)
    assert "no execution provider 'directml' in this ONNX Runtime" in line
    assert "onnxruntime-directml" in line
    assert desk.call(*command, "song.wav", "--provider", "cpu", "--model", desk.model).returncode == 0
