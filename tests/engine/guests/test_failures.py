"""Bad graphs and bad samples give one line, and the stream starts again."""

import numpy as np
import pytest
from stembridge import StemProcessor
from stembridge.engine import fifo, processor
from stembridge.engine.guests import bag, guest_separator
from stembridge.models import ModelError

from .conftest import SOURCES, WAVEFORM, scaling

LATENCY = 8192


def graph(takes, gives, body="sources = Identity (mix)"):
    return f"bad (float[{takes}] mix) => (float[{gives}] sources) {{ {body} }}"


ONE = {"stems": ["vocals"], "outputs": [WAVEFORM | {"name": "sources"}]}


@pytest.mark.parametrize(
    ("text", "about", "told"),
    [
        (graph("1, 2, 9000", "1, 2, 9000"), ONE, r"mix has shape \[1, 2, 9000\], but the card says \[1, 2, 8192\]"),
        (graph("2, 8192", "2, 8192"), ONE, r"mix has shape \[2, 8192\], but the card says \[1, 2, 8192\]"),
        (graph("1, 2, n", "1, 2, 400"), ONE, r"sources has shape \[1, 2, 400\], but the card says \[1, 2, 8192\]"),
        (graph("1, 2, n", "1, 2, n"), ONE | {"outputs": [SOURCES]}, r"sources has shape .* says \[1, 1, 2, 8192\]"),
        (graph("1, 2, n", "1, 2, n"), ONE | {"inputs": [WAVEFORM | {"name": "x"}]}, "the input x, but .* has mix"),
        (graph("1, 2, n", "1, 2, n"), ONE | {"outputs": [WAVEFORM]}, "names the output mix, but the graph has sources"),
        (
            "bad (float[1, 2, n] mix, float[1] more) => (float[1, 2, n] sources) { sources = Add (mix, more) }",
            ONE,
            "the card does not say what the input more takes",
        ),
        (
            "bad (double[1, 2, n] mix) => (double[1, 2, n] sources) { sources = Identity (mix) }",
            ONE,
            r"input mix is tensor\(double\); export float32 or float16",
        ),
    ],
)  # fmt: skip
def test_a_graph_that_differs_from_its_card(make_guest, text, about, told):
    path = make_guest((text, about), stems=["vocals", "other"])
    with pytest.raises(ModelError, match=told) as error:
        StemProcessor(path)
    assert str(path.with_suffix("")) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_graph_with_another_checksum_than_its_card(make_guest):
    path = make_guest((graph("1, 2, n", "1, 2, n"), ONE), stems=["vocals", "other"])
    damaged = path.with_name(f"{path.stem}.0.onnx")
    damaged.write_bytes(damaged.read_bytes() + b"more")
    with pytest.raises(ModelError, match=rf"^{damaged}: its checksum [^/]* get both files again$"):
        StemProcessor(path)


def test_a_wrong_shape_that_shows_only_at_run_time(make_guest, noise):
    body = """
        half = Constant <value_ints = [4096]> ()
        zero = Constant <value_ints = [0]> ()
        last = Constant <value_ints = [2]> ()
        sources = Slice (mix, zero, half, last)
    """
    processor = StemProcessor(make_guest((graph("1, 2, n", "1, 2, m", body), ONE), stems=["vocals", "other"]))
    with pytest.raises(ModelError, match=r"gives sources of shape \(1, 2, 4096\), not \(1, 2, 8192\)"):
        processor.separate(noise(2, 20_000))


def test_a_graph_that_fails(make_guest, noise):
    body = "shape = Constant <value_ints = [7]> () sources = Reshape (mix, shape)"
    processor = StemProcessor(make_guest((graph("1, 2, n", "m, k, l", body), ONE), stems=["vocals", "other"]))
    with pytest.raises(ModelError, match=r"0\.onnx does not run: ") as error:
        processor.separate(noise(2, 20_000))
    assert "\n" not in str(error.value)


def test_a_graph_without_finite_output_is_refused_and_one_with_some_is_contained(make_guest, noise):
    body = "zero = Sub (mix, mix) sources = Div (zero, zero)"
    processor = StemProcessor(make_guest((graph("1, 2, n", "1, 2, n", body), ONE), stems=["vocals", "other"]))
    with pytest.raises(ModelError, match="gives no finite sample; the network is damaged"):
        processor.separate(noise(2, 20_000))
    root = "sources = Sqrt (mix)"
    processor = StemProcessor(make_guest((graph("1, 2, n", "1, 2, n", root), ONE), stems=["vocals", "other"]))
    audio = noise(2, 20_000)
    vocals = processor.separate(audio)[0, :, LATENCY:]
    np.testing.assert_allclose(vocals, np.sqrt(np.maximum(audio[:, :-LATENCY], 0)), atol=1e-6)


def test_samples_that_are_not_numbers_are_silence(tiny_guest, noise):
    audio, spoilt = noise(2, 40_000), noise(2, 40_000)
    audio[:, 20_000:20_003] = 0
    spoilt[:, 20_000:20_003] = [np.nan, np.inf, -np.inf]
    assert (StemProcessor(tiny_guest).separate(spoilt) == StemProcessor(tiny_guest).separate(audio)).all()


def test_segments_that_are_too_short_for_a_sample_rate(make_guest):
    path = make_guest(scaling("vocals", 0.5), stems=["vocals", "other"], segment={"samples": 1000, "overlap": 100})
    StemProcessor(path, 44100)
    with pytest.raises(
        ModelError, match=r"segments of 1000 samples .* are too short for audio of 8000 Hz; resample it to 44100 Hz"
    ):
        StemProcessor(path, 8000)


@pytest.mark.parametrize("options", [{}, {"realtime_block": 512}])
@pytest.mark.parametrize("error", [RuntimeError("mine"), MemoryError(), KeyboardInterrupt()])
def test_after_an_error_the_stream_starts_again(tiny_guest, noise, stream, delayed, monkeypatch, options, error):
    gains, audio = {"vocals": -6.0}, noise(2, 40_000)
    mix = StemProcessor(tiny_guest, 44100, 2, gains, **options)

    def fail(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(bag.Bag, "_run_graph", fail)
        with pytest.raises(type(error)):
            stream(mix, audio, [512] * 70)
    out = stream(mix, audio, [512] * 70)
    later = mix.latency_samples - LATENCY
    assert (out == delayed(StemProcessor(tiny_guest, 44100, 2, gains).process(audio), later)).all()


def test_an_interrupt_at_any_moment(tiny_guest, noise, interrupted):
    """The block is not taken, or the stream starts again, or the block is processed."""
    before, block, audio = noise(2, 7000), noise(2, 3000), noise(2, 12_000, seed=1)
    mix = StemProcessor(tiny_guest, 44100, 2, {"vocals": -6.0})

    def begin():
        mix.reset()
        mix.process(before)

    begin()
    expected = [mix.process(audio)]
    mix.reset()
    expected.append(mix.process(audio))
    begin()
    mix.process(block)
    expected.append(mix.process(audio))
    outcomes, there, n = [], True, 0
    while there:
        begin()
        there = interrupted(lambda: mix.process(block), n, processor, fifo, guest_separator)
        n += 11
        out = mix.process(audio)
        outcomes.append(next((k for k, one in enumerate(expected) if np.array_equal(out, one)), None))
    assert None not in outcomes
    assert outcomes == sorted(outcomes)
    assert outcomes.count(1) > 20
