"""The user's folder of models: even after a stopped import or removal, each name is a whole model or missing."""

import fcntl
import os
import subprocess
import sys

import pytest
from stembridge.models import ModelError, load_model, own_models
from stembridge.models.guests import adopt_model, publish_model, recognise, remove_model, stage_model, staging
from stembridge.models.registry import user_folder

SHAPES = {"mix": [1, 2, 4096]}, {"stems": [1, 2, 2, 4096]}


@pytest.fixture
def imported(guest):
    """Return a function that imports a graph as `mine`, with the stems named."""

    def imported(stems, overwrite=True):
        # The checksum depends on the name of the input.
        file = guest(f"{stems[0]}.onnx", {f"mix_{stems[0]}": SHAPES[0]["mix"]}, SHAPES[1])
        with staging() as staged:
            model = stage_model(staged, recognise([file], "mine", stems=stems), [file.path])
            publish_model(model, overwrite)

    return imported


def names():
    return sorted(os.listdir(user_folder()))


def test_a_model_that_is_replaced_leaves_nothing_behind(imported):
    imported(["a", "b"])
    before = names()
    imported(["c", "d"])
    assert load_model("mine").card.stems == ("c", "d")
    assert load_model("mine").graph
    assert len(names()) == len(before) == 2
    with pytest.raises(ModelError, match="model 'mine' exists already"):
        imported(["e", "f"], overwrite=False)
    assert load_model("mine").card.stems == ("c", "d")
    assert len(names()) == 2


def test_a_mask_network_that_is_replaced_leaves_nothing_behind(imported, tiny_live_model):
    adopt_model(load_model(tiny_live_model), "mine", overwrite=False)
    assert names() == ["mine.json", "mine.onnx"]
    imported(["a", "b"])
    assert load_model("mine").card.stems == ("a", "b")
    assert len(names()) == 2
    assert "mine.onnx" not in names()


@pytest.mark.parametrize("call", ["replace", "unlink"])
@pytest.mark.parametrize("step", range(3))
def test_an_import_that_is_stopped_leaves_the_old_model_or_the_new_one(imported, monkeypatch, call, step):
    imported(["a", "b"])
    function, calls = getattr(os, call), []

    def stop(*arguments, **options):
        calls.append(arguments)
        if len(calls) == step + 1:
            raise KeyboardInterrupt
        return function(*arguments, **options)

    monkeypatch.setattr(os, call, stop)
    try:
        imported(["c", "d"])
    except KeyboardInterrupt:
        stopped = True
    else:
        stopped = False
    monkeypatch.setattr(os, call, function)
    model = load_model("mine")
    assert model.graph
    assert model.card.stems in [("a", "b"), ("c", "d")]
    assert model.card.stems == ("c", "d") or stopped
    imported(["e", "f"])
    assert len(names()) == 2, "leftover files are removed"


KILLED = """
import os, signal, sys
from pathlib import Path
from stembridge.models.guests import GuestFile, publish_model, recognise, stage_model, staging
from stembridge.models.registry import user_folder
import hashlib
path = Path(sys.argv[1])
file = GuestFile(path, path.name, hashlib.sha256(path.read_bytes()).hexdigest())
with staging() as staged:
    model = stage_model(staged, recognise([file], "mine", stems=["a", "b"]), [path])
    if sys.argv[2] == "staged":
        os.kill(os.getpid(), signal.SIGKILL)
    calls = 0
    replace = os.replace
    def die(*arguments):
        global calls
        calls += 1
        if calls == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(*arguments)
    os.replace = die
    publish_model(model, False)
"""


@pytest.mark.parametrize("when", ["staged", "published by half"])
def test_what_a_killed_import_left_is_removed_by_the_next(guest, imported, when):
    file = guest("guest.onnx", *SHAPES)
    done = subprocess.run([sys.executable, "-c", KILLED, str(file.path), when], capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    assert names()
    assert not own_models()
    imported(["c", "d"])
    assert len(names()) == 2
    assert load_model("mine").card.stems == ("c", "d")


def test_a_running_import_is_left_alone(imported):
    with staging() as other:
        imported(["a", "b"])
        assert other.exists()
        lock = os.open(other, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(lock)
    assert not other.exists()


def test_a_model_that_is_removed_while_in_use_says_so_in_one_line(imported):
    imported(["a", "b"])
    model = load_model("mine")
    remove_model("mine")
    assert names() == []
    with pytest.raises(ModelError, match=r"cannot read the model \(No such file or directory\); import it again$"):
        model.graph  # noqa: B018
    with pytest.raises(ModelError, match="unknown model 'mine'"):
        load_model("mine")
