"""Both kinds of network: state, chunks and their cross-fades, channels, bins, and masks of any kind."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stembridge import StemProcessor
from stembridge.engine.masks import apply_masks, fit_masks, graph_input
from stembridge.engine.network import ChunkedNetwork, StreamingNetwork
from stembridge.engine.sessions import open_session
from stembridge.models import load_model

TWO = ["speech", "noise"]
# One mask that differs from bin to bin, not in time: 0 at DC, 1 at the top.
RAMP = """
    zero = Constant <value_int = 0> ()
    step = Constant <value_int = 1> ()
    bins = Constant <value_int = 1025> ()
    range = Range (zero, bins, step)
    numbers = Cast <to = 1> (range)
    most = Constant <value_float = 1024.0> ()
    ramp = Div (numbers, most)
    masks = Add (silent, ramp)
"""
# The real part of the network's input, as its mask.
ECHO = """
    r, i = Split <axis = -1, num_outputs = 2> (spectrum)
    real = Squeeze (r, last)
    masks = Unsqueeze (real, one_axis)
"""
CHUNKS = [
    {"left": 0, "frames": 1, "right": 0, "overlap": 0},
    {"left": 0, "frames": 4, "right": 0, "overlap": 2},
    {"left": 2, "frames": 8, "right": 1, "overlap": 3},
    {"left": 5, "frames": 3, "right": 4, "overlap": 0},
    {"left": 0, "frames": 7, "right": 9, "overlap": 1},
]
SYMMETRIC = {"stems": TWO, "mode": "chunked", "synthesis_window": 2048}


def spectra(frames, num_channels=2, bins=1025, seed=0):
    random = np.random.default_rng(seed)
    return (random.standard_normal((frames, num_channels, bins, 2)) * 0.05).astype(np.float32).view("c8")[..., 0]


def network(path, num_channels=2, bins=1025):
    """Make the network of a model as the processor does."""
    model = load_model(path)
    session = open_session(model)
    if model.card.chunk:
        return ChunkedNetwork(session, model.card, num_channels, bins)
    return StreamingNetwork(session, model.card)


def push(net, frames, cuts=()):
    """Return the output for frames in calls of the given sizes, the rest in one call."""
    out, start = [], 0
    for n in [*cuts, len(frames)]:
        if len(frames[start : start + n]):
            out.append(net.push(frames[start : start + n]))
        start += n
    return np.concatenate(out)


@settings(max_examples=25)
@given(cuts=st.lists(st.integers(0, 12), max_size=20), num_channels=st.sampled_from([1, 2]))
def test_frames_in_one_call_equal_frames_one_by_one(tiny_model, cuts, num_channels):
    frames = spectra(50, num_channels)
    together = push(network(tiny_model, num_channels), frames)
    assert together.shape[1:] == (3, num_channels, 1025)
    for calls in ([1] * 50, cuts):
        np.testing.assert_allclose(push(network(tiny_model, num_channels), frames, calls), together, rtol=0, atol=1e-6)


def test_a_streaming_network_answers_every_frame_at_once(tiny_live_model):
    net = network(tiny_live_model)
    for n in (1, 5, 2):
        assert net.push(spectra(n)).shape == (n, 3, 2, 1025)


def test_the_state_keeps_the_past(tiny_live_model):
    frames = spectra(2)
    net = network(tiny_live_model)
    net.push(frames[:1])
    after = net.push(frames[1:])
    net.reset()
    assert not np.allclose(net.push(frames[1:]), after), "this network uses the frame before"
    net.reset()
    np.testing.assert_array_equal(push(net, frames, [1])[1:], after)


# --- look-ahead


@pytest.mark.parametrize("lookahead", [1, 3, 20])
@pytest.mark.parametrize("cuts", [[], [1] * 12, [2, 5, 1, 4]], ids=str)
def test_masks_with_lookahead_are_for_earlier_frames(make_model, lookahead, cuts):
    frames = spectra(12)
    net = network(make_model(ECHO, stems=TWO, lookahead=lookahead))
    for _ in range(2):
        out = push(net, frames, cuts)
        wanted = frames[lookahead:].real * frames[: max(0, 12 - lookahead)]
        assert out.shape == (max(0, 12 - lookahead), 1, 2, 1025)
        np.testing.assert_allclose(out[:, 0], wanted, rtol=0, atol=1e-6)
        net.reset()


@pytest.mark.parametrize("rate", [44100, 48000, 96000])
@pytest.mark.parametrize("realtime_block", [None, 64])
def test_lookahead_is_part_of_the_latency_and_stems_stay_aligned(make_model, rate, realtime_block):
    half = "half = Constant <value_float = 0.5> () masks = Add (silent, half)"
    near, far = (
        StemProcessor(make_model(half, stems=TWO, **card), rate, 2, realtime_block=realtime_block)
        for card in ({}, {"lookahead": 9})
    )
    assert far.latency_samples - near.latency_samples == 9 * far.hop_samples
    audio = 0.1 * np.random.default_rng(0).standard_normal((2, 64 * 300)).astype(np.float32)
    out = np.concatenate([far.separate(audio[:, i : i + 64]) for i in range(0, audio.shape[1], 64)], axis=-1)
    late = far.latency_samples
    np.testing.assert_allclose(out[0, :, late:], 0.5 * audio[:, :-late], rtol=0, atol=1e-5)
    assert np.abs(out[:, :, :late]).max() < 1e-7


# --- chunks


@pytest.mark.parametrize("chunk", CHUNKS, ids=str)
def test_masks_constant_in_time_leave_no_seams(make_model, chunk):
    frames = spectra(60)
    steady = push(network(make_model(RAMP, stems=TWO)), frames)
    chunked = push(network(make_model(RAMP, chunk=chunk, **SYMMETRIC)), frames)
    assert len(chunked) >= 60 - chunk["frames"] - chunk["right"]
    np.testing.assert_allclose(chunked, steady[: len(chunked)], rtol=0, atol=1e-7)


@pytest.mark.parametrize("chunk", CHUNKS, ids=str)
def test_a_chunked_model_and_a_streaming_one_of_the_same_masks_sound_the_same(make_model, noise, delayed, chunk):
    audio = noise(2, 20000)
    streaming = StemProcessor(make_model(RAMP, stems=TWO, synthesis_window=2048), 44100, 2, {"speech": -80})
    chunked = StemProcessor(make_model(RAMP, chunk=chunk, **SYMMETRIC), 44100, 2, {"speech": -80})
    more = (chunk["frames"] + chunk["right"] - 1) * 256
    assert chunked.latency_samples == streaming.latency_samples + more
    np.testing.assert_allclose(chunked.process(audio), delayed(streaming.process(audio), more), rtol=0, atol=1e-6)


@pytest.mark.parametrize("chunk", CHUNKS, ids=str)
def test_every_frame_has_its_full_context(make_model, chunk):
    """Masks that depend on the farthest promised frames equal those of the song in one chunk."""
    left, right = chunk["left"], chunk["right"]
    body = f"""
        r, i = Split <axis = -1, num_outputs = 2> (spectrum)
        real = Squeeze (r, last)
        here = Unsqueeze (real, one_axis)
        first_axis = Constant <value_ints = [0]> ()
        after_pads = Constant <value_ints = [0, 0, 0, 0, {right}, 0, 0, 0]> ()
        before_pads = Constant <value_ints = [{left}, 0, 0, 0, 0, 0, 0, 0]> ()
        from_right = Constant <value_ints = [{right}]> ()
        from_start = Constant <value_ints = [0]> ()
        far = Constant <value_ints = [1000000]> ()
        to_left = Constant <value_ints = [{-left or 1000000}]> ()
        longer = Pad (here, after_pads)
        future = Slice (longer, from_right, far, first_axis)
        earlier = Pad (here, before_pads)
        past = Slice (earlier, from_start, to_left, first_axis)
        half = Constant <value_float = 0.5> ()
        less = Mul (past, half)
        masks = Add (future, less)
    """
    frames = spectra(60)
    out = push(network(make_model(body, chunk=chunk, **SYMMETRIC)), frames)
    padded = np.pad(frames.real, [(left, right), (0, 0), (0, 0)])
    masks = padded[left + right :] + 0.5 * padded[:60]
    np.testing.assert_allclose(out[:, 0], (masks * frames)[: len(out)], rtol=0, atol=1e-6)
    assert len(out) > 30


def test_neighbouring_chunks_cross_fade_in_a_straight_line(make_model):
    """Each chunk's mask is the level of its first frame, so the output goes from level to level in equal steps."""
    body = """
        from = Constant <value_ints = [0]> ()
        to = Constant <value_ints = [1]> ()
        first = Slice (spectrum, from, to, from)
        level = ReduceMax <keepdims = 0> (first)
        masks = Add (silent, level)
    """
    chunk = {"left": 0, "frames": 8, "right": 0, "overlap": 3}
    levels = np.ones(35, np.float32)
    levels[::5] = [0.2, 0.9, 0.1, 0.5, 0.5, 1.0, 0.0]  # chunks begin at every fifth frame
    frames = np.repeat(levels, 2 * 1025).reshape(35, 2, 1025).astype("c8")
    masks = (push(network(make_model(body, chunk=chunk, **SYMMETRIC)), frames)[:, 0, 0, 7] / frames[:, 0, 7][:30]).real
    wanted = [0.2] * 5
    for old, new in zip(levels[:25:5], levels[5::5], strict=False):
        wanted += [old + (new - old) * k / 4 for k in (1, 2, 3)] + [new] * 2
    np.testing.assert_allclose(masks, wanted, rtol=0, atol=1e-6)


def test_the_chunk_grid_starts_at_reset(tiny_studio_model, noise):
    audio = noise(2, 20000)
    processor = StemProcessor(tiny_studio_model, 44100, 2, {"vocals": -80})
    wanted = processor.process(audio)
    for n in (1, 300, 2500):
        processor.reset()
        processor.process(audio[:, :n])
        processor.reset()
        assert (processor.process(audio) == wanted).all()


# --- masks


def test_a_complex_mask_turns_phases(make_model):
    quarter = """
        zeros = Unsqueeze (silent, last)
        c = Constant <value_float = 0.5> ()
        imaginary = Add (zeros, c)
        masks = Concat <axis = -1> (zeros, imaginary)
    """
    frames = spectra(20)
    for fields in ({}, {"mode": "chunked", "chunk": CHUNKS[2], "synthesis_window": 2048}):
        path = make_model(quarter, masks="frames, stems, 2, bins, 2", stems=TWO, **fields)
        out = push(network(path), frames)
        np.testing.assert_allclose(out[:, 0], 0.5j * frames[: len(out)], rtol=0, atol=1e-7)
        mono = push(network(path, num_channels=1), frames[:, :1])
        np.testing.assert_allclose(mono[:, 0], 0.5j * frames[: len(mono), :1], rtol=0, atol=1e-7)


def test_a_complex_mask_without_an_imaginary_part_is_the_real_mask(make_model, noise):
    as_complex = """
        re = Unsqueeze (real_masks, last)
        im = Sub (re, re)
        masks = Concat <axis = -1> (re, im)
    """
    body = RAMP.replace("masks =", "real_masks =") + as_complex
    audio = noise(2, 9000)
    real = StemProcessor(make_model(RAMP, stems=TWO)).separate(audio)
    turned = StemProcessor(make_model(body, masks="frames, stems, 2, bins, 2", stems=TWO)).separate(audio)
    np.testing.assert_allclose(turned, real, rtol=0, atol=1e-6)


def test_mono_goes_in_twice_and_the_mean_comes_out(make_model, noise, delayed):
    both = """
        c = Constant <value_floats = [0.2, 0.6]> ()
        minus_one = Constant <value_ints = [-1]> ()
        column = Unsqueeze (c, minus_one)
        masks = Add (silent, column)
    """
    path, audio = make_model(both, stems=TWO), noise(2, 8000)
    late = delayed(audio, 512)
    stereo = StemProcessor(path, 44100, 2).separate(audio)[0]
    np.testing.assert_allclose(stereo, late * np.array([[0.2], [0.6]]), rtol=0, atol=1e-6)
    mono = StemProcessor(path, 44100, 1).separate(audio[:1])[0]
    np.testing.assert_allclose(mono, 0.4 * late[:1], rtol=0, atol=1e-6)
    seen = graph_input(spectra(3, 1), 1025)
    assert (seen[:, 0] == seen[:, 1]).all()


@pytest.mark.parametrize("dims", [4, 5])
def test_masks_fit_more_and_fewer_bins(dims):
    masks = np.random.default_rng(0).uniform(size=(3, 1, 2, 11, 2)[:dims]).astype(np.float32)
    as_spectrum = masks if dims == 4 else masks[..., 0] + 1j * masks[..., 1]
    assert (fit_masks(masks, 2, 11) == as_spectrum).all()
    assert (fit_masks(masks, 2, 6) == as_spectrum[..., :6]).all()
    more = spectra(3, bins=15)
    fitted = fit_masks(masks, 2, 15)
    out = apply_masks(fitted, more[:, None], fitted[..., -1:])
    assert out.shape == (3, 1, 2, 15)
    np.testing.assert_allclose(out[..., :11], as_spectrum * more[:, None, :, :11], rtol=1e-6)
    # Bins above follow the top band.
    np.testing.assert_allclose(out[..., 11:], as_spectrum[..., 10:] * more[:, None, :, 11:], rtol=1e-6)


@pytest.mark.parametrize("silent", [0, 1])
def test_a_song_on_one_side_is_seen_as_mono_wherever_the_other_is_silent(silent):
    frames = spectra(4, bins=1025)
    frames[1:3, silent] = 0
    seen = graph_input(frames, 1025).view("c8")[..., 0]
    assert (seen[[0, 3]] == frames[[0, 3]]).all()
    assert (seen[1:3] == frames[1:3, 1 - silent, None]).all()
    assert not frames[1:3, silent].any(), "the input array is unchanged"


@pytest.mark.parametrize("bins", [185, 1025, 4501])
def test_the_network_gets_its_bins_and_zeros_for_missing_ones(bins):
    frames = spectra(4, bins=bins)
    seen = graph_input(frames, 1025)
    assert seen.shape == (4, 2, 1025, 2)
    known = min(bins, 1025)
    assert (seen[:, :, :known].view("c8")[..., 0] == frames[..., :known]).all()
    assert not seen[:, :, known:].any()


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 96000, 192000])
def test_a_network_of_1025_bins_works_at_any_rate(make_model, rate):
    path = make_model(ECHO, stems=TWO)
    bins = StemProcessor(path, rate)._separator.grid.bins
    frames = spectra(3, bins=bins)
    out = network(path, bins=bins).push(frames)[:, 0]
    masks = frames.real[..., np.minimum(np.arange(bins), 1024)]
    np.testing.assert_allclose(out, masks * frames, rtol=0, atol=1e-6)


def test_bins_above_the_networks_follow_its_top_band(make_model, delayed):
    """At 96 kHz a tone of 40 kHz lies above the network's range; its topmost mask is 1 here."""
    processor = StemProcessor(make_model(RAMP, stems=TWO), 96000, 1)
    tone = (0.5 * np.sin(2 * np.pi * 40000 / 96000 * np.arange(9000))).astype(np.float32)[None]
    speech, rest = processor.separate(tone)
    settled = processor.latency_samples + processor._separator.grid.window
    np.testing.assert_allclose(speech[:, settled:], delayed(tone, processor.latency_samples)[:, settled:], atol=1e-3)
    np.testing.assert_allclose(rest[:, settled:], 0, atol=1e-3)


# --- other stems


@pytest.mark.parametrize("stems", [TWO, ["piano", "guitar", "rest"], [f"stem_{k}" for k in range(9)]], ids=len)
def test_any_number_of_stems_of_any_names(make_model, noise, delayed, stems):
    shares = ", ".join(f"{0.5 / (k + 1):.4f}" for k in range(len(stems) - 1))
    body = f"""
        c = Constant <value_floats = [{shares}]> ()
        trailing = Constant <value_ints = [1, 2]> ()
        column = Unsqueeze (c, trailing)
        masks = Add (silent, column)
    """
    processor = StemProcessor(make_model(body, stems=stems), 44100, 2)
    assert processor.stems == tuple(stems)
    audio = noise(2, 6000)
    late = delayed(audio, 512)
    separated = processor.separate(audio)
    assert separated.shape == (len(stems), 2, 6000)
    for k, stem in enumerate(separated[:-1]):
        np.testing.assert_allclose(stem, 0.5 / (k + 1) * late, rtol=0, atol=1e-4)
    np.testing.assert_allclose(separated.sum(axis=0), late, rtol=0, atol=1e-5)
    processor.set_gains_db(**{stems[0]: -80.0})
    processor.reset()
    np.testing.assert_allclose(processor.process(audio), 0.5 * late, rtol=0, atol=1e-4)
    with pytest.raises(ValueError, match=f"unknown stem 'vocals'.*{', '.join(stems)}"):
        processor.set_gains_db(vocals=0.0)


# --- networks that fail during a stream: masks and state become NaN when it is loud

WILD = """
    squares = Mul (spectrum, spectrum)
    power = ReduceMax <keepdims = 0> (squares)
    limit = Constant <value_float = 0.04> ()
    left_over = Sub (limit, power)
    root = Sqrt (left_over)
    fine = Div (root, root)
"""
WILD_MASKS = WILD + "masks = Add (silent, fine)"
WILD_STATE = """
    c = Constant <value_float = 0.5> ()
    kept = Mul (state, c)
    steady = Add (silent, kept)
    masks = Add (steady, c)
""" + WILD.replace("fine = Div (root, root)", "same = Sub (root, root) next_state = Add (state, same)")


@pytest.mark.parametrize(
    "make", [{"body": WILD_MASKS}, {"body": WILD_STATE}, {"body": WILD_MASKS} | SYMMETRIC | {"chunk": CHUNKS[2]}]
)
def test_masks_and_state_that_are_not_numbers_do_not_persist(make_model, noise, make):
    path = make_model(**{"stems": TWO} | make)
    quiet = noise(2, 30000) * np.float32(0.5)
    loud = quiet.copy()
    loud[:, 5000:7000] = np.sin(np.arange(2000) / 5)
    outs = []
    for audio in (quiet, loud):
        processor = StemProcessor(path, 44100, 2, {"speech": -6.0})
        outs.append(np.concatenate([processor.process(piece) for piece in np.split(audio, 60, axis=-1)], axis=-1))
    assert np.isfinite(outs[1]).all()
    assert (outs[1] != outs[0]).any()
    tail = 7000 + 2048 + 12 * 256 + processor.latency_samples
    np.testing.assert_allclose(outs[1][:, tail:], outs[0][:, tail:], rtol=0, atol=1e-5)
    assert np.abs(outs[0][:, tail:]).max() > 0.1


HUGE = "c = Constant <value_float = 1e38> () masks = Add (silent, c)"


@pytest.mark.parametrize("body", [WILD_MASKS, HUGE], ids=["no numbers", "huge"])
def test_nothing_of_a_wrong_network_is_heard_at_unity(make_model, noise, delayed, body):
    processor = StemProcessor(make_model(body, stems=TWO), 44100, 2)
    audio = noise(2, 9000) * 100
    with np.errstate(all="ignore"):
        assert (processor.process(audio) == delayed(audio, processor.latency_samples)).all()


# --- extreme samples


def test_samples_far_too_loud_are_silence_to_the_network_and_stay_in_the_rest(make_model, delayed):
    processor = StemProcessor(make_model("c = Constant <value_float = 1.0> () masks = Add (silent, c)", stems=TWO))
    audio = np.resize(np.array([1e4, -1e4, 3e38, 65, 63], np.float32), (2, 6000))
    speech, rest = processor.separate(audio)
    late = delayed(audio, processor.latency_samples)
    heard = np.where(np.abs(late) <= 64, late, 0)
    np.testing.assert_allclose(speech, heard, rtol=0, atol=0.01)
    np.testing.assert_allclose(rest, late - heard, rtol=1e-6, atol=0.01)


def test_samples_far_too_faint_are_silence_to_the_network_and_stay_in_the_rest(make_model, delayed):
    processor = StemProcessor(make_model("c = Constant <value_float = 1.0> () masks = Add (silent, c)", stems=TWO))
    audio = np.resize(np.array([9e-9, -1e-9, 1e-40, 1e-30], np.float32), (2, 6000))
    speech, rest = processor.separate(audio)
    assert not speech.any(), "not even denormals"
    assert (rest == delayed(audio, processor.latency_samples)).all()


def test_a_state_that_decays_ends_at_zero_and_not_in_denormals(make_model):
    half = "half = Constant <value_float = 0.5> () masks = Add (silent, half) next_state = Mul (state, half)"
    processor = StemProcessor(make_model(half, stems=TWO))
    network = processor._separator._network
    network._state[:] = 1e-29
    processor.process(np.full((2, 256), 0.1, np.float32))  # before the first sound it would not run
    assert network._state == np.float32(5e-30)
    for _ in range(4):
        processor.process(np.zeros((2, 256), np.float32))
    assert network._state == 0
