"""The next run finishes a batch that ended for any reason at any time: nothing lost, doubled or half-written."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import soundfile

SONGS = 8
BATCH = """
import sys
from stembridge import remix_files, separate_files
job, jobs, model = sys.argv[1:]

class Watcher:
    def planned(self, report): print("planned", len(report.planned), flush=True)
    def working(self, source, step, fraction): print("working", flush=True)
    def finished(self, song): print("finished", song.source, song.outcome, song.reason, flush=True)

options = {"model": model, "jobs": int(jobs), "watcher": Watcher()}
try:
    if job == "remix":
        remix_files("in", "out", {"vocals": -80}, **options)
    else:
        separate_files("in", "out", **options)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.fixture
def start(tmp_path, monkeypatch, make_song, tiny_live_model):
    """Return a function that starts a batch of eight songs in a process: (job, jobs) -> Popen. Kill all at the end."""
    monkeypatch.chdir(tmp_path)
    for number in range(SONGS):
        make_song(f"in/{number}.wav", frames=200_000 + number, num_channels=2)
    processes = []

    def start(job, jobs, code=BATCH):
        command = [sys.executable, "-c", code, job, str(jobs), tiny_live_model]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # the tests may run in the background
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def journal():
    return [json.loads(line) for line in Path("out/.stembridge/journal.jsonl").read_bytes().split(b"\n")[:-1]]


def outputs():
    # Not by Path.rglob: it fails where a worker that has not yet noticed removes a folder.
    walk = ((folder, name) for folder, _, names in os.walk("out") for name in names)
    return sorted(os.path.join(*path) for path in walk if ".stembridge" not in path[0] and path[1].endswith(".wav"))


def check_all_is_done(job):
    """Check that every song is there once and whole, and nothing else."""
    stems = ["vocals", "drums", "bass", "other"]
    names = [
        [f"out/{n} (no vocals).wav"] if job == "remix" else [f"out/{n}/{stem}.wav" for stem in stems]
        for n in range(SONGS)
    ]
    assert outputs() == sorted(path for paths in names for path in paths)
    for number, paths in enumerate(names):
        assert {soundfile.info(path).frames for path in paths} == {200_000 + number}
        if job == "separate":
            mix = sum(soundfile.read(path)[0] for path in paths)
            assert abs(mix - soundfile.read(f"in/{number}.wav")[0]).max() < 5 * 2**-15
    assert sorted(os.listdir("out/.stembridge")) == ["journal.jsonl", "lock"]
    assert not list(Path("out").rglob(".stembridge-*"))


@pytest.mark.parametrize(("job", "jobs"), [("remix", 1), ("separate", 2)])
def test_killed_at_random_times(start, job, jobs):
    seed = random.randrange(10**6)
    print("seed", seed)
    dice = random.Random(seed)
    for _ in range(3):
        process = start(job, jobs)
        if process.stdout.readline() == "planned 0\n":
            break
        # At any time: as it starts, in mid-song, or between two.
        for _ in range(dice.randrange(12)):
            process.stdout.readline()
        time.sleep(dice.random() / 10)
        process.kill()
        process.wait()
        for path in outputs():
            assert soundfile.info(path).frames >= 200_000, f"{path} is half-written"
    done = {line["song"] for line in journal() if line["outcome"] == "done"}
    process = start(job, jobs)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert out.startswith(f"planned {SONGS - len(done)}\n"), "finished songs are not rendered again"
    assert out.count(" done ") == SONGS - len(done)
    check_all_is_done(job)
    lines = [line["song"] for line in journal() if line["outcome"] == "done"]
    assert len(lines) == len(set(lines)) == SONGS


def test_workers_end_with_a_killed_run(start):
    process = start("remix", 2)
    while process.stdout.readline() != "working\n":
        pass
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 2
    process.kill()
    process.wait()
    assert psutil.wait_procs(workers, timeout=30)[1] == []


@pytest.mark.parametrize("to", ["driver", "all"])
def test_ctrl_c(start, to):
    process = start("separate", 2)
    while process.stdout.readline() != "working\n":
        pass
    workers = psutil.Process(process.pid).children(recursive=True)
    if to == "driver":
        process.send_signal(signal.SIGINT)
    else:  # as a terminal does
        os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert out.endswith("interrupted\n")
    assert err == ""
    assert psutil.wait_procs(workers, timeout=30)[1] == []
    assert sorted(os.listdir("out/.stembridge")) == ["journal.jsonl", "lock"]
    assert not [path for path in Path("out").iterdir() if path.is_dir() and not any(path.iterdir())]


STARTING = """
import os, re, signal
from pathlib import Path
from loky.backend.process import LokyProcess

start, last = LokyProcess.start, int(os.environ["INTERRUPTED_START"])
started = []

def start_and_interrupt(self):
    start(self)
    started.append(self.pid)
    blocked = re.search(r"SigBlk:\\s*(\\w+)", Path(f"/proc/{self.pid}/status").read_text())[1]
    print("blocked" if int(blocked, 16) >> signal.SIGINT - 1 & 1 else "hears Ctrl-C", flush=True)
    if len(started) == last:
        os.kill(os.getpid(), signal.SIGINT)

LokyProcess.start = start_and_interrupt
"""


@pytest.mark.parametrize("last", [1, 2])
def test_ctrl_c_while_workers_start(start, monkeypatch, last):
    """The run ends, and workers never receive Ctrl-C: Python would print a traceback while it starts."""
    monkeypatch.setenv("INTERRUPTED_START", str(last))
    process = start("remix", 2, STARTING + BATCH)
    out, err = process.communicate(timeout=60)
    assert (out, err, process.returncode) == ("planned 8\nblocked\nblocked\ninterrupted\n", "", 0)
    assert not Path("out").exists()
