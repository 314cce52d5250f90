"""The same batch on a real Dask cluster: a scheduler and two workers in separate processes."""

import hashlib
import os
import re
import subprocess
import time
from pathlib import Path

import psutil
import pytest
import soundfile
from distributed import Client
from stembridge import remix_files

SONGS = 8


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a function that starts `dask ...` and waits for a pattern in its log: it gives (process, match)."""
    folder = tmp_path_factory.mktemp("dask")
    processes = []

    def run(*arguments, says, **settings):
        path = folder / f"{len(processes)}.log"
        with path.open("w") as log:
            process = subprocess.Popen(
                ["dask", *arguments], stdout=log, stderr=log, cwd=folder, env=os.environ | settings
            )
        processes.append(process)
        stop = time.monotonic() + 60
        while not (match := re.search(says, path.read_text())):
            assert process.poll() is None, path.read_text()
            assert time.monotonic() < stop, path.read_text()
            time.sleep(0.05)
        return process, match

    yield run
    for process in reversed(processes):  # workers before their scheduler
        process.terminate()  # so that a nanny ends with its worker
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def scheduler(run):
    """Start a scheduler; give its address."""
    _, match = run("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", says=r"at: +(tcp://\S+)")
    return match[1]


@pytest.fixture
def workers(run, scheduler):
    """Start two workers with one thread each."""
    command = "worker", scheduler, "--nthreads", "1", "--no-nanny", "--no-dashboard"
    processes = [run(*command, says="Starting established connection")[0] for _ in range(2)]
    yield processes
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def songs(tmp_path, monkeypatch, make_song):
    """Make songs of a few seconds in in/."""
    monkeypatch.chdir(tmp_path)
    for number in range(SONGS):
        make_song(f"in/{number}.wav", frames=500_000 + number)


class Watcher:
    def __init__(self, finished):
        self.worked, self.songs, self._finished = set(), [], finished

    def planned(self, report):
        pass

    def working(self, source, step, fraction):
        self.worked.add(source)

    def finished(self, song):
        self.songs.append(song.source)
        self._finished(len(self.songs))


def checksums(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in Path(folder).glob("*.wav")}


def test_a_worker_that_is_killed_in_mid_batch(scheduler, workers, songs, tiny_live_model):
    def kill(count):
        if count == 2:
            workers[0].kill()

    watcher = Watcher(kill)
    report = remix_files("in", "out", {"vocals": -80}, model=tiny_live_model, dask=scheduler, watcher=watcher)
    assert workers[0].wait(60) != 0
    assert len(report.done) == SONGS
    assert sorted(watcher.songs) == [f"in/{number}.wav" for number in range(SONGS)], "each once"
    assert watcher.worked, "the workers report progress"
    for number in range(SONGS):
        assert soundfile.info(f"out/{number} (no vocals).wav").frames == 500_000 + number
    assert sorted(os.listdir("out/.stembridge")) == ["journal.jsonl", "lock"]
    remix_files("in", "here", {"vocals": -80}, model=tiny_live_model)
    assert checksums("out") == checksums("here")
    with Client(scheduler, set_as_default=False) as client:
        again = remix_files("in", "out", {"vocals": -80}, model=tiny_live_model, dask=client)
        assert client.status == "running", "the batch must not close it"
    assert len(again.skipped) == SONGS


class Killer(Watcher):
    """Kills a nanny's worker whenever it renders in/1.wav."""

    def __init__(self, nanny):
        super().__init__(lambda count: None)
        self._nanny, self.killed = psutil.Process(nanny.pid), set()

    def working(self, source, step, fraction):
        if source == "in/1.wav" and step == "rendering":
            for child in self._nanny.children():
                if "spawn_main" in " ".join(child.cmdline()):
                    self.killed.add(child.pid)
                    child.kill()


@pytest.fixture
def bad_songs(songs, make_song):
    """Make a song that is not audio, one that its worker does not survive, and a good one."""
    Path("in/0.wav").write_text("no audio")
    make_song("in/1.wav", frames=3_000_000)
    return [f"in/{number}.wav" for number in range(3)]


def test_a_song_that_kills_its_workers_and_a_bad_one(run, scheduler, bad_songs, tiny_live_model):
    """It fails with its second worker, and the batch goes on."""
    command = "worker", scheduler, "--nthreads", "1", "--no-dashboard"
    nanny, _ = run(*command, says="Starting established connection")
    killer = Killer(nanny)
    report = remix_files(bad_songs, "out", model=tiny_live_model, dask=scheduler, watcher=killer)
    assert [song.outcome for song in report.songs] == ["failed", "failed", "done"]
    assert "is not an audio file" in report.songs[0].reason
    assert "worker died twice" in report.songs[1].reason
    assert len(killer.killed) == 2
    assert sorted(os.listdir("out")) == [".stembridge", "2 (remix).wav", "report.json"]
    nanny.terminate()
    nanny.wait(30)


def test_a_song_that_dask_gives_up_on(run, bad_songs, tiny_live_model, tmp_path, monkeypatch):
    """It fails. Outputs are URLs, so the workers share no folder in which they could count attempts."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    command = "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"
    _, match = run(*command, says=r"at: +(tcp://\S+)", DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0")
    nanny, _ = run("worker", match[1], "--nthreads", "1", "--no-dashboard", says="Starting established connection")
    output = f"local://{tmp_path}/out"
    report = remix_files(bad_songs[1:2], output, model=tiny_live_model, dask=match[1], watcher=Killer(nanny))
    assert report.failed[0].reason.startswith("Dask gave up")
    report = remix_files(bad_songs[1:], output, model=tiny_live_model, dask=match[1])
    assert [song.outputs for song in report.done] == [(f"{output}/1 (remix).wav",), (f"{output}/2 (remix).wav",)]
    assert sorted(os.listdir("out")) == ["1 (remix).wav", "2 (remix).wav"]


def test_a_scheduler_that_dies(run, songs, tiny_live_model):
    """The batch ends with a reason; the next one finishes it."""
    command = "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"
    scheduler, match = run(*command, says=r"at: +(tcp://\S+)")
    run("worker", match[1], "--nthreads", "1", "--no-nanny", "--no-dashboard", says="Starting established connection")
    with pytest.raises(OSError, match=f"{match[1]} does not answer any more"):
        remix_files("in", "out", model=tiny_live_model, dask=match[1], watcher=Watcher(lambda count: scheduler.kill()))
    report = remix_files("in", "out", model=tiny_live_model)
    assert report.skipped
    assert len(report.done) + len(report.skipped) == SONGS


def test_no_cluster(songs, tiny_live_model, monkeypatch):
    monkeypatch.setattr("stembridge.render.batch.executors.CLUSTER_TIMEOUT_S", 1)
    for address in ["tcp://127.0.0.1:9", "nonsense"]:
        with pytest.raises(OSError, match=f"no Dask scheduler answers at {address}; start one"):
            remix_files("in", "out", model=tiny_live_model, dask=address)
    assert list(Path("out").rglob("*.wav")) == []


def test_a_cluster_without_workers(run, songs, tiny_live_model, monkeypatch):
    _, match = run("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", says=r"at: +(tcp://\S+)")
    monkeypatch.setattr("stembridge.render.batch.executors.CLUSTER_TIMEOUT_S", 1)
    with pytest.raises(OSError, match=f"{match[1]} has no workers; start some with `dask worker"):
        remix_files("in", "out", model=tiny_live_model, dask=match[1])
