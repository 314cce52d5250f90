"""When the playhead of the host jumps, the plugin starts again: no sound from before is heard after the jump."""

import numpy as np
import pytest
from stembridge import StemProcessor, remix

LATE = 100  # samples of latency of `half`
BLOCK = 256


def parts(played, at):
    return played.out[:, :at], played.out[:, at:]


@pytest.mark.parametrize("realtime", [0, 1])
@pytest.mark.parametrize(
    "playheads",
    [
        ["0:0", "12800:441000"],
        ["0:441000", "12800:0"],
        ["0:0", "12800:12900"],
        ["0:0", "12800:12700"],
        ["0:-1", "12800:0"],
        ["0:1000", "2560:-1", "12800:1000"],
        ["0:1000", "2560:-1", "12800:3560"],
    ],
    ids=["ahead", "back", "ahead a little", "back a little", "start", "start again", "go on after a stop"],
)
def test_after_a_jump_no_old_audio_comes_out(half, noise, delayed, play, playheads, realtime):
    audio, jump = noise(2, 25600), 12800
    played = play(half(), audio, block=BLOCK, realtime=realtime, playheads=playheads)
    latency = LATE + realtime * 256
    assert played.latency == latency
    before, after = parts(played, jump)
    there = played.undisturbed()[jump:]
    assert there.mean() > 0.5
    old = delayed(audio[:, :jump], latency)[:, 3000:]
    assert np.abs(before[:, 3000:]).max() > 0.2
    if not realtime:
        np.testing.assert_allclose(before[:, 3000:], 0.5 * old, rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        after[:, there], 0.5 * delayed(audio[:, jump:], latency)[:, there], rtol=0, atol=1e-6, err_msg="old audio"
    )
    assert not after[:, :latency].any()


@pytest.mark.parametrize(
    ("playheads", "cycle", "settled"),
    [
        ([], "0:0", 0),
        (["0:0"], "0:0", 0),
        (["0:5120"], "5120:7680", 0),
        (["0:5120"], "5000:7700", 0),
        ([f"{k}:{1000 + k - k % (3 * BLOCK)}" for k in range(0, 25600, BLOCK)], "0:0", 0),
        ([f"{k}:{1000 + 2 * k}" for k in range(0, 25600, BLOCK)], "0:0", 2 * BLOCK),
        ([f"{k}:{100000 - k // 2 - k % 2}" for k in range(0, 25600, BLOCK)], "0:0", 2 * BLOCK),
    ],
    ids=[
        "no transport",
        "playing",
        "loop",
        "loop that ends in a block",
        "parts of blocks",
        "twice as fast",
        "backwards",
    ],
)
def test_loops_and_changes_of_speed_are_not_jumps(half, noise, delayed, play, playheads, cycle, settled):
    """In a loop the host sends the start early, and expects the end that is still in the plugin.

    settled: From here on, because a change of speed begins like a jump.
    """
    audio = noise(2, 25600)
    played = play(half(), audio, block=BLOCK, realtime=0, playheads=playheads, cycle=cycle)
    expected = 0.5 * delayed(audio, LATE)
    np.testing.assert_allclose(played.out[:, settled:], expected[:, settled:], rtol=0, atol=1e-6)


def test_a_jump_in_a_loop_is_a_jump(half, noise, delayed, play):
    audio, jump = noise(2, 12800), 6400
    played = play(half(), audio, block=BLOCK, realtime=0, playheads=["0:0", f"{jump}:3000"], cycle="1000:20000")
    np.testing.assert_allclose(parts(played, jump)[1], 0.5 * delayed(audio[:, jump:], LATE), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("rate", "hop", "block"), [(44100, 256, 1000), (48000, 280, 1024)])
@pytest.mark.parametrize("realtime", [0, 1])
@pytest.mark.parametrize("preroll", [0, 999, 4000])
def test_an_export_sounds_as_a_render_of_the_song(
    tiny_live_model, noise, play, stem_mix, rate, hop, block, realtime, preroll
):
    """This holds however long the plugin ran before, and however much silence the host sends before the song."""
    song, stopped = noise(2, 30000), 3 * block
    silence = stopped + -(-preroll // block) * block + 77  # the song does not begin with a block
    audio = np.pad(song, [(0, 0), (silence, 0)])
    audio[:, : stopped // 2] = noise(2, stopped // 2)
    processor = StemProcessor(tiny_live_model, rate, 2, {"vocals": -80})
    assert processor.hop_samples == hop
    latency = processor.latency_samples + realtime * hop
    played = play(
        stem_mix(tiny_live_model),
        audio,
        rate=rate,
        block=block,
        realtime=realtime,
        moves=["0:Vocals:0"],
        modes=["0:2"],
        playheads=["0:-1", f"{stopped}:{stopped - silence - latency}"],
    )
    assert played.latency == latency
    expected = processor.process(np.pad(song, [(0, 0), (0, latency)]))[:, processor.latency_samples :]
    start = silence + latency
    np.testing.assert_allclose(played.out[:, start:], expected[:, : 30000 - latency], rtol=0, atol=1e-6)
    assert np.abs(played.out[:, stopped + latency : start]).max() < 1e-6
    assert np.abs(expected).max() > 0.1


@pytest.mark.parametrize(
    ("rate", "block", "seconds"), [(44100, 256, 0.5), (44100, 4096, 10), (48000, 1000, 1.7), (96000, 1024, 0.5)]
)
@pytest.mark.parametrize("realtime", [0, 1])
def test_an_export_of_a_song_that_begins_in_silence_equals_its_remix(
    noise, play, stem_mix, rate, block, seconds, realtime
):
    """This holds for digital silence of any length, whatever blocks the host sends."""
    song = np.pad(noise(2, rate // 2), [(0, 0), (int(seconds * rate) + 13, 0)])
    expected = remix(song, rate, {"vocals": -80}, "live")
    preroll = 3 * block
    processor = StemProcessor("live", rate)
    latency = processor.latency_samples + realtime * processor.hop_samples
    played = play(
        stem_mix("live"),
        np.pad(song, [(0, 0), (preroll, latency)]),
        rate=rate,
        block=block,
        realtime=realtime,
        moves=["0:Vocals:0"],
        modes=["0:2"],
        playheads=[f"0:{-preroll - latency}"],
    )
    assert (played.latency, played.dry) == (latency, [])
    difference = played.out[:, preroll + latency :] - expected
    assert 10 * np.log10(np.mean(difference**2) / np.mean(expected**2)) < -90
