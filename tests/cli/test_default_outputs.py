"""Without --output a result is named after the settings, and nothing is overwritten."""

import os

import pytest
import soundfile


def made(desk):
    return sorted(name for name in desk.files() if name.endswith((".wav", ".flac")))


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--vocals", "-80"], "song (no vocals).wav"),
        (["--vocals", "-inf", "--drums=3"], "song (no vocals, drums +3 dB).wav"),
        (["--preset", "karaoke"], "song (karaoke).wav"),
        (["--preset", "karaoke", "--bass=-6"], "song (karaoke, bass -6 dB).wav"),
        (["--preset", "karaoke", "--vocals=-90", "--bass=0"], "song (karaoke).wav"),
        (["--preset", "mine.json", "--vocals=0", "--bass=3"], "song (mine, vocals 0 dB, bass +3 dB).wav"),
        (["--preset", "mine.json"], "song (mine).wav"),
        (["--automation", "ride.csv"], "song (ride).wav"),
        (["--vocals=-80", "--format", "flac"], "song (no vocals).flac"),
        (["--force"], "song (remix).wav"),
        (["--normalize"], "song (remix).wav"),
    ],
)
def test_a_remix_is_named_after_its_settings(desk, options, name):
    (desk.folder / "music").mkdir()
    desk.make_song("music/song.wav")
    (desk.folder / "mine.json").write_text('{"name": "m", "description": "", "gains_db": {"vocals": -6}}')
    (desk.folder / "ride.csv").write_text("seconds,stem,gain_db,shape\n0.1,vocals,-80,step\n")
    result = desk.call("remix", "music/song.wav", *options, "--model", desk.model)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"wrote {name}: ")
    assert made(desk) == sorted(["music/song.wav", name]), "in the current folder"


def test_a_format_that_cannot_be_written_becomes_flac(desk):
    soundfile.write(desk.folder / "song.au", soundfile.read(desk.make_song())[0], 44100)
    result = desk.call("remix", "song.au", "--vocals=-80", "--model", desk.model)
    assert (result.returncode, result.stderr) == (0, "")
    assert (desk.folder / "song (no vocals).flac").exists()


@pytest.mark.parametrize(("output", "where"), [(".", ""), ("..", "../"), ("out/", "out/"), ("there", "there/")])
def test_a_folder_gets_the_same_name(desk, output, where):
    (desk.folder / "there").mkdir()
    desk.make_song()
    result = desk.call("remix", "song.wav", "-o", output, "--vocals=-80", "--model", desk.model)
    assert (result.returncode, result.stderr) == (0, "")
    path = os.path.normpath(f"{where}song (no vocals).wav")
    assert result.stdout.startswith(f"wrote {path}: ")
    assert (desk.folder / path).exists()


def test_a_folder_is_not_left_behind(desk):
    for song, output in ("nosuch.wav", "new/"), (desk.make_song(), "no/new/"), (desk.folder / "song.wav", ""):
        desk.refused("remix", song, "-o", output, "--vocals=-80", "--model", desk.model, here=True)


def test_a_second_remix_of_one_name_is_refused(desk):
    for folder in "a", "b":
        (desk.folder / folder).mkdir()
        desk.make_song(f"{folder}/song.wav")
    remix = "remix", "--vocals=-80", "--model", desk.model
    assert desk.call(*remix, "a/song.wav").returncode == 0
    for song in "a/song.wav", "b/song.wav":
        assert "song (no vocals).wav exists already" in desk.refused(*remix, song, here=True)
    assert desk.call(*remix, "b/song.wav", "--force").returncode == 0


def test_stems_of_a_second_song_get_another_folder(desk):
    for name in "one.wav", "two.wav":
        desk.make_song(name)
    separate = "separate", "--stems", "vocals,instrumental", "--model", desk.model
    (desk.folder / "two (2)").write_text("a file")
    wrote = [
        (["one.wav"], "one/"),
        (["one.wav"], "one (2)/"),
        (["two.wav", "-o", "one"], "one/two/"),
        (["two.wav", "-o", "one/"], "one/two (2)/"),
        (["two.wav"], "two/"),
        (["two.wav"], "two (3)/"),
        (["one.wav", "-o", "two", "--force"], "two/"),
        (["one.wav", "--force"], "one/"),
        (["one.wav", "--stems", "drums"], "one/"),
    ]
    for arguments, folder in wrote:
        before = desk.files()
        result = desk.call(*separate, *arguments)
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout.startswith(f"wrote {folder}")
        if "--force" not in arguments:
            assert {name: desk.files()[name] for name in before} == before


def test_a_song_without_a_suffix_keeps_its_name(desk):
    desk.make_song("song.wav").rename(desk.folder / "song")
    result = desk.call("separate", "song", "--stems", "vocals", "--model", desk.model)
    assert (result.returncode, result.stderr) == (0, "")
    assert made(desk) == ["song (2)/vocals.wav"]


def test_stems_go_to_a_folder_named_after_the_song(desk):
    for name in "one.wav", "two: live.wav":
        desk.make_song(name)
        result = desk.call("separate", name, "--stems", "vocals,no_vocals", "--model", desk.model)
        assert (result.returncode, result.stderr) == (0, "")
    assert made(desk) == [
        "one.wav", "one/no_vocals.wav", "one/vocals.wav",
        "two: live.wav", "two_ live/no_vocals.wav", "two_ live/vocals.wav",
    ]  # fmt: skip


def test_stems_do_not_go_to_a_file(desk):
    line = desk.refused("separate", desk.make_song(), "-o", "out.wav", "--model", desk.model, here=True)
    assert "out.wav is the name of a file" in line


@pytest.mark.parametrize("options", [[], ["--vocals", "0"], ["--bits", "24"]])
def test_a_remix_with_all_faders_at_0_db_is_refused(desk, options):
    line = desk.refused("remix", desk.make_song(), *options, "--model", desk.model, here=True)
    assert "all faders stay at 0 dB; move one" in line
    assert "--force" in line


def test_control_characters_in_paths_are_escaped(desk):
    desk.make_song("a\x1b[31m\nb.wav")
    result = desk.call("remix", "a\x1b[31m\nb.wav", "-o", ".//x\x1b\n.wav", "--vocals=-80", "--model", desk.model)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("wrote x\\x1b\\n.wav: ")
    assert result.stdout.count("\n") == 1
