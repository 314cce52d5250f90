"""Writing: files read back as they were written, and audio that cannot be written is refused."""

import errno
import wave

import mutagen
import numpy as np
import pytest
import soundfile as sf
import stembridge.audio.wav
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutagen.aiff import AIFF
from mutagen.flac import FLAC
from mutagen.mp3 import MP3
from mutagen.mp4 import MP4
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis
from mutagen.wave import WAVE
from stembridge.audio import AudioError, create_audio, open_audio, read_audio
from stembridge.audio.containers import CONTAINERS

INTEGERS = [(suffix, bits) for suffix in (".wav", ".flac", ".aiff") for bits in ("int16", "int24")]
SUFFIXES = (".wav", ".flac", ".aiff", ".mp3", ".ogg", ".opus", ".m4a")
LOSSY = (".mp3", ".ogg", ".opus", ".m4a")


def _write(path, audio, sample_rate=44100, sample_format=None, size=10000, **more):
    with create_audio(path, sample_rate, len(audio), sample_format, **more) as writer:
        for start in range(0, audio.shape[1], size):
            writer.write(audio[:, start : start + size])
    return path


@pytest.mark.parametrize("num_channels", [1, 2, 6])
@pytest.mark.parametrize("sample_rate", [8000, 44100, 192000])
@pytest.mark.parametrize(("suffix", "sample_format"), INTEGERS)
def test_integers_come_back_bit_for_bit(suffix, sample_format, sample_rate, num_channels, tmp_path):
    bits = int(sample_format[3:])
    full = 2 ** (bits - 1)
    steps = np.arange(-full, full, max(1, full >> 15)).astype(np.int32)
    steps = np.stack([np.roll(steps, channel) for channel in range(num_channels)])
    path = _write(tmp_path / f"x{suffix}", (steps / full).astype(np.float32), sample_rate, sample_format)
    decoded, rate = read_audio(path)
    assert rate == sample_rate
    np.testing.assert_array_equal(np.rint(decoded * full).astype(np.int32), steps)
    by_others = sf.read(path, dtype="int32", always_2d=True)[0].T >> (32 - bits)
    np.testing.assert_array_equal(by_others, steps)
    with open_audio(path) as reader:
        assert reader.sample_format == sample_format
        assert reader.num_frames == steps.shape[1]


@pytest.mark.parametrize(("suffix", "sample_format"), INTEGERS)
def test_integers_round_to_nearest_and_clip(suffix, sample_format, tmp_path):
    full = 2 ** (int(sample_format[3:]) - 1)
    steps = np.array([0.4, 0.6, -0.4, -0.6, 1000.7, -1000.7, full, 3 * full, -full, -3 * full, np.inf, -np.inf, np.nan])
    path = _write(tmp_path / f"x{suffix}", (steps / full)[None].astype(np.float32), sample_format=sample_format)
    decoded = np.rint(read_audio(path)[0][0] * full).astype(int)
    assert list(decoded) == [0, 1, 0, -1, 1001, -1001, full - 1, full - 1, -full, -full, full - 1, -full, 0]


@pytest.mark.parametrize("suffix", [".wav", ".aiff", ".aif"])
def test_floats_keep_every_bit(suffix, tmp_path, noise):
    audio = noise(50003) * 20
    path = _write(tmp_path / f"x{suffix}", audio, sample_format="float32")
    np.testing.assert_array_equal(read_audio(path)[0], audio)
    np.testing.assert_array_equal(sf.read(path, dtype="float32")[0].T, audio)


@pytest.mark.parametrize("sample_rate", [8000, 44100, 96000, 192000])
@pytest.mark.parametrize("num_channels", [1, 2])
@pytest.mark.parametrize("sample_format", ["int16", "int24"])
def test_an_m4a_of_integers_is_alac_and_keeps_every_bit(sample_format, num_channels, sample_rate, tmp_path):
    full = 2 ** (int(sample_format[3:]) - 1)
    steps = np.random.default_rng(0).integers(-full, full, (num_channels, 10007))
    path = _write(tmp_path / "x.m4a", (steps / full).astype(np.float32), sample_rate, sample_format)
    with open_audio(path) as reader:
        decoded = np.concatenate(list(reader.blocks()), axis=1)
        assert (reader.codec, reader.sample_format, reader.sample_rate) == ("alac", sample_format, sample_rate)
    np.testing.assert_array_equal(np.rint(decoded * full), steps)


@pytest.mark.parametrize("num_frames", [100, 700, 10000, 50003])
@pytest.mark.parametrize(("sample_rate", "num_channels"), [(8000, 1), (22050, 2), (44100, 1), (44100, 2), (48000, 2)])
@pytest.mark.parametrize("suffix", LOSSY)
def test_lossy_files_come_back_as_long_and_on_time(
    suffix, sample_rate, num_channels, num_frames, tmp_path, noise, offset
):
    sample_rate = 48000 if suffix == ".opus" else sample_rate
    audio = noise(num_frames, num_channels)
    decoded, rate = read_audio(_write(tmp_path / f"x{suffix}", audio, sample_rate))
    assert rate == sample_rate
    assert decoded.shape == audio.shape
    if num_frames >= 700:
        assert offset(audio, decoded) == 0
        error = decoded - audio
        assert 10 * np.log10(np.sum(audio**2) / np.sum(error**2)) > 12


@pytest.mark.parametrize(
    ("suffix", "sample_rate", "rate_in_file"),
    [(".opus", 44100, 48000), (".opus", 8000, 48000), (".mp3", 96000, 48000), (".mp3", 88200, 44100),
     (".m4a", 192000, 48000), (".m4a", 37800, 44100)],
)  # fmt: skip
@pytest.mark.parametrize("num_channels", [1, 2])
def test_a_rate_that_a_lossy_file_cannot_have_is_resampled(
    suffix, sample_rate, rate_in_file, num_channels, tmp_path, offset
):
    num_frames = 30011

    def sweep(length, rate):
        times = np.arange(length) / length
        return np.hanning(length) * np.sin(2 * np.pi * (200 + 900 * times) * times * length / rate)

    tone = sweep(num_frames, sample_rate)
    with create_audio(tmp_path / f"x{suffix}", sample_rate, num_channels) as writer:
        for block in np.split(np.stack([tone, -tone])[:num_channels], [1, 7, 20000], axis=1):
            writer.write(block)
    assert writer.note == f"{suffix} cannot hold sound at {sample_rate} Hz; it was resampled to {rate_in_file} Hz"
    decoded, rate = read_audio(tmp_path / f"x{suffix}")
    assert rate == rate_in_file
    assert decoded.shape == (num_channels, round(num_frames * rate_in_file / sample_rate))
    wanted = sweep(decoded.shape[1], rate_in_file)
    assert offset(wanted[None], decoded) == 0
    assert np.sum((decoded[0] - wanted) ** 2) < 0.03 * np.sum(wanted**2)


@pytest.mark.parametrize("suffix", LOSSY)
def test_a_file_says_that_it_was_not_resampled(suffix, tmp_path):
    with create_audio(tmp_path / f"x{suffix}", 48000, 2) as writer:
        assert writer.note is None


@pytest.mark.parametrize("num_channels", [1, 2])
@pytest.mark.parametrize("suffix", LOSSY)
def test_a_bitrate_is_kept(suffix, num_channels, tmp_path, noise):
    audio = noise(480000, num_channels)
    for bitrate in (64, 100, 160):
        path = _write(tmp_path / f"x{suffix}", audio, 48000, bitrate=bitrate)
        assert 0.7 * bitrate < path.stat().st_size * 8 / 10 / 1000 < 1.2 * bitrate
        assert read_audio(path)[0].shape == audio.shape


@pytest.mark.parametrize("bitrate", [32, 40, 320])
def test_an_mp3_of_any_bitrate_says_how_long_it_is(bitrate, tmp_path, noise):
    assert read_audio(_write(tmp_path / "x.mp3", noise(50003), bitrate=bitrate))[0].shape == (2, 50003)


@pytest.mark.parametrize("suffix", LOSSY)
def test_a_better_quality_takes_more_space_and_has_less_error(suffix, tmp_path, noise):
    audio = noise(96000)
    sizes, errors = [], []
    for quality in (0, 3.5, 7, 10):
        path = _write(tmp_path / f"x{suffix}", audio, 48000, quality=quality)
        sizes.append(path.stat().st_size)
        errors.append(np.sum((read_audio(path)[0] - audio) ** 2))
    assert sizes == sorted(set(sizes))
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize(
    ("suffix", "arguments", "words"),
    [
        (".wav", {"bitrate": 192}, ".wav keeps every sample and has no bitrate to choose; leave it out"),
        (".flac", {"quality": 5}, "has no encoding quality to choose"),
        (".m4a", {"quality": 5, "sample_format": "int16"}, "has no encoding quality to choose"),
        (".mp3", {"quality": 11}, "encoding quality 11 does not work; give 0 (smallest) to 10 (best)"),
        (".mp3", {"quality": float("nan")}, "encoding quality nan does not work"),
        (".mp3", {"quality": 5, "bitrate": 192}, "choose one of them"),
        (".mp3", {"bitrate": 0}, "bitrate 0 does not work; give kbit/s, such as 192"),
        (".mp3", {"bitrate": float("inf")}, "inf kbit/s does not work for this sound; choose a bitrate from 32 to 320"),
        (".mp3", {"bitrate": "192"}, "bitrate '192' does not work; give a number"),
        (".mp3", {"bitrate": 192, "sample_rate": 22050}, "choose a bitrate from 8 to 160 kbit/s"),
        (".ogg", {"bitrate": 10}, "choose a bitrate from 64 to 500 kbit/s"),
        (
            ".ogg",
            {"bitrate": 192, "sample_rate": 96000},
            ".ogg has no bitrates at 96000 Hz; choose an encoding quality",
        ),
        (".opus", {"bitrate": 600}, "choose a bitrate from 12 to 510 kbit/s"),
        (".m4a", {"bitrate": 600}, "choose a bitrate from 16 to 529 kbit/s"),
    ],
)
def test_an_impossible_bitrate_or_quality_is_refused_at_once(suffix, arguments, words, tmp_path):
    path = tmp_path / f"x{suffix}"
    with pytest.raises(AudioError) as caught:
        create_audio(path, **{"sample_rate": 44100, "num_channels": 2} | arguments)
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)
    assert not path.exists()


def test_an_aiff_that_would_pass_4_gib_is_refused(tmp_path, monkeypatch):
    small = CONTAINERS[".aiff"]._replace(max_bytes=40000)  # stands for 4 GiB
    monkeypatch.setitem(CONTAINERS, ".aiff", small)
    with create_audio(tmp_path / "x.aiff", 44100, 2) as writer:
        writer.write(np.zeros((2, 10000)))
        with pytest.raises(AudioError, match=r"x.aiff: .aiff files can hold at most 4 GiB; use .wav or .flac"):
            writer.write(np.zeros((2, 1)))


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 40000), max_size=5), suffix=st.sampled_from(SUFFIXES))
def test_how_the_audio_is_cut_into_blocks_changes_nothing(cuts, suffix, tmp_path, noise):
    audio = noise(40000)
    whole, _ = read_audio(_write(tmp_path / f"whole{suffix}", audio))
    with create_audio(tmp_path / f"cut{suffix}", 44100, 2) as writer:
        for block in np.split(audio, sorted(cuts), axis=1):
            writer.write(block)
    np.testing.assert_allclose(read_audio(tmp_path / f"cut{suffix}")[0], whole, atol=2e-2 if suffix == ".ogg" else 0)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_millions_of_samples_in_one_call(suffix, tmp_path):
    path = _write(tmp_path / f"x{suffix}", np.zeros((1, 3_000_000), np.float32), size=3_000_000)
    with open_audio(path) as reader:
        num_frames = 3_000_000 * reader.sample_rate // 44100
        assert sum(block.shape[1] for block in reader.blocks()) == num_frames


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_suffix_may_be_given_apart_from_the_path(suffix, tmp_path, noise):
    path = tmp_path / ".song.part"
    with create_audio(path, 44100, 2, suffix=suffix.upper()) as writer:
        writer.write(noise(5000))
    assert [entry.name for entry in tmp_path.iterdir()] == [".song.part"]
    kinds = {".wav": WAVE, ".flac": FLAC, ".aiff": AIFF, ".mp3": MP3, ".ogg": OggVorbis, ".opus": OggOpus, ".m4a": MP4}
    assert isinstance(mutagen.File(path), kinds[suffix])
    assert read_audio(path)[0].shape == (2, 5442 if suffix == ".opus" else 5000)


@pytest.mark.parametrize("num_channels", [1, 2])
@pytest.mark.parametrize("sample_format", ["int16", "int24"])
def test_a_wav_is_plain_enough_for_the_standard_library(sample_format, num_channels, tmp_path, noise):
    path = _write(tmp_path / "x.wav", noise(1001, num_channels), 48000, sample_format)  # 1001 * 3: an odd size
    with wave.open(str(path)) as file:
        assert file.getparams()[:4] == (num_channels, int(sample_format[3:]) // 8, 48000, 1001)
    assert path.stat().st_size % 2 == 0


@pytest.mark.parametrize("sample_format", ["int16", "int24", "float32"])
def test_a_wav_that_outgrows_its_header_becomes_rf64(sample_format, tmp_path, noise, monkeypatch):
    monkeypatch.setattr(stembridge.audio.wav, "_MAX_RIFF_BYTES", 20000)  # stands for 4 GiB
    audio = noise(10001, 1)
    path = _write(tmp_path / "x.wav", audio, sample_format=sample_format)
    data = path.read_bytes()
    assert data[:4] == b"RF64"
    sizes = data.index(b"data") + 4
    path.write_bytes(data[:4] + b"\xff" * 4 + data[8:sizes] + b"\xff" * 4 + data[sizes + 4 :])
    assert sf.info(path).frames == 10001
    with open_audio(path) as reader:
        decoded = np.concatenate(list(reader.blocks()), axis=1)
        assert reader.warning is None
    np.testing.assert_allclose(decoded, audio, atol=2**-16)


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("x.aac", (44100, 2), "cannot write .aac; use .wav, .flac, .aiff, .mp3, .ogg, .opus, .m4a"),
        ("x", (44100, 2), "a file without suffix; use .wav, .flac, .aiff, .mp3, .ogg, .opus, .m4a"),
        ("x.mp3", (0, 2), "sample rate of 0 Hz (8, 11.025, 12"),
        ("x.opus", (44100, 3), "3 channels"),
        ("x.m4a", (44100, 6), "6 channels"),
        ("x.m4a", (44100, 2, "float32"), ".m4a cannot hold float32 samples; use int16 or int24"),
        ("x.aiff", (44100, 2, "int12"), "cannot hold int12 samples"),
        ("x.mp3", (44100, 3), "3 channels"),
        ("x.ogg", (384000, 2), "384000 Hz"),
        ("x.flac", (700000, 2), "700000 Hz"),
        ("x.flac", (44100, 9), "9 channels"),
        ("x.flac", (44100, 2, "float32"), "cannot hold float32 samples; use int16 or int24"),
        ("x.wav", (44100, 2, "int12"), "cannot hold int12 samples"),
        ("x.wav", (0, 2), "0 Hz"),
        ("x.wav", (44100, 0), "0 channels"),
    ],
)
def test_audio_that_a_container_cannot_hold_is_refused_at_once(name, arguments, words, tmp_path):
    with pytest.raises(AudioError) as caught:
        create_audio(tmp_path / name, *arguments)
    assert words in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)
    assert "use" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / name).exists()


def test_a_missing_folder_is_an_error_of_the_disk(tmp_path):
    with pytest.raises(FileNotFoundError):
        create_audio(tmp_path / "missing" / "x.wav", 44100, 2)


@pytest.mark.parametrize("shape", [(1, 100), (3, 100), (100,), (100, 2)])
def test_a_block_of_another_shape_is_refused(shape, tmp_path):
    with create_audio(tmp_path / "x.wav", 44100, 2) as writer, pytest.raises(ValueError, match="shape"):
        writer.write(np.zeros(shape, np.float32))


FULL = """
import resource, sys
import numpy as np
from stembridge.audio import create_audio
suffix, limit, path, num_blocks = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
block = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 4096))
try:
    with create_audio(path, 44100, 2, suffix=suffix) as writer:
        for _ in range(num_blocks):
            writer.write(block)
except OSError as error:
    print(error.errno, error)
"""


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("part", [0.0, 0.0001, 0.3, 0.9, 0.999])  # fails at once ... as the file is closed
def test_a_full_disk_is_an_error_and_never_silent(suffix, part, tmp_path, run_python):
    block = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 4096))
    whole = _write(tmp_path / f"whole{suffix}", np.concatenate([block] * 3, axis=1), size=4096)
    limit = int(whole.stat().st_size * part)
    done = run_python(FULL, suffix, limit, tmp_path / "x", 3)
    assert done.stderr == ""
    assert done.stdout == f"{errno.EFBIG} [Errno {errno.EFBIG}] File too large: '{tmp_path / 'x'}'\n"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_space_left_on_the_device(suffix, noise, capfd):
    def render():
        with create_audio("/dev/full", 44100, 2, suffix=suffix) as writer:
            writer.write(noise(100000))

    with pytest.raises(OSError, match="No space left on device: '/dev/full'") as caught:
        render()
    assert caught.value.errno == errno.ENOSPC
    assert capfd.readouterr() == ("", "")


def test_an_error_while_rendering_is_not_hidden_by_the_disk(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    def render():
        with create_audio(tmp_path / "x.wav", 44100, 2) as writer:
            monkeypatch.setattr(type(writer), "close", fail)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        render()


INTERRUPTED = """
import signal, sys
import numpy as np
from stembridge.audio import create_audio

def interrupt(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGALRM, interrupt)
block = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 65536))
for attempt in range(30):
    try:
        with create_audio(sys.argv[2], 44100, 2, suffix=sys.argv[1]) as writer:
            signal.setitimer(signal.ITIMER_REAL, 0.005 + 0.0007 * attempt)
            while True:
                writer.write(block)
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.mark.parametrize("suffix", [".flac", ".wav", ".m4a", ".opus"])
def test_ctrl_c_while_writing_is_never_lost(suffix, tmp_path, run_python):
    done = run_python(INTERRUPTED, suffix, tmp_path / "x")
    assert done.stderr == ""
    assert done.stdout.split() == ["interrupted"] * 30


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_closing_twice_is_harmless_and_no_samples_make_a_file_too(suffix, tmp_path):
    writer = create_audio(tmp_path / f"x{suffix}", 44100, 2)
    writer.close()
    writer.close()
    assert (tmp_path / f"x{suffix}").exists()


def test_a_very_short_mp3_that_ffmpeg_does_not_recognise_can_be_read_back(tmp_path):
    noise = np.random.default_rng(400).standard_normal((1, 1800)) * 0.5  # only few sounds give such a file
    with create_audio(tmp_path / "short.mp3", 44100, 1, quality=0) as writer:
        writer.write(noise.astype(np.float32))
    audio, _ = read_audio(tmp_path / "short.mp3")
    assert audio.shape == noise.shape
