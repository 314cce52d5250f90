"""`stembridge inspect`."""

import signal
import sys
import time

import pytest

pytest.importorskip("matplotlib")


def test_a_picture_and_its_numbers(desk):
    song = desk.make_song(seconds=1)
    result = desk.run("inspect", song, "-o", "song.html", "--model", desk.model)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("wrote song.html: song -")
    assert "LUFS, vocals -" in result.stdout
    assert (desk.folder / "song.html").read_text("utf-8").startswith("<!doctype html>")


def test_without_an_output_the_picture_has_the_name_of_the_song(desk):
    (desk.folder / "music").mkdir()
    desk.make_song("music/my song.wav")
    for arguments, name in (
        ([], "my song.html"),
        (["--dark"], "my song.png"),
        (["-o", "new/"], "new/my song.html"),
        (["-o", "music"], "music/my song.html"),
    ):
        result = desk.call("inspect", "music/my song.wav", *arguments, "--model", desk.model)
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout.startswith(f"wrote {name}: song -")
        assert (desk.folder / name).exists()
    line = desk.refused("inspect", "music/my song.wav", "--model", desk.model, here=True)
    assert "my song.html exists already" in line
    desk.refused("inspect", "gone.wav", "-o", "another/", "--model", desk.model, here=True)


def test_existing_files_are_kept_unless_forced(desk):
    song = desk.make_song()
    (desk.folder / "song.svg").write_text("old")
    arguments = "inspect", song, "-o", "song.svg", "--model", desk.model
    assert "--force" in desk.refused(*arguments, here=True)
    result = desk.call(*arguments, "--force")
    assert result.returncode == 0, result.stderr
    assert "<svg" in (desk.folder / "song.svg").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["song.wav", "-o", "song.jpg"], "song.jpg: unsupported picture format; use .png, .svg, .html"),
        (["song.wav", "-o", "song.html", "--dark"], "leave --dark out"),
        (["nowhere.wav", "-o", "song.png"], "nowhere.wav"),
        (["song.wav", "-o", "nowhere/song.png"], "the folder nowhere does not exist"),
        (["song.wav", "-o", "song.png", "--model", "lives"], "unknown model 'lives'"),
    ],
)
def test_wrong_input_is_one_line(desk, arguments, line):
    desk.make_song()
    assert line in desk.refused("inspect", *arguments, here=True)


def test_without_matplotlib_it_says_what_to_install(desk, monkeypatch):
    desk.make_song()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "pip install '.[inspect]' in a clone" in desk.refused("inspect", "song.wav", "-o", "a.png", here=True)


def test_a_signal_leaves_no_files(desk):
    song = desk.make_song(seconds=120)
    before = desk.files()
    process = desk.start("inspect", song, "-o", "song.png")
    while process.poll() is None and not list(desk.folder.glob(".stembridge-*")):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "stembridge: interrupted\n")
    assert desk.files() == before
