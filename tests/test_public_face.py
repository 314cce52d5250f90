"""The same thing has the same name everywhere, and error messages suggest what was meant."""

import inspect

import numpy as np
import pytest
import soundfile
import stembridge
from stembridge import Automation, StemBridgeError, StemProcessor, StemRack
from stembridge.cli.undo import Undoable
from stembridge.control import MidiControl
from stembridge.control.targets import AttributeFaders
from stembridge.core.protocols import Target
from stembridge.engine.gains import FaderSurface
from stembridge.live.faders import SharedFaders

KARAOKE = {"vocals": -80.0}


@pytest.fixture
def audio(noise):
    return noise(2, 8000)


def test_gains_may_be_a_preset(tiny_live_model, audio, tmp_path):
    wanted = stembridge.remix(audio, 44100, KARAOKE, tiny_live_model)
    assert np.array_equal(stembridge.remix(audio, 44100, "karaoke", tiny_live_model), wanted)
    assert np.array_equal(stembridge.remix(audio, 44100, model=tiny_live_model, preset="karaoke"), wanted)
    for gains in (KARAOKE, "karaoke"):
        assert StemProcessor(tiny_live_model, gains_db=gains).gains_db["vocals"] == -80
        assert StemRack(tiny_live_model, gains).gains_db["vocals"] == -80
    soundfile.write(tmp_path / "song.wav", audio.T, 44100, "FLOAT")
    for number, (gains, preset) in enumerate([(KARAOKE, None), ("karaoke", None), (None, "karaoke")]):
        target = tmp_path / f"{number}.wav"
        stembridge.remix_file(tmp_path / "song.wav", target, gains, tiny_live_model, preset=preset)
        np.testing.assert_allclose(soundfile.read(target)[0].T, wanted, atol=1e-6)


def test_gains_override_a_preset_stem_by_stem(tiny_live_model, audio):
    mixed = stembridge.remix(audio, 44100, {"drums": 3}, tiny_live_model, preset="karaoke")
    assert np.array_equal(mixed, stembridge.remix(audio, 44100, {"drums": 3, "vocals": -80}, tiny_live_model))


@pytest.mark.parametrize(
    ("gains", "says"),
    [
        ("karoake", r"unknown preset 'karoake' \(did you mean 'karaoke'\?\): choose from"),
        (3, "gains 3 do not work; give a gain in dB for each stem"),
    ],
)
def test_gains_of_another_type_are_refused_with_what_to_give(tiny_live_model, audio, gains, says):
    with pytest.raises(StemBridgeError, match=says):
        stembridge.remix(audio, 44100, gains, tiny_live_model)


@pytest.mark.parametrize(
    "named_after_stems",
    [
        FaderSurface.set_gains_db,
        MidiControl.set_gains_db,
        AttributeFaders.set_gains_db,
        SharedFaders.set_gains_db,
        Undoable.set_gains_db,
        Target.set_gains_db,
        StemRack.__init__,
    ],
)
def test_a_stem_may_be_called_self(named_after_stems):
    inspect.signature(named_after_stems).bind(None, **{"self": -6.0})


def test_stems_may_be_chosen(tiny_live_model, audio):
    whole = stembridge.separate(audio, 44100, tiny_live_model)
    some = stembridge.separate(audio, 44100, tiny_live_model, stems=["no_vocals", "bass"])
    assert list(some) == ["no_vocals", "bass"]
    assert np.array_equal(some["bass"], whole["bass"])
    np.testing.assert_allclose(some["no_vocals"] + whole["vocals"], audio, atol=1e-5)
    with pytest.raises(StemBridgeError, match="unknown stem 'flute'; the stems are vocals"):
        stembridge.separate(audio, 44100, tiny_live_model, stems=["flute"])
    with pytest.raises(StemBridgeError, match=r"stems 'bass' does not work; give a list, such as \['bass'\]"):
        stembridge.separate(audio, 44100, tiny_live_model, stems="bass")


def test_a_path_where_samples_are_expected_points_to_the_function_for_files(tiny_live_model, audio, tmp_path):
    with pytest.raises(ValueError, match=r"audio 'song.wav' is a path, not samples; use stembridge.remix_file"):
        stembridge.remix("song.wav", 44100, {})
    with pytest.raises(ValueError, match=r"audio '.*song.wav' is a path, not samples; use stembridge.separate_file"):
        stembridge.separate(tmp_path / "song.wav", 44100)
    with pytest.raises(ValueError, match=r"'song.wav' is a path, not samples; for files use remix_file"):
        StemProcessor(tiny_live_model).process("song.wav")
    with pytest.raises(ValueError, match="source is of type ndarray, not a path; for samples use remix or separate"):
        stembridge.remix_file(audio, tmp_path / "out.wav")


def test_a_repr_shows_type_and_settings(tiny_live_model):
    processor = StemProcessor(tiny_live_model, 48000, 1, {"vocals": -6})
    processor.mute("bass")
    processor.solo("drums")
    assert repr(processor) == "StemProcessor('tiny_live', 48000 Hz, mono, vocals -6 dB, bass muted, drums soloed)"
    assert repr(StemRack(tiny_live_model, "karaoke")) == "StemRack('tiny_live', vocals -80 dB)"
    assert repr(Automation()) == "Automation(no points)"
    assert repr(Automation([(1, "vocals", -6)])) == "Automation(1 point, vocals, at 1 seconds)"
    ride = Automation([(0, "vocals", -6), (2.5, "drums", 0)])
    assert repr(ride) == "Automation(2 points, vocals, drums, 0 to 2.5 seconds)"
    assert repr(MidiControl(processor)) == "MidiControl(StemProcessor, map 'general', not started, vocals -6 dB)"


@pytest.mark.parametrize(
    ("call", "arguments", "says"),
    [
        (StemProcessor, ("live", "44100"), "sample rate '44100' is not a number; give 8000 to 192000 Hz"),
        (StemProcessor, ("live", None), "sample rate None is not a number"),
        (StemProcessor, ("live", 44100, "2"), "'2' channels do not work; mix down to mono or stereo first"),
        (stembridge.load_model, (5,), "model 5 does not work; give a name, or the path"),
        (stembridge.load_preset, (5,), "preset 5 does not work; give a name, or the path"),
        (stembridge.remix, (None, 44100, "karaoke"), "audio is None; give samples"),
    ],
)
def test_a_wrong_type_is_named(call, arguments, says):
    with pytest.raises(StemBridgeError, match=says):
        call(*arguments)
