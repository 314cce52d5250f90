"""Outputs appear whole and together or not at all; other files are never touched."""

import errno
import os
import shutil
from pathlib import Path

import pytest
import soundfile
from stembridge.render import remix_file, separate_file
from stembridge.render.song.outputs import Outputs


class Stop(BaseException):
    """An interrupt like Ctrl-C."""


def snapshot(folder):
    return {path: path.is_dir() or path.read_bytes() for path in folder.rglob("*")}


def stop_at(step):
    def progress(at, fraction):
        if at == step:
            raise Stop

    return progress


@pytest.fixture
def song(make_song):
    return make_song(frames=200_000, sample_rate=8000, num_channels=1)


@pytest.mark.parametrize("step", ["rendering", "writing"])
def test_a_stop_leaves_nothing_behind(song, tmp_path, tiny_live_model, step):
    before = snapshot(tmp_path)
    with pytest.raises(Stop):
        remix_file(song, tmp_path / "out.wav", {}, tiny_live_model, progress=stop_at(step))
    with pytest.raises(Stop):
        separate_file(song, tmp_path / "stems", model=tiny_live_model, progress=stop_at(step))
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("step", ["rendering", "writing"])
def test_a_stop_leaves_older_files_as_they_were(song, tmp_path, tiny_live_model, step):
    (tmp_path / "stems").mkdir()
    for name in ("out.wav", "stems/vocals.wav", "stems/notes.txt"):
        (tmp_path / name).write_text("old")
    before = snapshot(tmp_path)
    with pytest.raises(Stop):
        remix_file(song, tmp_path / "out.wav", {}, tiny_live_model, overwrite=True, progress=stop_at(step))
    with pytest.raises(Stop):
        separate_file(song, tmp_path / "stems", model=tiny_live_model, overwrite=True, progress=stop_at(step))
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("step", ["rendering", "writing"])
def test_a_folder_that_is_deleted_during_the_work_is_named(song, tmp_path, tiny_live_model, step):
    (tmp_path / "out").mkdir()

    def delete(at, fraction):
        if at == step:
            shutil.rmtree(tmp_path / "out", ignore_errors=True)

    with pytest.raises(
        OSError, match=rf"^the folder {tmp_path}/out was deleted or moved during the work; start again$"
    ):
        remix_file(song, tmp_path / "out" / "out.wav", {}, tiny_live_model, progress=delete)


def test_no_output_appears_before_all_are_done(song, tmp_path, tiny_live_model):
    def look(step, fraction):
        assert [path.name for path in (tmp_path / "stems").iterdir() if not path.name.startswith(".")] == []

    separate_file(song, tmp_path / "stems", model=tiny_live_model, progress=look)
    assert len([*(tmp_path / "stems").iterdir()]) == 4


def test_a_stop_between_two_stems_removes_the_first(song, tmp_path, tiny_live_model, interrupt_replace):
    before = snapshot(tmp_path)
    interrupt_replace(lambda _, target: target.name == "bass.wav")
    with pytest.raises(KeyboardInterrupt):
        separate_file(song, tmp_path / "stems", model=tiny_live_model)
    assert snapshot(tmp_path) == before


def test_a_stop_between_two_stems_brings_older_ones_back(song, tmp_path, tiny_live_model, interrupt_replace):
    for name in ("vocals.wav", "drums.wav", "other.wav"):
        (tmp_path / name).write_text("old")
    before = snapshot(tmp_path)
    interrupt_replace(lambda _, target: target.name == "bass.wav")
    with pytest.raises(KeyboardInterrupt):
        separate_file(song, tmp_path, model=tiny_live_model, overwrite=True)
    assert snapshot(tmp_path) == before


def test_an_older_output_is_kept_unless_forced(song, tmp_path, tiny_live_model):
    target = tmp_path / "out.wav"
    target.write_text("old")
    with pytest.raises(FileExistsError, match="exists already"):
        remix_file(song, target, {}, tiny_live_model)
    assert target.read_text() == "old"
    remix_file(song, target, {}, tiny_live_model, overwrite=True)
    assert soundfile.info(target).frames == 200_000


def test_one_older_stem_stops_all_stems(song, tmp_path, tiny_live_model):
    (tmp_path / "bass.wav").write_text("old")
    before = snapshot(tmp_path)
    with pytest.raises(FileExistsError, match=r"bass\.wav exists already"):
        separate_file(song, tmp_path, model=tiny_live_model)
    assert snapshot(tmp_path) == before


def test_an_output_that_appears_meanwhile_is_kept(song, tmp_path, tiny_live_model):
    target = tmp_path / "out.wav"
    with pytest.raises(FileExistsError, match="exists already"):
        remix_file(song, target, {}, tiny_live_model, progress=lambda *_: target.write_text("theirs"))
    assert target.read_text() == "theirs"


@pytest.mark.parametrize(
    ("targets", "named"), [(["out.png"], r"out\.png"), (["stems/vocals.wav", "stems/drums.wav"], "stems")]
)
def test_a_full_disk_is_reported_with_the_name_of_the_file(tmp_path, targets, named):
    """The system names no file if a write fails, unlike for an open."""
    places = [tmp_path / target for target in targets]
    with (
        pytest.raises(OSError, match=f"cannot write {tmp_path}/{named}: No space left on device; make room or choose"),
        Outputs(places, tmp_path / "song.wav", overwrite=False, make_folder=True),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert [path.name for path in tmp_path.iterdir() if path.name != "config"] == []


@pytest.mark.parametrize("way", ["same", "dots", "symlink", "hard link", "folder link", "relative"])
def test_the_song_itself_is_replaced_only_by_force(song, tmp_path, tiny_live_model, monkeypatch, way):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "symlink.wav").symlink_to(song)
    (tmp_path / "hard.wav").hardlink_to(song)
    (tmp_path / "folder").symlink_to(tmp_path)
    target = {
        "same": song,
        "dots": tmp_path / "folder" / ".." / tmp_path.name / "song.wav",
        "symlink": tmp_path / "symlink.wav",
        "hard link": tmp_path / "hard.wav",
        "folder link": tmp_path / "folder" / "song.wav",
        "relative": "song.wav",
    }[way]
    before, gains = song.read_bytes(), {"vocals": -80, "drums": -80, "bass": -80, "other": -80}
    for source, output in (song, target), (target, song):
        with pytest.raises(FileExistsError, match="is the song itself; choose another name, or replace the song"):
            remix_file(source, output, gains, tiny_live_model)
        assert song.read_bytes() == before
    rendered = remix_file(song, target, gains, tiny_live_model, overwrite=True)
    assert rendered.replaced_song
    assert not soundfile.read(target)[0].any()
    assert (tmp_path / "symlink.wav").is_symlink()
    assert (song.read_bytes() == before) == (way == "hard link"), "other hard links keep the old song"


def test_a_song_stays_whole_if_its_replacement_fails(song, tmp_path, tiny_live_model):
    before = song.read_bytes()

    def stop(step, fraction):
        if step == "writing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        remix_file(song, song, {"vocals": -80}, tiny_live_model, overwrite=True, progress=stop)
    assert song.read_bytes() == before
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".stembridge")] == []


def test_a_link_to_another_file_stays_and_that_file_is_written(song, tmp_path, tiny_live_model):
    (tmp_path / "folder").mkdir()
    elsewhere, link = tmp_path / "folder" / "elsewhere", tmp_path / "out.wav"
    link.symlink_to(elsewhere)
    remix_file(song, link, {}, tiny_live_model)  # its target does not exist yet
    first = elsewhere.read_bytes()
    with pytest.raises(FileExistsError, match="exists already"):
        remix_file(song, link, {"vocals": -80}, tiny_live_model)
    assert elsewhere.read_bytes() == first
    remix_file(song, link, {"vocals": -80}, tiny_live_model, overwrite=True)
    assert link.is_symlink()
    assert elsewhere.read_bytes() != first
    assert [path.name for path in elsewhere.parent.iterdir()] == ["elsewhere"]
    (tmp_path / "nowhere.wav").symlink_to(tmp_path / "missing" / "out.wav")
    with pytest.raises(OSError, match=r"nowhere.wav|missing"):
        remix_file(song, tmp_path / "nowhere.wav", {}, tiny_live_model)


def test_a_link_among_stems_and_a_link_to_their_folder(song, tmp_path, tiny_live_model):
    (tmp_path / "stems").symlink_to("real stems")
    separate_file(song, tmp_path / "stems", model=tiny_live_model)
    assert len([*(tmp_path / "real stems").iterdir()]) == 4
    bass = tmp_path / "real stems" / "bass.wav"
    content = bass.read_bytes()
    bass.unlink()
    bass.symlink_to("../bass elsewhere.wav")
    separate_file(song, tmp_path / "stems", model=tiny_live_model, overwrite=True)
    assert bass.is_symlink()
    assert (tmp_path / "bass elsewhere.wav").read_bytes() == content
    (tmp_path / "real stems" / "drums.wav").unlink()
    (tmp_path / "real stems" / "drums.wav").symlink_to("../bass elsewhere.wav")
    with pytest.raises(OSError, match=r"drums.wav: another output leads to the same file|same file"):
        separate_file(song, tmp_path / "stems", model=tiny_live_model, overwrite=True)
    assert (tmp_path / "bass elsewhere.wav").read_bytes() == content


def test_devices_and_pipes_are_refused_before_the_work(song, tmp_path, tiny_live_model):
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "null.wav").symlink_to("/dev/null")
    for name in ("pipe.wav", "null.wav"):
        for overwrite in (False, True):
            with pytest.raises(OSError, match=f"cannot write .*{name}: it is a device or a pipe"):
                remix_file(
                    song, tmp_path / name, {}, tiny_live_model, overwrite=overwrite, progress=stop_at("rendering")
                )
    assert (tmp_path / "pipe.wav").is_fifo()


def test_the_folder_of_stems_is_made_but_not_its_parents(song, tmp_path, tiny_live_model):
    separate_file(song, tmp_path / "new", ["bass"], tiny_live_model)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["bass.wav"]
    with pytest.raises(FileNotFoundError, match="does not exist; make it first"):
        separate_file(song, tmp_path / "a" / "b", model=tiny_live_model)
    assert not (tmp_path / "a").exists()


def test_the_folder_of_a_remix_must_be_there(song, tmp_path, tiny_live_model):
    with pytest.raises(FileNotFoundError, match="does not exist; make it first"):
        remix_file(song, tmp_path / "new" / "out.wav", {}, tiny_live_model)
    assert not (tmp_path / "new").exists()


def test_audio_that_a_container_cannot_hold_is_refused_before_the_work(make_song, tmp_path, tiny_live_model):
    song = make_song(sample_rate=96_000)
    worked = []
    for target, bits in [
        ("out.m4a", "float32"),
        ("out.xyz", None),
        ("out", None),
        ("o.flac", "float32"),
        ("o.ogg", "int16"),
    ]:
        with pytest.raises(ValueError, match=r"\.(wav|flac)") as caught:
            remix_file(
                song,
                tmp_path / target,
                {},
                tiny_live_model,
                sample_format=bits,
                progress=lambda *step: worked.append(step),
            )
        assert ".stembridge-" not in str(caught.value)
        assert "\n" not in str(caught.value)
    assert worked == []
    assert [path.name for path in tmp_path.iterdir()] == ["song.wav"]


def test_outputs_have_the_permissions_of_any_new_file(song, tmp_path, tiny_live_model):
    (tmp_path / "any").touch()
    remix_file(song, tmp_path / "out.wav", {}, tiny_live_model)
    assert (tmp_path / "out.wav").stat().st_mode == (tmp_path / "any").stat().st_mode


@pytest.mark.parametrize("num_channels", [3, 6])
def test_surround_is_refused_with_a_remedy(make_song, tmp_path, tiny_live_model, num_channels):
    song = make_song(num_channels=num_channels)
    with pytest.raises(ValueError, match=rf"{num_channels} channels.* mix it down"):
        remix_file(song, tmp_path / "out.wav", {}, tiny_live_model)


@pytest.mark.parametrize("sample_rate", [7999, 192_001])
def test_a_rate_out_of_range_is_refused(make_song, tmp_path, tiny_live_model, sample_rate):
    song = make_song(sample_rate=sample_rate)
    with pytest.raises(ValueError, match=f"{sample_rate}"):
        remix_file(song, tmp_path / "out.wav", {}, tiny_live_model)
    assert [path.name for path in tmp_path.iterdir()] == ["song.wav"]


# --- a scratch folder for temporary files


def test_temporary_files_are_in_the_scratch_folder_which_is_made_and_stays(song, tmp_path, tiny_live_model):
    scratch, seen = tmp_path / "made" / "for this", set()

    def look(step, fraction):
        outside = {path.name for path in tmp_path.rglob("*")} - {path.name for path in scratch.rglob("*")}
        assert outside <= {"song.wav", "made", "for this", "stems"}
        seen.update(path.name for path in scratch.rglob("*"))

    remix_file(song, tmp_path / "out.wav", {}, tiny_live_model, scratch=scratch, progress=look)
    assert "out.wav" in seen
    assert (tmp_path / "out.wav").exists()
    (tmp_path / "out.wav").unlink()
    separate_file(song, tmp_path / "stems", model=tiny_live_model, scratch=scratch, progress=look)
    assert "bass.wav" in seen
    assert len([*(tmp_path / "stems").iterdir()]) == 4
    assert [*scratch.iterdir()] == []


def test_a_stop_empties_the_scratch_folder(song, tmp_path, tiny_live_model):
    scratch = tmp_path / "scratch"
    for step in ("rendering", "writing"):
        with pytest.raises(Stop):
            remix_file(song, tmp_path / "o.wav", {}, tiny_live_model, scratch=scratch, progress=stop_at(step))
        assert [*scratch.iterdir()] == []
    assert not (tmp_path / "o.wav").exists()


def test_two_renders_may_share_the_scratch_folder(song, tmp_path, tiny_live_model):
    scratch, others = tmp_path / "scratch", []

    def look(step, fraction):
        if not others:
            others.append(remix_file(song, tmp_path / "two.wav", {}, tiny_live_model, scratch=scratch))

    remix_file(song, tmp_path / "one.wav", {}, tiny_live_model, scratch=scratch, progress=look)
    assert (tmp_path / "one.wav").read_bytes() == (tmp_path / "two.wav").read_bytes()
    assert [*scratch.iterdir()] == []


def test_the_scratch_folder_must_be_on_the_same_disk(song, tmp_path, tiny_live_model):
    disks = [Path("/dev/shm"), Path("/tmp"), Path.home()]
    elsewhere = next(disk for disk in disks if disk.stat().st_dev != tmp_path.stat().st_dev)
    before = {*elsewhere.iterdir()}
    with pytest.raises(OSError, match="on another disk than"):
        remix_file(song, tmp_path / "out.wav", {}, tiny_live_model, scratch=elsewhere)
    assert not {path for path in {*elsewhere.iterdir()} - before if path.name.startswith(".stembridge")}


def test_an_impossible_folder_is_named(song, tmp_path, tiny_live_model):
    with pytest.raises(OSError, match=r"cannot write in the folder \S*song\.wav: .*; choose another"):
        remix_file(song, tmp_path / "out.wav", {}, tiny_live_model, scratch=song)


def test_a_current_folder_that_cannot_be_written_is_named(song, tiny_live_model, monkeypatch):
    monkeypatch.chdir("/sys")
    with pytest.raises(OSError, match=r"^cannot write in the current folder: .*; choose another folder$"):
        remix_file(song, "out.wav", {"vocals": -6}, tiny_live_model)
