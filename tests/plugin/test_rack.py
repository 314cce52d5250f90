"""A rack equals the sum of the stems after their boards, aligned to the sample."""

import copy
import pickle

import numpy as np
import pytest
from pedalboard import (
    BrickwallLimiter,
    Chorus,
    Compressor,
    Delay,
    Gain,
    GSMFullRateCompressor,
    LadderFilter,
    MP3Compressor,
    Pedalboard,
    PitchShift,
    Resample,
    Reverb,
)
from stembridge import StemMix, StemProcessor, StemRack, separate
from stembridge.control import MidiControl
from stembridge.core.errors import StateError

RATES = 8000, 22050, 44100, 48000, 96000, 192000
AFTER = 8000  # samples of silence behind a song, which plugins with latency hear


class Echo:
    """A latency of 300 samples, and an echo at half gain 100 samples later."""

    latency_samples = 300

    def prepare(self, sample_rate, num_channels):
        self.prepared = sample_rate, num_channels
        self.reset()

    def reset(self):
        self._past = np.zeros((self.prepared[1], 400), np.float32)

    def process(self, block):
        audio = np.concatenate([self._past, block], axis=-1)
        self._past = audio[:, block.shape[-1] :]
        return audio[:, 100 : 100 + block.shape[-1]] + 0.5 * audio[:, : block.shape[-1]]


def boards():
    """Make effects of all kinds, by stem; new ones for each call."""
    return {
        "vocals": Pedalboard([Reverb(), BrickwallLimiter()]),
        "drums": Compressor(-30, 4),
        "bass": [Resample(4000), Chorus(), Delay(0.01)],
    }


def by_hand(audio, model, rate, effects):
    """Process stems with their boards, each in one call, and return their sum."""
    length = audio.shape[-1]
    stems = separate(np.pad(audio, [(0, 0), (0, AFTER)]), rate, model)
    for stem, effect in effects.items():
        stems[stem] = (Pedalboard(effect) if isinstance(effect, list) else effect)(stems[stem], rate)
    return sum(stems.values())[:, :length]


def streamed(rack, audio, cuts=()):
    """Return the output of the rack for audio cut into blocks at `cuts`, without the latency."""
    late = rack.latency_samples
    padded = np.pad(audio, [(0, 0)] * (audio.ndim - 1) + [(0, late)])
    blocks = [block.copy() for block in np.split(padded, [cut for cut in cuts if cut < padded.shape[-1]], axis=-1)]
    return np.concatenate([rack.process(block) for block in blocks], axis=-1)[..., late:]


def assert_equal(out, expected):
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-6)


def cuts_of(sizes):
    return [int(cut) for cut in np.cumsum(sizes)]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", RATES)
def test_any_rate_channels_and_cuts(tiny_live_model, noise, rate, channels):
    audio = noise(channels, 20000)
    expected = by_hand(audio, tiny_live_model, rate, boards())
    rack = StemRack(tiny_live_model, **boards())
    rack.prepare(rate, channels)
    random = np.random.default_rng(rate)
    for cuts in (
        [],
        cuts_of([1] * 50 + [2] * 50 + [3] * 50 + [0, 5000, 1, 9000]),
        cuts_of(random.integers(0, 900, 60)),
    ):
        rack.reset()
        assert_equal(streamed(rack, audio, cuts), expected)


@pytest.mark.parametrize(
    "make",
    [
        Reverb,
        MP3Compressor,
        lambda: LadderFilter(cutoff_hz=400),
        lambda: Delay(0.005),
        lambda: Resample(8000, Resample.Quality.Linear),
        lambda: [BrickwallLimiter(), Resample(11025), BrickwallLimiter()],
    ],
)
def test_plugins_with_latency_and_without(tiny_model, noise, make):
    audio = noise(2, 30000)
    rack = StemRack(tiny_model, vocals=make())
    assert_equal(streamed(rack, audio, range(700, 31000, 700)), by_hand(audio, tiny_model, 44100, {"vocals": make()}))


def test_another_stem_mix_in_a_branch(tiny_live_model, noise):
    audio, mix = noise(2, 10000), StemMix(tiny_live_model, drums_db=-80)
    expected = by_hand(audio, tiny_live_model, 44100, {"other": mix})
    rack = StemRack(tiny_live_model, other=mix)
    assert rack.latency_samples > 2 * StemProcessor(tiny_live_model).latency_samples
    assert_equal(streamed(rack, audio, range(256, 11000, 256)), expected)


def test_a_users_own_effect(tiny_live_model, noise):
    audio, echo = noise(1, 10000), Echo()
    rack = StemRack(tiny_live_model, vocals=echo, drums=Gain(6))
    rack.prepare(22050, 1)
    assert echo.prepared == (22050, 1)
    assert rack.latency_samples == StemProcessor(tiny_live_model, 22050).latency_samples + 300
    stems = separate(audio, 22050, tiny_live_model)
    late = np.pad(stems["vocals"], [(0, 0), (100, 0)])[:, : audio.shape[-1]]
    # It delays by 300 and its echo comes 100 after that.
    expected = audio + 0.5 * late + (10 ** (6 / 20) - 1) * stems["drums"]
    assert_equal(streamed(rack, audio, range(64, 11000, 64)), expected)
    rack.reset()
    assert_equal(streamed(rack, audio[0]), expected[0])  # (n,) for mono


def test_without_effects_it_is_stem_processor(tiny_model, noise):
    audio, gains = noise(2, 20000), {"vocals": -6.0, "bass": 3.0}
    moves = [(0, "drums", -80.0), (3333, "vocals", 2.0), (9000, "other", -20.0)]
    rack, processor = StemRack(tiny_model, gains), StemProcessor(tiny_model, gains_db=gains)
    assert rack.latency_samples == processor.latency_samples
    late = rack.latency_samples  # a rack ignores the latency before the song
    assert_equal(rack.process(audio, moves)[:, late:], processor.process(audio, moves)[:, late:])
    for target in rack, processor:
        target.set_gains_db(bass=-3)
        target.mute("vocals")
        target.solo("bass")
    assert (rack.gains_db, rack.muted, rack.soloed) == (processor.gains_db, processor.muted, processor.soloed)
    assert_equal(rack.process(audio), processor.process(audio))


def test_faders_and_mutes_come_after_the_effects(tiny_live_model, noise):
    """A compressor's sound does not depend on the fader, and a mute also silences the tail."""
    audio = noise(2, 20000)
    loud, soft = (
        StemRack(tiny_live_model, {"vocals": gain, "drums": -80, "bass": -80, "other": -80}, vocals=Compressor(-30, 8))
        for gain in (0, -20)
    )
    assert_equal(soft.process(audio), 0.1 * loud.process(audio))
    rack = StemRack(tiny_live_model, vocals=Reverb(room_size=0.9))
    rack.solo("vocals")
    rack.process(audio)
    silence = np.zeros((2, 5000), np.float32)
    assert rack.process(silence).any()
    rack.mute("vocals")
    rack.process(silence)
    assert not rack.process(silence).any()


def test_tails_go_on_in_silence_until_a_reset(tiny_live_model, noise):
    audio, silence = noise(2, 20000), np.zeros((2, 30000), np.float32)
    rack = StemRack(tiny_live_model, vocals=Reverb(room_size=0.9))
    rack.process(audio)
    rack.process(silence[:, : rack.latency_samples])
    assert abs(rack.process(silence)[:, 10000:]).max() > 1e-4
    rack.reset()
    assert not rack.process(silence).any()


def test_faders_are_kept_at_another_rate(tiny_live_model):
    rack = StemRack(tiny_live_model, {"bass": -3})
    rack.mute("drums")
    rack.solo("other")
    rack.prepare(48000, 1)
    assert (rack.gains_db["bass"], rack.muted, rack.soloed) == (-3, ("drums",), ("other",))


def test_midi_control_moves_it(tiny_live_model, midi_device):
    rack = StemRack(tiny_live_model, vocals=Reverb())
    with MidiControl(rack, "nanokontrol2", midi_device.name) as control:
        control.set_gains_db(vocals=-20)
        control.mute("drums")
    assert (rack.gains_db["vocals"], rack.muted) == (-20, ("drums",))


def test_the_input_is_not_modified(tiny_live_model, noise):
    audio = noise(2, 1000)
    before, rack = audio.copy(), StemRack(tiny_live_model, vocals=Gain(3))
    first = rack.process(audio)
    kept = first.copy()
    rack.process(audio)
    np.testing.assert_array_equal(audio, before)
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("plugin", [PitchShift(3), GSMFullRateCompressor()])
def test_a_plugin_that_is_silent_in_streams_is_refused(tiny_live_model, plugin):
    with pytest.raises(ValueError, match=f"vocals: Gain and {type(plugin).__name__} is silent in a stream"):
        StemRack(tiny_live_model, vocals=[Gain(3), plugin])


@pytest.mark.parametrize(
    ("effects", "line"),
    [
        (
            {"vocal": Reverb()},
            r"unknown stem 'vocal' \(did you mean 'vocals'\?\); the stems are vocals, drums, bass, other",
        ),
        ({"vocals": 3}, "vocals: 3 is not an effect; give a pedalboard"),
        ({"vocals": Reverb}, "vocals: .* is not an effect; give a pedalboard"),
        ({"vocals": [Reverb(), 3]}, "vocals: .* is not an effect; give a pedalboard"),
        ({"gains_db": {"vocals": 21}}, "vocals: gain 21 dB is out of range"),
    ],
)
def test_unusable_effects_are_refused(tiny_live_model, effects, line):
    with pytest.raises(ValueError, match=line):
        StemRack(tiny_live_model, **effects)


def test_one_plugin_cannot_be_in_two_branches(tiny_live_model):
    reverb = Reverb()
    with pytest.raises(ValueError, match="vocals and drums share the same Reverb"):
        StemRack(tiny_live_model, vocals=Pedalboard([Gain(), reverb]), drums=reverb)


def test_an_effect_gets_no_empty_blocks(tiny_live_model, noise):
    """This includes the time before the model's first output; and an effect need not return an array."""

    class Limiter(Echo):
        latency_samples = 0

        def process(self, block):
            return (block / max(1, abs(block).max())).tolist()

    audio = noise(2, 3000)
    assert_equal(streamed(StemRack(tiny_live_model, vocals=Limiter()), audio, [0, 100, 100, 900]), audio)


@pytest.mark.parametrize("latency", [-1, 2.5, "some", None])
def test_a_latency_that_is_not_a_number(tiny_live_model, latency):
    effect = Echo()
    effect.latency_samples = latency
    with pytest.raises(ValueError, match=r"vocals: the effect's latency_samples is .*; it must be a whole number"):
        StemRack(tiny_live_model, vocals=effect)


def test_a_latency_that_changes(tiny_live_model, noise):
    effect = Echo()
    rack = StemRack(tiny_live_model, vocals=effect)
    effect.latency_samples = 400
    rack.reset()
    with pytest.raises(RuntimeError, match=r"vocals: the effect's latency changed from 300 to 400 samples; call"):
        rack.process(noise(2, 2000))
    rack.prepare(44100, 2)
    assert rack.latency_samples == StemProcessor(tiny_live_model).latency_samples + 400
    rack.process(noise(2, 2000))


def test_an_effect_that_returns_too_few_samples(tiny_live_model, noise):
    class Half(Echo):
        def process(self, block):
            return block[:, ::2]

    says = r"vocals: the effect returned shape \(2, 244\) for a block of shape \(2, 488\)"
    with pytest.raises(ValueError, match=says):
        StemRack(tiny_live_model, vocals=Half()).process(noise(2, 1000))


@pytest.mark.parametrize("kind", [complex, int, str])
def test_an_effect_that_returns_no_floats(tiny_live_model, noise, kind):
    class Other(Echo):
        def process(self, block):
            return block.astype(kind)

    with pytest.raises(ValueError, match=r"vocals: the effect returned .* for a block of float32; it must"):
        StemRack(tiny_live_model, vocals=Other()).process(noise(2, 1000))


def test_a_mute_also_silences_values_that_are_not_numbers(tiny_live_model, noise):
    class Broken(Echo):
        latency_samples = 0

        def process(self, block):
            return block * np.nan

    audio = noise(2, 5000)
    rack, without = StemRack(tiny_live_model, drums=Broken()), StemRack(tiny_live_model)
    for one in rack, without:
        one.mute("drums")
        one.reset()
    np.testing.assert_array_equal(rack.process(audio), without.process(audio))


def test_a_plugin_with_latency_that_was_added_later(tiny_live_model, noise):
    board = Pedalboard([Gain(3)])
    rack = StemRack(tiny_live_model, vocals=board)
    board.append(BrickwallLimiter())
    with pytest.raises(RuntimeError, match=r"call prepare\(\) again"):
        rack.process(noise(2, 20000))
    rack.prepare(44100, 2)
    rack.process(noise(2, 20000))


def test_a_wrong_block_or_move_moves_nothing(tiny_live_model, noise):
    audio = noise(2, 5000)
    rack, expected = StemRack(tiny_live_model), StemRack(tiny_live_model).process(audio)
    with pytest.raises(ValueError, match="pass block"):
        rack.process(audio.T)
    with pytest.raises(ValueError, match="outside its block"):
        rack.process(audio, [(5000, "vocals", 0)])
    np.testing.assert_array_equal(rack.process(audio), expected)


class Failing(Echo):
    """An effect that raises an error once."""

    def __init__(self, error, after):
        self.error, self.left = error, after

    def process(self, block):
        self.left -= 1
        if self.left == -1:
            raise self.error
        return super().process(block)


@pytest.mark.parametrize("error", [RuntimeError("mine"), ValueError("mine"), MemoryError(), KeyboardInterrupt()])
def test_after_an_error_the_stream_starts_again(tiny_live_model, noise, error):
    audio, effect = noise(2, 5000), Failing(error, 2)
    rack = StemRack(tiny_live_model, drums=effect, bass=Delay(0.01))
    expected = StemRack(tiny_live_model, drums=Echo(), bass=Delay(0.01)).process(audio)
    with pytest.raises(type(error)):
        streamed(rack, noise(2, 4000), range(400, 5000, 400))
    assert_equal(rack.process(audio), expected)


def test_an_effect_that_resets_its_rack_is_refused(tiny_live_model, noise):
    class Resetting(Echo):
        def process(self, block):
            rack.reset()
            return super().process(block)

    rack = StemRack(tiny_live_model, drums=Resetting())
    with pytest.raises(StateError, match="before an earlier call had returned"):
        rack.process(noise(2, 4000))


def test_a_rack_cannot_be_pickled_and_names_a_remedy(tiny_live_model):
    for save in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match=r"a StemRack cannot be pickled or copied, because .* make a new one"):
            save(StemRack(tiny_live_model))


def test_a_reset_that_failed_is_repeated(tiny_live_model, noise):
    audio, effect = noise(2, 5000), Failing(RuntimeError("mine"), 0)
    rack, reset = StemRack(tiny_live_model, drums=effect), effect.reset
    expected = StemRack(tiny_live_model, drums=Echo()).process(audio)

    def interrupted():
        effect.reset = reset
        raise KeyboardInterrupt

    effect.reset = interrupted
    with pytest.raises(KeyboardInterrupt):
        rack.process(audio)
    assert_equal(rack.process(audio), expected)


def test_a_rack_whose_preparation_failed_cannot_be_used(tiny_live_model, noise):
    audio, echo = noise(2, 5000), Echo()
    rack, prepare = StemRack(tiny_live_model, drums=echo), echo.prepare

    def refuse(*_):
        raise ValueError("not me")

    echo.prepare = refuse
    with pytest.raises(ValueError, match="drums: not me"):
        rack.prepare(48000, 2)
    with pytest.raises(RuntimeError, match=r"the last prepare\(\) failed"):
        rack.process(audio)
    echo.prepare = prepare
    rack.prepare(44100, 2)
    assert_equal(rack.process(audio), StemRack(tiny_live_model, drums=Echo()).process(audio))
