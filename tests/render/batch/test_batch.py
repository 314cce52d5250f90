"""A batch renders each song as alone, does nothing twice, and lets no song stop another."""

import csv
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
from mutagen.flac import FLAC, Picture
from stembridge import remix_files, separate_files
from stembridge.audio import create_audio
from stembridge.control import Automation
from stembridge.render import remix_file, separate_file
from stembridge.render.batch.journal import Journal


class Watcher:
    """Records its calls."""

    def __init__(self):
        self.said = []
        self.plan = None
        self.busy = threading.Lock()

    def note(self, *what):
        assert self.busy.acquire(blocking=False), "two calls at once"
        self.said.append(what)
        self.busy.release()

    def planned(self, report):
        self.plan = report
        self.note("planned")

    def working(self, source, step, fraction):
        self.note("working", source, step, fraction)

    def finished(self, song):
        self.note("finished", song)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


@pytest.fixture
def songs(here, make_song):
    """Make the short songs in/a.wav, in/b/a.flac (with tags and a cover) and in/b/c.ogg."""
    make_song("in/a.wav", frames=9000)
    tagged = FLAC(make_song("in/b/a.flac", frames=8000))
    tagged.update({"artist": "AC/DC", "title": "T.N.T.", "tracknumber": "9/9"})
    picture = Picture()
    picture.type, picture.mime, picture.data = 3, "image/png", b"\x89PNG"
    tagged.add_picture(picture)
    tagged.save()
    make_song("in/b/c.ogg", frames=7000)
    return here / "in"


@pytest.fixture
def remix(tiny_live_model):
    """Return remix_files with the tiny model, and names that do not show the settings."""

    def remix(songs="in", output="out", gains_db=None, **options):
        return remix_files(songs, output, gains_db, **{"model": tiny_live_model, "name": "{name}.{ext}", **options})

    return remix


def outcomes(report):
    return [song.outcome for song in report.songs]


def files(folder="out"):
    """Return the files that a user sees in a folder: name -> checksum."""
    paths = sorted(Path(folder).rglob("*"))
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
        if path.is_file() and ".stembridge" not in path.parts and path.name != "report.json"
    }


def stamps():
    return {name: os.stat(f"out/{name}").st_mtime_ns for name in files()}


@pytest.mark.parametrize("jobs", [1, 2])
def test_each_song_is_rendered_as_alone(songs, remix, tiny_live_model, jobs):
    report = remix(gains_db={"vocals": -80}, jobs=jobs, normalize=True)
    assert [(song.source, song.outputs, song.outcome) for song in report.songs] == [
        ("in/a.wav", ("out/a.wav",), "done"),
        ("in/b/a.flac", ("out/b/a.flac",), "done"),
        ("in/b/c.ogg", ("out/b/c.ogg",), "done"),
    ]
    Path("alone").mkdir()
    for song in report.songs:
        alone = remix_file(
            song.source, "alone/" + Path(song.outputs[0]).name, {"vocals": -80}, tiny_live_model, normalize=True
        )
        one, other = soundfile.read(song.outputs[0]), soundfile.read(alone.paths[0])
        assert one[1] == other[1]
        assert (one[0] == other[0]).all()
        assert song.seconds == alone.seconds
        assert song.warnings == alone.warnings
        assert song.took > 0
    carried = FLAC("out/b/a.flac")
    assert (carried["title"], carried.pictures[0].data) == (["T.N.T."], b"\x89PNG")


def test_stems(songs, tiny_live_model):
    report = separate_files(["in/a.wav", "in/b"], "out", ["vocals", "no_vocals"], model=tiny_live_model, format="flac")
    assert [song.outputs for song in report.done] == [
        ("out/a/vocals.flac", "out/a/no_vocals.flac"),
        ("out/a (2)/vocals.flac", "out/a (2)/no_vocals.flac"),
        ("out/c/vocals.flac", "out/c/no_vocals.flac"),
    ]
    separate_file("in/a.wav", "alone", ["vocals", "no_vocals"], tiny_live_model, suffix=".flac")
    for stem in ("vocals", "no_vocals"):
        assert (soundfile.read(f"out/a/{stem}.flac")[0] == soundfile.read(f"alone/{stem}.flac")[0]).all()
    assert len(report.done[0].after) == 2
    report = separate_files("in/a.wav", "out", ["bass"], model=tiny_live_model, name="{name} without/{stem}.{ext}")
    assert report.done[0].outputs == ("out/a without/bass.wav",)


def test_each_output_has_the_format_of_its_song_and_lossy_ones_the_bitrate(here, tiny_live_model):
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, (2, 44100))
    names = "a.wav", "b.aiff", "c.mp3", "d.m4a", "e.ogg", "f.aif", "g.oga"
    for name in names:
        with create_audio(name, 44100, 2, suffix=".ogg" if name.endswith("oga") else None) as writer:
            writer.write(noise)

    def run(**coding):
        report = remix_files(list(names), "out", {"vocals": -6}, model=tiny_live_model, **coding)
        assert not report.failed
        return [Path(song.outputs[0]).name for song in report.songs], [song.outcome for song in report.songs]

    done, skipped = ["done"] * 7, ["skipped"] * 7
    suffixes = "wav", "aiff", "mp3", "m4a", "ogg", "aiff", "ogg"
    mix = "(vocals -6 dB)"
    first = [f"{name[0]} {mix}.{suffix}" for name, suffix in zip(names, suffixes, strict=True)]
    assert run(bitrate=64) == (first, done)
    sizes = {name: Path("out", name).stat().st_size for name in first}
    assert sizes[f"a {mix}.wav"] > 170_000
    assert max(sizes[f"{name} {mix}.{suffix}"] for name, suffix in [("c", "mp3"), ("d", "m4a"), ("e", "ogg")]) < 15_000
    assert run(bitrate=64) == (first, skipped)
    # Another bitrate is another result, where there is a bitrate.
    again = [name.replace(".", " (2).") if name[0] in "cdeg" else name for name in first]
    outcomes = ["done" if name[0] in "cdeg" else "skipped" for name in first]
    assert run(encoding_quality=9) == (again, outcomes)


def test_levels_and_pictures_are_in_the_first_and_in_later_reports(songs, remix):
    for report in [remix(gains_db={"vocals": -80}), remix(gains_db={"vocals": -80})]:
        for song in report.songs:
            assert -6 < song.before.peak_db < 0
            assert len(song.after) == 1
            overview = report.overview(song)
            assert overview.stems == ("vocals", "drums", "bass", "other")
            assert overview.stems_after[0].max() == -80
            assert overview.stems_before[0].max() > -60
    assert outcomes(report) == ["skipped"] * 3


def test_names_from_tags(songs, remix, here):
    report = remix(name="{artist}/{track} {title} ({preset}).{ext}", preset="karaoke", format="flac")
    assert [song.outputs[0] for song in report.songs] == [
        "out/Unknown Artist/00 a (karaoke).flac",
        "out/AC_DC/09 T.N.T. (karaoke).flac",
        "out/Unknown Artist/00 c (karaoke).flac",
    ]


def test_a_second_run_does_nothing(songs, remix):
    first = remix()
    made = stamps()
    second = remix()
    assert outcomes(second) == ["skipped"] * 3
    assert stamps() == made
    for one, other in zip(first.songs, second.songs, strict=True):
        assert replace(other, outcome="done") == one


@pytest.mark.parametrize(
    "options",
    [
        {"gains_db": {"vocals": -80}},
        {"preset": "karaoke"},
        {"normalize": True},
        {"loudness": -20},
        {"sample_format": "int24", "format": "wav"},
        {"automation": Automation().step("vocals", 0.01, -80)},
    ],
)
def test_another_setting_is_another_result(songs, remix, options):
    remix("in/a.wav", format="wav")
    made = files()
    for outcome in "done", "skipped":
        report = remix("in/a.wav", **{"format": "wav", **options})
        assert outcomes(report) == [outcome]
        assert report.songs[0].outputs == ("out/a (2).wav",)
    assert files()["a.wav"] == made["a.wav"] != files()["a (2).wav"]
    assert outcomes(remix("in/a.wav", format="wav")) == ["skipped"], "the first is still known"


def test_equivalent_settings_are_the_same(songs, remix):
    remix(preset="karaoke")
    assert outcomes(remix(gains_db={"vocals": -80, "drums": 0})) == ["skipped"] * 3


def test_another_model_is_another_result(songs, remix, tiny_studio_model):
    remix("in/a.wav", gains_db={"vocals": -80})
    made = files()
    assert outcomes(remix("in/a.wav", gains_db={"vocals": -80}, model=tiny_studio_model)) == ["done"]
    assert files()["a.wav"] == made["a.wav"] != files()["a (2).wav"]


def test_a_changed_song_is_rendered_again_and_a_touched_one_is_not(songs, remix, make_song):
    remix()
    made = stamps()
    make_song("in/a.wav", frames=9000, peak=0.5)
    os.utime("in/b/a.flac")
    assert outcomes(remix()) == ["done", "skipped", "skipped"]
    assert {name for name, stamp in stamps().items() if stamp != made[name]} == {"a.wav"}


def test_a_deleted_output_is_made_again(songs, remix):
    remix()
    made = files()
    Path("out/a.wav").unlink()
    assert outcomes(remix()) == ["done", "skipped", "skipped"]
    assert files() == made


def test_an_output_changed_by_the_user_is_not_overwritten(songs, remix):
    remix()
    Path("out/a.wav").write_text("mine")
    report = remix()
    assert outcomes(report) == ["failed", "skipped", "skipped"]
    assert report.failed[0].reason == (
        "out/a.wav was changed after the batch wrote it; move it away, or overwrite it with --force (in Python, "
        "overwrite=True)"
    )
    assert Path("out/a.wav").read_text() == "mine"
    assert outcomes(remix(overwrite=True)) == ["done", "skipped", "skipped"]
    assert soundfile.info("out/a.wav").frames == 9000


def test_a_changed_output_of_the_same_size_is_not_overwritten(songs, remix):
    remix()
    os.utime("out/b/c.ogg", (0, 0))  # as a copied file may have
    changed = bytearray(Path("out/a.wav").read_bytes())
    changed[-1] ^= 1
    Path("out/a.wav").write_bytes(changed)
    report = remix()
    assert outcomes(report) == ["failed", "skipped", "skipped"]
    assert "was changed after the batch wrote it" in report.failed[0].reason
    assert outcomes(remix(gains_db={"vocals": -80})) == ["done"] * 3
    assert Path("out/a.wav").read_bytes() == changed


def test_an_output_replaced_by_a_link_to_its_song_does_not_hide_the_song(songs, remix):
    remix()
    Path("out/a.wav").unlink()
    Path("out/a.wav").symlink_to(songs / "a.wav")
    assert outcomes(remix()) == ["failed", "skipped", "skipped"]


def test_a_file_of_another_program_is_not_overwritten(songs, remix):
    Path("out/b").mkdir(parents=True)
    Path("out/b/a.flac").write_text("mine")
    report = remix(jobs=2)
    assert outcomes(report) == ["done", "failed", "done"]
    assert (
        report.failed[0].reason
        == "out/b/a.flac exists already; move it away, or overwrite it with --force (in Python, overwrite=True)"
    )
    assert outcomes(remix()) == ["skipped", "failed", "skipped"]
    assert Path("out/b/a.flac").read_text() == "mine"
    assert outcomes(remix(overwrite=True)) == ["skipped", "done", "skipped"]


def test_a_file_that_appears_meanwhile_is_not_overwritten(songs, remix):
    class Meddler(Watcher):
        def working(self, source, step, fraction):
            Path("out").joinpath("a.wav").write_text("mine")

    report = remix("in/a.wav", watcher=Meddler())
    assert outcomes(report) == ["failed"]
    assert report.failed[0].reason.startswith("out/a.wav exists already")
    assert Path("out/a.wav").read_text() == "mine"


@pytest.mark.parametrize("overwrite", [False, True])
def test_the_songs_are_never_the_outputs(songs, remix, here, overwrite):
    before = files("in")
    report = remix(output="in", overwrite=overwrite)
    assert outcomes(report) == ["failed"] * 3
    assert all("is also a song of this batch" in song.reason for song in report.songs)
    (here / "link").symlink_to("in")
    os.makedirs("hard")
    os.link("in/a.wav", "hard/a.wav")
    for output in ["link", "hard"]:
        assert set(outcomes(remix("in/a.wav", output, overwrite=overwrite))) == {"failed"}
    assert {name: value for name, value in files("in").items() if name in before} == before


def test_outputs_next_to_the_songs(songs, remix):
    """Render into the songs' folder under other names: the next run takes no output for a song."""
    options = {"output": "in", "name": "{name} ({preset}).{ext}", "preset": "karaoke"}
    assert outcomes(remix(**options)) == ["done"] * 3
    assert outcomes(remix(**options)) == ["skipped"] * 3
    assert sorted(files("in")) == [
        "a (karaoke).wav",
        "a.wav",
        "b/a (karaoke).flac",
        "b/a.flac",
        "b/c (karaoke).ogg",
        "b/c.ogg",
    ]


def test_songs_of_one_name_are_numbered_and_keep_their_numbers(here, make_song, remix):
    for name in ["1/Song.wav", "2/song.wav", "3/song.wav"]:
        make_song(name, frames=3000)
    everything = ["1/Song.wav", "2/song.wav", "3/song.wav"]
    report = remix(everything)
    names = {"1/Song.wav": "out/Song.wav", "2/song.wav": "out/song (2).wav", "3/song.wav": "out/song (3).wav"}
    assert {song.source: song.outputs[0] for song in report.songs} == names
    for again in (everything, everything[::-1], everything[1:]):
        report = remix(again)
        assert outcomes(report) == ["skipped"] * len(again)
        assert all(names[song.source] == song.outputs[0] for song in report.songs)
    make_song("0/song.wav", frames=3000)
    report = remix(["0/song.wav", *everything])
    assert report.songs[0].outputs == ("out/song (4).wav",), "files of others stay"
    assert report.songs[0].outcome == "done"


def test_presets_next_to_one_another(songs, remix):
    options = {"songs": "in/a.wav", "name": "{name} ({preset}).{ext}"}
    for preset in ["karaoke", "drumless"]:
        assert outcomes(remix(preset=preset, **options)) == ["done"]
    for preset in ["karaoke", "drumless"]:
        assert outcomes(remix(preset=preset, **options)) == ["skipped"]
    assert sorted(files()) == ["a (drumless).wav", "a (karaoke).wav"]


def test_names_show_the_settings(songs, remix):
    Path("ride.csv").write_text("seconds,stem,gain_db\n0,vocals,-80\n")
    Path("Mine.json").write_text('{"name": "mine", "description": "Low", "gains_db": {"bass": 3, "drums": -6}}')
    overrides = [{"match": "a.flac", "gains_db": {"drums": -80}}]

    def stems(**options):
        return [
            song.outputs[0][4:] for song in remix(["in/a.wav", "in/b/a.flac"], dry_run=True, name=None, **options).songs
        ]

    assert stems() == ["a (remix).wav", "a (remix).flac"]
    assert stems(preset="karaoke") == ["a (karaoke).wav", "a (karaoke).flac"]
    assert stems(gains_db={"vocals": -96}, format="mp3") == ["a (no vocals).mp3", "a (no vocals) (2).mp3"]
    assert stems(preset="Mine.json", gains_db={"bass": 3}, overrides=overrides) == [
        "a (Mine).wav", "a (Mine, no drums).flac",
    ]  # fmt: skip
    assert stems(gains_db={"other": 0, "vocals": 1.25}, automation="ride.csv")[0] == "a (vocals +1.25 dB, ride).wav"
    assert stems(automation=Automation().step("vocals", 1, 0))[0] == "a (automation).wav"


def test_fewer_stems_and_then_all(songs, tiny_live_model):
    """A second run with more stems replaces no existing stem, because the level may differ."""
    separate_files("in/a.wav", "out", ["vocals"], model=tiny_live_model)
    separate_files("in/a.wav", "out", ["drums", "bass"], model=tiny_live_model)
    made = files()
    assert sorted(made) == ["a/bass.wav", "a/drums.wav", "a/vocals.wav"]
    report = separate_files("in/a.wav", "out", model=tiny_live_model)
    assert [name.rpartition("/")[0] for name in report.done[0].outputs] == ["out/a (2)"] * 4
    assert {name: files()[name] for name in made} == made
    for stems in None, ["vocals"], ["drums", "bass"]:
        assert outcomes(separate_files("in/a.wav", "out", stems, model=tiny_live_model)) == ["skipped"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_bad_songs_do_not_stop_the_others(songs, remix, jobs):
    Path("in/0 text.wav").write_text("no audio")
    Path("in/1 empty.mp3").touch()
    Path("in/2 secret.wav").symlink_to("/nowhere")
    Path("list.m3u").write_text("in/gone.flac\n")
    report = remix(["in", "list.m3u"], jobs=jobs)
    assert outcomes(report) == ["failed", "failed", "failed", "done", "done", "done", "failed"]
    assert [song.source for song in report.failed][-1] == "in/gone.flac"
    assert "line 1: no such file" in report.failed[-1].reason
    for song in report.failed:
        assert song.reason
        assert "\n" not in song.reason
        assert ".stembridge" not in song.reason
    assert sorted(files()) == ["a.wav", "b/a.flac", "b/c.ogg"]
    assert sorted(os.listdir("out/.stembridge")) == ["journal.jsonl", "lock"], "nothing temporary is left"
    Path("in/0 text.wav").write_bytes(Path("in/a.wav").read_bytes())
    assert outcomes(remix("in"))[0] == "done", "failed songs are tried again"


def test_reasons_name_files_as_the_user_does(here, make_song, remix):
    make_song("in/b.wav", num_channels=6)
    make_song("in/c.flac")
    report = remix(sample_format="float32")
    assert [song.reason.partition(";")[0] for song in report.failed] == [
        "has 6 channels, but StemBridge works with mono and stereo only",
        "out/c.flac: .flac cannot hold float32 samples",
    ]


def test_a_url_that_cannot_be_opened_does_not_stop_the_others(songs, remix):
    Path("list.m3u").write_text("nonsense://host/radio.mp3\nin/a.wav\n")
    report = remix("list.m3u", name="{title}.{ext}")
    assert outcomes(report) == ["failed", "done"]
    assert "is unknown to fsspec" in report.failed[0].reason


def test_the_song_of_a_killed_run_comes_last(songs, remix):
    """That song may be the reason."""
    remix("in/a.wav", "elsewhere")
    with Journal("elsewhere", read_only=True) as journal:
        (key,) = journal.entries
    with Journal("out") as journal:
        journal.claim(key, 1, ["a.wav"])
    watcher = Watcher()
    assert outcomes(remix(watcher=watcher)) == ["done"] * 3
    finished = [what[0].source for name, *what in watcher.said if name == "finished"]
    assert finished == ["in/b/a.flac", "in/b/c.ogg", "in/a.wav"]


def test_a_resumed_run_replaces_no_other_result(songs, remix):
    remix("in/a.wav", "elsewhere", gains_db={"vocals": -80})
    with Journal("elsewhere", read_only=True) as journal:
        (killed,) = journal.entries
    with Journal("out") as journal:
        journal.claim(killed, 1, ["a.wav"])
    assert outcomes(remix("in/a.wav", gains_db={"drums": -80})) == ["done"]
    made = files()
    assert outcomes(remix("in/a.wav", gains_db={"drums": -80})) == ["skipped"]
    assert outcomes(remix("in/a.wav", gains_db={"vocals": -80})) == ["done"]
    assert files() == {**made, "a (2).wav": files("elsewhere")["a.wav"]}


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_watcher_that_fails_ends_the_batch_and_no_song(songs, remix, jobs):
    class Broken(Watcher):
        def working(self, source, step, fraction):
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        remix(watcher=Broken(), jobs=jobs)
    report = remix()
    assert report.skipped
    assert not report.failed


def test_a_report_that_cannot_be_written_loses_nothing(songs, remix):
    class Vandal(Watcher):
        def finished(self, song):
            Path("out/report.json").mkdir(exist_ok=True)

    report = remix(watcher=Vandal())
    assert outcomes(report) == ["done"] * 3
    assert report.unwritten.startswith("cannot write out/report.json: Is a directory")


def test_a_failure_leaves_no_folder(here, remix):
    Path("in/deep/er").mkdir(parents=True)
    Path("in/deep/er/text.wav").write_text("no audio")
    assert outcomes(remix()) == ["failed"]
    assert sorted(os.listdir("out")) == [".stembridge", "report.json"]


def test_an_unexpected_error_fails_only_its_song(songs, remix, monkeypatch):
    def stumble(source, *arguments, **options):
        if source.name == "a.wav":
            raise ZeroDivisionError("half of\nnothing")
        return remix_file(source, *arguments, **options)

    monkeypatch.setattr("stembridge.render.batch.task.remix_file", stumble)
    report = remix()
    assert outcomes(report) == ["failed", "done", "done"]
    assert report.failed[0].reason == "ZeroDivisionError: half of nothing"


def test_a_failure_to_write_stems_names_the_folder_that_the_user_knows(songs, tiny_live_model, monkeypatch):
    def fail(source, folder, *_, **__):
        raise OSError(f"cannot write {folder}: No space left on device")

    monkeypatch.setattr("stembridge.render.batch.task.separate_file", fail)
    report = separate_files("in/a.wav", "out", model=tiny_live_model)
    assert report.failed[0].reason == f"cannot write {Path('out/a').absolute()}: No space left on device"


def test_dry_run_says_what_would_happen_and_touches_nothing(songs, remix):
    report = remix(dry_run=True)
    assert outcomes(report) == ["planned"] * 3
    assert [song.outputs[0] for song in report.planned] == ["out/a.wav", "out/b/a.flac", "out/b/c.ogg"]
    assert not Path("out").exists()
    remix("in/a.wav")
    Path("in/b/a.flac").unlink()
    assert outcomes(remix(["in/a.wav", "in/b"], dry_run=True)) == ["skipped", "planned"]
    assert sorted(files()) == ["a.wav"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_watcher_receives_all_events(songs, remix, jobs):
    remix("in/a.wav")
    Path("in/text.wav").write_text("no audio")
    watcher = Watcher()
    report = remix(watcher=watcher, jobs=jobs)
    assert outcomes(watcher.plan) == ["skipped", "planned", "planned", "planned"]
    assert watcher.said[0] == ("planned",)
    finished = [song for kind, *rest in watcher.said for song in rest if kind == "finished"]
    assert sorted(finished, key=report.songs.index) == list(report.songs[1:])
    worked = {(source, step) for kind, *rest in watcher.said if kind == "working" for source, step, _ in [rest]}
    assert {step for _, step in worked} == {"rendering", "writing"}
    assert {source for source, _ in worked} <= {"in/b/a.flac", "in/b/c.ogg"}


def test_overrides(songs, remix):
    overrides = [{"match": "b/*", "gains_db": {"drums": -80}, "format": "wav", "name": "{name} x.{ext}"}]
    report = remix(gains_db={"vocals": -80}, overrides=overrides)
    assert [song.outputs[0] for song in report.done] == ["out/a.wav", "out/b/a x.wav", "out/b/c x.wav"]
    assert (report.overview(report.songs[0]).stems_after.max(axis=1) > -80).tolist() == [False, True, True, True]
    assert (report.overview(report.songs[1]).stems_after.max(axis=1) > -80).tolist() == [False, False, True, True]


def test_automation_from_files(songs, remix):
    Path("ride.csv").write_text("seconds,stem,gain_db\n0,vocals,-80\n")
    assert outcomes(remix("in/a.wav", automation="ride.csv")) == ["done"]
    made = files()
    assert outcomes(remix("in/a.wav", automation="ride.csv")) == ["skipped"]
    Path("ride.csv").write_text("seconds,stem,gain_db\n0,drums,-80\n")
    assert outcomes(remix("in/a.wav", automation="ride.csv")) == ["done"]
    assert len(files()) == 2
    assert made.items() <= files().items()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"songs": "gone"}, "gone: no such file"),
        ({"songs": []}, "no song"),
        ({"output": "in/a.wav"}, "output in/a.wav is a file"),
        ({"output": "memory://a::b"}, "is not a folder"),
        ({"gains_db": {"flute": 0}}, "unknown stem 'flute'"),
        ({"gains_db": {"vocals": 99}}, "out of range"),
        ({"preset": "nonsense"}, "nonsense"),
        ({"preset": "flute.json"}, "preset flute.json: unknown stem 'flute'; the stems are vocals, drums"),
        ({"output": "o\0ut"}, "is not a folder"),
        ({"model": "nonsense"}, "unknown model 'nonsense'"),
        ({"automation": "gone.csv"}, "gone.csv"),
        ({"name": "{nmae}.{ext}"}, "unknown field {nmae}"),
        ({"name": "{stem}.{ext}"}, "a remix is one file"),
        ({"format": "mp4"}, "format 'mp4' does not work; give one of wav, flac"),
        ({"format": "mp3", "sample_format": "int24"}, "mp3 files cannot hold int24"),
        ({"sample_format": "int8"}, "sample_format 'int8' does not work; give one of int16"),
        ({"loudness": 3}, "loudness"),
        ({"loudness": -14, "normalize": True}, "loudness and normalize"),
        ({"jobs": 0}, "jobs 0 does not work"),
        ({"jobs": 1.5}, "jobs 1.5 does not work"),
        ({"threads": 0}, "threads 0 does not work"),
        ({"overrides": [{"match": "x*"}]}, "override 1: 'x*' matches no song (of 3)"),
    ],
)
def test_impossible_settings_are_refused_before_any_work(songs, remix, options, says):
    Path("flute.json").write_text('{"name": "flute", "description": "High", "gains_db": {"flute": 3}}')
    watcher = Watcher()
    with pytest.raises((ValueError, OSError), match=re.escape(says)) as caught:
        remix(watcher=watcher, **options)
    assert "\n" not in str(caught.value)
    assert watcher.said == []
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"stems": ["flute"]}, "unknown stem 'flute'"),
        ({"stems": []}, "no stem"),
        ({"name": "{name}.{ext}"}, "4 stems would have the same name"),
        ({"overrides": [{"match": "*", "preset": "karaoke"}]}, "unknown key 'preset'"),
    ],
)
def test_impossible_settings_for_stems_are_refused(songs, tiny_live_model, options, says):
    with pytest.raises(ValueError, match=says):
        separate_files("in", "out", model=tiny_live_model, **options)
    assert not Path("out").exists()


def test_stems_whose_names_would_be_cut_to_one_are_not_written(songs, tiny_live_model):
    report = separate_files("in", "out", model=tiny_live_model, name="x" * 300 + "{stem}.{ext}")
    assert {song.outcome for song in report.songs} == {"failed"}
    assert "its stems would have the same name, " in report.songs[0].reason


def test_a_report_of_another_program_is_not_overwritten(songs, remix):
    Path("out").mkdir()
    Path("out/report.json").write_text('{"mine": true}')
    with pytest.raises(ValueError, match=r"out/report\.json is not a report of StemBridge"):
        remix()
    assert Path("out/report.json").read_text() == '{"mine": true}'


def test_reports(songs, remix, here):
    Path("in/text.wav").write_text("no audio")
    report = remix(gains_db={"vocals": -80})
    values = json.loads(Path("out/report.json").read_text())
    assert [song["outcome"] for song in values["songs"]] == outcomes(report) == ["done", "done", "done", "failed"]
    assert (values["done"], values["failed"], values["skipped"]) == (3, 1, 0)
    assert values["settings"]["gains_db"] == {"vocals": -80}
    assert values["songs"][0]["before"]["peak_db"] == pytest.approx(report.songs[0].before.peak_db, abs=0.001)
    report.write("report.csv")
    with open("report.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["source"] for row in rows] == [song.source for song in report.songs]
    assert rows[3]["reason"] == report.failed[0].reason
    assert float(rows[0]["lufs_after"] or 0) == pytest.approx(report.songs[0].after[0].lufs or 0, abs=0.001)
    with pytest.raises(ValueError, match=r"report\.txt: unsupported report format"):
        report.write("report.txt")
    with pytest.raises(OSError, match=r"cannot write gone/report\.csv"):
        report.write("gone/report.csv")
    Path("mine.csv").write_text("mine")
    with pytest.raises(FileExistsError, match=r"mine\.csv exists and is not a report; choose another name"):
        report.write("mine.csv")
    assert Path("mine.csv").read_text() == "mine"
    report.write("mine.csv", overwrite=True)
    assert Path("mine.csv").read_text() != "mine"
    assert sorted(os.listdir()) == ["in", "mine.csv", "out", "report.csv"]


def test_names_that_are_not_text(here, make_song, remix):
    make_song("in/cafe.wav", frames=3000).rename(os.fsdecode(b"in/caf\xe9.wav"))
    report = remix()
    assert report.done[0].outputs == ("out/caf_.wav",)
    assert json.loads(Path("out/report.json").read_bytes())["songs"][0]["source"] == os.fsdecode(b"in/caf\xe9.wav")
    report.write("report.csv")
    assert outcomes(remix()) == ["skipped"]


def test_urls(songs, remix, memory, here):
    for path in songs.rglob("*.*"):
        memory.put_file(str(path), f"/in/{path.relative_to(songs)}")
    remix()
    for name in ["{name}.{ext}", "{artist}/{title}.{ext}"]:
        report = remix("memory://in", "memory://out", name=name)
        assert outcomes(report) == ["done"] * 3
    assert report.songs[1].outputs == ("memory://out/AC_DC/T.N.T.flac",)
    for name in ["a.wav", "b/a.flac"]:
        assert memory.cat_file(f"/out/{name}") == Path("out", name).read_bytes()
    assert outcomes(remix("memory://in", "memory://out")) == ["skipped"] * 3
    memory.pipe("/in/a.wav", memory.cat_file("/in/b/a.flac"))
    memory.pipe("/out/b/c.ogg", b"mine")
    report = remix("memory://in", "memory://out")
    assert outcomes(report) == ["done", "skipped", "failed"]
    assert "was changed after the batch wrote it" in report.failed[0].reason
    assert outcomes(remix("in/a.wav", "memory://other")) == ["done"]
    assert outcomes(remix("memory://in/b", "out2")) == ["done"] * 2
    assert not list(here.rglob("run-*"))
    assert not Path("memory:").exists()


def test_songs_in_an_archive_for_workers(songs, remix, here):
    with zipfile.ZipFile("songs.zip", "w") as archive:
        for path in songs.rglob("*.*"):
            archive.write(path, path.relative_to(songs))
    Path("in").rename("gone")
    report = remix(f"zip://**::{here}/songs.zip", jobs=2)
    assert outcomes(report) == ["done"] * 3
    assert sorted(files()) == ["a.wav", "b/a.flac", "b/c.ogg"]


def test_an_output_that_cannot_be_written(songs, remix, memory, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(memory, "makedirs", refuse)
    monkeypatch.setattr(type(memory), "makedirs", refuse)
    report = remix("in/a.wav", "memory://out")
    assert report.failed[0].reason == "memory://out/a.wav cannot be written: Permission denied"


def test_a_worker_that_dies_fails_no_other_song(here, make_song, remix):
    """The worker of one song is killed in mid-song, each time; all other songs are rendered."""
    for number in range(5):
        make_song(f"in/{number}.wav", frames=3_000_000 if number == 1 else 300_000, num_channels=1)
    deaths = []

    class Killer(Watcher):
        def working(self, source, step, fraction):
            if source != "in/1.wav" or step != "rendering":
                return
            for child in psutil.Process().children():
                inside = {Path(file.path).parts for file in child.open_files()}
                if any(("run-" in part) for parts in inside for part in parts) and any(
                    "1" in parts for parts in inside
                ):
                    deaths.append(child.pid)
                    child.kill()

    report = remix(jobs=2, watcher=Killer())
    assert len(deaths) == 2, "it was tried once more"
    assert outcomes(report) == ["done", "failed", "done", "done", "done"]
    assert "its worker died twice" in report.failed[0].reason
    assert sorted(files()) == ["0.wav", "2.wav", "3.wav", "4.wav"]
    assert sorted(os.listdir("out/.stembridge")) == ["journal.jsonl", "lock"]
    assert outcomes(remix(jobs=2)) == ["skipped", "done", "skipped", "skipped", "skipped"]


@pytest.mark.parametrize("where", ["_launch", "__init__"])
def test_jobs_without_workers(songs, remix, monkeypatch, where):
    """If the system refuses processes, or semaphores, this process does the work and survives."""
    from loky import ProcessPoolExecutor
    from loky.backend.popen_loky_posix import Popen

    def refuse(*arguments, **options):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with monkeypatch.context() as patch:
        patch.setattr({"_launch": Popen, "__init__": ProcessPoolExecutor}[where], where, refuse)
        with pytest.warns(
            RuntimeWarning, match="worker processes cannot be started, so songs are rendered one at a time"
        ):
            assert outcomes(remix(jobs=2)) == ["done"] * 3
    assert outcomes(remix(gains_db={"vocals": -80}, output="out2", jobs=2)) == ["done"] * 3


DAEMON = """
import multiprocessing, sys
from stembridge import remix_files

def work():
    print(len(remix_files("in", "out", model=sys.argv[1], jobs=2).done), flush=True)

if __name__ == "__main__":
    process = multiprocessing.get_context("fork").Process(target=work, daemon=True)
    process.start()
    process.join()
    sys.exit(process.exitcode)
"""


def test_jobs_in_a_daemon(songs, tiny_live_model):
    """A daemon process may not start child processes."""
    done = subprocess.run([sys.executable, "-c", DAEMON, tiny_live_model], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "3\n")
    assert done.stderr.count("worker processes cannot be started") == 1


def test_optional_packages_are_imported_only_when_needed():
    code = "import sys, stembridge.render.batch.batch, stembridge.render.batch.executors; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert "stembridge" in loaded
    assert not loaded & {"loky", "fsspec", "distributed", "dask", "rich", "typer"}


def test_links_among_the_outputs_stay_and_their_targets_are_written_once(songs, remix):
    Path("real").mkdir()
    Path("out").symlink_to("new folder")
    assert not remix("in/a.wav", gains_db={"vocals": -80}).failed
    Path("out/a.wav").rename("real/other.wav")
    Path("out/a.wav").symlink_to("../real/other.wav")
    assert len(remix("in/a.wav", gains_db={"vocals": -80}).skipped) == 1
    assert not remix("in/a.wav", gains_db={"vocals": -6}).failed
    assert Path("out/a.wav").is_symlink()
    assert os.listdir("real") == ["other.wav"]
    assert len(remix("in/a.wav", gains_db={"vocals": -6}).skipped) == 1
