"""The networks that ship keep the contract and, with the engine, its promises."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from stembridge import StemProcessor
from stembridge.engine.sessions import open_session
from stembridge.models import ModelError, check_graph, load_model, parse_card, shipped_models

MIXED = {"vocals": -80.0, "drums": 3.0, "bass": -6.0}


# These properties are checked here, not at every start.


@pytest.mark.parametrize("name", shipped_models())
def test_shipped_cards_keep_the_schema(name):
    model = load_model(name)
    values = json.loads(model.path.with_suffix(".json").read_text("utf-8"))
    checked = parse_card(values, name)
    assert model.card == checked
    assert model.card.values == checked.values == values
    assert model.card.name == name


@pytest.mark.parametrize("name", shipped_models())
def test_shipped_graphs_keep_the_contract(name):
    model = load_model(name)
    check_graph(open_session(model), model.card, name)


def test_a_start_with_a_shipped_model_checks_its_sum_only():
    code = """
import sys
from unittest.mock import patch
from stembridge import StemProcessor
with patch("stembridge.engine.sessions.check_graph", side_effect=AssertionError):
    StemProcessor("live")
sys.exit("pydantic" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_shipped_model_that_was_copied_is_checked_as_any_other(tmp_path):
    model = load_model("live")
    copy = shutil.copy(model.path, tmp_path / "live.onnx")
    (tmp_path / "live.json").write_text(json.dumps(model.card.values))
    assert load_model(copy).card == model.card
    assert not load_model(copy).shipped
    (tmp_path / "live.json").write_text(json.dumps(model.card.values | {"stems": ["vocals", "other"]}))
    with pytest.raises(ModelError, match="masks have shape"):
        StemProcessor(copy)
    (tmp_path / "live.json").write_text(json.dumps(model.card.values | {"hop": 0}))
    with pytest.raises(ModelError, match="not a valid model card"):
        StemProcessor(copy)


def test_a_damaged_shipped_graph_is_found(tmp_path, monkeypatch):
    for path in (load_model("live").path, load_model("live").path.with_suffix(".json")):
        shutil.copy(path, tmp_path)
    monkeypatch.setattr("stembridge.models.registry.SHIPPED", tmp_path)
    assert load_model("live").shipped
    with open(tmp_path / "live.onnx", "r+b") as graph:
        graph.seek(5000)
        byte = graph.read(1)
        graph.seek(5000)
        graph.write(bytes([byte[0] ^ 1]))
    with pytest.raises(ModelError, match="the file is damaged"):
        load_model("live")


# These are audible properties.


def test_live_and_mix_stream_and_studio_works_in_chunks():
    assert {"live", "mix", "studio"} == set(shipped_models())
    live, mix, studio = (load_model(name).card for name in ("live", "mix", "studio"))
    assert (live.mode, mix.mode, studio.mode) == ("streaming", "streaming", "chunked")
    assert live.latency_samples <= 512
    assert mix.latency_samples <= 0.15 * 44100
    for card in (live, mix, studio):
        assert card.sample_rate == 44100
        assert card.stems == ("vocals", "drums", "bass", "other")
        assert card.values["terms"]


def test_live_is_the_default_of_streams():
    assert StemProcessor().model.card.name == "live"
    assert StemProcessor().latency_samples <= 512


@pytest.mark.parametrize(
    ("name", "rate"), [("live", 16000), ("live", 44100), ("live", 96000), ("mix", 48000), ("studio", 22050)]
)
def test_shipped_networks_keep_the_engines_promises(name, rate, noise):
    processor = StemProcessor(name, rate, 2)
    latency = processor.latency_samples
    n = rate // 2
    audio = np.concatenate([noise(2, n), np.zeros((2, latency), np.float32)], axis=-1)
    assert (processor.process(audio)[:, latency:] == audio[:, :n]).all()
    processor.reset()
    stems = processor.separate(audio)[..., latency:]
    np.testing.assert_allclose(stems.sum(axis=0), audio[:, :n], rtol=0, atol=1e-5)
    mixed = StemProcessor(name, rate, 2, MIXED)
    whole = mixed.process(audio)
    mixed.reset()
    cuts = np.cumsum([1, 63, 512, 700, 3000, 64, 1])
    pieces = [mixed.process(piece) for piece in np.split(audio, cuts, axis=-1)]
    np.testing.assert_allclose(np.concatenate(pieces, axis=-1), whole, rtol=0, atol=1e-5)
    factors = [0.0, 10 ** (3 / 20), 10 ** (-6 / 20), 1.0]
    np.testing.assert_allclose(whole[:, latency:], np.tensordot(factors, stems, 1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", shipped_models())
def test_a_song_on_one_side_is_separated_as_if_it_were_on_both(name, noise):
    song = noise(1, 44100) * np.linspace(0.1, 1, 44100, dtype=np.float32)
    audio = np.concatenate([song, np.zeros((1, StemProcessor(name).latency_samples), np.float32)], axis=-1)
    both, one = (StemProcessor(name).separate(np.concatenate([left, audio])) for left in (audio, 0 * audio))
    np.testing.assert_allclose(one[:, 1], both[:, 1], rtol=0, atol=1e-6)
    assert not one[:, 0].any()


@pytest.mark.parametrize("name", shipped_models())
@pytest.mark.parametrize("hiss_db", [-110, -90])  # RMS
def test_faint_hiss_before_a_song_is_soon_forgotten(name, hiss_db, noise):
    before, latency = 44100, StemProcessor(name).latency_samples
    t = np.arange(2 * 44100) / 44100
    bass, voice = np.sign(np.sin(2 * np.pi * 110 * t)), np.sin(2 * np.pi * 440 * t + 4 * np.sin(2 * np.pi * 5 * t))
    song = 0.2 * (bass + noise(1, len(t)) * np.exp(-30 * (4 * t % 1))) * np.exp(-3 * (2 * t % 1)) + 0.1 * voice
    padded = np.pad(np.repeat(song, 2, axis=0), ((0, 0), (before, latency)))
    hiss = 10 ** (hiss_db / 20) * noise(2, before) / noise(2, before).std()
    hissed = padded + np.pad(hiss, ((0, 0), (0, padded.shape[1] - before)))
    after_silence, after_hiss = (
        StemProcessor(name).separate(audio.astype(np.float32))[..., latency + before :] for audio in (padded, hissed)
    )
    difference = np.square(after_hiss - after_silence).sum() / np.square(after_silence).sum()
    # A song after silence sounds as it does alone. On ten real songs, either hiss changes the SDR of `mix` by 0.01 dB.
    assert 10 * np.log10(difference) < {"live": -19, "mix": -16, "studio": -19}[name]
