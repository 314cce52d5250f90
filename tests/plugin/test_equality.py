"""In pedalboard, its AudioStream and DawDreamer, StemMix sounds as StemProcessor does, aligned to the sample."""

import contextlib
import itertools
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from pedalboard import Chain, Compressor, Gain, Mix, Pedalboard, Reverb
from stembridge import StemMix, StemProcessor
from stembridge.models import load_model
from stembridge.plugin.bridge.bundle import import_folders, write_bundle
from stembridge.plugin.stemmix import describe_stem_mix
from stembridge.presets import load_preset

RATE = 44100
RATES = 8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 176400, 192000
TOLERANCE = 1e-6
GAINS = {"vocals": -80.0, "drums": 3.0, "bass": -7.5}
STEMS = "vocals", "drums", "bass", "other"

# A block that goes out dry is a RuntimeWarning.
pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


@pytest.fixture(scope="module")
def mixes():
    """Return a function: model -> a StemMix, the same for all tests, as for one song after another."""
    made = {}

    def get(model, gains=GAINS):
        mix = made.get(model) or made.setdefault(model, StemMix(model))
        mix.reset()
        for stem in STEMS:
            setattr(mix, f"{stem}_db", gains.get(stem, 0.0))
            setattr(mix, f"{stem}_mute", False)
        mix.bypass = False
        return mix

    return get


def processed(model, audio, gains=GAINS, rate=RATE, moves=()):
    """Return the output of StemProcessor for audio, (channels, n), without its latency at the start."""
    processor = StemProcessor(model, rate, len(audio), gains)
    return streamed(processor, audio, moves)[:, processor.latency_samples :]


def streamed(processor, audio, moves=()):
    """Return the output with its latency, and with the sound after the end."""
    return processor.process(np.pad(audio, [(0, 0), (0, processor.latency_samples)]), moves)


def assert_equal(out, expected):
    assert out.shape == expected.shape
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, expected, rtol=0, atol=TOLERANCE)


def in_chunks(board, chunks, rate=RATE):
    """Process chunks as one stream, then zeros until all has come out.

    A chunk is (channels, n), or a function to call between two chunks.
    """
    board.reset()
    pieces, missing = [], 0
    for chunk in chunks:
        if callable(chunk):
            chunk()
            continue
        pieces.append(board(chunk, rate, reset=False))
        missing += chunk.shape[-1] - pieces[-1].shape[-1]
    pieces.append(board(np.zeros((len(pieces[0]), missing), np.float32), rate, reset=False))
    return np.concatenate(pieces, axis=-1)


# Whole songs in one call.


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("channels", [1, 2])
def test_any_rate_channels_length_and_buffer_size(mixes, tiny_model, noise, rate, channels):
    mix = mixes(tiny_model)
    for length in (100, 1000, 4410, 44100):
        audio = noise(channels, length)
        expected = processed(tiny_model, audio, rate=rate)
        for buffer_size in (64, 512, 8192):
            assert_equal(Pedalboard([mix])(audio, rate, buffer_size), expected)


@pytest.mark.parametrize("buffer_size", [8192, 20000, 400000])
def test_longer_than_any_buffer_of_the_bridge(mixes, tiny_model, noise, buffer_size):
    audio = noise(2, 300001)
    assert_equal(mixes(tiny_model)(audio, RATE, buffer_size), processed(tiny_model, audio))


@pytest.mark.parametrize(
    ("model", "rate", "channels", "buffer_size"),
    [
        ("live", 44100, 2, 512),
        ("live", 48000, 1, 64),
        ("live", 96000, 2, 8192),
        ("mix", 44100, 2, 512),
        ("studio", 44100, 2, 8192),
    ],
)
def test_the_models_that_ship(mixes, noise, model, rate, channels, buffer_size):
    audio = noise(channels, rate)
    assert_equal(Pedalboard([mixes(model)])(audio, rate, buffer_size), processed(model, audio, rate=rate))


@pytest.mark.parametrize("length", [0, 1, 2, 511, 512, 513])
def test_very_short(mixes, tiny_model, noise, length):
    audio = noise(1, length)
    assert_equal(mixes(tiny_model)(audio[0], RATE), processed(tiny_model, audio)[0])


def test_arrays_as_pedalboard_takes_them(mixes, tiny_model, noise):
    mix, audio = mixes(tiny_model), noise(2, 5000)
    expected = processed(tiny_model, audio)
    assert_equal(mix(np.ascontiguousarray(audio.T), RATE), expected.T)
    assert_equal(mix(audio.astype(np.float64), RATE), expected)
    assert_equal(mix(np.repeat(audio, 2, axis=-1)[:, ::2], RATE), expected)
    mono = processed(tiny_model, audio[:1])
    assert_equal(mix(audio[0], RATE), mono[0])
    assert_equal(mix(audio[:1].T, RATE), mono.T)
    assert mix(audio[:, :0].T, RATE).shape == (0, 2)
    assert mix(audio[0, :0], RATE).shape == (0,)


def test_the_input_is_not_modified(mixes, tiny_model, noise):
    audio = noise(2, 5000)
    mixes(tiny_model)(audio, RATE)
    np.testing.assert_array_equal(audio, noise(2, 5000))


def test_silence_stays_silent_and_leaves_no_trace(mixes, tiny_model, noise):
    mix, audio = mixes(tiny_model), noise(2, 5000)
    assert not mix(np.zeros((2, 30000), np.float32), RATE).any()
    assert_equal(mix(audio, RATE), processed(tiny_model, audio))
    assert not mix(np.zeros((2, 5000), np.float32), RATE).any()


@pytest.mark.parametrize("rate", [8000, 44100, 192000])
def test_at_unity_the_input_comes_back_bit_for_bit(mixes, tiny_model, noise, rate):
    audio = noise(2, 20000) * np.float32(10) ** np.linspace(-6, 3, 20000, dtype=np.float32)
    np.testing.assert_array_equal(mixes(tiny_model, {})(audio, rate), audio)


def test_a_new_stem_mix_is_at_unity(noise):
    audio = noise(2, 20000)
    np.testing.assert_array_equal(StemMix()(audio, RATE), audio)


@pytest.mark.parametrize("preset", ["karaoke", "drumless", "vocal-boost"])
def test_a_preset(tiny_live_model, noise, preset):
    audio = noise(2, 10000)
    out = StemMix(tiny_live_model, preset=preset)(audio, RATE)
    assert_equal(out, processed(tiny_live_model, audio, load_preset(preset)))
    assert abs(out - audio).max() > 0.01


@pytest.mark.parametrize("muted", [("vocals",), ("drums", "other"), STEMS])
def test_mutes(mixes, tiny_model, noise, muted):
    mix, audio = mixes(tiny_model), noise(2, 10000)
    processor = StemProcessor(tiny_model, gains_db=GAINS)
    for stem in muted:
        setattr(mix, f"{stem}_mute", True)
        processor.mute(stem)
    processor.reset()
    assert_equal(mix(audio, RATE), streamed(processor, audio)[:, processor.latency_samples :])
    for stem in muted:
        setattr(mix, f"{stem}_mute", False)
    assert_equal(mix(audio, RATE), processed(tiny_model, audio))


def test_values_set_before_a_call_act_from_its_first_sample(mixes, tiny_model, noise):
    """There is no glide from the old gain."""
    mix, audio = mixes(tiny_model), noise(2, 5000)
    for gain in (-80.0, 6.0, 0.0, -3.0):
        mix.other_db = gain
        assert_equal(mix(audio, RATE), processed(tiny_model, audio, GAINS | {"other": gain}))


def test_bypassed_the_input_comes_back_bit_for_bit(mixes, tiny_model, noise):
    mix, audio = mixes(tiny_model), noise(2, 20000)
    mix.bypass = True
    np.testing.assert_array_equal(mix(audio, RATE), audio)
    mix.bypass = False
    assert_equal(mix(audio, RATE), processed(tiny_model, audio))


# Among other plugins.


def test_between_other_plugins(mixes, tiny_model, noise):
    audio = noise(2, 20000)
    before, after = [Compressor(-20, 4), Gain(-6)], [Reverb(room_size=0.2), Gain(3)]
    out = Pedalboard([*before, mixes(tiny_model), *after])(audio, RATE)
    expected = processed(tiny_model, Pedalboard(before)(audio, RATE))
    assert_equal(out, Pedalboard(after)(expected, RATE))


def test_in_a_chain(mixes, tiny_model, noise):
    audio = noise(1, 20000)
    out = Pedalboard([Chain([Gain(-6), mixes(tiny_model)]), Gain(6)])(audio, RATE, 512)
    assert_equal(out, Gain(6)(processed(tiny_model, Gain(-6)(audio, RATE)), RATE))


def test_in_a_mix_branches_stay_together(mixes, tiny_live_model, tiny_studio_model, noise):
    """Their latencies differ."""
    audio = noise(2, 20000)
    branches = [mixes(tiny_live_model), Chain([mixes(tiny_studio_model), Gain(-6)]), Gain(-12)]
    out = Pedalboard([Mix(branches)])(audio, RATE, 512)
    live, studio = (processed(model, audio) for model in (tiny_live_model, tiny_studio_model))
    assert_equal(out, live + Gain(-6)(studio, RATE) + Gain(-12)(audio, RATE))


def test_twice_in_one_board(mixes, tiny_live_model, tiny_studio_model, noise):
    audio = noise(2, 20000)
    other = {"vocals": 6.0, "other": -12.0}
    first, second = StemProcessor(tiny_live_model, gains_db=GAINS), StemProcessor(tiny_live_model, gains_db=other)
    late = first.latency_samples + second.latency_samples
    expected = second.process(first.process(np.pad(audio, [(0, 0), (0, late)])))[:, late:]
    again = StemMix(tiny_live_model, vocals_db=6, other_db=-12)
    assert_equal(Pedalboard([mixes(tiny_live_model), again])(audio, RATE, 512), expected)


# In chunks.


@pytest.mark.parametrize("longest", [100, 1000, 10000, 50000])
def test_in_chunks_of_any_length(mixes, tiny_model, noise, longest):
    """One is longer than all before it, and one is empty."""
    audio = noise(2, 30000 + longest)
    random = np.random.default_rng(longest)
    cuts = np.cumsum(random.integers(0, longest, 2 * len(audio[0]) // longest))
    chunks = np.split(audio, [cuts[0], *cuts[cuts < len(audio[0])]], axis=-1)
    assert_equal(in_chunks(mixes(tiny_model), chunks), processed(tiny_model, audio))


def test_early_chunks_come_back_shorter_by_the_latency(mixes, tiny_live_model, noise):
    audio = noise(2, 3000)
    mix, latency = mixes(tiny_live_model), StemProcessor(tiny_live_model).latency_samples
    lengths = [mix(audio[:, k : k + 300], RATE, reset=False).shape[-1] for k in range(0, 3000, 300)]
    assert sum(lengths) == 3000 - latency
    assert lengths[3:] == [300] * 7
    assert mix(np.zeros((2, latency), np.float32), RATE, reset=False).shape[-1] == latency


def test_in_chunks_through_a_board(mixes, tiny_model, noise):
    audio = noise(2, 30000)
    out = in_chunks(Pedalboard([Compressor(-20, 4), mixes(tiny_model), Gain(-3)]), np.split(audio, 10, axis=-1))
    assert_equal(out, Gain(-3)(processed(tiny_model, Compressor(-20, 4)(audio, RATE)), RATE))


def test_a_parameter_changed_between_chunks_is_a_move_at_the_next_ones_first_sample(mixes, tiny_model, noise):
    mix, audio = mixes(tiny_model), noise(2, 20000)
    items, moves = [], []
    # The last two come in the middle of the glide of those before.
    changes = [
        (3000, "vocals", 0.0),
        (6001, "bass", -80.0),
        (6001, "drums", -6.0),
        (9000, "vocals", -12.0),
        (9100, "vocals", 6.0),
    ]
    done = 0
    for start, stem, gain in changes:
        items += [audio[:, done:start], lambda stem=stem, gain=gain: setattr(mix, f"{stem}_db", gain)]
        moves.append((start, stem, gain))
        done = start
    items.append(audio[:, done:])
    assert_equal(in_chunks(mix, items), processed(tiny_model, audio, moves=moves))


def test_a_mute_between_chunks_too(mixes, tiny_model, noise):
    mix, audio = mixes(tiny_model, {}), noise(2, 20000)
    items = [
        audio[:, :5000],
        lambda: setattr(mix, "drums_mute", True),
        audio[:, 5000:11111],
        lambda: setattr(mix, "drums_mute", False),
        audio[:, 11111:],
    ]
    moves = [(5000, "drums", -80.0), (11111, "drums", 0.0)]
    assert_equal(in_chunks(mix, items), processed(tiny_model, audio, {}, moves=moves))


def test_values_set_before_the_first_chunk_act_from_its_first_sample(mixes, tiny_model, noise):
    mix, audio = mixes(tiny_model), noise(2, 9000)
    mix(audio, RATE)
    mix.vocals_db = 6.0
    expected = processed(tiny_model, audio, GAINS | {"vocals": 6.0})
    assert_equal(in_chunks(mix, np.split(audio, 3, axis=-1)), expected)
    mix.reset()
    mix.vocals_db = -9.0
    assert_equal(mix(audio, RATE), processed(tiny_model, audio, GAINS | {"vocals": -9.0}))


@pytest.mark.parametrize("rate", [8000, 44100, 192000])
def test_the_bypass_cross_fades_over_5_ms_and_keeps_the_alignment(mixes, tiny_model, noise, rate):
    mix, audio = mixes(tiny_model), noise(2, 30000)
    on, off = 10000, 20001
    items = [
        audio[:, :on],
        lambda: setattr(mix, "bypass", True),
        audio[:, on:off],
        lambda: setattr(mix, "bypass", False),
        audio[:, off:],
    ]
    out = in_chunks(mix, items, rate)
    wet = processed(tiny_model, audio, rate=rate)
    k = np.arange(1, 30001)
    wetness = 1 - np.clip((k - on) / (0.005 * rate), 0, 1) + np.clip((k - off) / (0.005 * rate), 0, 1)
    assert_equal(out, (wetness * wet + (1 - wetness) * audio).astype(np.float32))
    dry = slice(on + rate // 200 + 1, off)
    np.testing.assert_array_equal(out[:, dry], audio[:, dry])


def test_a_thread_may_write_parameters_while_audio_runs(mixes, tiny_live_model, noise):
    """Later audio is neither lost nor shifted."""
    mix, audio = mixes(tiny_live_model), noise(2, 60000)
    stop = threading.Event()

    def write():
        while not stop.is_set():
            for gain in (-80.0, 0.0, 20.0):
                mix.vocals_db = gain

    writer = threading.Thread(target=write)
    writer.start()

    def end():
        stop.set()
        writer.join()
        mix.vocals_db = -6.0

    out = in_chunks(mix, [audio[:, :20000], audio[:, 20000:40000], end, audio[:, 40000:]])
    settled = 40000 + RATE // 50
    expected = processed(tiny_live_model, audio, GAINS | {"vocals": -6.0})
    assert_equal(out[:, settled:], expected[:, settled:])


# In other hosts.

LIVE = """
import sys
from pedalboard.io import AudioStream
from stembridge import StemMix

mix = StemMix(sys.argv[1], vocals_db=-80)
stream = AudioStream("Recorder", "Player", None, 44100, 512, num_input_channels=2, num_output_channels=2)
stream.plugins.append(mix)
with stream:
    print("playing", flush=True)
    input()
    mix.vocals_db = 3
    print("moved", flush=True)
    input()
print("dropouts", mix.dropouts, flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ALSA is Linux's")
def test_live_through_audio_stream(tiny_live_model, noise, alsa):
    sound = itertools.cycle(noise(2, 512 * 1000).T.reshape(-1, 512, 2).astype("<f4"))
    host = subprocess.Popen(
        [sys.executable, "-c", LIVE, tiny_live_model],
        env=os.environ | alsa.settings,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    said = []
    reader = threading.Thread(target=lambda: said.extend(line.strip() for line in host.stdout))
    reader.start()

    def both():
        """Return the input and the output while the plugin was in the chain, each (blocks, 512, 2)."""
        files = [np.fromfile(alsa.folder / name, "<f4") for name in ("recorded", "played")]
        length = min(map(len, files)) // 1024 * 1024
        recorded, played = (samples[:length].reshape(-1, 512, 2) for samples in files)
        # There is silence at both ends. AudioStream passes blocks on unchanged at first, and whenever it cannot get a
        # lock at once.
        went_through = played.any(axis=(1, 2)) & (recorded != played).any(axis=(1, 2))
        return recorded[went_through], played[went_through]

    def play_until(happened):
        deadline = time.monotonic() + 60
        while not happened() and host.poll() is None:
            assert time.monotonic() < deadline, said
            with contextlib.suppress(BlockingIOError):
                os.write(alsa.microphone, next(sound).tobytes())
            time.sleep(0.002)

    def play_blocks(count):
        done = len(both()[0])
        play_until(lambda: len(both()[0]) >= done + count)

    try:
        play_until(lambda: "playing" in said)
        play_blocks(100)
        host.stdin.write("\n")
        host.stdin.flush()
        play_until(lambda: "moved" in said)
        play_blocks(100)
        host.stdin.write("\n")
        host.stdin.flush()
        play_until(lambda: False)
    finally:
        host.kill()
        reader.join()
        host.communicate()
    assert said == ["playing", "moved", "dropouts 0"]

    recorded, played = both()

    def is_at(vocals_db):
        processor = StemProcessor(tiny_live_model, gains_db={"vocals": vocals_db})
        expected = processor.process(recorded.reshape(-1, 2).T).T.reshape(-1, 512, 2)
        return (abs(played - expected) <= TOLERANCE).all(axis=(1, 2))

    before, after = is_at(-80), is_at(3)
    moved = np.flatnonzero(~before)[0]
    settled = np.flatnonzero(~after)[-1] + 1
    assert 0 < settled - moved <= 3  # a glide of 20 ms
    assert before[:moved].all()
    assert after[settled:].all()
    assert moved >= 50
    assert len(played) - settled >= 50


DAWDREAMER = """
import sys
import dawdreamer
import numpy as np

bundle, rate, block = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
audio = np.load(sys.argv[4])
engine = dawdreamer.RenderEngine(rate, block)
song = engine.make_playback_processor("song", audio)
mix = engine.make_plugin_processor("mix", bundle)
names = [mix.get_parameter_name(k) for k in range(mix.get_plugin_parameter_size())]
mix.set_parameter(names.index("Vocals"), 0.0)
mix.set_parameter(names.index("Drums"), 0.83)
engine.load_graph([(song, []), (mix, ["song"])])
engine.render(audio.shape[-1] / rate)
np.save(sys.argv[5], engine.get_audio())
print(mix.get_latency_samples())
"""


@pytest.mark.parametrize(("rate", "block"), [(44100, 512), (48000, 100)])
def test_dawdreamer_renders_it(tiny_live_model, noise, tmp_path, rate, block):
    """It does not compensate latency."""
    write_bundle(tmp_path / "StemMix.vst3", describe_stem_mix(load_model(tiny_live_model), "StemMix", import_folders()))
    audio = noise(2, rate)
    np.save(tmp_path / "in.npy", audio)
    arguments = [tmp_path / "StemMix.vst3", rate, block, tmp_path / "in.npy", tmp_path / "out.npy"]
    run = subprocess.run([sys.executable, "-c", DAWDREAMER, *map(str, arguments)], capture_output=True, text=True)
    if "ImportError" in run.stderr:  # some Linux has no libGL
        pytest.skip(run.stderr.splitlines()[-1])
    assert run.returncode == 0, run.stderr
    assert not run.stderr
    processor = StemProcessor(tiny_live_model, rate, gains_db={"vocals": -80, "drums": 3})
    assert int(run.stdout) == processor.latency_samples
    out = np.load(tmp_path / "out.npy")
    assert_equal(out, processor.process(audio)[:, : out.shape[-1]])
    assert out.shape[-1] >= rate - block
