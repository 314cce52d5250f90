"""A song is rendered by any processor as by the engine, and a faulty processor gives one line."""

import numpy as np
import pytest
import soundfile
from pedalboard import Delay, Gain, Reverb
from stembridge import StemProcessor, StemRack
from stembridge.audio import read_audio
from stembridge.control import Automation
from stembridge.render import remix_file


class Late:
    """A processor at half gain with a latency of 1000 samples."""

    latency_samples = 1000

    def prepare(self, sample_rate, num_channels):
        self.prepared = sample_rate, num_channels

    def reset(self):
        self._past = np.zeros((self.prepared[1], 1000), np.float32)

    def process(self, block):
        audio = np.concatenate([self._past, block], axis=-1)
        self._past = audio[:, block.shape[-1] :]
        return 0.5 * audio[:, : block.shape[-1]]


@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (8000, 1)])
def test_any_processor(make_song, tmp_path, rate, channels):
    song = make_song(sample_rate=rate, num_channels=channels, subtype="FLOAT", frames=70_000)
    late = Late()
    remix_file(song, tmp_path / "out.wav", {}, processor=late)
    assert late.prepared == (rate, channels)
    np.testing.assert_array_equal(read_audio(tmp_path / "out.wav")[0], 0.5 * read_audio(song)[0])


def test_a_rack_aligned_and_as_long_as_the_song(make_song, tmp_path, tiny_live_model):
    song = make_song(sample_rate=48000, num_channels=1, subtype="FLOAT", peak=0.2)
    rack = StemRack(tiny_live_model, vocals=[Delay(0.001), Reverb()], drums=Gain(3))
    remix_file(song, tmp_path / "out.wav", {"bass": -6}, processor=rack)
    out = soundfile.read(tmp_path / "out.wav", always_2d=True)[0].T
    audio = read_audio(song)[0]
    rack.reset()
    padded = np.pad(audio, [(0, 0), (0, rack.latency_samples)])
    np.testing.assert_allclose(out, rack.process(padded)[:, rack.latency_samples :], rtol=0, atol=1e-6)
    assert rack.gains_db["bass"] == -6


def test_automation_moves_a_rack(make_song, tmp_path, tiny_live_model):
    song = make_song(subtype="FLOAT", peak=0.2)
    ride = Automation([(0.0, "vocals", 0.0), (0.3, "vocals", -40.0)])
    plain, racked = tmp_path / "plain.wav", tmp_path / "racked.wav"
    remix_file(song, plain, {"drums": -3}, tiny_live_model, automation=ride)
    remix_file(song, racked, {"drums": -3}, automation=ride, processor=StemRack(tiny_live_model))
    np.testing.assert_allclose(read_audio(racked)[0], read_audio(plain)[0], rtol=0, atol=1e-6)


class Broken(Late):
    """A processor that fails in the middle of a song."""

    def process(self, block):
        return self._past["no key"]


class Short(Late):
    def process(self, block):
        return block[:, 1:]


class Unlike(Late):
    def process(self, block):
        return block + np.zeros((2, 7))


class Whole(Late):
    def process(self, block):
        return (32767 * block).astype(np.int16)


class Leaves(Late):
    def process(self, block):
        raise SystemExit("bye")


class Infinite(Late):
    def process(self, block):
        return np.full_like(block, np.inf)


class Later(Late):
    """A processor whose latency grows."""

    def process(self, block):
        self.latency_samples += 1
        return block


class Earlier(Late):
    latency_samples = -100


class Half(Late):
    latency_samples = 2.5  # type: ignore[assignment]  # the fault


@pytest.mark.parametrize(
    ("processor", "gains", "line"),
    [
        (Broken(), {}, "the Broken failed: IndexError: "),
        (Short(), {}, r"the Short returned shape \(2, 29999\) for a block of shape \(2, 30000\)"),
        (Unlike(), {}, "the Unlike: operands could not be broadcast"),
        (Whole(), {}, "the Whole returned int16 for a block of float32; it must return floats"),
        (Leaves(), {}, "the Leaves failed: SystemExit: bye"),
        (Infinite(), {}, "the Infinite returned NaN or infinite samples"),
        (Later(), {}, "the Later's latency_samples changed from 1000 to 1001"),
        (Earlier(), {}, "the Earlier's latency_samples is -100; it must be a whole number, 0 or more"),
        (Half(), {}, r"the Half's latency_samples is 2\.5; it must be a whole number"),
        (Late(), {"vocals": -6}, r"a Late has no faders \(set_gains_db\)"),
        (Gain(3), {}, "Gain is not a processor: it has no latency_samples"),
        (StemProcessor("live", 48000), {"vocal": -6}, "unknown stem 'vocal'"),
        (StemProcessor("live", num_channels=1), {}, r"block of shape \(2, 30000\) is not \(1, n\)"),
    ],
)
def test_faults_are_reported_and_no_file_is_left(make_song, tmp_path, processor, gains, line):
    song = make_song()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ValueError, match=line):
        remix_file(song, tmp_path / "out.wav", gains, processor=processor)
    assert sorted(tmp_path.iterdir()) == before
