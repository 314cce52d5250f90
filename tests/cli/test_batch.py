"""Many songs: command lines, exit codes, and messages while songs are rendered and afterwards."""

import contextlib
import csv
import json
import os
import signal
import time

import numpy as np
import pytest
import soundfile
from stembridge.cli.batch import MAX_TABLE_ROWS
from stembridge.cli.table import printable
from stembridge.engine import remix


def read(path):
    return soundfile.read(path, dtype="float32", always_2d=True)[0].T


@pytest.fixture
def songs(desk):
    """Make a folder with three short songs, one of them in a subfolder."""
    (desk.folder / "songs" / "b side").mkdir(parents=True)
    for name in "one.wav", "two.flac", "b side/three.wav":
        desk.make_song(f"songs/{name}", subtype="PCM_16")
    return desk.folder / "songs"


def outputs(desk, folder="out"):
    """Return the sound files below a folder."""
    paths = (path for path in (desk.folder / folder).rglob("*") if path.is_file() and ".stembridge" not in str(path))
    return sorted(str(path.relative_to(desk.folder / folder)) for path in paths if path.name != "report.json")


def test_a_folder(desk, songs):
    result = desk.run("remix", "songs", "-o", "out", "--vocals", "-80", "--jobs", "2", "--model", desk.model)
    assert (result.returncode, result.stderr) == (0, "")
    assert outputs(desk) == ["b side/three (no vocals).wav", "one (no vocals).wav", "two (no vocals).flac"]
    expected = remix(read(songs / "one.wav"), 44100, {"vocals": -80}, desk.model)
    np.testing.assert_allclose(read(desk.folder / "out" / "one (no vocals).wav"), expected, rtol=0, atol=2**-15)
    lines = result.stdout.splitlines()
    assert sorted(line.split()[:2] for line in lines[:3]) == [["done", f"{k}/3"] for k in (1, 2, 3)]
    assert all("times real time" in line for line in lines[:3])
    assert lines[-1].startswith("3 done; 0:0")
    assert "report.json" in os.listdir(desk.folder / "out")


def test_without_an_output_results_go_into_the_current_folder(desk, songs):
    result = desk.run("karaoke", "songs/one.wav", "songs/two.flac", "--model", desk.model)
    assert (result.returncode, result.stderr) == (0, "")
    assert {"one (karaoke).wav", "two (karaoke).flac"} <= set(os.listdir(desk.folder))


def test_a_second_run_has_nothing_to_do(desk, songs):
    arguments = "remix", "--vocals=-6", songs, "-o", "out/", "--model", desk.model
    assert desk.call(*arguments).returncode == 0
    before = {name: desk.files()[f"out/{name}"] for name in outputs(desk)}
    result = desk.call(*arguments)
    assert (result.returncode, result.stdout, result.stderr) == (0, "3 done before\n", "")
    assert {name: desk.files()[f"out/{name}"] for name in outputs(desk)} == before


def test_stems_of_many_songs(desk, songs):
    result = desk.call("separate", songs, "-o", "out", "--stems", "vocals, no_vocals", "--model", desk.model)
    assert (result.returncode, result.stderr) == (0, "")
    assert "two/no_vocals.wav" in outputs(desk)
    assert len(outputs(desk)) == 6


def test_globs_playlists_and_names(desk, songs):
    (desk.folder / "list.m3u").write_text("songs/one.wav\n")
    options = "--name", "{name} ({preset}).{ext}", "--preset", "karaoke", "--format", "flac"
    result = desk.call("remix", "songs/**/*.wav", "list.m3u", "-o", "out", *options, "--model", desk.model)
    assert (result.returncode, result.stderr) == (0, "")
    assert outputs(desk) == ["b side/three (karaoke).flac", "one (karaoke).flac"]


def test_songs_that_fail_are_listed_and_the_others_are_rendered(desk, songs):
    (songs / "bad.wav").write_text("la la la " * 100)
    (songs / "none.wav").touch()
    result = desk.run("remix", "--vocals=-6", "songs", "-o", "out", "--model", desk.model)
    assert result.returncode == 1
    bad, none = sorted(result.stderr.splitlines())
    assert bad.startswith("stembridge: songs/bad.wav: ")
    assert "not an audio file" in bad
    assert none.startswith("stembridge: songs/none.wav: ")
    assert result.stdout.count("failed  ") == 2
    assert result.stdout.splitlines()[-1].startswith("3 done, 2 failed")
    assert outputs(desk) == ["b side/three (vocals -6 dB).wav", "one (vocals -6 dB).wav", "two (vocals -6 dB).flac"]


def test_reports(desk, songs):
    (songs / "bad.wav").write_text("la la la " * 100)
    files = [f"--report={desk.folder / 'report'}{kind}" for kind in (".json", ".csv", ".html")]
    assert desk.call("remix", "--vocals=-6", songs, "-o", "out", *files, "--model", desk.model).returncode == 1
    report = json.loads((desk.folder / "report.json").read_text())
    assert sorted(song["outcome"] for song in report["songs"]) == ["done", "done", "done", "failed"]
    with (desk.folder / "report.csv").open(newline="") as file:
        assert len(list(csv.reader(file))) == 5
    page = (desk.folder / "report.html").read_text()
    assert page.count("<article") == 3
    assert desk.call("remix", "--vocals=-6", songs, "-o", "out", *files, "--model", desk.model).returncode == 1, (
        "an existing report is replaced"
    )
    assert page.count("<svg") == 2 * 3 + 1
    assert "bad.wav" in page


def test_a_dry_run_writes_nothing(desk, songs):
    before = desk.files()
    result = desk.call("remix", "--vocals=-6", songs, "-o", "out", "--dry-run", "--model", desk.model)
    assert (result.returncode, result.stderr) == (0, "")
    for line, name in zip(result.stdout.splitlines()[2:], ("one.wav", "two.flac", "three.wav"), strict=False):
        assert line.split("  ")[0].endswith(name) or "three" in result.stdout
    assert result.stdout.splitlines()[-1] == "3 to do"
    assert desk.files() == before


def test_a_recipe_and_options_that_override_it(desk, songs):
    (desk.folder / "night.toml").write_text(
        f"""
songs = ["songs"]
output = "out"
model = '{desk.model}'
gains_db = {{vocals = -80, drums = -6}}
[[song]]
match = "**/two.flac"
gains_db = {{bass = -80}}
"""
    )
    assert desk.call("remix", "--recipe", "night.toml", "--drums", "3", "-o", "else").returncode == 0
    expected = remix(read(songs / "one.wav"), 44100, {"vocals": -80, "drums": 3}, desk.model)
    np.testing.assert_allclose(
        read(desk.folder / "else" / "one (no vocals, drums +3 dB).wav"), expected, rtol=0, atol=2**-15
    )
    assert outputs(desk, "out") == []
    assert outputs(desk, "else")[-1] == "two (no vocals, drums +3 dB, no bass).flac"
    assert desk.call("remix", "--recipe", "night.toml", "--preset", "acapella").returncode == 0
    expected = remix(read(songs / "one.wav"), 44100, {"drums": -80, "bass": -80, "other": -80}, desk.model)
    np.testing.assert_allclose(read(desk.folder / "out" / "one (acapella).wav"), expected, rtol=0, atol=2**-15)


def test_a_folder_for_one_song(desk):
    song = desk.make_song()
    (desk.folder / "out").mkdir()
    for output in "out", "new/":
        result = desk.call("remix", song, "-o", output, "--vocals=-80", "--model", desk.model)
        assert (result.returncode, result.stderr) == (0, "")
        assert os.listdir(desk.folder / output) == ["song (no vocals).wav"], "and no journal"


def test_nothing_is_overwritten_by_other_settings(desk):
    desk.make_song()
    made = {}
    for options in (
        ["--preset", "karaoke"],
        ["--preset", "acapella"],
        ["--vocals", "-6", "--drums", "3"],
        ["--preset", "karaoke", "--loudness", "match"],
        ["--name", "x.{ext}", "--bass", "-6"],
        ["--name", "x.{ext}", "--bass", "-80"],
    ):
        for counted in "1 done;", "1 done before":
            result = desk.call("remix", "song.wav", "-o", "mo/", "--jobs=1", *options, "--model", desk.model)
            assert (result.returncode, result.stderr) == (0, "")
            assert result.stdout.splitlines()[-1].startswith(counted)
        now = {name: desk.files()[f"mo/{name}"] for name in outputs(desk, "mo")}
        assert made.items() <= now.items()
        assert len(now) == len(made) + 1
        made = now
    assert sorted(made) == [
        "song (acapella).wav",
        "song (karaoke) (2).wav",
        "song (karaoke).wav",
        "song (vocals -6 dB, drums +3 dB).wav",
        "x (2).wav",
        "x.wav",
    ]
    forced = desk.call(
        "remix", "song.wav", "-o", "mo/", "--name", "x.{ext}", "--drums", "-80", "--force", "--model", desk.model
    )
    assert forced.returncode == 0
    assert outputs(desk, "mo") == sorted(made)
    assert desk.files()["mo/x.wav"] != made["x.wav"]
    (desk.folder / "mo" / "x (2).wav").unlink()
    desk.call("remix", "song.wav", "-o", "mo/", "--name", "x.{ext}", "--vocals", "-3", "--model", desk.model)
    assert outputs(desk, "mo") == sorted(made), "a deleted output keeps its name reserved"


def test_files_left_out_are_reported_before_the_work(desk, songs):
    for name in "cover.jpg", "film.mkv", "film.mp4", "b side/film.MP4":
        (songs / name).touch()
    desk.make_song("songs/[b] side [2019].wav")
    line = "stembridge: left out 4 files without an audio suffix: 2 .mp4, 1 .jpg, 1 .mkv\n"
    for options in ["--dry-run"], []:
        result = desk.call("remix", "--vocals=-6", "songs", "-o", "out/", "--model", desk.model, *options)
        assert (result.returncode, result.stderr) == (0, line)
    assert json.loads((desk.folder / "out" / "report.json").read_text())["left_out"] == [line[12:-1]]
    result = desk.call("remix", "--vocals=-6", "songs/[b] side [2019].*", "-o", "out/", "--model", desk.model)
    assert (result.returncode, result.stdout, result.stderr) == (0, "1 done before\n", "")


def test_without_worker_processes_one_job_does_the_work(desk, songs):
    """Worker processes need semaphores, which some systems do not have."""
    (desk.folder / "sitecustomize.py").write_text("import _multiprocessing\ndel _multiprocessing.SemLock\n")
    environment = os.environ | {"PYTHONPATH": str(desk.folder)}
    result = desk.run(
        "remix", "--vocals=-6", "songs", "-o", "out", "--jobs", "2", "--model", desk.model, env=environment
    )
    assert result.returncode == 0
    assert result.stderr.startswith(
        "stembridge: warning: worker processes cannot be started, so songs are rendered one at a "
    )
    assert result.stderr.count("\n") == 1
    assert len(outputs(desk)) == 3


def test_stems_of_one_song_go_straight_into_the_folder(desk):
    result = desk.call("separate", desk.make_song(), "-o", "stems/", "--model", desk.model)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("wrote stems/vocals.wav, ")
    assert len(os.listdir(desk.folder / "stems")) == 4


def test_loudness_of_one_song(desk):
    meter = pytest.importorskip("pyloudnorm").Meter(44100)
    song = desk.make_song(seconds=3)
    for loudness, target in ("-23", -23), ("match", meter.integrated_loudness(read(song).T)):
        options = "--vocals", "-80", "--loudness", loudness, "--bits", "24", "--force"
        result = desk.call("remix", song, "-o", "out.wav", *options, "--model", desk.model)
        assert result.returncode == 0, result.stderr
        assert meter.integrated_loudness(read(desk.folder / "out.wav").T) == pytest.approx(target, abs=0.1)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["remix"], "SONG"),
        (["remix", "songs", "-o", "out"], "all faders stay at 0 dB; move one"),
        (["remix", "--vocals=-6", "songs", "-o", ""], "--output is empty"),
        (["remix", "--vocals=-6", "songs", "-o", "out.flac"], "out.flac is the name of a file"),
        (["remix", "--vocals=-6", "songs/one.wav", "songs/two.flac", "-o", "out.wav"], "out.wav is the name of a file"),
        (["remix", "--vocals=-6", "songs/one.wav", "-o", "out.wav", "--format", "flac"], "--format"),
        (["remix", "--vocals=-6", "songs/one.wav", "-o", "out.wav", "--loudness", "loud"], "loud"),
        (["remix", "--vocals=-6", "songs/one.wav", "-o", "out.wav", "--loudness", "3"], "3"),
        (["remix", "--vocals=-6", "songs", "-o", "out", "--loudness", "-14", "--normalize"], "normalize"),
        (["remix", "--vocals=-6", "songs", "nowhere", "-o", "out"], "nowhere"),
        (["remix", "--vocals=-6", "songs/*.mp3", "-o", "out"], "songs/*.mp3"),
        (["remix", "--vocals=-6", "songs", "nowhere.m3u", "-o", "out"], "nowhere.m3u"),
        (["remix", "--vocals=-6", "songs", "-o", "out", "--jobs", "0"], "--jobs"),
        (["remix", "songs", "-o", "out", "--preset", "karaoke2"], "karaoke2"),
        (["remix", "songs", "-o", "out", "--vocals", "loud"], "vocals"),
        (["remix", "--vocals=-6", "songs", "-o", "out", "--model", "nothing"], "nothing"),
        (["remix", "--vocals=-6", "songs", "-o", "out", "--automation", "ride.csv"], "ride.csv"),
        (["remix", "--vocals=-6", "songs", "-o", "out", "--name", "{song}.{ext}"], "{song}"),
        (["remix", "--vocals=-6", "songs", "-o", "out", "--name", "../{name}.{ext}"], ".."),
        (["remix", "--vocals=-6", "songs", "-o", "out", "--report", "report.txt"], "report.txt"),
        (["remix", "--vocals=-6", "songs", "-o", "out", "--report", "nowhere/report.html"], "nowhere/report.html"),
        (["remix", "--vocals=-6", "songs", "-o", "out", "--report", "songs"], "songs"),
        (["remix", "--vocals=-6", "songs", "-o", "out", "--report", "mine.csv"], "mine.csv exists and is not a report"),
        (
            ["remix", "--vocals=-6", "songs", "-o", "out", "--report", "mine.html"],
            "mine.html exists and is not a report",
        ),
        (["remix", "--recipe", "nowhere.toml", "-o", "out"], "nowhere.toml"),
        (["remix", "--recipe", "bad.toml", "-o", "out"], "vocal"),
        (["remix", "--vocals=-6", "songs", "-o", "songs/one.wav/"], "songs/one.wav"),
        (["separate", "songs", "-o", "out", "--stems", "voice"], "voice"),
        (["separate", "songs", "-o", "out", "--name", "{name}.{ext}"], "stem"),
        (["separate", "--recipe", "bad.toml"], "vocal"),
    ],
)
def test_an_unusable_command_line(desk, songs, arguments, part):
    for name in "mine.csv", "mine.html":
        (desk.folder / name).write_text("<!doctype html>")
    (desk.folder / "bad.toml").write_text('songs = ["songs"]\nvocal = -80\n')
    if "--model" not in arguments and "--recipe" not in arguments:
        arguments = [*arguments, "--model", desk.model]
    assert part in desk.refused(*arguments, here=True)


def test_an_address_without_a_scheduler(desk, songs):
    """No message of Dask is shown."""
    line = desk.refused("remix", "--vocals=-6", "songs", "-o", "out", "--dask", "127.0.0.1", "--model", desk.model)
    assert "no Dask scheduler answers at 127.0.0.1; start one" in line


def test_a_report_in_the_output_folder_that_the_batch_makes(desk, songs):
    arguments = "--vocals=-6", "songs", "-o", "out", "--report", "out/r.html", "--model", desk.model
    assert "the folder out does not exist" in desk.refused("remix", *arguments, "--dry-run", here=True)
    assert desk.call("remix", *arguments).returncode == 0
    assert (desk.folder / "out" / "r.html").exists()


def test_reports_that_cannot_be_written_are_reported_last(desk, songs, monkeypatch):
    def full(report, path, **options):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("stembridge.render.report.report.Report.write", full)
    result = desk.call("remix", "--vocals=-6", "songs", "-o", "out", "--report", "x.csv", "--model", desk.model)
    assert result.returncode == 1
    assert "3 done" in result.stdout
    assert result.stderr.count("No space left on device") == 2


def test_an_error_that_ends_a_running_batch_is_not_a_usage_error(desk, songs, monkeypatch):
    from stembridge.render.batch.journal import Journal

    claim = Journal.claim

    def full(journal, key, number, outputs):
        if len(journal.entries) == room:
            raise OSError("cannot write the journal")
        claim(journal, key, number, outputs)

    monkeypatch.setattr(Journal, "claim", full)
    for room in 0, 1:
        code = 1 if room else 2
        result = desk.call("remix", "--vocals=-6", "songs", "-o", "out", "--model", desk.model)
        assert (result.returncode, result.stderr) == (code, "stembridge: cannot write the journal\n")


def test_the_table_is_short(desk):
    (desk.folder / "songs").mkdir()
    for k in range(MAX_TABLE_ROWS + 5):
        desk.make_song(f"songs/{k}.wav", seconds=0.02)
    result = desk.call("remix", "--vocals=-6", "songs", "-o", "out", "--model", desk.model)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert sum(line.startswith("done ") for line in lines) == MAX_TABLE_ROWS + 5
    assert sum(line.startswith("songs/") for line in lines) == MAX_TABLE_ROWS
    assert lines[-2] == "... and 5 more"


def test_loudness_peak_and_warnings_are_in_the_table(desk, songs):
    result = desk.call("remix", songs, "-o", "out", "--vocals", "20", "--drums", "20", "--model", desk.model)
    (line,) = (line for line in result.stdout.splitlines() if "one.wav" in line and not line.startswith("done"))
    assert "turned down by" in line
    assert line.count(" to ") == 2
    assert "3 with warnings" in result.stdout.splitlines()[-1]


def test_control_characters_in_names_are_escaped(desk):
    (desk.folder / "songs").mkdir()
    os.rename(desk.make_song(), desk.folder / "songs" / "a\x1b[2J\nb.wav")
    result = desk.call("remix", "--vocals=-6", "songs", "-o", "out", "--model", desk.model)
    assert result.returncode == 0, result.stderr
    assert r"a\x1b[2J\nb.wav" in result.stdout
    assert printable("Ünï 名\udce9\u202e") == r"Ünï 名\udce9\u202e"


def test_in_a_terminal_bars_show_all_songs_and_each(desk, songs):
    """Use a pseudo-terminal."""
    desk.make_song("songs/long.wav", seconds=8)
    shown, out = desk.in_terminal("remix", "--vocals=-6", "songs", "-o", "out", "--jobs", "2", "--model", desk.model)
    assert "done    " not in out
    for part in "all songs", "long.wav", "rendering", "/4", "times real time":
        assert part in shown


def wait_until_rendering(desk, process):
    """Wait until unfinished sound is on the disk."""
    while process.poll() is None:
        with contextlib.suppress(FileNotFoundError):  # it comes and goes
            if any(path.stat().st_size > 200_000 for path in desk.folder.rglob("out/.stembridge/run-*/**/*")):
                return
        time.sleep(0.01)
    raise AssertionError(process.communicate())


@pytest.mark.parametrize(("jobs", "number"), [(1, signal.SIGTERM), (2, signal.SIGINT)])
def test_stopped_in_the_middle_and_started_again(desk, songs, jobs, number):
    for k in range(2):
        desk.make_song(f"songs/long {k}.wav", seconds=40)
    arguments = "remix", "--vocals=-6", "songs", "-o", "out", "--jobs", jobs, "--model", desk.model
    process = desk.start(*arguments)
    wait_until_rendering(desk, process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    word, code = ("interrupted", 130) if number == signal.SIGINT else ("terminated", 143)
    assert (process.returncode, err) == (code, f"stembridge: {word}\n")
    assert not list(desk.folder.rglob("run-*"))
    assert desk.run(*arguments).returncode == 0
    assert len(outputs(desk)) == 5
    for name in outputs(desk):
        song = songs / name.replace(" (vocals -6 dB)", "")
        assert soundfile.info(desk.folder / "out" / name).frames == soundfile.info(song).frames
