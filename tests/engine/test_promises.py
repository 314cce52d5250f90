"""Promises of the signal path at every rate, channel count and block size, in both modes."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stembridge import StemProcessor
from stembridge.models import load_model

RATES = [8000, 16000, 22050, 44100, 48000, 96000, 192000]
BLOCKS = [1, 63, 64, 512, 8192]
CHUNK = {"left": 2, "frames": 8, "right": 1, "overlap": 3}
HALF = "half = Constant <value_float = 0.5> () masks = Add (silent, half)"
MIXED = {"vocals": -6.0, "drums": 3.0, "bass": -80.0, "other": -1.5}

rates = pytest.mark.parametrize("rate", RATES)
channels = pytest.mark.parametrize("num_channels", [1, 2])
blocks = pytest.mark.parametrize("block", BLOCKS)


def cut(n, block, at_most=250):
    """Cut n samples into a first block with the excess, and at most `at_most` equal blocks."""
    count = min(at_most, n // block)
    return [n - count * block, *[block] * count]


def length(processor):
    """Return a number of samples that covers the latency and some frames, and ends within one."""
    return max(processor.latency_samples + 3 * processor._separator.grid.hop + 37, 8192 + 100)


@rates
@channels
@blocks
def test_equal_gains_return_the_scaled_delayed_input_exactly(
    tiny_model, ready, noise, stream, delayed, rate, num_channels, block
):
    for gain_db, factor in [(0.0, 1.0), (-6.0, 10 ** (-6 / 20)), (20.0, 10.0), (-80.0, 0.0)]:
        processor = ready(tiny_model, rate, num_channels, **dict.fromkeys(MIXED, gain_db))
        audio = noise(num_channels, length(processor))
        out = stream(processor, audio, cut(audio.shape[-1], block))
        assert out.dtype == np.float32
        assert out.shape == audio.shape
        assert (out == np.float32(factor) * delayed(audio, processor.latency_samples)).all()
        assert out.any() == (gain_db > -80)


@rates
@channels
@blocks
def test_the_output_does_not_depend_on_block_lengths(tiny_model, ready, noise, stream, rate, num_channels, block):
    processor = ready(tiny_model, rate, num_channels, **MIXED)
    n = length(processor)
    audio, moves = noise(num_channels, n), [(n // 9, "vocals", 6.0), (n // 7, "other", -80.0)]
    whole = stream(processor, audio, moves=moves)
    processor = ready(tiny_model, rate, num_channels, **MIXED)
    np.testing.assert_allclose(stream(processor, audio, cut(n, block), moves), whole, rtol=0, atol=1e-5)


@rates
@channels
@blocks
def test_stems_sum_to_the_delayed_input(tiny_model, ready, noise, stream, delayed, rate, num_channels, block):
    processor = ready(tiny_model, rate, num_channels, **MIXED)  # faders do not matter
    audio = noise(num_channels, length(processor))
    stems = stream(processor, audio, cut(audio.shape[-1], block), separate=True)
    assert stems.shape == (4, *audio.shape)
    assert stems.dtype == np.float32
    late = delayed(audio, processor.latency_samples)
    np.testing.assert_allclose(stems.sum(axis=0), late, rtol=0, atol=1e-5)
    assert all(np.abs(stem).max() > 0.01 for stem in stems), "no stem is silent"


def impulses(processor):
    """Return audio with single samples of full scale, and their positions."""
    for at in (0, 1, 700):
        audio = np.zeros(
            (processor.num_channels, at + 2 * processor.latency_samples + processor._separator.grid.window), "float32"
        )
        audio[:, at] = 1
        yield at, audio


@rates
@channels
def test_an_impulse_comes_out_after_the_latency(tiny_model, ready, rate, num_channels):
    for gain_db in (0.0, -6.0):
        for at, audio in impulses(ready(tiny_model, rate, num_channels)):
            processor = ready(tiny_model, rate, num_channels, **dict.fromkeys(MIXED, gain_db))
            out = processor.process(audio)
            late = at + processor.latency_samples
            assert (np.flatnonzero(out[0]) == [late]).all()
            assert (out[:, late] == np.float32(10 ** (gain_db / 20))).all()


@rates
@channels
def test_an_impulse_comes_out_after_the_latency_in_every_stem_that_has_it(tiny_model, ready, rate, num_channels):
    for at, audio in impulses(ready(tiny_model, rate, num_channels)):
        processor = ready(tiny_model, rate, num_channels)
        stems = processor.separate(audio)
        having = [stem for stem in stems if np.abs(stem).max() > 0.01]
        assert len(having) > 2
        for stem in having:
            assert (np.abs(stem).argmax(axis=-1) == at + processor.latency_samples).all()


@rates
@channels
def test_a_mix_of_faders_is_the_sum_of_the_stems_at_their_gains(tiny_model, ready, noise, stream, rate, num_channels):
    processor = ready(tiny_model, rate, num_channels)
    audio = noise(num_channels, length(processor))
    stems = processor.separate(audio)
    factors = [0 if gain <= -80 else 10 ** (gain / 20) for gain in MIXED.values()]
    mix = ready(tiny_model, rate, num_channels, **MIXED).process(audio)
    np.testing.assert_allclose(mix, np.tensordot(factors, stems, 1), rtol=0, atol=1e-5)


@settings(max_examples=60)
@given(
    rate=st.sampled_from(RATES) | st.integers(8000, 192000) | st.floats(8000, 192000),
    num_channels=st.sampled_from([1, 2]),
    cuts=st.lists(st.integers(0, 40) | st.integers(0, 3000), max_size=40),
    places=st.lists(st.tuples(st.floats(0, 0.999), st.sampled_from(list(MIXED)), st.floats(-90, 20)), max_size=5),
    seed=st.integers(0, 99),
)
def test_any_rate_block_lengths_and_moves(tiny_model, noise, stream, delayed, rate, num_channels, cuts, places, seed):
    model = load_model(tiny_model)
    processor = StemProcessor(model, rate, num_channels)
    n = processor.latency_samples + 4 * processor._separator.grid.hop + seed
    audio = noise(num_channels, n, seed)
    assert (stream(processor, audio, cuts) == delayed(audio, processor.latency_samples)).all()
    processor.reset()
    moves = [(int(place * n), stem, gain) for place, stem, gain in places]
    whole = processor.process(audio, moves)
    again = StemProcessor(model, rate, num_channels)
    np.testing.assert_allclose(stream(again, audio, cuts, moves), whole, rtol=0, atol=1e-5)
    again.reset()
    stems = stream(again, audio, cuts, separate=True)
    np.testing.assert_allclose(stems.sum(axis=0), delayed(audio, again.latency_samples), rtol=0, atol=1e-5)


@rates
def test_the_latency_is_the_synthesis_window_plus_the_wait_for_chunks(tiny_live_model, tiny_studio_model, ready, rate):
    live, studio = ready(tiny_live_model, rate), ready(tiny_studio_model, rate)
    assert live.latency_samples == live._separator.grid.synthesis_window == 2 * live._separator.grid.hop
    assert studio.latency_samples == studio._separator.grid.synthesis_window + (8 + 1 - 1) * studio._separator.grid.hop
    assert live.latency_samples / rate == pytest.approx(512 / 44100, rel=0.01), "the same time at every rate"


def test_the_latency_at_the_models_own_rate_is_that_of_its_card(tiny_live_model, tiny_studio_model, ready):
    for path, samples in [(tiny_live_model, 512), (tiny_studio_model, 2048 + 8 * 256)]:
        assert ready(path).latency_samples == load_model(path).card.latency_samples == samples


class Counted:
    """A function that counts its calls."""

    def __init__(self, function):
        self._function, self.runs = function, 0

    def __call__(self, *arguments):
        self.runs += 1
        return self._function(*arguments)


@rates
@pytest.mark.parametrize(
    "chunk", [None, CHUNK, CHUNK | {"overlap": 0}, dict.fromkeys(CHUNK, 0) | {"frames": 1}], ids=str
)
def test_the_network_runs_once_in_hop_samples_and_not_between(make_model, noise, rate, chunk):
    fields = {"mode": "chunked", "synthesis_window": 2048, "chunk": chunk} if chunk else {}
    processor = StemProcessor(make_model(HALF, stems=["one", "rest"], **fields), rate)
    hop = processor.hop_samples
    assert hop == processor._separator.grid.hop * (chunk["frames"] - chunk["overlap"] if chunk else 1)
    counted = processor._separator._network._run = Counted(processor._separator._network._run)
    filled = processor._separator.grid.hop * (
        chunk["frames"] + chunk["right"] if chunk else 1
    )  # the first run waits for this
    audio = noise(2, filled + 4 * hop)
    processor.process(audio[:, : filled - 1])
    assert counted.runs == 0
    for start in range(filled - 1, filled + 3 * hop, hop):
        processor.process(audio[:, start : start + 1])
        runs = counted.runs
        assert runs == 1 + (start - filled + 1) // hop
        processor.process(audio[:, start + 1 : start + hop])
        assert counted.runs == runs, "nothing is computed in between"


@pytest.mark.parametrize("dtype", ["int16", "float16", "float32", "float64", ">f4", "longdouble"])
@channels
def test_any_float_and_int16_are_accepted_and_unity_is_bit_for_bit(
    tiny_model, ready, noise, delayed, num_channels, dtype
):
    processor = ready(tiny_model, 16000, num_channels)
    audio = noise(num_channels, length(processor))
    block = (audio * 32768).astype("int16") if dtype == "int16" else audio.astype(dtype)
    wanted = block.astype("float32") / 32768 if dtype == "int16" else block.astype("float32")
    out = processor.process(block)
    assert out.dtype == np.float32
    assert (out == delayed(wanted, processor.latency_samples)).all()


def test_int16_full_scale_is_full_scale(tiny_live_model, ready):
    processor = ready(tiny_live_model, 8000, 1)
    extremes = np.array([-32768, 32767, -1, 0, 1], "int16")
    out = processor.process(np.pad(extremes, (0, processor.latency_samples)))
    assert out[-5:].tolist() == [-1.0, 32767 / 32768, -1 / 32768, 0.0, 1 / 32768]


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_threads_do_not_change_the_output(tiny_model, noise, ready, threads):
    audio = noise(2, 12000)
    wanted = ready(tiny_model, 44100, 2, **MIXED).process(audio)
    out = StemProcessor(tiny_model, 44100, 2, MIXED, threads=threads).process(audio)
    np.testing.assert_allclose(out, wanted, rtol=0, atol=1e-5)


def test_two_processors_do_not_affect_each_other(tiny_model, noise):
    one, two = StemProcessor(tiny_model, 44100, 2, MIXED), StemProcessor(tiny_model, 44100, 2, MIXED)
    audio, other = noise(2, 9000), noise(2, 9000, seed=1)
    wanted = one.process(audio)
    one.reset()
    parts = []
    for start in range(0, 9000, 300):
        parts.append(one.process(audio[:, start : start + 300]))
        two.process(other[:, start : start + 300])
    np.testing.assert_allclose(np.concatenate(parts, axis=-1), wanted, rtol=0, atol=1e-5)


def test_a_reset_processor_is_like_a_new_one(tiny_model, ready, noise):
    processor = ready(tiny_model, 22050, 2, **MIXED)
    audio = noise(2, length(processor) + 11)
    wanted = processor.process(audio)
    processor.process(noise(2, 777, seed=5), [(776, "vocals", 20.0)])
    processor.reset()
    out = processor.process(audio)
    assert (out == wanted).all(), "no earlier audio or move is heard"


def test_a_processor_has_its_stems_and_gains(ready, tiny_model):
    processor = ready(tiny_model, 48000, 1)
    assert processor.stems == ("vocals", "drums", "bass", "other")
    assert processor.gains_db == dict.fromkeys(processor.stems, 0.0)
    assert Counter(type(gain) for gain in processor.gains_db.values()) == {float: 4}
    assert (processor.sample_rate, processor.num_channels) == (48000, 1)
