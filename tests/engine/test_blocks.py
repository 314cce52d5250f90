"""Blocks: shapes, types, memory, and samples that are not finite."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
import stembridge
from stembridge import StemProcessor

RATE = 16000
MIXED = {"vocals": -6.0, "drums": 3.0, "bass": -80.0, "other": -1.5}


@pytest.mark.parametrize("step", ["process", "separate"])
def test_the_output_has_the_shape_of_the_input(tiny_model, ready, step):
    for num_channels, shape in [
        (1, (100,)),
        (1, (1, 100)),
        (2, (2, 100)),
        (1, (0,)),
        (1, (1, 0)),
        (2, (2, 0)),
        (2, (2, 1)),
    ]:
        processor = ready(tiny_model, RATE, num_channels)
        out = getattr(processor, step)(np.zeros(shape, np.float32))
        assert out.shape == (shape if step == "process" else (4, *shape))
        assert out.dtype == np.float32


def test_one_dimension_is_mono(tiny_model, ready, noise):
    audio = noise(1, 5000)
    out = ready(tiny_model, RATE, 1, **MIXED).process(audio)
    assert (ready(tiny_model, RATE, 1, **MIXED).process(audio[0]) == out[0]).all()
    stems = ready(tiny_model, RATE, 1).separate(audio)
    assert (ready(tiny_model, RATE, 1).separate(audio[0]) == stems[:, 0]).all()


@pytest.mark.parametrize("step", ["process", "separate"])
@pytest.mark.parametrize(
    ("num_channels", "shape"), [(2, (100, 2)), (2, (1, 2)), (2, (0, 2)), (1, (100, 1)), (1, (2, 1))]
)
def test_samples_first_raises_and_says_how_to_turn_it(tiny_model, ready, step, num_channels, shape):
    with pytest.raises(ValueError, match=r"\(n, channels\).*block\.T") as error:
        getattr(ready(tiny_model, RATE, num_channels), step)(np.zeros(shape))
    assert "\n" not in str(error.value)
    assert str(shape) in str(error.value)


@pytest.mark.parametrize("step", ["process", "separate"])
@pytest.mark.parametrize(
    ("num_channels", "shape"), [(2, (100,)), (2, (1, 100)), (2, (3, 100)), (1, (2, 100)), (2, (1, 2, 100)), (1, ())]
)
def test_other_shapes_are_refused_in_one_line(tiny_model, ready, step, num_channels, shape):
    with pytest.raises(ValueError, match=rf"is not \({num_channels}, n\)") as error:
        getattr(ready(tiny_model, RATE, num_channels), step)(np.zeros(shape))
    assert str(error.value).startswith(f"block of shape {shape} is not")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("dtype", ["int32", "uint8", "int64", "complex64", "bool", "object"])
def test_other_types_are_refused_in_one_line(tiny_model, ready, dtype):
    with pytest.raises(ValueError, match=rf"type {dtype}.*int16"):
        ready(tiny_model, RATE, 1).process(np.zeros((1, 8), dtype))


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ({"sample_rate": 7999}, "7999 Hz.*8000 to 192000"),
        ({"sample_rate": 192001}, "192001 Hz.*8000 to 192000"),
        ({"sample_rate": float("nan")}, "nan Hz"),
        ({"sample_rate": 0}, "0 Hz"),
        ({"num_channels": 0}, "0 channels"),
        ({"num_channels": 3}, "3 channels.*mono or stereo"),
        ({"num_channels": 6}, "6 channels.*mono or stereo"),
        ({"providers": ["NoSuchProvider"]}, "NoSuchProvider.*CPUExecutionProvider"),
    ],
)
def test_impossible_processors_are_refused_in_one_line(tiny_model, what, says):
    with pytest.raises(ValueError, match=says) as error:
        StemProcessor(tiny_model, **what)
    assert "\n" not in str(error.value)


def test_an_empty_block_gives_no_samples_and_changes_nothing(tiny_model, ready, noise, stream):
    audio = noise(2, 5000)
    cuts = [0, 700, 0, 0, 900, 0]
    wanted = ready(tiny_model, RATE, **MIXED).process(audio)
    np.testing.assert_allclose(stream(ready(tiny_model, RATE, **MIXED), audio, cuts), wanted, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="offset 0"):
        ready(tiny_model, RATE).process(np.zeros((2, 0)), [(0, "vocals", 0.0)])


def test_samples_that_are_not_finite_give_a_warning(tiny_model, ready):
    audio = np.zeros((2, 100), np.float32)
    audio[1, 7] = np.nan
    for call in (
        lambda: ready(tiny_model, RATE).process(audio),
        lambda: stembridge.remix(audio, RATE, {"vocals": -6}, tiny_model),
        lambda: stembridge.separate(audio, RATE, tiny_model),
    ):
        with pytest.warns(RuntimeWarning, match="some samples are NaN or infinite, and count as silence"):
            call()


# --- memory


@pytest.mark.parametrize("step", ["process", "separate"])
@pytest.mark.parametrize("dtype", ["int16", "float32", "float64"])
def test_input_is_never_modified(tiny_model, ready, noise, step, dtype):
    audio = noise(2, 5000) * 1000
    audio[:, 7:300:11] = np.nan if dtype != "int16" else 0
    block = audio.astype(dtype)
    before = block.copy()
    getattr(ready(tiny_model, RATE, **MIXED), step)(block)
    np.testing.assert_array_equal(block, before)
    block.setflags(write=False)
    getattr(ready(tiny_model, RATE, **MIXED), step)(block)


def test_any_layout_in_memory_is_the_same_audio(tiny_model, ready, noise):
    audio = noise(2, 5000)
    wanted = ready(tiny_model, RATE, **MIXED).process(audio)
    spread = np.zeros((4, 10000), np.float32)
    spread[::2, ::2] = audio
    for same in (np.asfortranarray(audio), audio.T.copy().T, spread[::2, ::2], audio[:, ::-1].copy()[:, ::-1]):
        assert (ready(tiny_model, RATE, **MIXED).process(same) == wanted).all()


@pytest.mark.parametrize("step", ["process", "separate"])
@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_the_returned_array_belongs_to_the_caller(tiny_model, ready, noise, step, dtype):
    """Returned arrays never change later, and changes to them or to the input are not heard."""
    audio = (noise(2, 9000) * 10000).astype(dtype)
    wanted = getattr(ready(tiny_model, RATE, **MIXED), step)(audio)
    processor = ready(tiny_model, RATE, **MIXED)
    kept = []
    for start in range(0, 9000, 300):
        block = audio[:, start : start + 300].copy()
        out = getattr(processor, step)(block)
        assert out.flags.writeable
        assert not np.shares_memory(out, block)
        assert not any(np.shares_memory(out, earlier) for earlier, _ in kept)
        kept.append((out, out.copy()))
        block[:] = 77
    assert all((out == copy).all() for out, copy in kept)
    np.testing.assert_allclose(np.concatenate([out for out, _ in kept], axis=-1), wanted, rtol=0, atol=0.1)
    processor = ready(tiny_model, RATE, **MIXED)
    scribbled = []
    for start in range(0, 9000, 300):
        out = getattr(processor, step)(audio[:, start : start + 300])
        scribbled.append(out.copy())
        out[:] = np.nan
    assert all((out == copy).all() for out, (_, copy) in zip(scribbled, kept, strict=True))


def test_unity_does_not_alias_its_input_either(tiny_live_model, ready):
    processor = ready(tiny_live_model, RATE, 1)
    block = np.ones((1, 4000), np.float32)
    out = processor.process(block)
    out[:] = 5
    assert (block == 1).all()


# --- samples that are not finite

GARBAGE = {
    "nan": np.array([np.nan]),
    "inf": np.array([np.inf]),
    "minus inf": np.array([-np.inf]),
    "nan and inf": np.array([np.nan, 0.5, np.inf, -np.inf, -0.5]),
    "3e38": np.array([3e38]),
    "3e38 up and down": np.array([3e38, -3e38]),
    "beyond float32": np.array([1e300, -1e300]),
    "denormals": np.array([1e-40, -1e-42, 1e-45]),
    "float64 denormals": np.array([5e-324]),
    "nearly denormal": np.array([1.2e-38]),
    "silence": np.array([0.0]),
    "minus zero": np.array([-0.0]),
    "full scale": np.array([1.0, 1.0, -1.0, -1.0]),
    "dc": np.array([1.0]),
    "far too loud": np.array([1e6, -1e6, 0, 1e5]),
}


@pytest.mark.parametrize("block", [64, 1500])
@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("rate", [8000, 44100])
def test_bad_samples_never_affect_later_audio(tiny_model, ready, noise, stream, garbage, block, rate):
    processor = ready(tiny_model, rate, 2, **MIXED)
    grid = processor._separator.grid
    start, stop = 3000, 4500
    # A frame looks back over its window, this network over one frame more, and a chunk over its context.
    forgotten = stop + grid.window + 12 * grid.hop + processor.latency_samples
    clean = noise(2, forgotten + 4000)
    dirty = clean.astype(np.float64)
    dirty[:, start:stop] = np.resize(GARBAGE[garbage], stop - start)
    cuts = [block] * (len(dirty[0]) // block)
    for separate in (False, True):
        wanted = stream(ready(tiny_model, rate, 2, **MIXED), clean, cuts, separate=separate)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", "some samples are NaN or infinite")
            out = stream(ready(tiny_model, rate, 2, **MIXED), dirty, cuts, separate=separate)
        assert np.isfinite(out).all()
        np.testing.assert_allclose(out[..., forgotten:], wanted[..., forgotten:], rtol=0, atol=1e-5)
        before = start + processor.latency_samples - grid.window - 12 * grid.hop
        if before > 0:
            np.testing.assert_allclose(out[..., :before], wanted[..., :before], rtol=0, atol=1e-5)


@pytest.mark.parametrize("garbage", GARBAGE)
def test_bad_samples_stay_finite_at_any_gain(tiny_model, ready, garbage):
    block = np.resize(GARBAGE[garbage], (2, 6000))
    for gains_db in (dict.fromkeys(MIXED, 20.0), MIXED, {"vocals": 20.0, "other": -80.0}, {"other": 20.0}):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", "some samples are NaN or infinite")
            out = ready(tiny_model, RATE, 2, **gains_db).process(block)
        assert np.isfinite(out).all()


def test_samples_that_are_not_finite_become_zero_and_their_neighbours_stay(tiny_model, ready, delayed):
    processor = ready(tiny_model, RATE, 1)
    audio = np.linspace(-1, 1, 5000, dtype=np.float32)[None]
    dirty = audio.copy()
    dirty[:, 5:4000:97], dirty[:, 6:4000:97], dirty[:, 7:4000:97] = np.nan, np.inf, -np.inf
    wanted = np.where(np.isfinite(dirty), audio, 0)
    assert (processor.process(dirty) == delayed(wanted, processor.latency_samples)).all()


def test_the_faintest_and_the_loudest_pass_at_unity_bit_for_bit(tiny_model, ready, delayed):
    processor = ready(tiny_model, RATE, 1)
    audio = np.resize(np.array([1e-45, -1e-40, 1.2e-38, 3.4e38, -3.4e38, 0.0, 1e-9, 65.0], np.float32), (1, 5000))
    assert (processor.process(audio) == delayed(audio, processor.latency_samples)).all()


def test_faint_music_is_separated_like_loud_music(make_model, ready, noise, delayed):
    half = "c = Constant <value_float = 0.5> () masks = Add (silent, c)"
    processor = ready(make_model(half, stems=["half", "rest"]), RATE)
    for level in (1.0, 1e-3, 1e-5):  # to -100 dB of full scale
        audio = noise(2, 6000) * np.float32(level)
        processor.reset()
        stem, _ = processor.separate(audio)
        np.testing.assert_allclose(stem, 0.5 * delayed(audio, processor.latency_samples), rtol=0, atol=1e-3 * level)


def test_the_callers_denormal_mode_is_left_alone(tiny_model):
    """Use a separate process, because ONNX Runtime's first session changes a thread permanently."""
    code = """
import sys
import numpy as np
from stembridge import StemProcessor
tiny = np.full(64, 1e-39, np.float32)
def denormals_live():
    return bool(((tiny * np.float32(0.5)) > 0).all() and ((tiny + tiny) > tiny).all() and sys.float_info.min / 4 > 0)
assert denormals_live()
for threads in (1, 2):
    processor = StemProcessor(sys.argv[1], 44100, 2, {"vocals": -6.0}, threads=threads)
    assert denormals_live(), "construction"
    processor.process(np.full((2, 6000), 1e-3))
    processor.separate(np.full((2, 6000), 1e-39))
    assert denormals_live(), "processing"
print("alive")
"""
    done = subprocess.run([sys.executable, "-c", code, tiny_model], capture_output=True, text=True)
    assert done.stdout == "alive\n", done.stderr
