"""Files appear whole or not at all, through links, with the permissions of the files they replace."""

import errno
import os
import socket
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from stembridge.core.atomic import final_path, new_file, publish, write_whole


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def other_disk(path):
    disks = [Path("/dev/shm"), Path("/tmp"), Path.home()]
    return next(disk for disk in disks if disk.stat().st_dev != path.stat().st_dev)


@pytest.mark.parametrize("old", [b"old", None])
@pytest.mark.parametrize("way", ["absolute", "relative", "chain", "folder link"])
def test_the_target_of_a_link_is_written_and_the_link_stays(folder, tmp_path, way, old):
    real, link = tmp_path / "real.txt", folder / "link.txt"
    if old:
        real.write_bytes(old)
    if way == "chain":
        (tmp_path / "between").symlink_to("real.txt")
        link.symlink_to(tmp_path / "between")
    elif way == "folder link":
        (folder / "up").symlink_to(tmp_path)
        link.symlink_to("up/real.txt")
    else:
        link.symlink_to(real if way == "absolute" else "../real.txt")
    target = os.readlink(link)
    write_whole(link, b"new")
    assert os.readlink(link) == target
    assert real.read_bytes() == b"new"
    assert not [name for name in names(folder) + names(tmp_path) if name.startswith(".stembridge")]


def test_a_link_to_another_disk_is_followed(folder):
    elsewhere = other_disk(folder) / f"stembridge-test-{os.getpid()}"
    try:
        (folder / "link").symlink_to(elsewhere)
        (folder / "part").write_bytes(b"new")
        publish([folder / "part"], [folder / "link"])
        assert elsewhere.read_bytes() == b"new"
        assert (folder / "link").is_symlink()
    finally:
        elsewhere.unlink(missing_ok=True)


def test_a_target_that_is_not_a_file_is_refused_and_stays(folder):
    (folder / "loop").symlink_to("loop")
    (folder / "null").symlink_to("/dev/null")
    os.mkfifo(folder / "pipe")
    (folder / "sub").mkdir()
    (folder / "stdout").symlink_to("/dev/stdout")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(folder / "socket"))
        before = {path: path.lstat() for path in folder.iterdir()}
        for path in (*before, Path("/dev/null"), Path("/dev/stdout"), Path("/proc/self/fd/1")):
            with pytest.raises(OSError, match=r"links|device|irectory") as caught:
                write_whole(path, b"new")
            assert caught.value.filename == str(path)
    assert {path: path.lstat() for path in folder.iterdir()} == before
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_stdout_that_is_a_file_is_not_replaced(folder):
    """The program's own messages go to this file, and would be lost."""
    code = "from stembridge.core.atomic import write_whole\nprint('said', flush=True)\nwrite_whole('/dev/stdout', b'x')"
    with (folder / "out").open("wb") as out:
        done = subprocess.run([sys.executable, "-c", code], stdout=out, stderr=subprocess.PIPE, text=True)
    assert "not a file" in done.stderr
    assert (folder / "out").read_text() == "said\n"


def test_permissions_are_those_of_the_old_file_or_of_a_new_one(folder):
    (folder / "old").touch()
    (folder / "old").chmod(0o640)
    (folder / "any").touch()
    for name in ("old", "new"):
        write_whole(folder / name, b"new")
    assert stat.S_IMODE((folder / "old").stat().st_mode) == 0o640
    assert (folder / "new").stat().st_mode == (folder / "any").stat().st_mode


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_the_owner_is_kept(folder):
    (folder / "old").touch()
    os.chown(folder / "old", 12345, 23456)
    write_whole(folder / "old", b"new")
    assert ((folder / "old").stat().st_uid, (folder / "old").stat().st_gid) == (12345, 23456)


def test_other_hard_links_keep_the_old_file(folder):
    (folder / "one").write_bytes(b"old")
    os.link(folder / "one", folder / "two")
    write_whole(folder / "one", b"new")
    assert [(folder / name).read_bytes() for name in ("one", "two")] == [b"new", b"old"]


def test_a_block_that_raises_changes_nothing(folder):
    (folder / "old").write_bytes(b"old")
    with suppress(KeyboardInterrupt), new_file(folder / "old") as part:
        part.write_bytes(b"half")
        raise KeyboardInterrupt
    assert names(folder) == ["old"]
    assert (folder / "old").read_bytes() == b"old"


def test_errors_name_the_users_file_and_not_a_temporary_one(folder):
    with pytest.raises(FileNotFoundError) as caught:
        write_whole(folder / "none" / "file", b"new")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, str(folder / "none" / "file"))


@pytest.mark.parametrize("step", range(6))
def test_several_files_are_replaced_together_or_not_at_all(folder, interrupt_replace, step):
    """Interrupt each of the six moves, with old files, new ones and a link among the targets."""
    scratch = folder / "scratch"
    scratch.mkdir()
    (folder / "a").write_bytes(b"old a")
    (folder / "real").write_bytes(b"old b")
    (folder / "b").symlink_to("real")
    before = {name: (folder / name).read_bytes() for name in ("a", "b", "real")}
    for name in "abc":
        (scratch / name).write_bytes(f"new {name}".encode())
    interrupt_replace(lambda number, _: number == step)
    with pytest.raises(KeyboardInterrupt):
        publish([scratch / name for name in "abc"], [folder / name for name in "abc"])
    assert names(folder) == ["a", "b", "real", "scratch"]
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert (folder / "b").is_symlink()


def test_two_targets_of_the_same_file_are_refused(folder):
    for name in ("one", "two"):
        (folder / name).symlink_to("real")
        (folder / f"part {name}").write_bytes(b"new")
    with pytest.raises(OSError, match="another output leads to the same file"):
        publish([folder / "part one", folder / "part two"], [folder / "one", folder / "two"])
    assert not (folder / "real").exists()


def test_a_path_without_links_is_unchanged(folder):
    assert final_path(folder / ".." / "folder" / "new") == folder / ".." / "folder" / "new"
