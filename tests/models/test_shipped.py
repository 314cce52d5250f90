"""The networks that ship keep the contract and, with the engine, its promises."""

import numpy as np
import pytest
from stembridge import StemProcessor
from stembridge.models import load_model, model_names

MIXED = {"vocals": -80.0, "drums": 3.0, "bass": -6.0}


def test_live_streams_and_studio_works_in_chunks():
    assert {"live", "studio"} <= set(model_names())
    live, studio = load_model("live").card, load_model("studio").card
    assert (live.mode, studio.mode) == ("streaming", "chunked")
    assert live.latency_samples <= 512
    assert live.sample_rate == studio.sample_rate == 44100
    for card in (live, studio):
        assert card.stems == ("vocals", "drums", "bass", "other")
        assert card.values["terms"]


def test_live_is_the_default():
    assert StemProcessor().model.card.name == "live"
    assert StemProcessor().latency_samples <= 512


@pytest.mark.parametrize(("name", "rate"), [("live", 16000), ("live", 44100), ("live", 96000), ("studio", 22050)])
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
