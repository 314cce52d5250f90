"""A function set as `on_stems` receives stems and gains, and changes nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

MIXED = {"vocals": -6.0, "drums": 3.0, "bass": -80.0}
MOVES = [(3000, "vocals", 6.0), (20_000, "other", -80.0)]


def record_stems(processor):
    seen = []
    processor.on_stems = lambda stems, gains: seen.append((stems.copy(), gains.copy()))
    return seen


@pytest.fixture
def fresh(ready, tiny_model):
    """(channels) -> a processor without an `on_stems` function."""
    made = []

    def fresh(num_channels=2):
        made.append(ready(tiny_model, 44100, num_channels, **MIXED))
        return made[-1]

    yield fresh
    for processor in made:
        processor.on_stems = None


@settings(max_examples=20)
@given(cuts=st.lists(st.integers(0, 9000), max_size=8), num_channels=st.sampled_from([1, 2]))
def test_the_stems_times_their_gains_are_the_output(tiny_model, ready, noise, stream, cuts, num_channels):
    processor = ready(tiny_model, 44100, num_channels, **MIXED)
    seen = record_stems(processor)
    try:
        out = stream(processor, noise(num_channels, 40_000), cuts, MOVES)
    finally:
        processor.on_stems = None
    for stems, gains in seen:
        assert stems.shape == (4, num_channels, stems.shape[-1])
        assert gains.shape in [(4, 1), (4, stems.shape[-1])]
    remixed = np.concatenate([(gains[:, None] * stems).sum(0) for stems, gains in seen], axis=-1)
    np.testing.assert_allclose(remixed, out, rtol=0, atol=1e-6)


@pytest.mark.parametrize("num_channels", [1, 2])
def test_the_stems_sum_to_the_delayed_input(fresh, noise, stream, delayed, num_channels):
    processor, audio = fresh(num_channels), noise(num_channels, 70_000)
    seen = record_stems(processor)
    stream(processor, audio, [100, 50_000])
    total = np.concatenate([stems.sum(0) for stems, _ in seen], axis=-1)
    np.testing.assert_allclose(total, delayed(audio, processor.latency_samples), rtol=0, atol=1e-6)


def test_separating_passes_the_returned_stems(fresh, noise, stream):
    processor = fresh()
    seen = record_stems(processor)
    stems = stream(processor, noise(2, 70_000), [100, 50_000], separate=True)
    np.testing.assert_array_equal(np.concatenate([stems for stems, _ in seen], axis=-1), stems)
    assert all((gains == seen[0][1]).all() for _, gains in seen)


def test_the_function_changes_no_bit(fresh, noise, stream):
    audio = noise(2, 40_000)
    alone = stream(fresh(), audio, moves=MOVES)
    processor = fresh()
    seen = record_stems(processor)
    np.testing.assert_array_equal(stream(processor, audio, moves=MOVES), alone)
    assert seen


def test_a_removed_function_is_not_called(fresh, noise):
    processor = fresh()
    seen = record_stems(processor)
    processor.process(noise(2, 100))
    processor.on_stems = None
    processor.process(noise(2, 100))
    assert len(seen) == 1
