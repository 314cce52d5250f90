"""StemMix in the real pyo, with servers driven by the test or offline; each patch runs in a separate process."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from stembridge import StemProcessor

pytest.importorskip("pyo")

PRELUDE = """
import gc, sys, weakref
import numpy as np
from stembridge.plugin.pyo import StemMix
import pyo

MODEL = sys.argv[1]
saved = {}

def boot(size, rate=44100, audio="manual"):
    server = pyo.Server(sr=rate, nchnls=2, buffersize=size, duplex=0, audio=audio)
    server.setVerbosity(0)
    return server.boot().start()

def signal(audio):
    "A signal of pyo that plays the rows of an array."
    table = pyo.DataTable(audio.shape[1], chnls=len(audio))
    for i, row in enumerate(audio):
        np.asarray(table.getBuffer(i))[:] = row
    return pyo.TableRead(table, table.getRate(), loop=True, interp=1).play()

class Tape:
    "Takes down a signal."
    def __init__(self, signal, n):
        self._table = pyo.DataTable(n, chnls=len(signal))
        self._fill = pyo.TableFill(signal, self._table)

    def audio(self):
        return np.stack([np.asarray(self._table.getBuffer(i)).copy() for i in range(len(self._fill))])

def noise(num_channels, n):
    return (0.2 * np.random.default_rng(0).standard_normal((num_channels, n))).astype(np.float32)

def run(server, num_buffers):
    for _ in range(num_buffers):
        server.process()

def close(server):
    server.stop()
    server.shutdown()
"""


@pytest.fixture
def patch(tmp_path, tiny_live_model):
    """(source) -> the arrays that it stored in `saved`, by name."""

    def patch(source: str) -> dict[str, np.ndarray]:
        path = tmp_path / "saved.npz"
        code = f"{PRELUDE}\n{textwrap.dedent(source)}\nnp.savez({str(path)!r}, **saved)\n"
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", code, str(tiny_live_model), str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        return dict(np.load(path))

    return patch


def pairs(audio):
    """Split channels into stereo pairs, and a last one if their number is odd."""
    return [audio[i : i + 2] for i in range(0, len(audio), 2)]


def remixed(audio, model, rate=44100, **gains_db):
    return np.concatenate([StemProcessor(model, rate, len(pair), gains_db).process(pair) for pair in pairs(audio)])


def separated(audio, model, rate=44100):
    """Return the stems, (stems, channels, n)."""
    stems = [StemProcessor(model, rate, len(pair)).separate(pair) for pair in pairs(audio)]
    return np.concatenate(stems, axis=1)


@pytest.mark.parametrize(("rate", "num_channels"), [(44100, 1), (44100, 2), (48000, 5), (96000, 2), (8000, 2)])
def test_it_is_stem_processor_to_the_sample(patch, delayed, tiny_live_model, rate, num_channels):
    """Stems are too, for any buffer size, with the reported latency."""
    saved = patch(f"""
        for size in (64, 100, 256, 441, 512, 1000, 2048):
            server = boot(size, {rate})
            num_buffers = max(10, 9000 // size)
            audio = noise({num_channels}, num_buffers * size)
            source = signal(audio)
            heard = Tape(source, audio.shape[1])
            mix = StemMix(source, MODEL, vocals=-80, drums=3)
            tape = Tape(mix, audio.shape[1])
            stems = [Tape(mix.stems[stem], audio.shape[1]) for stem in mix.stems]
            run(server, num_buffers)
            saved[f"in {{size}}"], saved[f"out {{size}}"] = heard.audio(), tape.audio()
            saved[f"stems {{size}}"] = np.stack([stem.audio() for stem in stems])
            saved[f"latency {{size}}"] = mix.latency_samples
            close(server)
    """)
    plain = StemProcessor(tiny_live_model, rate).latency_samples
    for size in (64, 100, 256, 441, 512, 1000, 2048):
        audio, out, stems = (saved[f"{what} {size}"] for what in ("in", "out", "stems"))
        assert saved[f"latency {size}"] == StemProcessor(tiny_live_model, rate, realtime_block=size).latency_samples
        more = int(saved[f"latency {size}"]) - plain
        wanted = delayed(remixed(audio, tiny_live_model, rate, vocals=-80, drums=3), more)
        np.testing.assert_allclose(out, wanted, rtol=0, atol=1e-6)
        gains = np.array([0, 10**0.15, 1, 1])[:, None, None]
        wanted = delayed(gains * separated(audio, tiny_live_model, rate), more)
        np.testing.assert_allclose(stems, wanted, rtol=0, atol=2e-6)
        np.testing.assert_allclose(stems.sum(0), out, rtol=0, atol=2e-6)


def test_a_long_stream_in_buffers_of_an_odd_size_does_not_drift(patch):
    """32-bit floats cannot hold 44,100 / 1000 exactly."""
    saved = patch("""
        server = boot(1000)
        mix = StemMix(pyo.Phasor(1), MODEL)
        tape = Tape(mix, 1000)
        ramp = Tape(pyo.Phasor(1), 1000)
        run(server, 4000)
        saved["out"], saved["in"] = tape.audio(), ramp.audio()
        saved["latency"] = mix.latency_samples
    """)
    late = saved["latency"]
    np.testing.assert_allclose(saved["out"][:, late:], saved["in"][:, :-late], rtol=0, atol=1e-6)


def test_offline_into_a_file(patch, tmp_path, tiny_live_model):
    patch("""
        server = pyo.Server(sr=44100, nchnls=2, buffersize=256, audio="offline")
        server.setVerbosity(0)
        server.boot()
        server.recordOptions(dur=0.5, filename=sys.argv[2] + "/out.wav", fileformat=0, sampletype=3)
        audio = noise(2, 22528)
        np.save(sys.argv[2] + "/in.npy", audio)
        mix = StemMix(signal(audio), MODEL, vocals=-80).out()
        server.start()
    """)
    import soundfile

    out, rate = soundfile.read(tmp_path / "out.wav", always_2d=True)
    audio = np.load(tmp_path / "in.npy")[:, : len(out)]
    assert (rate, len(out) >= 22000) == (44100, True)
    np.testing.assert_allclose(out.T, remixed(audio, tiny_live_model, vocals=-80), rtol=0, atol=1e-6)


def test_gains_are_numbers_or_signals(patch, tiny_live_model):
    saved = patch("""
        server = boot(512)
        audio = noise(2, 40 * 512)
        ride = pyo.Linseg([(0, 0), (0.2, -40), (1, -40)]).play()
        knob = pyo.Sig(-6)
        mix = StemMix(signal(audio), MODEL, vocals=ride, drums=knob, bass=-12)
        tape, line = Tape(mix, audio.shape[1]), Tape(ride, audio.shape[1])
        run(server, 20)
        knob.value = 3
        mix.bass = -80
        mix.setOther(6)
        run(server, 20)
        saved |= {"in": audio, "out": tape.audio(), "ride": line.audio()}
        assert (mix.bass, mix.other, mix.vocals is ride) == (-80, 6, True)
    """)
    processor = StemProcessor(tiny_live_model, gains_db={"vocals": 0, "drums": -6, "bass": -12})
    wanted = []
    for at in range(0, saved["in"].shape[1], 256):
        later = at >= 20 * 512
        gains = {"vocals": saved["ride"][0, at], "drums": 3 if later else -6}
        processor.set_gains_db(**gains, **({"bass": -80, "other": 6} if later else {}))
        if at == 0:
            processor.reset()  # the first look is not a move
        wanted.append(processor.process(saved["in"][:, at : at + 256]))
    np.testing.assert_allclose(saved["out"], np.concatenate(wanted, axis=-1), rtol=0, atol=1e-6)


def test_a_preset_sets_the_gains_that_are_0(patch):
    patch("""
        server = boot(256)
        mix = StemMix(signal(noise(2, 256)), MODEL, bass=-3, preset="acapella")
        assert (mix.vocals, mix.drums, mix.bass, mix.other) == (0, -80, -3, -80)
    """)


def test_a_signal_may_be_anything(patch):
    saved = patch("""
        server = boot(64)
        knob = pyo.Sig(0)
        mix = StemMix(signal(noise(1, 6400)), MODEL, vocals=knob)
        for value in (float("nan"), float("inf"), -1e30, 1e30, -10):
            knob.value = value
            run(server, 50)
            saved[str(value)] = mix.gains_db["vocals"]
        mix.vocals = 1  # the signal has no more to say
        knob.value = 5
        run(server, 50)
        saved["last"] = mix.gains_db["vocals"]
    """)
    assert {name: float(value) for name, value in saved.items()} == {
        "nan": 0, "inf": 0, "-1e+30": pytest.approx(-1e30), "1e+30": 20, "-10": -10, "last": 1
    }  # fmt: skip


def test_a_glide_of_pyo_moves_a_fader(patch):
    """Call `set` with a time in seconds, also from a NumPy number."""
    saved = patch("""
        server = boot(64)
        mix = StemMix(signal(noise(1, 6400)), MODEL, vocals=np.float32(-6))
        mix.set("vocals", -20, 0.1)
        for wait in (0.05, 0.1):
            run(server, int(wait * 44100 / 64))
            saved[str(wait)] = mix.gains_db["vocals"]
    """)
    assert -19 < saved["0.05"] < -7
    assert saved["0.1"] == pytest.approx(-20)


def test_ctrl_has_a_slider_for_each_fader(patch):
    patch("""
        import pyo.lib._core as core
        windows = []
        core.createCtrlWindow = lambda *window: windows.append(window)
        server = boot(64)
        mix = StemMix(signal(noise(1, 6400)), MODEL, bass=-6)
        mix.ctrl()
        sliders = {slider.name: (slider.min, slider.max, slider.init) for slider in windows[0][1]}
        assert sliders == {
            "vocals": (-80, 12, 0), "drums": (-80, 12, 0), "bass": (-80, 12, -6), "other": (-80, 12, 0),
            "mul": (0, 2, 1),
        }, sliders
    """)


def test_mul_and_add_and_arithmetic(patch, tiny_live_model):
    saved = patch("""
        server = boot(256)
        audio = noise(2, 40 * 256)
        source = signal(audio)
        tapes = {
            "attributes": Tape(StemMix(source, MODEL, mul=0.5, add=[0.25, -0.25]), audio.shape[1]),
            "temporary": Tape(StemMix(source, MODEL) * 0.5, audio.shape[1]),
            "stream": Tape(pyo.Sig(StemMix(source, MODEL)[1]), audio.shape[1]),
        }
        gc.collect()
        run(server, 40)
        saved |= {name: tape.audio() for name, tape in tapes.items()} | {"in": audio}
    """)
    wanted = remixed(saved["in"], tiny_live_model)
    np.testing.assert_allclose(saved["attributes"], 0.5 * wanted + [[0.25], [-0.25]], rtol=0, atol=1e-6)
    np.testing.assert_allclose(saved["temporary"], 0.5 * wanted, rtol=0, atol=1e-6)
    np.testing.assert_allclose(saved["stream"], wanted[1:], rtol=0, atol=1e-6)


def test_several_in_series_in_one_graph(patch, tiny_live_model):
    saved = patch("""
        server = boot(256)
        audio = noise(2, 40 * 256)
        first = StemMix(signal(audio), MODEL, vocals=-80)
        second = StemMix(first, MODEL, drums=-80)
        beside = StemMix(first.stems["bass"], MODEL, bass=-6)
        tapes = [Tape(mix, audio.shape[1]) for mix in (second, beside)]
        run(server, 40)
        saved |= {"in": audio, "second": tapes[0].audio(), "beside": tapes[1].audio()}
    """)
    first = remixed(saved["in"], tiny_live_model, vocals=-80)
    np.testing.assert_allclose(saved["second"], remixed(first, tiny_live_model, drums=-80), rtol=0, atol=2e-6)
    bass = separated(saved["in"], tiny_live_model)[2]
    np.testing.assert_allclose(saved["beside"], remixed(bass, tiny_live_model, bass=-6), rtol=0, atol=2e-6)


def test_stop_is_silent_and_play_starts_again(patch, tiny_live_model):
    saved = patch("""
        server = boot(256)
        audio = noise(2, 30 * 256)
        mix = StemMix(signal(audio), MODEL)
        vocals = mix.stems["vocals"]
        tapes = [Tape(part, audio.shape[1]) for part in (mix, vocals)]
        run(server, 10)
        mix.stop()
        run(server, 10)
        mix.play()
        run(server, 10)
        saved |= {"in": audio, "out": tapes[0].audio(), "vocals": tapes[1].audio()}
        saved["off"] = [not part.isPlaying() for part in (mix.stop(), vocals)]
    """)
    begin, end = 10 * 256, 20 * 256
    assert not saved["out"][:, begin:end].any()
    assert not saved["vocals"][:, begin:end].any()
    again = saved["in"][:, end:]
    np.testing.assert_allclose(saved["out"][:, end:], remixed(again, tiny_live_model), rtol=0, atol=1e-6)
    np.testing.assert_allclose(saved["vocals"][:, end:], separated(again, tiny_live_model)[0], rtol=0, atol=1e-6)
    assert saved["off"].all()


def test_the_input_can_be_replaced(patch, tiny_live_model):
    saved = patch("""
        server = boot(256)
        audio = noise(2, 80 * 256)
        other = signal(-audio)
        mix = StemMix(signal(audio), MODEL, vocals=-80)
        tape = Tape(mix, audio.shape[1])
        mix.setInput(other, 0.01)
        assert mix.input is other
        run(server, 80)
        saved |= {"in": audio, "out": tape.audio()}
    """)
    wanted = remixed(-saved["in"], tiny_live_model, vocals=-80)
    settled = slice(441 + 4096, None)
    np.testing.assert_allclose(saved["out"][:, settled], wanted[:, settled], rtol=0, atol=1e-5)


def test_it_ends_with_the_last_reference(patch):
    patch("""
        server = boot(64)
        source = signal(noise(2, 6400))
        mix = StemMix(source, MODEL, vocals=pyo.Sig(-3))
        mix.stems["drums"]
        stage = weakref.ref(mix._stage)
        run(server, 10)
        before = server.getNumberOfStreams()
        del mix
        gc.collect()
        assert stage() is None
        assert server.getNumberOfStreams() < before
        run(server, 10)
    """)


def test_an_error_leaves_a_buffer_silent_and_is_reported_once(patch):
    saved = patch("""
        import io
        sys.stderr = io.StringIO()
        server = boot(64)
        mix = StemMix(signal(noise(4, 6400)), MODEL)
        drums = mix.stems["drums"]
        run(server, 50)
        process, calls = mix._stage.processors[1].process, []

        def failing(block):
            calls.append(block)
            if len(calls) in (1, 5):
                raise MemoryError("too little")
            return process(block)

        mix._stage.processors[1].process = failing
        tapes = Tape(mix, 64), Tape(drums, 64)
        heard = []
        for _ in range(50):
            for tape in tapes:
                tape._fill.play()
            server.process()
            heard.append([np.abs(tape.audio()).max() for tape in tapes])
        saved["heard"] = heard
        said, sys.stderr = sys.stderr.getvalue(), sys.__stderr__
        assert said.startswith("StemMix in pyo: a buffer was silent because of an error (MemoryError: too little); the")
        assert said.count("\\n") == 1
        close(server)
    """)
    mix, drums = saved["heard"].T
    assert not mix[[0, 4]].any()
    assert not drums[[0, 4]].any()
    assert mix[-20:].all()
    assert drums[-20:].all()


def test_midi_control_moves_it(patch, midi_device):
    saved = patch(f"""
        import time
        from stembridge.control import MidiControl
        server = boot(64)
        mix = StemMix(signal(noise(2, 6400)), MODEL)
        with MidiControl(mix, "nanokontrol2", {midi_device.name!r}) as control:
            control.set_gains_db(vocals=-20)
            control.mute("drums")
            control.solo("bass")
            for _ in range(500):
                run(server, 1)
                if mix.soloed:
                    break
                time.sleep(0.01)
        saved |= {{"vocals": mix.vocals, "drums": mix.muted, "bass": mix.soloed}}
    """)
    assert (saved["vocals"], *saved["drums"], *saved["bass"]) == (-20, "drums", "bass")


def test_gains_move_together_or_not_at_all(patch):
    saved = patch("""
        server = boot(64)
        mix = StemMix(pyo.Sig(0), MODEL)
        for wrong in {"drums": 99}, {"drum": 0}, {"drums": "loud"}:
            try:
                mix.set_gains_db(vocals=-7, **wrong)
            except ValueError as error:
                saved["error"] = str(error)
        saved["vocals"] = mix.gains_db["vocals"]
        run(server, 3)
    """)
    assert "drums: gain 'loud' is not a number" in str(saved["error"])
    assert saved["vocals"] == 0


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("StemMix(source, 'lives')", "ModelError: unknown model 'lives'"),
        ("StemMix(source, MODEL, vocals=21)", "StemBridgeError: vocals: gain 21 dB is out of range"),
        ("StemMix(source, MODEL, vocals='loud')", "StemBridgeError: vocals: gain 'loud' is not a number"),
        ("StemMix(source, MODEL, vocal=-3)", "StemBridgeError: unknown stem 'vocal'"),
        ("StemMix(source, MODEL, vocal=pyo.Sig(0))", "StemBridgeError: unknown stem 'vocal'"),
        ("StemMix(source, MODEL).stems['vocal']", "KeyError: \"no stem 'vocal'; the stems are vocals, drums"),
        ("StemMix(3, MODEL)", "PyoArgumentTypeError: "),
    ],
)
def test_unusable_arguments_are_refused(patch, call, error):
    saved = patch(f"""
        server = boot(64)
        source = pyo.Sig(0)
        try:
            {call}
        except Exception as error:
            saved["error"] = f"{{type(error).__name__}}: {{error}}"
        run(server, 3)
    """)
    assert str(saved["error"]).startswith(error)


def test_without_a_pyo_server_there_is_a_clear_error(patch):
    saved = patch("""
        try:
            StemMix(None, MODEL)
        except Exception as error:
            saved["error"] = type(error).__name__
    """)
    assert "Pyo" in str(saved["error"])


def test_without_pyo_the_error_names_what_to_install():
    code = "import sys; sys.modules['pyo'] = None; import stembridge.plugin.pyo"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].endswith(
        "stembridge.plugin.pyo needs pyo: pip install '.[pyo]' in a clone of StemBridge"
    )


def test_after_an_error_all_channels_start_fresh_together(patch, tiny_live_model, delayed):
    """Channel pairs that were not processed do too; pyo reports the error and goes on."""
    saved = patch("""
        import contextlib, io
        server = boot(256)
        audio = noise(5, 40 * 256)
        source = signal(audio)
        heard = Tape(source, audio.shape[1])
        mix = StemMix(source, MODEL)
        tape, stem = Tape(mix, audio.shape[1]), Tape(mix.stems["vocals"], audio.shape[1])
        run(server, 9)
        def fail(audio):
            raise MemoryError
        mix._stage.processors[1].process = fail
        with contextlib.redirect_stderr(io.StringIO()):
            run(server, 1)
        del mix._stage.processors[1].process
        run(server, 30)
        saved["in"], saved["out"], saved["late"] = heard.audio(), tape.audio(), mix.latency_samples
        saved["stem"] = stem.audio()
        close(server)
    """)
    audio, out, began = saved["in"], saved["out"], 10 * 256
    assert not out[:, began - 256 : began].any()
    assert not saved["stem"][:, began - 256 : began].any()
    np.testing.assert_allclose(out[:, began:], delayed(audio[:, began:], int(saved["late"])), rtol=0, atol=1e-6)
