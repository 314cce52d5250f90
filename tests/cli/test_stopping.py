"""Ctrl-C and other signals: one line, the documented exit code, nothing left behind. Bugs: one line, too."""

import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from stembridge.cli import main

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@contextmanager
def handlers_restored():
    """Restore the signal handlers, as main() ignores signals after it was stopped."""
    before = {number: signal.getsignal(number) for number in CODES}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the tests may run in the background
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def wait_until_rendering(desk, process):
    """Wait until unfinished sound is on the disk."""
    while process.poll() is None:
        if any(path.stat().st_size > 200_000 for path in desk.folder.rglob(".stembridge-*/*")):
            return
        time.sleep(0.01)
    raise AssertionError(process.communicate())


@pytest.mark.parametrize("command", [["remix", "--vocals", "-6", "-o", "out.wav"], ["separate", "-o", "stems"]])
@pytest.mark.parametrize("number", CODES)
def test_a_signal_in_mid_render(desk, command, number):
    song = desk.make_song("song.flac", seconds=120, subtype="PCM_16")
    before = desk.files()
    process = desk.start(*command, song)  # the slowest model there is: on a busy machine the signal may come late
    wait_until_rendering(desk, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (CODES[number], "")
    assert err == f"stembridge: {'interrupted' if number == signal.SIGINT else 'terminated'}\n"
    assert desk.files() == before


def test_an_impatient_user(desk):
    """Send Ctrl-C again and again until the command has ended."""
    song = desk.make_song(seconds=120)
    before = desk.files()
    process = desk.start("separate", song, "-o", "stems")
    wait_until_rendering(desk, process)
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        time.sleep(0.002)
    assert (process.returncode, process.stderr.read()) == (130, "stembridge: interrupted\n")
    assert desk.files() == before


def test_ctrl_c_keeps_an_older_output(desk):
    song = desk.make_song(seconds=120)
    (desk.folder / "out.wav").write_text("old")
    before = desk.files()
    process = desk.start("remix", song, "-o", "out.wav", "--force")
    wait_until_rendering(desk, process)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    process.communicate()
    assert desk.files() == before


def test_nohup_is_respected(desk):
    song = desk.make_song(seconds=20)

    def ignore_hangups():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    process = desk.start(
        "remix", song, "-o", "out.wav", "--vocals", "-6", "--model", desk.model, prepare=ignore_hangups
    )
    wait_until_rendering(desk, process)
    process.send_signal(signal.SIGHUP)
    assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 0


def test_ctrl_c_that_becomes_another_error(monkeypatch, capsys):
    """Modules in C raise an ImportError if something is raised while they load."""

    def load():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("initialization failed") from None

    monkeypatch.setattr("stembridge.presets.preset_names", load)
    with handlers_restored():
        assert main(["presets"]) == 130
    assert capsys.readouterr().err == "stembridge: interrupted\n"


def test_ctrl_c_while_the_command_is_imported_is_one_line():
    code = """
import sys

class Interrupts:
    def find_spec(self, name, *_):
        if name == "stembridge.cli.entry":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupts())
import stembridge.cli
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "stembridge: interrupted\n")


def test_a_bug_is_one_line_that_asks_for_a_report(monkeypatch, capsys):
    def stumble():
        raise ZeroDivisionError("half of\nnothing")

    monkeypatch.setattr("stembridge.presets.preset_names", stumble)
    assert main(["presets"]) == 1
    line = capsys.readouterr().err
    assert "ZeroDivisionError: half of nothing" in line
    assert "report" in line
    assert line.count("\n") == 1


def test_the_traceback_can_be_shown(monkeypatch, capsys):
    monkeypatch.setenv("STEMBRIDGE_DEBUG", "1")
    assert main(["remix", "nowhere.wav", "-o", "out.wav"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_caller_gets_its_own_signal_handlers_back(capsys):
    before = [signal.getsignal(number) for number in CODES]
    assert main(["--version"]) == 0
    assert main(["--nonsense"]) == 2
    assert [signal.getsignal(number) for number in CODES] == before
