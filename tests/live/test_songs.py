"""Songs play one after another, pause, jump and repeat, to the sample and without a click."""

import multiprocessing
import queue
import time
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from stembridge import StemProcessor
from stembridge.control import MidiControl
from stembridge.live import Live, LiveError
from stembridge.live.decoded_song import DecodedSong
from stembridge.live.shared_memory import SharedMemory
from stembridge.live.songs import SongPlayer

RATE, FADE, LATENCY = 44100, 882, 512


def tone(seconds, rate=RATE, hz=441.0, num_channels=2, level=0.5):
    """Make a sine, (channels, n)."""
    one = level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)
    return np.tile(one, (num_channels, 1)).astype(np.float32)


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a song: (name, audio, rate) -> its path."""

    def write(name, audio, rate=RATE):
        soundfile.write(tmp_path / name, audio.T, rate, "FLOAT")
        return tmp_path / name

    return write


@pytest.fixture
def make_player(tiny_live_model):
    """Return a function that makes a player of songs, in this process, with `ask(kind, value)` and `play(n, block)`."""
    players = []

    def make(*songs, meanwhile=lambda: None, **options):
        settings = Live(list(songs), "none", model=tiny_live_model, **options).settings
        meanwhile()
        memory = SharedMemory(multiprocessing.get_context("spawn"), 4)
        commands, said = queue.SimpleQueue(), []
        player = SongPlayer(settings, memory, LATENCY, commands, said.append)
        players.append(player)
        player.memory, player.said = memory, said
        player.ask = lambda kind, value=None: commands.put((kind, value))

        def play(n, block=256):
            blocks, deadline = [], time.monotonic() + 30
            while sum(one.shape[1] for one in blocks) < n:
                if (one := player.read(block)) is None:
                    assert time.monotonic() < deadline
                    time.sleep(0.001)
                else:
                    assert one.shape[1] == block
                    blocks.append(one)
            return np.concatenate(blocks, axis=1)[:, :n]

        player.play = play
        return player

    yield make
    for player in players:
        player.close()


def soft(audio):
    """Return the same audio, faded in at its start."""
    return audio * np.minimum(1, np.arange(audio.shape[1], dtype=np.float32) / FADE)


def roughness(audio):
    """Return the largest second difference: 0.0004 for a quiet sine, large for a click."""
    return np.abs(np.diff(audio, 2)).max()


SMOOTH = 1.5 * roughness(tone(1)) + 4 * 0.5 / FADE  # a sine that is as it is, and one that begins to fade


def test_songs_follow_one_another_and_start_over(make_player, write, noise):
    one, two = noise(2, 5000), noise(2, 3000)
    player = make_player(write("one.wav", one), write("two.wav", two))
    expected = np.concatenate([one, two, one, two], axis=1)
    assert np.array_equal(player.play(15000, 777), expected[:, :15000])
    assert player.said == []


def test_a_mono_song_and_one_of_another_rate_between_others(make_player, write):
    two = write("two.wav", tone(0.5, 48000, num_channels=1), 48000)
    player = make_player(write("one.wav", tone(0.5)), two, write("three.wav", tone(0.5)))
    sound = player.play(3 * 22050)
    assert np.abs(sound[0] - np.tile(tone(0.5), 3)[0]).max() < 0.01, "except at the ends of the resampled song"
    assert np.array_equal(sound[0], sound[1])


def test_a_song_that_cannot_be_played_is_reported_and_skipped(make_player, write, tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"no song")
    one, two = tone(0.1), tone(0.2)
    player = make_player(write("one.wav", one), tmp_path / "bad.wav", write("two.wav", two))
    assert np.array_equal(player.play(13230), np.concatenate([one, two], axis=1))
    assert len(player.said) == 1
    assert "bad.wav" in player.said[0]
    assert player.said[0].endswith("; the next song plays instead")


def test_it_is_an_error_if_no_song_can_be_played(make_player, write):
    paths = [write("one.wav", tone(0.5)), write("two.wav", tone(0.5))]
    player = make_player(*paths, meanwhile=lambda: [path.write_bytes(b"no song") for path in paths])
    with pytest.raises(ValueError, match=r"two\.wav"):
        player.play(256)
    assert ["one.wav" in line for line in player.said] == [True]


def test_a_pause_ends_softly_and_time_stands_still(make_player, write):
    audio = tone(2)
    player = make_player(write("song.wav", audio))
    before = player.play(10240)
    player.ask("pause", True)
    blocks = []
    while (block := player.read(256)) is not None:
        blocks.append(block)
    end = np.concatenate(blocks, axis=1)
    falling = audio[:, 10240 : 10240 + FADE] * (1 - np.arange(1, FADE + 1, dtype=np.float32) / FADE)
    assert np.allclose(end[:, :FADE], falling, atol=1e-6)
    assert not end[:, FADE:].any()
    assert FADE + LATENCY <= end.shape[1] < FADE + LATENCY + 256
    assert all(player.read(256) is None for _ in range(10))
    player.ask("pause", False)
    after = player.play(20000)
    rising = np.minimum(1, np.arange(1, 20001, dtype=np.float32) / FADE)
    assert np.allclose(after, audio[:, 10240:30240] * rising, atol=1e-6)
    assert roughness(np.concatenate([before, end, after], axis=1)) < SMOOTH


def test_a_jump_is_exact_and_has_no_click(make_player, write):
    audio = soft(tone(10, hz=100.5))
    player = make_player(write("song.wav", audio))
    sounds = [player.play(5120)]
    for kind, value, at in (("seek", 7.25, 319725), ("seek", 0.1, 4410), ("skip", 1, None), ("skip", -100, 0)):
        player.ask(kind, value)
        left = len(player._fifo) + FADE
        sounds.append(player.play(8192))
        if at is not None:
            rising = np.minimum(1, np.arange(1, 7001, dtype=np.float32) / FADE) if at else 1
            assert np.allclose(sounds[-1][:, left : left + 7000], audio[:, at : at + 7000] * rising, atol=1e-6)
    assert roughness(np.concatenate(sounds, axis=1)) < SMOOTH


def test_quick_jumps_have_no_click(make_player, write):
    player = make_player(write("song.wav", soft(tone(5))), write("other.wav", soft(tone(5, 48000, hz=300)), 48000))
    sounds = [player.play(5120)]
    for kind, value in (("seek", 2), ("seek", 1), ("pause", True), ("pause", False), ("skip", 0.5), ("step", 1)) * 3:
        player.ask(kind, value)
        sounds += [player.play(300, 100)]
    assert roughness(np.concatenate(sounds, axis=1)) < SMOOTH


def test_while_paused_a_jump_is_silent(make_player, write):
    audio = tone(3)
    player = make_player(write("song.wav", audio))
    player.ask("pause", True)
    player.ask("seek", 2)
    while player.read(256) is not None or player.memory.transport[1] == 0:
        pass
    assert player.memory.transport[1] == 2
    player.ask("pause", False)
    assert np.allclose(player.play(2000)[:, FADE:], audio[:, 88200 + FADE : 90200], atol=1e-6)


@pytest.mark.parametrize("rate", [RATE, 48000])
def test_a_loop_is_exact_and_has_no_click(make_player, write, rate):
    """A loop of 7 periods of a sine is seamless; one of 7.3 periods would click without a cross-fade."""
    hz = 7.3 / 0.25
    audio = tone(3, hz=hz)
    player = make_player(write("song.wav", audio), sample_rate=rate)
    player.ask("loop", (0.5, 0.75))
    sound = player.play(3 * rate)
    assert roughness(sound[:, rate // 10 :]) < SMOOTH
    length = rate // 4
    later = sound[:, 2 * length : 2 * length + 4 * length]
    assert np.allclose(later[:, length:], later[:, :-length], atol=2e-4), "each round is like the one before"
    if rate == RATE:
        start = 4 * length
        assert np.allclose(sound[:, start + FADE : start + length], audio[:, 22050 + FADE : 33075], atol=1e-6)


def test_a_loop_keeps_a_steady_level(make_player, write):
    steady = np.full((2, 40000), 0.5, np.float32)
    player = make_player(write("song.wav", steady))
    player.ask("loop", (0.2, 0.5))
    assert np.allclose(player.play(60000)[:, 2 * FADE :], 0.5, atol=1e-6)


def test_a_loop_ends_at_its_end_or_at_the_end_of_the_song(make_player, write):
    audio = tone(0.5)
    player = make_player(write("song.wav", audio), write("other.wav", 0 * audio))
    player.ask("loop", (0.25, 99))
    assert np.abs(player.play(5 * RATE)[:, -RATE:]).max() > 0.4, "the other song was never reached"
    player.ask("loop")
    player.play(RATE // 2)
    assert player.memory.transport[0] == 1


def test_the_position_is_reported(make_player, write):
    player = make_player(write("one.wav", tone(5)), write("two.wav", tone(4)))
    player.play(88200)
    song, position, length, start, end = player.memory.transport
    assert (song, length) == (0, 5)
    assert 2 - (LATENCY + 256) / RATE <= position <= 2, "the position of the sound that is heard"
    assert np.isnan([start, end]).all()
    player.ask("seek", 3.5)
    player.ask("loop", (3, 4))
    player.play(256)
    assert player.memory.transport.tolist() == [0, 3.5, 5, 3, 4]
    player.ask("step", 1)
    player.play(256)
    assert player.memory.transport[:2].tolist() == [1, 0]
    assert np.isnan(player.memory.transport[3])
    player.play(RATE)
    assert player.memory.transport[2] == 4
    player.ask("step", -1)
    player.play(RATE * 4)
    assert player.memory.transport[0] == 0, "the song before, as this one had just begun"
    player.ask("step", -1)
    player.play(256)
    assert player.memory.transport[:2].tolist() == [0, 0], "its own start, as it had played for more than 3 s"
    player.ask("step", -1)
    player.play(256)
    player.ask("song", 1)
    player.play(256)
    assert player.memory.transport[0] == 1


def test_decoded_audio_is_kept_for_two_more_songs_at_most(make_player, write):
    player = make_player(*(write(f"{k}.wav", tone(0.2)) for k in range(5)))
    for _ in range(5):
        player.play(8820)
        assert sum(song._file is not None for song in player._songs) <= 3
    files = [song._file for song in player._songs]
    player.close()
    assert all(file is None or file.closed for file in files)


def test_a_full_disk_is_reported(write, monkeypatch):
    song = DecodedSong(str(write("song.wav", tone(1))), None, 2, RATE)
    song.decode()

    def full(data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(song, "_file", SimpleNamespace(write=full, close=lambda: None))
    song.decode()
    assert song.complete
    assert "song.wav: the decoded sound does not fit into" in str(song.failure)
    assert "No space left on device; make room there" in str(song.failure)


# The whole process.


def wait_until(happened):
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_recording_leaves_out_pauses_and_moves_stay_where_they_are_heard(tiny_live_model, write, tmp_path):
    """While paused, time stops for the position, the recording and the recorded moves."""
    song, nobody = write("song.wav", soft(tone(20))), SimpleNamespace(callback=None)
    with (
        Live(song, tmp_path / "out.wav", model=tiny_live_model) as live,
        MidiControl(live, "general", nobody, position=lambda: live.position) as control,
    ):
        wait_until(lambda: live.position > 20000)
        live.transport.pause()
        live.transport.seek(10)
        wait_until(lambda: live.transport.position == 10)
        wait_until(lambda: live.mix_level[0] < -12)
        still = live.position
        control.load_preset(dict.fromkeys(live.stems, -80))
        wait_until(lambda: live.gains_db["other"] == -80)
        time.sleep(0.2)
        assert live.position == still
        live.transport.pause(False)
        wait_until(lambda: live.position > still + 20000)
        blocks, late = live.blocks, live.latency_samples
    sound = soundfile.read(tmp_path / "out.wav", dtype="float32")[0].T
    assert sound.shape == (2, live.position)
    assert still / 256 <= blocks
    assert {point.at for point in control.recording.automation().points if point.gain_db} == {still - late}
    assert not sound[:, still + FADE :].any(), "silence from there on, after a glide of 20 ms"
    assert not sound[:, still - 1].any(), "the sound before the pause has faded out"
    assert roughness(sound) < SMOOTH


def test_a_device_is_silent_in_a_pause(tiny_live_model, write):
    with Live(write("song.wav", tone(20)), None, model=tiny_live_model, driver="null") as live:
        wait_until(lambda: live.position > 4410)
        live.transport.pause()
        wait_until(lambda: live.mix_level[0] < -9)
        still = live.position
        time.sleep(0.2)
        assert live.position == still
        live.transport.pause(False)
        wait_until(lambda: live.position > still + 4410)


def test_the_sound_is_that_of_the_stem_processor(tiny_live_model, write, tmp_path, noise, delayed):
    one, two = noise(2, 30000), noise(2, 20000)
    songs = [write("one.wav", one), write("two.wav", two)]
    (tmp_path / "list.m3u").write_text("#EXTM3U\none.wav\ngone.wav\ntwo.wav\n")
    said = []
    with Live(
        tmp_path / "list.m3u", tmp_path / "out.wav", model=tiny_live_model, seconds=60000 / RATE, realtime=False,
        gains_db={"vocals": -80}, report=said.append,
    ) as live:  # fmt: skip
        assert live.wait(60)
    assert live.transport.songs == tuple(map(str, songs))
    assert said == [f"{tmp_path}/list.m3u, line 3: {tmp_path}/gone.wav: no such file"]
    processor = StemProcessor(tiny_live_model, RATE, gains_db={"vocals": -80})
    expected = processor.process(np.concatenate([one, two, one], axis=1)[:, :60000])
    sound = soundfile.read(tmp_path / "out.wav", dtype="float32")[0].T
    assert np.abs(sound - expected).max() <= 1e-6


def test_impossible_requests_are_refused(tiny_live_model, write, tmp_path):
    with Live("none", "none", model=tiny_live_model) as live:
        assert live.transport.songs == ()
        with pytest.raises(LiveError, match="only songs can be paused"):
            live.transport.pause()
    live = Live(write("song.wav", tone(1)), "none", model=tiny_live_model)
    with pytest.raises(LiveError, match="nothing plays before the start"):
        live.transport.pause()
    assert not live.transport.paused
    with live:
        for call, said in (
            (lambda: live.transport.seek(-1), "-1 seconds is not a time in a song"),
            (lambda: live.transport.seek(float("nan")), "nan seconds is not a time"),
            (lambda: live.transport.skip(float("inf")), "inf seconds cannot be skipped"),
            (lambda: live.transport.set_loop(2, 2.05), "a loop from 2 to 2.05 s is too short"),
            (lambda: live.transport.play(1), "song 1 does not exist; give 0 to 0"),
        ):
            with pytest.raises(ValueError, match=said):
                call()
    (tmp_path / "empty.m3u").write_text("# nothing\n")
    (tmp_path / "folder").mkdir()
    for songs, said in (
        ([tmp_path / "empty.m3u"], r"empty.m3u: no song to play; give audio files, or playlists"),
        (["gone.wav", "none"], "gone.wav: no such file"),
        (tmp_path / "folder", "folder: is a folder; name the songs in it"),
        ([], "no song to play"),
    ):
        with pytest.raises(LiveError, match=said):
            Live(songs, "none", model=tiny_live_model)
