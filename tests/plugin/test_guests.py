"""An imported network in a pedalboard."""

import hashlib

import numpy as np
import onnx.parser
import pedalboard
import pytest
import stembridge
from stembridge import StemMix
from stembridge.models.guests import GuestFile, publish_model, recognise, stage_model, staging

GUEST = """<ir_version: 8, opset_import: ["" : 18]>
guest (float[1, 2, 4096] mix) => (float[1, 2, 2, 4096] stems) {
    axis = Constant <value_ints = [1]> ()
    half = Constant <value_float = 0.5> ()
    one = Mul (mix, half)
    first = Unsqueeze (one, axis)
    stems = Concat <axis = 1> (first, first)
}"""


@pytest.fixture
def imported(tmp_path):
    content = onnx.parser.parse_model(GUEST).SerializeToString()
    path = tmp_path / "guest.onnx"
    path.write_bytes(content)
    file = GuestFile(path, path.name, hashlib.sha256(content).hexdigest())
    with staging() as staged:
        publish_model(stage_model(staged, recognise([file], "guest", stems=["speech", "music"]), [path]), False)
    return "guest"


def test_stem_mix_finds_an_imported_network_by_name(imported, noise):
    audio = noise(2, 30000)
    mix = StemMix(imported, speech_db=-80)
    assert mix.stems == ("speech", "music")
    out = pedalboard.Pedalboard([mix])(audio, 44100)
    wanted = stembridge.remix(audio, 44100, {"speech": -80}, imported)
    np.testing.assert_allclose(out, wanted, rtol=0, atol=1e-6)
    np.testing.assert_allclose(wanted, audio / 2, rtol=0, atol=1e-5)


def test_songs_in_memory_have_a_quality(imported, noise):
    audio = noise(2, 30000)
    for quality in ("fast", "normal", "best"):
        stems = stembridge.separate(audio, 44100, imported, quality=quality)
        np.testing.assert_allclose(stems["speech"], audio / 2, rtol=0, atol=1e-5)
        assert np.array_equal(stembridge.remix(audio, 44100, {}, imported, quality=quality), audio)
    for function in (stembridge.separate, lambda *given, **more: stembridge.remix(*given[:2], {}, given[2], **more)):
        with pytest.raises(ValueError, match=r"^model guest has no quality 'better'; choose from: fast, normal, best$"):
            function(audio, 44100, imported, quality="better")
        with pytest.raises(ValueError, match=r"^model live has no quality 'best'; choose from: normal$"):
            function(audio, 44100, "live", quality="best")
