"""A parameter changes the model: the first plays until the second is aligned, without a click."""

import time
from dataclasses import replace

import numpy as np
import pytest
from stembridge import StemProcessor, load_model
from stembridge.models import ModelError, save_model
from stembridge.plugin.bridge.descriptor import Alternative
from stembridge.plugin.bridge.factory import Timing

from ...conftest import CARD, STREAMING, tiny_graph

HOP, LATE, RATE = 256, 100, 44100
SWITCH = 20480  # the sample at which the user changes the model
FADES = int(0.03 * RATE)  # samples from dry to wet, and from one model to another


def sine(seconds):
    wave = np.sin(2 * np.pi * 60 * np.arange(int(seconds * RATE)) / RATE)
    return (np.array([[0.5], [-0.4]]) * wave).astype(np.float32)


def is_smooth(out, audio):
    """Return whether no step is much larger than those of the sine; fades are allowed."""
    return np.abs(np.diff(out)).max() < 1.6 * np.abs(np.diff(audio)).max()


@pytest.fixture
def two_models(half):
    """(latency of the second in samples, its other arguments) -> a descriptor of Half, and one of a quarter."""

    def two_models(late, known=True, **arguments):
        first, second = half(), half(late=late, factor=-0.5, **arguments)
        timings = {float(RATE): Timing(LATE, HOP)}, {float(RATE): Timing(late, HOP)}
        latencies = timings if known else ({}, {})
        other = Alternative(second.arguments, "the second", latencies[1])
        return replace(
            first,
            model="first",
            alternatives={"second": other},
            latencies=latencies[0],
            shows_status=True,
            identity="1",
        )

    return two_models


def statuses(played):
    return [text for _, title, text in played.shown if title == "Status"]


def heard(played, audio, delayed, late, factor):
    """Return where the output is the sound times a factor, delayed by a number of samples."""
    return (np.abs(played.out - factor * delayed(audio, late)) < 1e-6).all(axis=0)


@pytest.mark.parametrize("late", [LATE, 20, 3000])
@pytest.mark.parametrize("how", ["moves", "choices"])
@pytest.mark.parametrize("mode", [0, 2])
def test_in_mid_stream_the_first_plays_until_the_second_is_aligned(two_models, delayed, play, late, how, mode):
    audio = sine(3)
    settings = {how: [f"{SWITCH}:Model:1"]}
    played = play(two_models(late), audio, modes=[f"0:{mode}"], block=512, **settings)
    assert played.latency == LATE + HOP
    first, second = heard(played, audio, delayed, LATE + HOP, 0.5), heard(played, audio, delayed, late + HOP, -0.25)
    there = played.undisturbed()
    assert first[there][1000:SWITCH].all()
    assert second[there][-22050:].all()
    assert is_smooth(played.out, audio)
    neither = there & ~first & ~second
    neither[:1000] = False
    assert 0 < neither.sum() <= 2 * FADES
    if mode == 2:
        assert played.dry == []
        assert second[SWITCH + late + HOP + 2 * FADES :].all(), "offline it waits for the second model, and no longer"
    if how == "choices" and late != LATE:
        assert played.changed == [(SWITCH, late + HOP)]
    if late == LATE:
        assert played.changed == []
    assert statuses(played)[-1] == "Running"
    assert "Changing model" in statuses(played)


LATER = SWITCH + 5 * 512  # the block in which the host repeats the user's change


@pytest.mark.parametrize(
    ("moves", "choices", "told"),
    [
        ([SWITCH], [], []),  # process() must not report it to the host
        ([SWITCH], [LATER], [LATER]),
        ([SWITCH, LATER], [SWITCH], [SWITCH]),
        ([LATER], [SWITCH, LATER + 512], [SWITCH]),
    ],
)
def test_a_host_hears_of_a_latency_once_by_whichever_way_it_sends_the_model(
    two_models, delayed, play, moves, choices, told
):
    """With blocks, by calls from its window, or both: some hosts send the user's change both ways."""
    audio, late = sine(2), 700
    moves, choices = ([f"{sample}:Model:1" for sample in samples] for samples in (moves, choices))
    played = play(two_models(late), audio, modes=["0:2"], block=512, moves=moves, choices=choices)
    assert played.changed == [(sample, late + HOP) for sample in told]
    assert heard(played, audio, delayed, late + HOP, -0.25)[-22050:].all()


@pytest.mark.parametrize("title", ["Status", "Gain", "Bypass"])
def test_other_parameters_report_no_latency(two_models, play, title):
    """Ardour sets them in its audio thread, where a plugin must not report a change."""
    moves, choices = [f"{SWITCH}:Model:1"], [f"{LATER}:{title}:0"]
    played = play(two_models(700), sine(1), modes=["0:2"], block=512, moves=moves, choices=choices)
    assert played.changed == []


def test_there_and_back(two_models, delayed, play):
    audio = sine(4)
    played = play(two_models(700), audio, modes=["0:2"], choices=["10000:Model:1", "90000:Model:0"])
    assert [latency for _, latency in played.changed] == [700 + HOP, LATE + HOP]
    assert heard(played, audio, delayed, 700 + HOP, -0.25)[20000:90000].all()
    assert heard(played, audio, delayed, LATE + HOP, 0.5)[-44100:].all()
    assert is_smooth(played.out, audio)


def test_a_host_that_activates_again_hears_the_first_as_late_as_the_second(two_models, delayed, play, tmp_path):
    (tmp_path / "mark").touch()
    audio, late = sine(4), 3000
    descriptor = two_models(late, marks=str(tmp_path), start=1.0)
    played = play(descriptor, audio, block=512, choices=[f"{SWITCH}:Model:1"], reactivate=1)
    assert played.changed == [(SWITCH, late + HOP)]
    there, begins = played.undisturbed(), SWITCH + late + HOP
    after = np.arange(audio.shape[1]) >= begins
    first, second = heard(played, audio, delayed, late + HOP, 0.5), heard(played, audio, delayed, late + HOP, -0.25)
    assert first[there & after][: RATE // 2].all()
    assert second[there][-22050:].all()
    assert (there & after & ~first & ~second).sum() <= 2 * FADES
    assert is_smooth(played.out[:, begins:], audio)


def test_if_the_second_has_less_latency_a_host_that_activates_again_hears_dry_sound(
    two_models, delayed, play, tmp_path
):
    (tmp_path / "mark").touch()
    audio, late = sine(4), 20
    descriptor = two_models(late, marks=str(tmp_path), start=1.0)
    played = play(descriptor, audio, block=512, choices=[f"{SWITCH}:Model:1"], reactivate=1)
    assert played.changed == [(SWITCH, late + HOP)]
    begins = SWITCH + late + HOP
    assert (played.out == delayed(audio, late + HOP))[:, begins + FADES : begins + RATE // 2].all()
    there = played.undisturbed()
    assert heard(played, audio, delayed, late + HOP, -0.25)[there][-22050:].all()
    assert is_smooth(played.out[:, begins:], audio)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("realtime", [0, 1])
@pytest.mark.parametrize("model", ["first", "second"])
def test_a_state_restores_its_model(two_models, delayed, play, tmp_path, model, realtime, known):
    """Also at a sample rate whose latency only the process knows."""
    audio, descriptor, path = sine(1), two_models(700, known), tmp_path / "state"
    choices = ["512:Model:1"] if model == "second" else []
    play(descriptor, audio, choices=choices, save=path, realtime=realtime)
    assert f"\nmodel\t{model}\n" in path.read_text()
    played = play(descriptor, audio, state=path, realtime=realtime)
    late, factor = (LATE, 0.5) if model == "first" else (700, -0.25)
    assert played.latency == late + realtime * HOP
    assert heard(played, audio, delayed, played.latency, factor)[played.undisturbed()].all()
    assert played.stderr == "" or played.dry


def test_a_state_of_an_earlier_version_has_the_first_model(two_models, delayed, play, tmp_path):
    audio, path = sine(0.3), tmp_path / "state"
    path.write_text("state\t1\nidentity\t1\nvalue\tgain\t1\nvalue\tbypass\t0\n")
    played = play(two_models(700), audio, state=path, realtime=0, ready=0)
    assert (played.latency, played.stderr, statuses(played)) == (LATE, "", ["Running"])
    assert heard(played, audio, delayed, LATE, 1).all()


def test_a_missing_model_is_shown_and_stays_in_the_saved_state(two_models, delayed, play, tmp_path):
    audio, path, saved = sine(0.5), tmp_path / "state", tmp_path / "saved"
    path.write_text("state\t1\nidentity\tmodel third\nmodel\tthird\nvalue\tgain\t1\n")
    played = play(two_models(700), audio, state=path, realtime=0, ready=0, save=saved)
    assert heard(played, audio, delayed, LATE, 1).all()
    assert statuses(played) == ["Other model"]
    (line,) = played.stderr.splitlines()
    assert "was saved with the model third, which this plugin does not have; first takes its place" in line
    assert saved.read_text().startswith("state\t1\nidentity\tmodel third\nmodel\tthird\n")
    chosen = play(two_models(700), audio, state=path, realtime=0, save=saved, choices=["5120:Model:1"])
    assert statuses(chosen)[-1] == "Running"
    assert "\nmodel\tsecond\n" in saved.read_text()


@pytest.mark.parametrize("realtime", [0, 1])
def test_a_change_while_the_first_one_starts(two_models, half, delayed, play, tmp_path, realtime):
    marks = tmp_path / "marks"
    marks.mkdir()
    (marks / "mark").touch()
    slow, descriptor = half(marks=str(marks), start=0.5), two_models(700)
    audio = sine(4)
    descriptor = replace(descriptor, arguments=slow.arguments)
    played = play(descriptor, audio, ready=0, realtime=realtime, choices=["512:Model:1"], block=512)
    there = played.undisturbed()
    assert heard(played, audio, delayed, 700 + realtime * HOP, -0.25)[there][-RATE:].all()
    assert is_smooth(played.out, audio)
    assert statuses(played)[-1] == "Running"


@pytest.mark.parametrize("mode", [0, 2])
def test_a_hundred_fast_changes_leave_one_process_and_nothing_open(two_models, delayed, play, mode):
    audio, seen = sine(8 if mode == 0 else 3), []

    def meanwhile(worker):
        host = worker.parent()
        before = host.num_fds()
        until = time.monotonic() + 20
        while host.is_running() and host.status() != "zombie" and time.monotonic() < until:
            seen.append((len(host.children()), host.num_fds() - before, host.num_threads()))
            time.sleep(0.05)

    choices = [f"{5120 + 512 * k}:Model:{k % 2}" for k in range(101)]
    played = play(two_models(700), audio, meanwhile, modes=[f"0:{mode}"], choices=choices, block=512)
    assert len(played.changed) == 100
    assert heard(played, audio, delayed, LATE + HOP, 0.5)[played.undisturbed()][-RATE:].all()
    assert is_smooth(played.out, audio)
    assert max(children for children, *_ in seen) <= 3
    if mode == 0:
        children, files, _ = seen[-4]
        assert (children, files <= 0) == (1, True)


@pytest.mark.parametrize("mode", [0, 2])
def test_a_model_that_does_not_start_leaves_the_first_playing(two_models, delayed, play, mode):
    audio, descriptor = sine(2), two_models(700)
    broken = replace(descriptor.alternatives["second"], arguments=("/bin/false",))
    descriptor = replace(descriptor, alternatives={"second": broken})
    played = play(descriptor, audio, modes=[f"0:{mode}"], choices=[f"{SWITCH}:Model:1"])
    assert heard(played, audio, delayed, LATE + HOP, 0.5)[played.undisturbed()].all()
    assert statuses(played)[-1] == "Other model"
    assert "cannot change to the model second yet, because its process ended with exit code 1" in played.stderr
    assert mode == 0 or played.dry == []


def test_a_change_during_bypass(two_models, delayed, play):
    audio = sine(3)
    moves = ["10000:Bypass:1", "80000:Bypass:0"]
    played = play(two_models(700), audio, modes=["0:2"], moves=moves, choices=[f"{SWITCH}:Model:1"])
    assert heard(played, audio, delayed, 700 + HOP, 1)[40000:80000].all()
    assert heard(played, audio, delayed, 700 + HOP, -0.25)[-22050:].all()
    assert is_smooth(played.out, audio)


# --- which models there are


def save_own(folder, name, **card):
    path = folder / "stembridge" / "models" / f"{name}.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    return save_model(
        path, tiny_graph(STREAMING), CARD | {"name": name, "mode": "streaming", "synthesis_window": 512} | card
    )


def test_models_with_the_same_stems_can_be_chosen(stem_mix, tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    save_own(tmp_path, "turned", stems=["drums", "vocals", "bass", "other"])
    save_own(tmp_path, "speech", stems=["speech", "music", "noise", "rest"])
    save_own(tmp_path, "damaged").path.write_bytes(b"nothing")
    with pytest.raises(ModelError):
        load_model("damaged")
    descriptor = stem_mix("live")
    assert descriptor.model == "live"
    assert list(descriptor.alternatives) == ["mix", "studio", "turned"]
    _, studio, turned = descriptor.alternatives.values()
    assert studio.identity.startswith("model studio ")
    for model, name in ((descriptor, "live"), (studio, "studio"), (turned, "turned")):
        processor = StemProcessor(name, 48000)
        timing = processor.latency_samples, processor.hop_samples, processor.tail_samples
        assert model.latencies[48000.0] == timing
    assert stem_mix("speech").alternatives == {}


def test_stems_stay_in_their_outputs_whatever_the_models_order(stem_mix, noise, play, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    save_own(tmp_path, "turned", stems=["drums", "vocals", "bass", "other"])
    descriptor, audio = stem_mix("live"), noise(2, 30000)
    at = [descriptor.model, *descriptor.alternatives].index("turned") / len(descriptor.alternatives)
    moves = ["0:Drums mute:1"]
    played = play(descriptor, audio, realtime=0, outputs=5, block=500, moves=moves, choices=[f"0:Model:{at}"])
    main, *stems = played.out.reshape(5, 2, -1)
    expected = StemProcessor("turned", RATE).separate(audio)[[1, 0, 2, 3]]
    expected[1] = 0
    # The plugin has started by then, so it changes in mid-stream, and sounds like others after a window.
    np.testing.assert_allclose(main, sum(stems), rtol=0, atol=2e-6)
    for found, stem in zip(stems, expected, strict=True):
        np.testing.assert_allclose(found[:, 12000:], stem[:, 12000:], rtol=0, atol=1e-6)
    levels = {title for start, title, _ in played.shown if start >= 2000}
    assert "Vocals level" in levels
    assert "Drums level" not in levels


@pytest.mark.parametrize("model", ["live", "mix", "studio"])
def test_a_chosen_model_sounds_like_its_processor(stem_mix, noise, play, tmp_path, model):
    descriptor, audio, path = stem_mix("live"), noise(2, 30000), tmp_path / "state"
    path.write_text(f"state\t1\nmodel\t{model}\nvalue\tvocals_db\t-80\n")
    processor = StemProcessor(model, RATE, 2, {"vocals": -80})
    played = play(
        descriptor, np.pad(audio, [(0, 0), (0, processor.latency_samples)]), realtime=0, state=path, block=4096
    )
    assert played.latency == processor.latency_samples
    expected = processor.process(np.pad(audio, [(0, 0), (0, processor.latency_samples)]))
    np.testing.assert_allclose(played.out, expected, rtol=0, atol=1e-5)


def test_pedalboards_stem_mix_has_one_model_and_the_same_parameters():
    from stembridge import StemMix

    stems = "vocals", "drums", "bass", "other"
    kinds = "db", "mute", "solo"
    assert list(StemMix().parameters) == [*(f"{stem}_{kind}" for kind in kinds for stem in stems), "bypass"]
