"""Training learns, is seeded, stops in time, resumes, and ends with a model that the engine runs."""

import csv
import json
import math
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import psutil
import pytest
import soundfile
import torch
from stembridge.core.errors import DataError
from stembridge.engine import StemProcessor
from stembridge.models import load_model
from stembridge.training import train
from stembridge.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from stembridge.training.data.mixes import RemixDataset
from stembridge.training.data.songs import STEMS, StemCache, find_songs
from stembridge.training.export import load_parameters
from stembridge.training.learner import Learner, Settings
from stembridge.training.session import train_model
from stembridge.training.train import train_network


@pytest.fixture
def settings():
    return Settings(minutes=0.05, batch=2, seconds=0.5, threads=1, device="cpu")


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return StemCache(tmp_path_factory.mktemp("cache"))


def batches(songs_folder, cache, number, seed=0):
    data = RemixDataset(find_songs([songs_folder]), cache, 0.5, seed)
    return [(data.batch(2), data.responses(2049)) for _ in range(number)]


def learn(recipe, settings, material, initial=None):
    learner = Learner(recipe, settings, initial)
    scores = [learner.step(stems, responses[..., : recipe.grid.bins], 0.0) for stems, responses in material]
    return learner, scores


def test_a_network_learns_a_repeated_batch(songs_folder, cache, tiny_recipe, settings):
    material = batches(songs_folder, cache, 1) * 60
    recipe = replace(tiny_recipe, dropout=0.0)
    _, scores = learn(recipe, replace(settings, learning_rate=0.05), material)
    assert scores[-1] > scores[0] + 3


def test_the_seed_decides_everything(songs_folder, cache, tiny_recipe, settings):
    runs = [
        learn(tiny_recipe, replace(settings, seed=seed), batches(songs_folder, cache, 2, seed))[0] for seed in (1, 1, 2)
    ]
    one, two, other = ([*run.network.parameters()] for run in runs)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_average_follows_the_weights(songs_folder, cache, tiny_recipe, settings):
    learner, _ = learn(tiny_recipe, settings, batches(songs_folder, cache, 5))
    start = Learner(tiny_recipe, settings, None).network.state_dict()
    now = learner.network.state_dict()
    for name in ("norm.weight", "decode.bias"):
        behind = (now[name] - learner.average[name]).abs().max()
        assert 0 < behind < (now[name] - start[name]).abs().max()


def test_a_saved_and_loaded_run_goes_on_as_if_never_stopped(songs_folder, cache, tiny_recipe, settings, tmp_path):
    recipe = replace(tiny_recipe, dropout=0.0)
    material = batches(songs_folder, cache, 6)
    whole, _ = learn(recipe, settings, material)
    first, _ = learn(recipe, settings, material[:3])
    first.save(tmp_path / "last.safetensors")
    second = Learner(recipe, replace(settings, seed=99), None)
    second.load(tmp_path / "last.safetensors")
    for stems, responses in material[3:]:
        second.step(stems, responses[..., : recipe.grid.bins], 0.0)
    assert second.progress.step == 6
    for name, value in whole.network.state_dict().items():
        assert torch.allclose(value, second.network.state_dict()[name], atol=1e-6), name
        assert torch.allclose(whole.average[name], second.average[name], atol=1e-6), name


def test_checkpoints_of_other_networks_and_other_files_are_refused(tiny_recipe, settings, tmp_path):
    path = tmp_path / "last.safetensors"
    Learner(tiny_recipe, settings, None).save(path)
    with pytest.raises(DataError, match="another network"):
        Learner(replace(tiny_recipe, hidden=9), settings, None).load(path)
    for content in (b"", b"not a checkpoint", path.read_bytes()[:1000]):
        path.write_bytes(content)
        with pytest.raises(DataError, match="not a checkpoint") as caught:
            load_checkpoint(path)
        assert "\n" not in str(caught.value)


def test_a_checkpoint_keeps_progress_and_recipe(tiny_recipe, tmp_path):
    progress = Progress(step=7, seconds=1.5, best=-math.inf)
    save_checkpoint(tmp_path / "a.safetensors", {"x": torch.arange(3.0)}, progress, tiny_recipe)
    tensors, loaded, recipe = load_checkpoint(tmp_path / "a.safetensors")
    assert (loaded, recipe) == (progress, tiny_recipe)
    assert torch.equal(tensors["x"], torch.arange(3.0))
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_training_logs_keeps_the_best_and_resumes(songs_folder, cache, tiny_recipe, settings, tmp_path):
    songs = find_songs([songs_folder])
    lines = []
    best = train_network(songs, tiny_recipe, tmp_path, cache, settings, report=lines.append)
    _, first, _ = load_checkpoint(tmp_path / "last.safetensors")
    assert first.step > 0
    assert 3 <= first.seconds < 60
    train_network(songs, tiny_recipe, tmp_path, cache, replace(settings, minutes=0.1), report=lines.append)
    _, second, _ = load_checkpoint(tmp_path / "last.safetensors")
    assert second.step > first.step
    assert any("continuing from step" in line for line in lines)
    with open(tmp_path / "log.csv") as file:
        rows = [*csv.DictReader(file)]
    assert [int(row["step"]) for row in rows] == [first.step, second.step]
    assert max(float(row["held_out_sdr"]) for row in rows) == pytest.approx(load_checkpoint(best)[1].best, abs=1e-3)


def test_a_best_checkpoint_that_was_written_just_before_a_kill_is_kept(
    songs_folder, cache, tiny_recipe, settings, tmp_path
):
    songs = find_songs([songs_folder])
    best = train_network(songs, tiny_recipe, tmp_path, cache, replace(settings, minutes=0.01))
    tensors, progress, recipe = load_checkpoint(best)
    save_checkpoint(best, tensors, replace(progress, best=1000.0), recipe)
    train_network(songs, tiny_recipe, tmp_path, cache, replace(settings, minutes=0.02))
    assert load_checkpoint(best)[1].best == 1000.0


@pytest.mark.parametrize(
    ("steps_done", "share", "rate"),
    [(0, 0.0, 1 / 200), (1, 0.025, 0.5), (2, 0.05, 1), (99, 0.0, 0.5), (199, 0.001, 1), (5, 0.5, 0.5), (9, 1.0, 0)],
)
def test_the_learning_rate(tiny_recipe, settings, songs_folder, cache, steps_done, share, rate):
    """It rises for 200 steps, or for part of the time in a shorter run, and falls to zero."""
    learner = Learner(tiny_recipe, replace(settings, learning_rate=1.0), None)
    ((stems, responses),) = batches(songs_folder, cache, 1)
    learner.progress.step = steps_done
    learner.step(stems, responses[..., : tiny_recipe.grid.bins], share)
    assert learner.optimizer.param_groups[0]["lr"] == pytest.approx(rate, abs=0.01)


def test_a_run_with_other_settings_is_not_resumed(songs_folder, cache, tiny_recipe, settings, tmp_path, make):
    songs = find_songs([songs_folder])
    train_network(songs, tiny_recipe, tmp_path, cache, replace(settings, minutes=0.005), report=lambda line: None)
    make.song(tmp_path / "more" / "another", 5, 0.5)
    for change, more, named in (
        ({"init": "live"}, [], "another --init"),
        ({"loss": "waveform"}, [], "another --loss"),
        ({"seed": 5}, [], "another --seed"),
        ({}, [tmp_path / "more"], "other songs"),
    ):
        with pytest.raises(DataError, match=f"last.safetensors was trained with {named}"):
            train_network(find_songs([songs_folder, *more]), tiny_recipe, tmp_path, cache, replace(settings, **change))


@pytest.mark.parametrize(("held_out", "steps"), [(True, 2), (False, 3)])
def test_a_run_stopped_before_its_first_score_is_scored_at_its_end(
    songs_folder, cache, tiny_recipe, settings, tmp_path, monkeypatch, held_out, steps
):
    """Without held-out songs the training songs choose the best network, so there is one more step."""

    class Impatient(Learner):
        def step(self, *arguments):
            if self.progress.step == 2:
                raise KeyboardInterrupt
            return super().step(*arguments)

    songs = find_songs([songs_folder] if held_out else [songs_folder / "song 0"])
    with monkeypatch.context() as patch:
        patch.setattr(train, "Learner", Impatient)
        with pytest.raises(KeyboardInterrupt):
            train_network(songs, tiny_recipe, tmp_path, cache, replace(settings, minutes=10), report=lambda line: None)
    assert not (tmp_path / "best.safetensors").exists()
    best = train_network(songs, tiny_recipe, tmp_path, cache, replace(settings, minutes=1e-6), report=lambda line: None)
    assert load_checkpoint(best)[1].step == steps


def test_initial_weights_are_kept_if_nothing_is_better(
    songs_folder, cache, tiny_recipe, settings, tmp_path, monkeypatch
):
    songs = find_songs([songs_folder])
    start = Learner(tiny_recipe, settings, None).network.state_dict()
    scores = iter([1.0, 0.5])
    monkeypatch.setattr(train, "_validate", lambda *_: {"bass": next(scores)})
    from_there = replace(settings, minutes=0.01, init="start")
    best = train_network(songs, tiny_recipe, tmp_path, cache, from_there, start, report=lambda line: None)
    weights, progress, _ = load_checkpoint(best)
    assert (progress.step, progress.best) == (0, 1.0)
    assert all(torch.equal(value, start[name]) for name, value in weights.items())


@pytest.mark.parametrize("every", [0.0, 60.0])
def test_checkpoints_are_kept_during_training(songs_folder, cache, tiny_recipe, settings, tmp_path, monkeypatch, every):
    monkeypatch.setattr(train, "SAVE_INTERVAL_S", every)
    kept = []
    monkeypatch.setattr(Learner, "save", lambda learner, path: kept.append(learner.progress.step))
    monkeypatch.setattr(train, "_validate", lambda *_: {"bass": 1.0})
    songs = find_songs([songs_folder])
    train_network(songs, tiny_recipe, tmp_path, cache, settings, report=lambda line: None)
    last = kept[-1]
    assert kept == ([*range(1, last + 1), last] if every == 0 else [last])


def test_silent_songs_are_refused(tmp_path, cache, tiny_recipe, settings):
    for number in range(2):
        (tmp_path / "songs" / str(number)).mkdir(parents=True)
        for stem in STEMS:
            soundfile.write(tmp_path / "songs" / str(number) / f"{stem}.wav", np.zeros((44100, 2)), 44100)
    with pytest.raises(DataError, match="all mixes were silent; give songs whose stems are not silent"):
        train_network(find_songs([tmp_path / "songs"]), tiny_recipe, tmp_path / "run", cache, settings, report=str)


def test_the_callers_denormal_mode_is_restored(songs_folder, cache, tiny_recipe, settings, tmp_path):
    songs = find_songs([songs_folder])
    train_network(songs, tiny_recipe, tmp_path, cache, replace(settings, minutes=1e-6), report=str)
    assert np.array([1e-310]) / 2 > 0


def test_a_start_that_nothing_beats_is_named_and_a_finished_model_stays_as_it_is(
    songs_folder, cache, tmp_path, monkeypatch
):
    output, card = tmp_path / "mine.onnx", tmp_path / "mine.json"
    scores = iter([1.0, 0.5])
    monkeypatch.setattr(train, "_validate", lambda *_: {"bass": next(scores)})
    lines = []
    common = {"init": "live", "cache": cache.folder, "threads": 1, "report": lines.append}
    train_model([songs_folder], output, 0.01, **common)
    assert lines[-1] == f"no better than live on the songs held out: {output} has the weights of live"
    card.write_text(card.read_text().replace("not stated", "mine alone"))
    kept = card.read_bytes()
    train_model([songs_folder], output, 0.01, **common)
    assert "nothing is left to train" in lines[-1]
    assert card.read_bytes() == kept
    train_model([songs_folder], output, 0.01, **common, overwrite=True)
    assert "mine alone" not in card.read_text()


def test_a_file_in_place_of_the_checkpoints_is_refused(songs_folder, cache, tmp_path):
    (tmp_path / "mine.onnx.training").write_bytes(b"kept")
    with pytest.raises(DataError, match=r"mine.onnx.training is a file, but checkpoints belong in a folder"):
        train_model([songs_folder], tmp_path / "mine.onnx", 1, cache=cache.folder)


def stembridge(*arguments, cwd, **options):
    command = [sys.executable, "-m", "stembridge", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, **options)


def test_a_full_disk_is_one_line(songs_folder, cache, tmp_path):
    for song in find_songs([songs_folder]):
        cache.load(song, next(iter(song.files)))
    common = ["--data", songs_folder, "--cache", cache.folder, "--threads", 1, "--minutes", 0.01, "-o", "mine.onnx"]
    limit = (10**5, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    run = stembridge(
        "train", *common, cwd=tmp_path, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    )
    assert run.returncode == 2
    assert len(run.stderr.splitlines()) == 1
    assert "mine.onnx.training/best.safetensors: File too large; make room or choose another folder" in run.stderr


@pytest.mark.parametrize("mode", ["streaming", "chunked"])
def test_the_command_trains_exports_and_fine_tunes(songs_folder, tmp_path, mode):
    common = [
        "--data",
        songs_folder,
        "--cache",
        tmp_path / "cache",
        "--threads",
        1,
        "--terms",
        "CC0",
        "--minutes",
        0.02,
    ]
    run = stembridge("train", *common, "--mode", mode, "--network", "recurrent", "-o", "mine.onnx", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    model = load_model(tmp_path / "mine.onnx")
    assert model.card.mode == mode
    assert model.card.values["training"]["recipe"]["family"] == "recurrent"
    training = model.card.values["training"]
    assert training["steps"] > 0
    assert training["seed"] == 0
    assert json.dumps(model.card.values["data"]).count("CC0") == 1
    audio = np.random.default_rng(0).standard_normal((2, 1000)).astype(np.float32)
    assert StemProcessor(model).process(audio).shape == audio.shape

    tuned = stembridge("train", *common, "--init", "mine.onnx", "-o", "tuned.onnx", cwd=tmp_path)
    assert tuned.returncode == 0, tuned.stderr
    (_, before), (_, after) = (load_parameters(tmp_path / name) for name in ("mine.onnx", "tuned.onnx"))
    changes = [float((before[name] - after[name]).abs().max()) for name in before]
    assert max(changes) < 0.05  # it went on from there, and not far
    learnt, progress, _ = load_checkpoint(tmp_path / "tuned.onnx.training" / "last.safetensors")
    assert progress.step > 0
    assert 0 < max(float((before[name] - learnt[f"network/{name}"]).abs().max()) for name in before) < 0.05
    values = load_model(tmp_path / "tuned.onnx").card.values
    assert values["terms"] == "CC0; and those of mine, whose weights it was started from: CC0"
    assert len(values["data"]) == 2
    assert "--init mine.onnx" in values["training"]["command"]


@pytest.mark.parametrize(("there", "output"), [("other.onnx", "other.onnx"), ("notes.json", "notes.onnx")])
def test_existing_files_are_not_replaced(songs_folder, tmp_path, there, output):
    (tmp_path / there).write_bytes(b"another")
    refused = stembridge("train", "--data", songs_folder, "--minutes", 1, "-o", output, cwd=tmp_path)
    assert refused.returncode == 2
    assert f"{there} exists already; choose another name, or overwrite it with --force" in refused.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {there: b"another"}


def test_ctrl_c_keeps_the_trained_network(songs_folder, tmp_path):
    command = [sys.executable, "-m", "stembridge", "train", "--data", str(songs_folder), "--minutes", "10"]
    command += ["--cache", str(tmp_path / "cache"), "--threads", "1", "-o", "mine.onnx", "--mode", "streaming"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # the tests may run in the background
    )
    for line in process.stdout:
        if "to train on" in line:
            break
    worker = psutil.Process(process.pid)
    ready = worker.cpu_times().user
    while worker.cpu_times().user < ready + 20:  # not wall time: the machine may be busy, and the first step is slow
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert len(errors.splitlines()) == 1
    assert load_checkpoint(tmp_path / "mine.onnx.training" / "last.safetensors")[1].step > 0
    assert not (tmp_path / "mine.onnx").exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--minutes", 1, "-o", "a.txt"], "a.txt"),
        (["--minutes", 1, "-o", "missing/a.onnx"], "missing"),
        (["--minutes", 0], "minutes"),
        (["--minutes", "inf"], "minutes"),
        (["--minutes", 1, "--terms", " "], "terms"),
        (["--minutes", 1, "--seed", 10**20], "seed"),
        (["--minutes", 1, "--mode", "sideways"], "sideways"),
        (["--minutes", 1, "--network", "magic"], "magic"),
        (["--minutes", 1, "--init", "nosuch"], "nosuch"),
        (["--minutes", 1, "--provider", "coreml"], "no execution provider 'coreml'"),
        (["--minutes", 1, "--lookahead", 4], "--lookahead is for streaming networks; add --mode streaming"),
        (["--minutes", 1, "--mode", "streaming", "--lookahead", 24], "give --lookahead 23 or less"),
        (["--minutes", 1, "--init", "studio", "--lookahead", 3], "give --lookahead 2 or less"),
        (["--minutes", 1, "--init", "mix", "--lookahead", 2], "leave --lookahead out"),
        (
            ["--minutes", 1, "--init", "studio", "--mode", "chunked"],
            "--mode does not go with --init, whose model sets it; leave it out",
        ),
    ],
)
def test_bad_options_are_one_line(songs_folder, tmp_path, arguments, named):
    run = stembridge("train", "--data", songs_folder, *arguments, cwd=tmp_path)
    assert run.returncode == 2
    assert len(run.stderr.splitlines()) == 1
    assert named in run.stderr
    assert "Value error" not in run.stderr
    assert [*tmp_path.iterdir()] == []


def test_unusable_data_is_one_line(tmp_path):
    run = stembridge("train", "--data", tmp_path / "nothing", "--minutes", 1, cwd=tmp_path)
    assert run.returncode == 2
    assert "nothing" in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_the_command_trains_a_network_that_looks_ahead(songs_folder, tmp_path):
    common = ["--data", songs_folder, "--cache", tmp_path / "cache", "--threads", 1, "--minutes", 0.02]
    run = stembridge("train", *common, "--mode", "streaming", "--lookahead", 8, "-o", "mine.onnx", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    model = load_model(tmp_path / "mine.onnx")
    assert model.card.latency_samples == 512 + 8 * 256
    assert "--lookahead 8" in model.card.values["training"]["command"]
    tuned = stembridge("train", *common, "--init", "mine.onnx", "-o", "tuned.onnx", cwd=tmp_path)
    assert tuned.returncode == 0, tuned.stderr
    assert load_model(tmp_path / "tuned.onnx").card.lookahead == 8


@pytest.mark.parametrize(("init", "lookahead", "latency"), [("live", 4, 512 + 4 * 256), ("studio", 2, 4096 + 2 * 1024)])
def test_a_network_that_ships_can_be_given_lookahead(songs_folder, tmp_path, init, lookahead, latency):
    common = ["--data", songs_folder, "--cache", tmp_path / "cache", "--threads", 1, "--minutes", 0.02]
    run = stembridge("train", *common, "--init", init, "--lookahead", lookahead, "-o", "mine.onnx", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    model = load_model(tmp_path / "mine.onnx")
    assert (model.card.mode, model.card.latency_samples) == ("streaming", latency)
    assert f"--lookahead {lookahead}" in model.card.values["training"]["command"]
