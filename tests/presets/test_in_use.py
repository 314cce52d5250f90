"""A preset is given in the same way wherever there are faders, and gains given with it override it."""

import numpy as np
import pytest
import soundfile
from stembridge import Live, StemProcessor, StemRack
from stembridge.presets import PresetError


def live_gains(**given):
    return Live("song.wav", "out.wav", realtime=False, **given).settings.gains_db


USES = {
    "StemProcessor": lambda **given: StemProcessor(**given).gains_db,
    "StemRack": lambda **given: StemRack(**given).gains_db,
    "Live": live_gains,
}


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_gains_override_a_preset(use, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    soundfile.write("song.wav", np.zeros((4410, 2)), 44100)
    karaoke = {"vocals": -80, "drums": 0, "bass": 0, "other": 0}
    assert use(preset="karaoke") == use(gains_db="karaoke") == karaoke
    assert use(gains_db={"vocals": -6, "bass": 2}, preset="karaoke") == karaoke | {"vocals": -6, "bass": 2}
    with pytest.raises(PresetError, match="did you mean 'karaoke'"):
        use(preset="karaoki")
