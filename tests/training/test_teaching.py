"""A network is trained on songs without stems: some are labelled first, some held out, the rest labelled meanwhile."""

import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time

import psutil
import pytest
import soundfile
from stembridge.core.errors import DataError
from stembridge.models import load_model
from stembridge.training.checkpoint import load_checkpoint
from stembridge.training.data import labels as labels_module
from stembridge.training.data.labels import Labels
from stembridge.training.data.songs import STEMS, VALIDATION, find_mixtures
from stembridge.training.teaching import LabelledSongs

RATE = 44100


@pytest.fixture
def teacher(make_teacher):
    return make_teacher(0.3, 0.3, 0.2)


def labelled(folder, teacher, cache, report=lambda line: None):
    return LabelledSongs(find_mixtures([folder]), Labels(load_model(teacher), cache), report)


def link(folder, source, *names):
    folder.mkdir()
    for name in names:
        os.link(source, folder / name)
    return folder


@pytest.fixture
def song(unlabelled_folder):
    return min(unlabelled_folder.iterdir())


def test_a_tenth_of_the_songs_is_held_out(song, teacher, tmp_path):
    folder = link(tmp_path / "songs", song, *(f"song {number:02d}.flac" for number in range(12)), "SONG 00.flac")
    songs = labelled(folder, teacher, tmp_path / "cache")
    assert [held.name for held in songs.held_out] == ["SONG 00", "song 00", "song 10"]  # two may be the same song
    assert len(songs.training) == 10
    assert len(songs.new_passages()) == 10
    assert songs.new_passages() == []


def test_songs_of_one_name_are_all_used(song, teacher, tmp_path):
    for album, name in (("a", "intro.flac"), ("b", "Intro.flac")):
        (tmp_path / "songs").mkdir(exist_ok=True)
        link(tmp_path / "songs" / album, song, name)
    songs = labelled(tmp_path / "songs", teacher, tmp_path / "cache")
    assert sorted(each.name for each in songs.training) == ["Intro", "intro"]
    assert songs.held_out == []


def test_clips_have_the_audible_stems_and_the_whole_mix(song, make_teacher, tmp_path):
    folder = link(tmp_path / "songs", song, "a.flac", "b.flac")
    (clip,) = labelled(folder, make_teacher(0.5, 0.1, 0.2), tmp_path / "cache").clips()
    assert set(clip) == {"mixture", "vocals", "bass", "other"}
    there = soundfile.read(song)[0].T[:, : clip["mixture"].shape[1]]
    assert abs(clip["mixture"] - there).max() < 1e-3


def test_unusable_songs_are_left_out_and_named(song, teacher, tmp_path):
    folder = link(tmp_path / "songs", song, "a.flac", "b.flac", f"01 {min(VALIDATION)}.flac")
    (folder / "broken.flac").write_bytes(b"fLaC but no music")
    soundfile.write(folder / "silent.wav", [[0.0, 0.0]] * (8 * RATE), RATE)
    soundfile.write(folder / "quad.wav", [[0.1, 0.1, 0.1, 0.1]] * (8 * RATE), RATE)
    (folder / "gone.wav").symlink_to("nowhere.wav")
    lines = []
    songs = labelled(folder, teacher, tmp_path / "cache", lines.append)
    assert [held.name for held in songs.held_out + songs.training] == ["a", "b"]
    left_out = [line for line in lines if line.startswith("left out: ")]
    for name, why in {
        min(VALIDATION): "is one of MUSDB18's validation songs",
        "broken.flac": "",
        "gone.wav": "cannot be read",
        "quad.wav": "has 4 channels, but StemBridge works with mono and stereo only",
        "silent.wav": "has no passage of 6 s, neither silent nor clipped, of which",
    }.items():
        assert [line for line in left_out if name in line and why in line], name
    assert len(left_out) == 5
    assert lines[-1].endswith("in the first stretches of 2 of 6 songs")
    with pytest.raises(DataError, match=r"no song in --songs can be used, for the reasons above; give others, or"):
        LabelledSongs([held for held in find_mixtures([folder]) if held.name == "silent"], songs._labels)


def test_the_rest_is_labelled_during_training(teacher, tmp_path, monkeypatch, make):
    (tmp_path / "songs").mkdir()
    mix = sum(make.stem(stem, 40, 1) for stem in STEMS)
    for name in "ab":
        soundfile.write(tmp_path / "songs" / f"{name}.flac", mix.T, RATE)
    songs = labelled(tmp_path / "songs", teacher, tmp_path / "cache")
    assert len(songs.new_passages()) == 1
    assert songs.progress() == "1 of 2 stretches labelled"
    with songs.labelling(str(teacher)):
        deadline = time.monotonic() + 120
        while not (new := songs.new_passages()) and time.monotonic() < deadline:
            time.sleep(0.2)
    assert len(new) == 1
    assert songs.progress() == ""
    assert not multiprocessing.active_children()
    monkeypatch.setattr(labels_module, "separate", None)  # everything is labelled already: no process is started
    again = labelled(tmp_path / "songs", teacher, tmp_path / "cache")
    with again.labelling(str(teacher)):
        assert len(again.new_passages()) == 2


def wait_until(found):
    deadline = time.monotonic() + 120
    while not found() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert found()


@pytest.fixture
def long_songs(tmp_path, make):
    """Make three songs of 40 s, each with two stretches. The first is held out."""
    (tmp_path / "songs").mkdir()
    mix = sum(make.stem(stem, 40, 1) for stem in STEMS)
    for name in "abc":
        soundfile.write(tmp_path / "songs" / f"{name}.flac", mix.T, RATE)
    return tmp_path / "songs"


def test_a_song_that_is_deleted_during_training_is_left_out(long_songs, teacher, tmp_path):
    lines, passages = [], []
    songs = labelled(long_songs, teacher, tmp_path / "cache", lines.append)
    (long_songs / "b.flac").unlink()

    def all_of_them():
        passages.extend(songs.new_passages())
        return len(passages) == 3  # the first stretches of both, and the second of c

    with songs.labelling(str(teacher)):
        wait_until(all_of_them)
    (line,) = [line for line in lines if line.startswith("left out: ")]
    assert "b.flac cannot be read: No such file or directory; check the name" in line
    assert songs.progress() == "3 of 4 stretches labelled"


def test_a_full_disk_ends_labelling_with_one_line(long_songs, teacher, tmp_path, capfd):
    lines = []
    songs = labelled(long_songs, teacher, tmp_path / "cache", lines.append)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    labelling = songs.labelling(str(teacher))
    resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, limits[1]))  # the process that labels inherits it
    try:
        labelling.__enter__()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    wait_until(lambda: songs.new_passages() is not None and "no more songs" in lines[-1])
    labelling.__exit__(None, None, None)
    assert f"no more songs are labelled in this run: {tmp_path / 'cache'}" in lines[-1]
    assert "File too large; make room or choose another folder; the next run" in lines[-1]
    assert sum("no more songs" in line for line in lines) == 1
    assert capfd.readouterr().err == ""


def test_training_goes_on_if_the_process_that_labels_is_killed(long_songs, teacher, tmp_path):
    lines = []
    songs = labelled(long_songs, teacher, tmp_path / "cache", lines.append)
    with songs.labelling(str(teacher)):
        (process,) = multiprocessing.active_children()
        process.kill()
        wait_until(lambda: songs.new_passages() is not None and "has ended early" in lines[-1])
    assert sum("has ended early" in line for line in lines) == 1


def stembridge(*arguments, cwd, **options):
    command = [sys.executable, "-m", "stembridge", "train", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, **options)


def test_the_command_needs_no_stems_at_all(unlabelled_folder, teacher, make_teacher, tmp_path):
    common = ["--teacher", teacher, "--songs", unlabelled_folder, "--cache", tmp_path / "cache", "--threads", 1]
    common += ["--mode", "streaming"]
    run = stembridge(*common, "--minutes", 0.02, "--terms", "my own", "-o", "mine.onnx", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "2 labelled songs to train on, 1 held out" in run.stdout
    model = load_model(tmp_path / "mine.onnx")
    values, taught_by = model.card.values, load_model(teacher).card
    assert model.card.stems == STEMS
    assert values["terms"] == f"my own; and those of {taught_by.name}, which found the stems of songs: CC0"
    assert values["data"] == [{"name": str(unlabelled_folder), "terms": "my own"}]
    assert values["training"]["teacher"] == {"name": taught_by.name, "version": "1", "terms": "CC0"}
    assert values["training"]["held_out_sdr_db"] > -5
    assert f"--teacher {teacher} --songs {unlabelled_folder}" in values["training"]["command"]
    labels = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache" / "labels").iterdir()}
    assert len(labels) == 6

    seconds = load_checkpoint(tmp_path / "mine.onnx.training" / "last.safetensors")[1].seconds
    common += ["--minutes", seconds / 60 + 0.02, "-o", "mine.onnx"]
    again = stembridge(*common, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "continuing from step" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache" / "labels").iterdir()} == labels
    repeated = stembridge(*common, cwd=tmp_path)
    assert "nothing is left to train: mine.onnx stays as it is" in repeated.stdout
    another = make_teacher(0.2, 0.2, 0.2)
    other = stembridge(*common, "--teacher", another, cwd=tmp_path)
    assert other.returncode == 2
    assert "was trained with another --teacher" in other.stderr
    assert "labelled the first stretch" not in other.stdout


def test_songs_with_stems_and_without(songs_folder, unlabelled_folder, teacher, tmp_path):
    common = ["--data", songs_folder, "--teacher", teacher, "--songs", unlabelled_folder, "--songs-share", 0.25]
    common += ["--cache", tmp_path / "cache", "--threads", 1, "--minutes", 0.02]
    run = stembridge(*common, "--mode", "streaming", "-o", "mine.onnx", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "2 labelled songs to train on, 1 held out" in run.stdout
    command = load_model(tmp_path / "mine.onnx").card.values["training"]["command"]
    assert f"--data {songs_folder} --teacher {teacher} --songs {unlabelled_folder} --songs-share 0.25" in command


def test_a_network_cannot_be_its_own_teacher(songs_folder, unlabelled_folder, tmp_path):
    common = ["--cache", tmp_path / "cache", "--threads", 1, "--minutes", 0.02, "--songs", unlabelled_folder]
    first = stembridge("--data", songs_folder, *common[:-2], "--mode", "streaming", "-o", "a.onnx", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    alone = stembridge(*common, "--teacher", "a.onnx", "--init", "a.onnx", "-o", "b.onnx", cwd=tmp_path)
    assert alone.returncode == 2
    assert "a.onnx cannot be both the start and the teacher" in alone.stderr
    assert len(alone.stderr.splitlines()) == 1


def test_ctrl_c_during_labelling_and_training(teacher, tmp_path, make):
    (tmp_path / "songs").mkdir()
    mix = sum(make.stem(stem, 70, 1) for stem in STEMS)
    for number in range(8):
        soundfile.write(tmp_path / "songs" / f"{number}.flac", mix.T, RATE)
    command = [sys.executable, "-m", "stembridge", "train", "--teacher", str(teacher), "--songs", "songs"]
    process = subprocess.Popen(
        [*command, "--cache", "cache", "--threads", "1", "--mode", "streaming", "-o", "mine.onnx"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # the tests may run in the background
    )
    for line in process.stdout:
        if "labelled songs to train on" in line:
            break
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert len(errors.splitlines()) == 1
    deadline = time.monotonic() + 60
    while any(each.info["pid"] for each in psutil.process_iter(["pid"]) if _belongs(each.info["pid"], process.pid)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    for facts in (tmp_path / "cache" / "labels").glob("*.json"):
        json.loads(facts.read_text())
        assert facts.with_suffix(".npy").exists()
    assert not [*(tmp_path / "cache" / "labels").glob(".*")]


def _belongs(pid, session):
    try:
        return os.getsid(pid) == session
    except OSError:
        return False


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "no songs to learn from; give songs with stems to --data, or songs without to --songs"),
        (["--songs", "a"], "--songs needs a model that separates the songs; name one with --teacher"),
        (["--teacher", "studio"], "--teacher needs songs; give folders of songs without stems to --songs"),
        (["--teacher", "studio", "--data", "a"], "--teacher needs songs"),
        (["--data", "a", "--songs-share", "0.5"], "--songs-share needs both --data and --songs; leave it out"),
        (["--teacher", "studio", "--songs", "a", "--songs-share", "2"], "songs-share"),
        (["--teacher", "nosuch", "--songs", "."], "nosuch"),
        (["--teacher", "studio", "--songs", "a"], "the folder a does not exist; give a folder of songs to --songs"),
        (["--teacher", "studio", "--data", "a", "--songs", "b", "c"], "c may belong to --data or --songs"),
    ],
)
def test_bad_options_are_one_line(tmp_path, arguments, says):
    (tmp_path / "here").mkdir()
    run = stembridge(*arguments, cwd=tmp_path / "here")
    assert run.returncode == 2
    assert says in run.stderr
    assert len(run.stderr.splitlines()) == 1
    assert [*(tmp_path / "here").iterdir()] == []
