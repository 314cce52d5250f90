"""Graphs run only where their stems are heard, and this changes no sample."""

from collections import Counter

import numpy as np
import pytest
from stembridge import StemProcessor
from stembridge.engine.guests import bag

from .conftest import SOURCES, scaling

FACTORS = {"vocals": 0.5, "drums": 0.25, "bass": 0.125}
STRIDE, LATENCY = 8192 - 2048, 8192


@pytest.fixture
def runs(monkeypatch):
    """Count the runs of each graph."""
    counted, run = Counter(), bag.Bag._run_graph

    def count(self, index, *rest):
        counted[self._card.graphs[index].stems] += 1
        return run(self, index, *rest)

    monkeypatch.setattr(bag.Bag, "_run_graph", count)
    return counted


@pytest.fixture(scope="session")
def bag_of_three(make_guest):
    """Make a model with a graph for each stem except the last."""
    return make_guest(*(scaling(stem, factor) for stem, factor in FACTORS.items()))


def test_at_unity_nothing_runs(bag_of_three, noise, runs):
    StemProcessor(bag_of_three).process(noise(2, 40_000))
    StemProcessor(bag_of_three, gains_db=dict.fromkeys([*FACTORS, "other"], -6.0)).process(noise(2, 40_000))
    assert not runs


def test_only_graphs_of_moved_stems_run_once_a_segment(bag_of_three, noise, runs):
    StemProcessor(bag_of_three, gains_db={"drums": -6.0}).process(noise(2, LATENCY + 4 * STRIDE))
    assert runs == {("drums",): 4}


def test_all_graphs_run_if_the_last_stem_is_moved_or_stems_are_requested(bag_of_three, noise, runs):
    audio = noise(2, LATENCY + 2 * STRIDE)
    StemProcessor(bag_of_three, gains_db={"other": -6.0}).process(audio)
    assert [*runs.values()] == [2, 2, 2]
    StemProcessor(bag_of_three).separate(audio)
    assert [*runs.values()] == [4, 4, 4]


def test_a_graph_of_the_last_stem_never_runs(make_guest, noise, runs):
    path = make_guest(*(scaling(stem, 0.25) for stem in ("vocals", "other")), stems=["vocals", "other"])
    StemProcessor(path).separate(noise(2, 20_000))
    assert runs == {("vocals",): 2}


def test_a_silent_segment_runs_nothing_and_its_stems_are_silent(make_guest, runs):
    graph, about = scaling("vocals", 0.5)
    loud = graph.replace("sources = Mul (mix, factor)", "sources = Add (mix, factor)")
    processor = StemProcessor(make_guest((loud, about), stems=["vocals", "other"]))
    assert not processor.separate(np.zeros((2, 40_000), np.float32)).any()
    assert not runs


@pytest.mark.parametrize("rate", [44100, 48000])
def test_the_time_at_which_a_graph_runs_changes_no_bit(bag_of_three, noise, stream, runs, rate):
    """Faders move by automation and by hand, so that segments are needed late, in part, or not at all."""
    audio = noise(2, 60_000)
    moves = [(9000, "vocals", -20.0), (12_000, "vocals", 0.0), (40_001, "bass", -80.0), (40_050, "vocals", 3.0)]

    def play(processor):
        first = stream(processor, audio[:, :31_111], [4000, 1, 17_000], moves[:2])
        processor.set_gains_db(drums=-3.0)  # from the next sample on, in a segment that was not run
        later = [(at - 31_111, *move) for at, *move in moves[2:]]
        return np.concatenate([first, stream(processor, audio[:, 31_111:], [9000], later)], axis=1)

    out = play(StemProcessor(bag_of_three, rate))
    some = sum(runs.values())
    everything = StemProcessor(bag_of_three, rate)
    everything.on_stems = lambda stems, gains: None
    assert (play(everything) == out).all()
    assert some < sum(runs.values()) - some, "some runs were left out"


def test_a_stem_of_several_graphs_is_their_mean(make_guest, noise):
    path = make_guest(scaling("vocals", 0.5), scaling("vocals", 0.25), stems=["vocals", "other"])
    processor = StemProcessor(path)
    audio = noise(2, 30_000)
    vocals = processor.separate(audio)[0]
    np.testing.assert_allclose(vocals[:, LATENCY:], 0.375 * audio[:, :-LATENCY], atol=1e-6)


def test_a_gain_and_stems_that_are_not_used(make_guest, noise):
    two = """two (float[1, 2, n] mix) => (float[1, 2, 2, n] sources) {
        axis = Constant <value_ints = [1]> ()
        one = Unsqueeze (mix, axis)
        sources = Concat <axis = 1> (one, one)
    }"""
    about = {"stems": [None, "vocals"], "outputs": [SOURCES], "gain": 0.25}
    processor = StemProcessor(make_guest((two, about), stems=["vocals", "other"]))
    audio = noise(2, 30_000)
    vocals = processor.separate(audio)[0]
    np.testing.assert_allclose(vocals[:, LATENCY:], 0.25 * audio[:, :-LATENCY], atol=1e-6)


def test_a_graph_of_one_channel_processes_each_channel(make_guest, noise):
    text, about = scaling("vocals", 0.5)
    mono = {"name": "mix", "holds": "waveform", "axes": ["batch", "sample"]}
    about |= {"inputs": [mono], "outputs": [mono | {"name": "sources"}]}
    graph = text.replace("float[1, 2, samples]", "float[1, samples]").replace("sources = Mul", "sources = Mul")
    path = make_guest((graph, about), stems=["vocals", "other"], num_channels=1)
    for num_channels in (1, 2):
        audio = noise(num_channels, 30_000)
        vocals = StemProcessor(path, 44100, num_channels).separate(audio)[0]
        np.testing.assert_allclose(vocals[:, LATENCY:], 0.5 * audio[:, :-LATENCY], atol=1e-6)


def test_mono_goes_in_as_both_channels(tiny_guest, noise):
    audio = noise(1, 30_000)
    mono = StemProcessor(tiny_guest, 44100, 1).separate(audio)
    both = StemProcessor(tiny_guest, 44100, 2).separate(np.repeat(audio, 2, axis=0))
    np.testing.assert_allclose(mono[:, 0], both.mean(axis=1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize("block", [256, 5000])
def test_real_time_blocks_sound_the_same_with_more_latency(tiny_guest, noise, stream, delayed, rate, block):
    gains = {"vocals": -6.0, "bass": 3.0}
    plain, live = (
        StemProcessor(tiny_guest, rate, 2, gains),
        StemProcessor(tiny_guest, rate, 2, gains, realtime_block=block),
    )
    later = live.latency_samples - plain.latency_samples
    assert later > 0
    audio = noise(2, 70_000)
    for _ in range(2):
        out = stream(live, audio, [block] * (70_000 // block))
        assert (out == delayed(plain.process(audio), later)).all()
        live.reset()
        plain.reset()


@pytest.mark.parametrize("strides", [1, 3])
@pytest.mark.parametrize("rate", [44100, 48000])
def test_a_song_after_silence_sounds_as_without_the_silence(tiny_guest, noise, rate, strides):
    """Also if the first sound is in the overlap of two segments, the first of which is left out."""
    processor = StemProcessor(tiny_guest, rate, 2, {"vocals": -80})
    stride, song = processor.hop_samples, noise(2, 3 * rate // 4)
    expected = processor.process(song)
    processor.reset()
    out = processor.process(np.pad(song, [(0, 0), (strides * stride, 0)]))
    np.testing.assert_allclose(out[:, strides * stride :], expected, rtol=0, atol=1e-6)
