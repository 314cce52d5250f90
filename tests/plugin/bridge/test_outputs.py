"""Outputs for stems, other formats of samples and channels, and the levels and status that hosts show."""

import time
from dataclasses import replace

import numpy as np
import pytest
from stembridge import StemProcessor
from stembridge.plugin.bridge.factory import Timing
from stembridge.presets import load_preset, preset_names

CONTEXT = 0.07  # seconds: the tests' networks have a window and one frame of memory
LATE = 100  # samples of latency of `half`
STEMS = "vocals", "drums", "bass", "other"


def normalized(gain_db):
    return (gain_db + 80) / 100


def separated(model, audio, rate=44100, **gains_db):
    """Return the stems after their faders, (stems, channels, n)."""
    processor, stems = StemProcessor(model, rate, len(audio), gains_db), []
    processor.on_stems = lambda found, gains: stems.append(found * gains[:, None])
    processor.process(audio)
    return np.concatenate(stems, axis=-1)


@pytest.mark.parametrize("realtime", [0, 1])
@pytest.mark.parametrize("num_channels", [1, 2])
def test_each_stem_has_an_output_and_they_sum_to_the_main_one(
    stem_mix, tiny_model, noise, delayed, play, num_channels, realtime
):
    audio = noise(num_channels, 40000)
    moves = [f"0:Vocals:{normalized(-6)}", "0:Drums mute:1", f"0:Bass:{normalized(3)}"]
    played = play(
        stem_mix(tiny_model), audio, realtime=realtime, block=500, outputs=5, moves=moves, slower=1 + 3 * realtime
    )
    processor = StemProcessor(tiny_model, 44100, num_channels)
    ahead = realtime * processor.hop_samples
    assert played.latency == processor.latency_samples + ahead
    main, *stems = played.out.reshape(5, num_channels, -1)
    expected = separated(tiny_model, audio, vocals=-6, drums=-80, bass=3)
    there = played.undisturbed(44100, CONTEXT)
    assert there.mean() > 0.3
    for stem, found in zip(expected, stems, strict=True):
        np.testing.assert_allclose(found[:, there], delayed(stem, ahead)[:, there], rtol=0, atol=1e-6)
    np.testing.assert_allclose(main, sum(stems), rtol=0, atol=2e-6)
    assert not stems[1][:, there].any(), "the drums are muted"
    assert all(np.abs(stems[k]).max() > 0.01 for k in (0, 2, 3))


def test_a_host_connects_outputs_in_the_middle_of_a_stream(stem_mix, tiny_live_model, noise, play):
    """Ardour passes buffers for all outputs, and one shared buffer for those that are not connected."""
    audio, switched = noise(2, 40000), 20000
    settings = {"realtime": 0, "block": 500, "outputs": 5, "moves": ["0:Vocals mute:1"]}
    played = play(stem_mix(tiny_live_model), audio, connects=["0:1", f"{switched}:5"], **settings)
    main, *stems = played.out.reshape(5, 2, -1)
    begun = [
        StemProcessor(tiny_live_model, 44100, 2, {"vocals": -80}).process(part)
        for part in (audio[:, :switched], audio[:, switched:])
    ]
    np.testing.assert_allclose(main, np.concatenate(begun, axis=-1), rtol=0, atol=1e-6)
    np.testing.assert_allclose(main[:, switched:], sum(stems)[:, switched:], rtol=0, atol=2e-6)
    assert not np.any(np.stack(stems)[..., :switched])
    assert played.dry == []


def test_stems_can_be_taken_before_their_faders(stem_mix, tiny_live_model, noise, play):
    audio, switched = noise(2, 40000), 20000
    moves = [f"0:Vocals:{normalized(-6)}", "0:Drums mute:1", f"{switched}:Stems pre fader:1"]
    played = play(stem_mix(tiny_live_model), audio, realtime=0, block=500, outputs=5, moves=moves)
    main, *stems = played.out.reshape(5, 2, -1)
    after, before = separated(tiny_live_model, audio, vocals=-6, drums=-80), separated(tiny_live_model, audio)
    glide = int(0.02 * 44100) + 1
    for found, post, pre in zip(stems, after, before, strict=True):
        np.testing.assert_allclose(found[:, :switched], post[:, :switched], rtol=0, atol=1e-6)
        np.testing.assert_allclose(found[:, switched + glide :], pre[:, switched + glide :], rtol=0, atol=1e-6)
    np.testing.assert_allclose(main, after.sum(axis=0), rtol=0, atol=2e-6)


def test_solo(stem_mix, tiny_live_model, noise, play):
    audio = noise(2, 30000)
    moves = ["0:Bass solo:1", "0:Drums solo:1", "0:Drums mute:1", f"0:Bass:{normalized(-6)}"]
    played = play(stem_mix(tiny_live_model), audio, realtime=0, block=500, moves=[*moves, "15000:Bass solo:0"])
    gains = {"vocals": -80, "drums": -80, "bass": -6, "other": -80}
    silent = StemProcessor(tiny_live_model, 44100, 2, gains)
    expected = silent.process(audio, [(15000, "bass", -80)])
    np.testing.assert_allclose(played.out, expected, rtol=0, atol=1e-6)
    moves = ["0:Bass solo:1", "15000:Bass solo:0"]
    played = play(stem_mix(tiny_live_model), audio, realtime=0, block=500, moves=moves)
    soloed = StemProcessor(tiny_live_model, 44100, 2, {"vocals": -80, "drums": -80, "other": -80})
    expected = soloed.process(audio, [(15000, stem, 0) for stem in ("vocals", "drums", "other")])
    np.testing.assert_allclose(played.out, expected, rtol=0, atol=1e-6)


def test_without_a_process_the_last_output_is_the_input(stem_mix, tiny_live_model, noise, delayed, play):
    audio = noise(2, 20000)
    broken = replace(stem_mix(tiny_live_model), arguments=("/bin/false",))
    played = play(broken, audio, realtime=0, block=500, outputs=5, ready=0)
    main, *stems = played.out.reshape(5, 2, -1)
    dry = delayed(audio, played.latency)
    assert (main == dry).all()
    assert (stems[3] == dry).all()
    assert not np.any(stems[:3])


def test_bypass_is_aligned_in_all_outputs(stem_mix, tiny_live_model, noise, delayed, play):
    audio, switched = noise(2, 30000), 15000
    moves = ["0:Vocals mute:1", f"{switched}:Bypass:1"]
    played = play(stem_mix(tiny_live_model), audio, realtime=0, block=500, outputs=5, moves=moves)
    main, *stems = played.out.reshape(5, 2, -1)
    np.testing.assert_allclose(main, sum(stems), rtol=0, atol=2e-6)
    heard = switched + played.latency + 222
    assert (main == delayed(audio, played.latency))[:, heard:].all()


@pytest.mark.parametrize("outputs", [1, 3])
def test_64_bit_samples(stem_mix, tiny_live_model, noise, play, outputs):
    audio, moves = noise(2, 20000), ["0:Vocals mute:1"]
    narrow, wide = (
        play(stem_mix(tiny_live_model), audio, realtime=0, block=500, outputs=outputs, moves=moves, wide=wide)
        for wide in (0, 1)
    )
    assert len(wide.out) == 2 * outputs
    assert (wide.out == narrow.out).all()


@pytest.mark.parametrize("wide", [0, 1])
def test_mono_in_and_stereo_out(stem_mix, tiny_live_model, noise, play, wide):
    audio = noise(1, 20000)
    settings = {"realtime": 0, "block": 500, "outputs": 5, "moves": ["0:Vocals mute:1"]}
    mono = play(stem_mix(tiny_live_model), audio, **settings)
    stereo = play(stem_mix(tiny_live_model), audio, out_channels=2, wide=wide, **settings)
    left, right = stereo.out.reshape(5, 2, -1).transpose(1, 0, 2)
    assert (left == mono.out).all()
    assert (right == left).all()


def shown(played, title):
    return [(start, text) for start, name, text in played.shown if name == title]


def test_levels_are_shown(stem_mix, tiny_live_model, noise, play):
    audio = noise(2, 60000)
    audio[:, 20000:] = 0
    block, gain = 500, -20
    moves = [f"0:Vocals:{normalized(gain)}", "0:Drums mute:1"]
    played = play(stem_mix(tiny_live_model), audio, realtime=0, block=block, moves=moves)
    vocals, _, bass, _ = separated(tiny_live_model, audio, vocals=gain, drums=-80)
    assert shown(played, "Drums level") == []
    for title, stem in ("Vocals level", vocals), ("Bass level", bass):
        levels = dict(shown(played, title))
        peaks = 20 * np.log10(np.abs(stem[:, :20000]).max(axis=0).reshape(-1, block).max(axis=1) + 1e-12)
        first = next(k for k, peak in enumerate(peaks) if peak > -80)
        expected = peaks[first]
        for k in range(first, 40):  # as loud as the loudest sample, or falling by 20 dB in a second
            expected = max(peaks[k], expected - 20 * block / 44100, -80)
            assert float(levels[k * block]) == pytest.approx(expected, abs=20 * block / 44100)
        assert float(levels[59500]) == pytest.approx(expected - 20 * 40000 / 44100, abs=1)


def test_a_level_falls_to_the_lowest(half, stem_mix, tiny_live_model, noise, play):
    audio = noise(2, 30000)
    audio[:, 5000:] = 0
    played = play(stem_mix(tiny_live_model), audio, moves=["0:Vocals mute:1"])
    levels = shown(played, "Bass level")
    assert float(levels[0][1]) > -60
    played = play(replace(stem_mix(tiny_live_model), arguments=("/bin/false",)), audio, ready=0)
    assert shown(played, "Bass level") == []


def with_status(descriptor):
    return replace(descriptor, shows_status=True)


def test_status_shows_a_running_plugin(half, noise, play):
    played = play(with_status(half()), noise(2, 5000), realtime=0, ready=0)
    assert [text for _, text in shown(played, "Status")] == ["Running"]


def test_status_shows_a_process_that_starts(half, noise, play, tmp_path):
    (tmp_path / "mark").touch()
    descriptor = replace(half(marks=str(tmp_path), start=0.5), latencies={44100.0: Timing(LATE, 256)})
    played = play(with_status(descriptor), noise(2, 5 * 44100), ready=0)
    texts = [text for _, text in shown(played, "Status")]
    assert texts[-1] == "Running"
    assert shown(played, "Status")[-1][0] > 10000, "until then the status is Starting, as at the beginning"


def test_status_shows_late_sound_and_the_end_of_the_process(half, noise, play):
    def meanwhile(worker):
        time.sleep(0.5)
        worker.suspend()
        time.sleep(0.5)
        worker.kill()

    played = play(with_status(half()), noise(2, 3 * 44100), meanwhile)
    texts = [text for _, text in shown(played, "Status")]
    assert "Dry" in texts
    assert texts.index("Dry") < texts.index("Starting") < len(texts) - 1
    assert texts[-1] == "Running"


def test_status_shows_a_failure(half, noise, play):
    descriptor = replace(half(), arguments=("/bin/false",), latencies={44100.0: Timing(LATE, 256)})
    played = play(with_status(descriptor), noise(2, 44100), ready=0)
    assert shown(played, "Status")[-1][1] == "Failed"


def test_a_preset_moves_the_faders_at_its_sample(stem_mix, tiny_live_model, noise, play):
    audio, descriptor = noise(2, 30000), stem_mix(tiny_live_model)
    programs = [None, *descriptor.presets]
    assert {"karaoke", "drumless"} <= set(programs)
    chosen = {name: programs.index(name) / (len(programs) - 1) for name in ("karaoke", "drumless")}
    moves = [f"10000:Preset:{chosen['karaoke']}", f"20300:Preset:{chosen['drumless']}", f"20300:Bass:{normalized(-6)}"]
    played = play(descriptor, audio, realtime=0, block=500, moves=moves)
    expected = StemProcessor(tiny_live_model, 44100, 2).process(
        audio, [(10000, "vocals", -80), (20300, "vocals", 0), (20300, "drums", -80), (20300, "bass", -6)]
    )
    np.testing.assert_allclose(played.out, expected, rtol=0, atol=1e-6)
    assert shown(played, "Vocals") == [(10000, "-inf"), (20000, "0")]
    assert shown(played, "Drums") == [(10000, "0"), (20000, "-inf")]


def test_presets_and_controllers_are_those_of_stembridge(stem_mix, tiny_live_model):
    descriptor = stem_mix(tiny_live_model)
    assert list(descriptor.presets) == preset_names()
    for name, values in descriptor.presets.items():
        assert values == {f"{stem}_db": load_preset(name).get(stem, 0.0) for stem in STEMS}
    assert descriptor.controllers == {16: "vocals_db", 17: "drums_db", 18: "bass_db", 19: "other_db"}
