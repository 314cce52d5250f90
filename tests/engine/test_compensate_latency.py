"""Streams through a processor keep their length and place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stembridge.engine.offline import compensate_latency
from stembridge.engine.processor import SLICE_SAMPLES


class Delay:
    """A processor that doubles and delays its input."""

    def __init__(self, latency: int, num_channels: int) -> None:
        self.held = np.zeros((num_channels, latency), np.float32)

    def __call__(self, block: np.ndarray) -> np.ndarray:
        held = np.concatenate([self.held, block], axis=-1)
        n = block.shape[-1]
        self.held = held[:, n:]
        return np.stack([held[:, :n], -held[:, :n]])


@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=20),
    latency=st.integers(0, 200),
    num_channels=st.integers(1, 2),
)
def test_a_delay_is_undone_for_any_block_lengths(lengths, latency, num_channels):
    song = np.arange(sum(lengths) * num_channels, dtype=np.float32).reshape(num_channels, -1) + 1
    blocks = np.split(song, np.cumsum(lengths)[:-1], axis=-1)
    out = np.concatenate(list(compensate_latency(blocks, Delay(latency, num_channels), latency)), axis=-1)
    np.testing.assert_array_equal(out, [song, -song])


@pytest.mark.parametrize("latency", [SLICE_SAMPLES - 1, SLICE_SAMPLES, 3 * SLICE_SAMPLES + 7])
def test_a_latency_longer_than_the_song_is_undone_too(latency):
    song = np.ones((1, 100), np.float32)
    out = np.concatenate(list(compensate_latency([song], Delay(latency, 1), latency)), axis=-1)
    np.testing.assert_array_equal(out[0], song)


def test_an_empty_song_gives_no_samples():
    assert list(compensate_latency([], Delay(10, 1), 10)) == []
