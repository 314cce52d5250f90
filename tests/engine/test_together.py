"""Offline, several hops are processed together as far as the latency allows, and nothing else changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stembridge import StemProcessor
from stembridge.engine.network import ChunkedNetwork, StreamingNetwork

GAINS = {"vocals": -6.0, "drums": 3.0, "bass": -80.0}


@pytest.fixture
def frames_of_runs(monkeypatch):
    """Record the number of frames in each run of the network."""
    frames = []
    for network in StreamingNetwork, ChunkedNetwork:
        monkeypatch.setattr(network, "push", counting(network.push, frames))
    return frames


def counting(push, frames):
    def count_and_push(network, spectra):
        frames.append(len(spectra))
        return push(network, spectra)

    return count_and_push


@pytest.mark.parametrize("rate", [8000, 44100, 48000, 192000])
@pytest.mark.parametrize("realtime_block", [None, 64])
@given(st.lists(st.tuples(st.integers(0, 700), st.booleans()), min_size=1, max_size=6).filter(lambda it: any(dict(it))))
def test_neither_latency_nor_sound_changes(tiny_live_model, noise, rate, realtime_block, blocks):
    plain, processor = (StemProcessor(tiny_live_model, rate, 2, GAINS, realtime_block=realtime_block) for _ in range(2))
    audio, out, done = noise(2, 5000), [], 0
    while done < 5000:
        for length, processor.offline in blocks:
            out.append(processor.process(audio[:, done : done + length]))
            done += length
    np.testing.assert_allclose(np.concatenate(out, axis=1), plain.process(audio), rtol=0, atol=1e-5)
    assert processor.latency_samples == plain.latency_samples


def test_with_blocks_of_a_hop_two_hops_are_processed_together(tiny_live_model, noise, stream, frames_of_runs):
    processor = StemProcessor(tiny_live_model)
    assert not processor.offline
    stream(processor, noise(2, 256 * 20), [256] * 20)
    assert frames_of_runs == [1] * 20
    frames_of_runs.clear()
    processor.reset()
    processor.offline = True
    stream(processor, noise(2, 256 * 20), [256] * 20)
    assert frames_of_runs == [2] * 10


def test_blocks_that_need_every_hop_at_once_get_it(tiny_live_model, noise, stream, frames_of_runs):
    processor = StemProcessor(tiny_live_model)
    processor.offline = True
    stream(processor, noise(2, 300 * 10), [300] * 10)
    assert sum(frames_of_runs) >= 10
    assert max(frames_of_runs) <= 2


def test_chunks_run_as_before(tiny_studio_model, noise, stream, frames_of_runs):
    processor = StemProcessor(tiny_studio_model)
    processor.offline = True
    stream(processor, noise(2, 256 * 20), [256] * 20)
    assert frames_of_runs == [1] * 20


def test_a_reset_discards_hops_that_waited(tiny_live_model, noise):
    processor, plain = (StemProcessor(tiny_live_model, gains_db=GAINS) for _ in range(2))
    processor.offline = True
    processor.process(noise(2, 255, seed=1))
    processor.reset()
    audio = noise(2, 3000)
    np.testing.assert_allclose(processor.process(audio), plain.process(audio), rtol=0, atol=1e-5)
