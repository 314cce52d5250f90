"""StemEffect is StemProcessor with parameters: the same sound, and mutes to the sample."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stembridge.engine import StemProcessor
from stembridge.models import load_model
from stembridge.plugin.bridge.factory import timing_of
from stembridge.plugin.effect import StemEffect, parameter_prefixes, stem_parameters, stem_timing

STEMS = ("vocals", "drums", "bass", "other")
N = 3000


@pytest.fixture(scope="module")
def effect(tiny_live_model):
    return StemEffect(44100, 2, str(tiny_live_model))


@pytest.fixture(scope="module")
def processor(tiny_live_model):
    return StemProcessor(tiny_live_model, 44100, 2)


@pytest.fixture(scope="module")
def audio(noise):
    return noise(2, N)


def set_all(effect, **values):
    for name, declared in effect.parameters.items():
        setattr(effect, name, values.get(name, declared[2] if isinstance(declared, tuple) else declared))


def test_its_parameters_are_a_gain_a_mute_and_a_solo_for_each_stem(effect):
    gains = {f"{stem}_db": (-80.0, 20.0, 0.0) for stem in STEMS}
    buttons = {f"{stem}_{kind}": False for kind in ("mute", "solo") for stem in STEMS}
    assert effect.parameters == gains | buttons | {"stems_pre_fader": False}
    assert list(effect.parameters)[:-1] == list(stem_parameters(STEMS)), "the shell numbers them in order"


def test_it_has_the_latency_and_hop_of_the_processor(tiny_model):
    effect, processor = StemEffect(96000, 1, str(tiny_model)), StemProcessor(tiny_model, 96000, 1)
    assert effect.latency_samples == processor.latency_samples
    assert effect.hop_samples == processor.hop_samples
    assert effect.process(np.zeros((1, 10), np.float32)).shape == (1, 10)


def test_reset_takes_the_attributes_without_a_glide(effect, processor, audio):
    set_all(effect, vocals_db=-6.0, drums_db=3.5, bass_mute=True)
    effect.reset()
    processor.set_gains_db(vocals=-6, drums=3.5, bass=-80, other=0)
    processor.reset()
    np.testing.assert_array_equal(effect.process(audio), processor.process(audio))


def test_unity_is_the_input_bit_for_bit(effect, audio):
    set_all(effect)
    effect.reset()
    latency = effect.latency_samples
    np.testing.assert_array_equal(effect.process(audio)[:, latency:], audio[:, :-latency])


moves = st.lists(
    st.tuples(
        st.integers(0, N - 1),
        st.sampled_from(STEMS),
        st.sampled_from([-80.0, -80.0, -6.0, 0.0, 20.0]) | st.floats(-80, 20) | st.booleans(),
    ),
    max_size=8,
)


@given(moves=moves, muted=st.booleans())
@settings(max_examples=25)
def test_moves_of_gains_and_mutes_are_exact_to_the_sample(effect, processor, audio, moves, muted):
    moves = sorted(moves, key=lambda move: move[0])
    set_all(effect, bass_db=-3.0, bass_mute=muted)
    effect.reset()
    gains, mutes = dict.fromkeys(STEMS, 0.0) | {"bass": -3.0}, dict.fromkeys(STEMS, False) | {"bass": muted}
    processor.set_gains_db(**{stem: -80.0 if mutes[stem] else gains[stem] for stem in STEMS})
    processor.reset()
    named, expected = [], []
    for offset, stem, value in moves:
        toggled = isinstance(value, bool)
        (mutes if toggled else gains)[stem] = value
        named.append((offset, f"{stem}_{'mute' if toggled else 'db'}", value))
        expected.append((offset, stem, -80.0 if mutes[stem] else gains[stem]))
    np.testing.assert_array_equal(effect.process(audio, named), processor.process(audio, expected))
    assert all(getattr(effect, f"{stem}_db") == gains[stem] for stem in STEMS)
    assert all(getattr(effect, f"{stem}_mute") is mutes[stem] for stem in STEMS)


def test_after_a_reset_faders_are_where_moves_left_them(effect, processor, audio):
    set_all(effect)
    effect.reset()
    effect.process(audio, [(10, "vocals_mute", 1.0), (20, "drums_db", -12.0)])
    effect.reset()
    processor.set_gains_db(vocals=-80, drums=-12, bass=0, other=0)
    processor.reset()
    np.testing.assert_array_equal(effect.process(audio), processor.process(audio))


def test_an_unknown_parameter_is_named(effect, audio):
    with pytest.raises(ValueError, match=r"'piano_db'.*vocals_db"):
        effect.process(audio, [(0, "piano_db", 0.0)])


@given(st.lists(st.from_regex(r"[a-z][a-z0-9_]*", fullmatch=True), min_size=2, max_size=6, unique=True))
def test_names_of_stems_become_names_of_parameters_or_are_refused(stems):
    plain = [re.sub("_+", "_", stem).strip("_") for stem in stems]
    if len(set(plain)) < len(plain):
        with pytest.raises(ValueError, match=r"rename one in the card") as caught:
            stem_parameters(stems)
        assert "\n" not in str(caught.value)
        return
    parameters = stem_parameters(stems)
    assert len(parameters) == 3 * len(stems)
    assert all(re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) for name in parameters)
    assert list(parameter_prefixes(stems)) == stems


def test_another_model_with_unusual_stems(make_model, noise):
    three = "two = Concat <axis = 1> (silent, silent)\n masks = Identity (two)"
    path = make_model(three, "frames, 2, 2, bins", stems=["lead__guitar_", "x_mute", "x"])
    effect = StemEffect(44100, 1, str(path))
    assert list(effect.parameters)[:3] == ["lead_guitar_db", "x_mute_db", "x_db"]
    effect.x_mute = True
    effect.reset()
    audio = noise(1, 2000)
    assert not effect.process(audio).any(), "all of it is in the last stem"
    latency, n = effect.latency_samples, audio.shape[-1]
    effect.reset()
    out = effect.process(audio, [(700, "x_mute", False)])
    assert not out[:, : latency + 700].any()
    assert out[:, latency + 700 : latency + 720].all()
    assert out.shape[-1] == n


def test_a_refused_block_moves_nothing(tiny_live_model, audio):
    effect, expected = (StemEffect(44100, 2, str(tiny_live_model)) for _ in range(2))
    for wrong in [(0, "nobody", 0.0)], [(N, "drums_db", 0.0)]:
        with pytest.raises(ValueError, match=r"\w"):
            effect.process(audio, [(0, "vocals_db", -6.0), (1, "bass_mute", True), *wrong])
    assert (effect.vocals_db, effect.bass_mute) == (0.0, False)
    np.testing.assert_array_equal(
        effect.process(audio, [(0, "vocals_mute", True)]), expected.process(audio, [(0, "vocals_mute", True)])
    )


@pytest.mark.parametrize("model", ["live", "mix", "studio"])
@pytest.mark.parametrize("rate", [8000, 11025, 44056, 44100, 48000, 96000, 192000])
def test_the_timing_is_known_without_an_instance(model, rate):
    effect = StemEffect(rate, 2, model)
    assert stem_timing(load_model(model).card, rate) == timing_of(effect)


def test_after_its_tail_of_silence_nothing_comes_out(tiny_live_model, tiny_studio_model, noise):
    for model in tiny_live_model, tiny_studio_model:
        effect = StemEffect(44100, 1, str(model))
        effect.vocals_db = -80.0
        effect.reset()
        effect.process(noise(1, 50000))
        effect.process(np.zeros((1, effect.latency_samples + effect.tail_samples), np.float32))
        assert not effect.process(np.zeros((1, 50000), np.float32)).any()
