"""A lock is held by one process at a time; a killed process releases it."""

import subprocess
import sys

import pytest
from stembridge.core.locks import locked

HOLD = """
import sys, time
from pathlib import Path
from stembridge.core.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture(params=["folder", "file"])
def path(request, tmp_path):
    return tmp_path if request.param == "folder" else tmp_path / "lock"


def test_another_process_waits_or_is_refused_until_the_lock_is_released(path):
    with locked(path), pytest.raises(BlockingIOError), locked(path, wait=False):
        pass
    with locked(path, wait=False):
        pass


def test_a_process_that_is_killed_releases_its_lock(path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(BlockingIOError), locked(path, wait=False):
            pass
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    with locked(path):
        pass


def test_a_locked_folder_stays_empty(tmp_path):
    with locked(tmp_path):
        assert not list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())
