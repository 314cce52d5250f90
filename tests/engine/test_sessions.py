"""Sessions of ONNX Runtime: which processors share one; sharing changes no sound."""

import copy
import gc
import os
import pickle
import signal
import subprocess
import sys
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import onnxruntime
import pytest
from stembridge import StemProcessor
from stembridge.engine.sessions import open_session
from stembridge.models import ModelError, load_model, save_model

MIXED = {"vocals": -80.0, "drums": 3.0}


def test_equal_requests_share_a_session(tiny_model, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    session = open_session(load_model(tiny_model))
    assert open_session(load_model(str(tiny_model)), 1, ["CPUExecutionProvider"]) is session
    assert open_session(load_model(tiny_model), 0) is session
    two = open_session(load_model(tiny_model), 2)
    assert two is not session
    assert open_session(load_model(tiny_model), 99) is two, "no more threads than processors"


def test_another_model_has_another_session(tiny_live_model, tiny_studio_model, tmp_path):
    live = load_model(tiny_live_model)
    same_graph = save_model(tmp_path / "mine.onnx", live.graph, live.card.values | {"version": "2"})
    sessions = [open_session(model) for model in (live, same_graph, load_model(tiny_studio_model))]
    assert len({id(session) for session in sessions}) == 3


def test_a_session_is_freed_with_the_last_processor_that_used_it(tiny_model, tmp_path):
    model = load_model(tiny_model)
    model = save_model(tmp_path / "mine.onnx", model.graph, model.card.values | {"name": "mine"})
    first, second = StemProcessor(model, 8000), StemProcessor(model, 192000, 1)
    session = weakref.ref(open_session(model))
    del first
    gc.collect()
    assert session() is open_session(model)
    del second
    gc.collect()
    assert session() is None


def test_threads_that_open_at_the_same_time_share_a_session(tiny_model):
    model = load_model(tiny_model)
    with ThreadPoolExecutor(8) as threads:
        sessions = list(threads.map(lambda _: open_session(model), range(8)))
    assert len({id(session) for session in sessions}) == 1


def test_ctrl_c_while_a_session_opens_waits_for_its_thread(tiny_model, tmp_path, monkeypatch):
    """A program that ended meanwhile would crash in ONNX Runtime."""
    model = load_model(tiny_model)
    model = save_model(tmp_path / "mine.onnx", model.graph, model.card.values | {"name": "mine"})
    ended = []

    def open_slowly(*_, **__):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
        ended.append(True)

    monkeypatch.setattr(onnxruntime, "InferenceSession", open_slowly)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            open_session(model)
        assert ended
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("name", ["live", "mix", "studio"])
def test_processors_that_share_a_session_may_run_at_once(name, noise):
    songs = [noise(2, 60000, seed) for seed in range(4)]
    alone = [StemProcessor(name, 44100, 2, MIXED).process(song) for song in songs]
    processors = [StemProcessor(name, 44100, 2, MIXED) for _ in songs]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda processor, song: processor.process(song), processors, songs))
    for one, other in zip(together, alone, strict=True):
        assert (one == other).all()


def test_a_missing_provider_is_named(tiny_model):
    has = "has .*CPUExecutionProvider"
    with pytest.raises(ModelError, match=f"^no execution provider .NopeProvider. in this ONNX Runtime, which {has}"):
        open_session(load_model(tiny_model), providers=["NopeProvider"])


def test_a_forked_child_opens_its_own_and_works(tiny_model):
    code = """
import os, sys
import numpy as np
from stembridge import StemProcessor
from stembridge.engine.sessions import open_session
parent = StemProcessor(sys.argv[1], threads=2)
session = open_session(parent.model, 2)
if child := os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
processor = StemProcessor(sys.argv[1], gains_db={"vocals": -80.0}, threads=2)
works = processor.process(np.ones((2, 9000), np.float32)).any()
os._exit(0 if works and open_session(processor.model, 2) is not session else 1)
"""
    done = subprocess.run([sys.executable, "-c", code, tiny_model], check=False, timeout=60)
    assert done.returncode == 0


FORK_WHILE_OPENING = """
import os, sys, threading
from stembridge import StemProcessor
from stembridge.engine import sessions
StemProcessor(sys.argv[1], threads=2)
parent = StemProcessor(sys.argv[1], threads=2)
with sessions._opening:  # as if another thread opened a session
    child = os.fork()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
parent = StemProcessor(sys.argv[1], threads=2)  # drops the parent's
sys.exit(0)
"""
DAEMON_THREAD = """
import sys, threading, time
import numpy as np
from stembridge import StemProcessor
processor = StemProcessor(sys.argv[1])
def play():
    while True:
        processor.process(np.full((2, 512), 0.1, np.float32))
threading.Thread(target=play, daemon=True).start()
time.sleep(0.2)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_child_forked_while_a_session_opens_neither_waits_for_it_nor_for_its_threads(tiny_model):
    subprocess.run([sys.executable, "-c", FORK_WHILE_OPENING, tiny_model], check=True, timeout=60)


def test_the_program_ends_cleanly_while_another_thread_runs_the_network(tiny_live_model):
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, "-c", DAEMON_THREAD, tiny_live_model], check=False, timeout=60, capture_output=True
        )
        assert (done.returncode, done.stderr) == (0, b"")


def test_a_processor_cannot_be_pickled_and_names_a_remedy(tiny_model):
    processor = StemProcessor(tiny_model)
    for save in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(
            TypeError, match=r"a StemProcessor cannot be pickled or copied, because .* make a new one from"
        ):
            save(processor)
