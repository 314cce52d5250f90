"""Models by name and by path are verified, or refused in one line."""

import json
import os
import subprocess
import sys

import pytest
from stembridge import StemProcessor
from stembridge.models import ModelError, load_model, model_names, save_model, shipped_models

FIELDS = {
    "name": "mine",
    "version": "1",
    "mode": "streaming",
    "stems": ["vocals", "other"],
    "sample_rate": 44100,
    "window": 2048,
    "synthesis_window": 512,
    "hop": 256,
    "terms": "CC0",
}


def refused(model, says, of=None):
    with pytest.raises(ModelError, match=says) as error:
        load_model(model)
    assert "\n" not in str(error.value)
    if of is not None:
        assert str(of) in str(error.value)


def test_every_shipped_model_loads_by_its_name():
    for name in shipped_models():
        model = load_model(name)
        assert model.card.name == name
        assert StemProcessor(model).latency_samples == model.card.latency_samples


def test_a_model_loads_by_path_as_text_or_path(tiny_model):
    model = load_model(tiny_model)
    assert model == load_model(str(tiny_model))
    assert model.path == tiny_model
    assert model.graph == tiny_model.read_bytes()
    assert model.card.values == json.loads(tiny_model.with_suffix(".json").read_text())


def test_a_model_in_the_working_folder_needs_only_its_file_name(tiny_model, monkeypatch):
    monkeypatch.chdir(tiny_model.parent)
    assert load_model(tiny_model.name).card == load_model(tiny_model).card


@pytest.mark.parametrize("name", ["nope", "live2", "card", "a" * 300, "0"])
def test_an_unknown_name_lists_the_shipped_ones(name):
    meant, names = r"( \(did you mean 'live'\?\))?", ", ".join(model_names())
    refused(name, f"^unknown model '{name}'{meant}; models: {names}; or .* .onnx file$")


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "/", "~", "Live", "live ", " live", "live\n", "../models/live", "./live", "live.pt",
     ".onnx", "/etc/passwd", "/dev/zero", "\0", "live\0", "\0.onnx", "live.onnx\0"],
)  # fmt: skip
def test_text_that_is_neither_a_name_nor_an_onnx_path_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(name, "is not a model; give a name .* or the path of an .onnx file")


@pytest.mark.parametrize("path", ["nope.onnx", "no/such/folder.onnx", "/nope/x.onnx", "live.onnx", "a" * 300 + ".onnx"])
def test_a_missing_file_says_so(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(path, "cannot read the model .*; check the path", of=path)


def test_a_folder_is_not_a_model(tmp_path):
    (tmp_path / "folder.onnx").mkdir()
    refused(tmp_path / "folder.onnx", "cannot read the model", of=tmp_path)


def test_a_missing_card_says_where_it_belongs(spoil):
    path = spoil()
    path.with_suffix(".json").unlink()
    refused(path, "there is no model card; it must be next to the .onnx file", of=path.with_suffix(".json"))
    path.with_suffix(".json").mkdir()
    refused(path, "the model card cannot be read: Is a directory", of=path.with_suffix(".json"))


def test_a_graph_with_a_changed_byte_is_refused(spoil, tiny_live_model):
    graph = bytearray(tiny_live_model.read_bytes())
    graph[len(graph) // 2] ^= 1
    for damaged in (bytes(graph), bytes(graph[:-1]), b"", tiny_live_model.read_bytes() + b"\0"):
        path = spoil(graph=damaged)
        refused(path, "checksum .* is not the card's .*; the file is damaged or belongs to another card", of=path)


def test_the_card_of_another_graph_is_refused(spoil):
    refused(spoil(sha256="0" * 64), "checksum .* is not the card's 000000000000")


def test_a_newer_card_asks_for_an_update(spoil):
    refused(spoil(format=3), "card format 3 is newer than 2; update stembridge to use it")


# --- save_model


def test_a_saved_model_loads_the_same(tmp_path, tiny_live_model):
    graph = tiny_live_model.read_bytes()
    values = FIELDS | {"scores": {"vocals": 1.5}, "description": "Größe"}
    saved = save_model(tmp_path / "mine.onnx", graph, values)
    assert saved == load_model(tmp_path / "mine.onnx")
    assert saved.card.values == {"format": 1, **values, "sha256": saved.card.sha256}
    assert saved.graph == graph
    assert sorted(os.listdir(tmp_path)) == ["mine.json", "mine.onnx"], "no other file is left"


def test_saving_again_replaces_both(tmp_path):
    save_model(tmp_path / "mine.onnx", b"one", FIELDS)
    save_model(str(tmp_path / "mine.onnx"), b"two", FIELDS | {"version": "2"})
    model = load_model(tmp_path / "mine.onnx")
    assert (model.graph, model.card.version) == (b"two", "2")


def test_a_loaded_card_can_be_saved_with_another_graph(tmp_path, tiny_model):
    model = load_model(tiny_model)
    saved = save_model(tmp_path / "other.onnx", b"new weights", model.card.values)
    assert saved.card.sha256 != model.card.sha256
    assert load_model(tmp_path / "other.onnx") == saved


@pytest.mark.parametrize(
    ("name", "fields", "says"),
    [
        ("mine.onnx", {"mode": "offline"}, "not a valid model card"),
        ("mine.onnx", {"hop": 255}, "do not fit hop 255"),
        ("mine.bin", {}, "must end in .onnx"),
        ("mine.json", {}, "must end in .onnx"),
        ("mine", {}, "must end in .onnx"),
    ],
)
def test_an_invalid_model_is_not_written(tmp_path, name, fields, says):
    with pytest.raises(ModelError, match=says):
        save_model(tmp_path / name, b"graph", FIELDS | fields)
    assert not os.listdir(tmp_path)


STOPPED = """
import os, signal, sys
from pathlib import Path
from stembridge.models import load_model, save_model
path, stop = Path(sys.argv[1]), int(sys.argv[2])
values = load_model(sys.argv[3]).card.values
calls = 0
def die_at(name):
    function = getattr(os, name)
    def call(*arguments, **options):
        global calls
        if calls == stop:
            os.kill(os.getpid(), signal.SIGKILL)
        calls += 1
        return function(*arguments, **options)
    setattr(os, name, call)
die_at("replace")
die_at("unlink")
save_model(path, b"new graph", {**values, "version": "new"})
print("saved")
"""


@pytest.mark.parametrize("old", [True, False])
def test_a_save_that_is_killed_leaves_the_old_model_or_the_new_one(tmp_path, tiny_live_model, old):
    """Kill the process before each step in turn."""
    path = tmp_path / "model.onnx"
    values = {**load_model(tiny_live_model).card.values, "version": "old"}
    seen = []
    for stop in range(20):
        for left_over in tmp_path.glob("*.onnx*"):
            left_over.unlink()
        path.with_suffix(".json").unlink(missing_ok=True)
        if old:
            save_model(path, b"old graph", values)
        command = [sys.executable, "-c", STOPPED, str(path), str(stop), str(tiny_live_model)]
        done = subprocess.run(command, capture_output=True, text=True)
        if old or path.with_suffix(".json").exists():
            model = load_model(path)
            assert (model.card.values["version"], model.graph) in [("old", b"old graph"), ("new", b"new graph")]
            seen.append(model.card.values["version"])
        if done.stdout == "saved\n":
            break
        save_model(path, b"third graph", values)  # and saving goes on to work
        assert load_model(path).graph == b"third graph"
        assert {item.name for item in tmp_path.glob("*model*")} == {"model.onnx", "model.json"}
    assert done.stdout == "saved\n"
    assert stop >= 3
    assert seen == sorted(seen, key=["old", "new"].index)
    assert seen[-1] == "new"


@pytest.mark.parametrize("step", range(3))
def test_a_save_that_is_interrupted_leaves_the_old_model_or_the_new_one(
    tmp_path, tiny_live_model, interrupt_replace, step
):
    path = tmp_path / "model.onnx"
    values = load_model(tiny_live_model).card.values
    save_model(path, b"old graph", {**values, "version": "old"})
    interrupt_replace(lambda number, _: number == step)
    with pytest.raises(KeyboardInterrupt):
        save_model(path, b"new graph", {**values, "version": "new"})
    model = load_model(path)
    assert (model.card.values["version"], model.graph) == (("old", b"old graph"), ("new", b"new graph"))[step == 2]
    assert len([*tmp_path.glob(".*")]) == (step == 2)


def test_a_model_is_saved_through_links(tmp_path, tiny_live_model):
    (tmp_path / "real").mkdir()
    for suffix in ("onnx", "json"):
        (tmp_path / f"model.{suffix}").symlink_to(f"real/other.{suffix}")
    save_model(tmp_path / "model.onnx", b"graph", load_model(tiny_live_model).card.values)
    assert load_model(tmp_path / "model.onnx").graph == load_model(tmp_path / "real" / "other.onnx").graph == b"graph"
    assert sorted(path.name for path in (tmp_path / "real").iterdir()) == ["other.json", "other.onnx"]
