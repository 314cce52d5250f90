"""Reading: which files decode, how long they are, where they start, and messages about damaged files."""

import os
import re
import shutil
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf
from av.stream import Disposition
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutagen.id3 import APIC, ID3, TIT2
from mutagen.mp4 import MP4
from stembridge.audio import AudioError, open_audio, read_audio
from stembridge.audio.ogg import Pages

LOSSLESS = {
    "wav-u8": ("int16", 8),
    "wav-16": ("int16", 16),
    "wav-24": ("int24", 24),
    "wav-32": ("float32", 32),
    "wav-float": ("float32", 32),
    "wav-double": ("float32", 32),
    "wav-64": ("float32", 32),
    "wav-rf64": ("int16", 16),
    "aiff-16": ("int16", 16),
    "aiff-24": ("int24", 24),
    "flac-16": ("int16", 16),
    "flac-24": ("int24", 24),
    "flac-ffmpeg": ("int16", 16),
    "ogg-flac": ("int16", 16),
    "alac": ("int16", 16),
}
MARKED = ("mp3-lame", "mp3-vbr", "vorbis", "opus", "opus-sndfile", "aac")  # lossy, with the padding in their headers


@pytest.mark.parametrize("num_channels", [1, 2, 6])
@pytest.mark.parametrize("sample_rate", [8000, 44100, 96000])
@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_files_are_read_exactly(kind, sample_rate, num_channels, make, noise):
    sample_format, bits = LOSSLESS[kind]
    step = 2.0 ** -(min(bits, 24) - 1)
    audio = (np.rint(noise(10007, num_channels) / step) * step).astype(np.float32)
    with open_audio(make(kind, audio, sample_rate)) as reader:
        assert (reader.sample_rate, reader.num_channels, reader.num_frames) == (sample_rate, num_channels, 10007)
        assert reader.sample_format == sample_format
        decoded = np.concatenate(list(reader.blocks()), axis=1)
        assert reader.warning is None
    assert decoded.dtype == np.float32
    np.testing.assert_array_equal(decoded, audio)


@pytest.mark.parametrize("num_frames", [1000, 10000, 50003])
@pytest.mark.parametrize(("sample_rate", "num_channels"), [(8000, 1), (44100, 2), (48000, 1), (48000, 2)])
@pytest.mark.parametrize("kind", MARKED)
def test_lossy_files_with_padding_in_their_headers_are_exact(
    kind, sample_rate, num_channels, num_frames, make, noise, offset
):
    if "opus" in kind and sample_rate == 44100:
        sample_rate = 24000
    if kind == "aac" and sample_rate == 8000:
        sample_rate = 22050
    audio = noise(num_frames, num_channels)
    more = {"bit_rate": 24000} if kind == "mp3-lame" and sample_rate == 8000 else {}
    with open_audio(make(kind, audio, sample_rate, **more)) as reader:
        assert (reader.sample_rate, reader.num_channels, reader.num_frames) == (sample_rate, num_channels, num_frames)
        assert reader.sample_format == "lossy"
        decoded = np.concatenate(list(reader.blocks(4096)), axis=1)
        assert reader.warning is None
    assert decoded.shape == audio.shape
    assert offset(audio, decoded) == 0
    assert np.corrcoef(audio[0], decoded[0])[0, 1] > 0.9


@pytest.mark.parametrize("kind", ["mp3-bare", "aac-unedited", "aac-bare"])
def test_lossy_files_without_padding_in_their_headers_are_read_whole(kind, make, noise, offset):
    audio = noise(50003)
    path = make(kind, audio)
    with open_audio(path) as reader:
        decoded = np.concatenate(list(reader.blocks()), axis=1)
        assert reader.warning is None
    late = offset(audio, decoded)
    assert 0 <= late <= 2112
    assert np.corrcoef(audio[0], decoded[0, late : late + 50003])[0, 1] > 0.9


def test_itunes_gapless_tag_is_obeyed(make, noise, offset):
    audio = noise(50003)
    path = make("aac-unedited", audio)
    tags = MP4(path)
    tags["----:com.apple.iTunes:iTunSMPB"] = [f" 00000000 {1024:08X} {173:08X} {50003:016X} 00000000".encode()]
    tags.save()
    # Declare the last packet whole, as iTunes does. FFmpeg, which wrote the file, declares how much of it is sound.
    data = path.read_bytes()
    length, last = struct.pack(">II", 44100, 1024 + 50003), struct.pack(">III", 1024, 1, 1024 - 173)
    assert length in data
    assert data.count(last) == 1
    data = data.replace(length, struct.pack(">II", 44100, 50 * 1024)).replace(last, struct.pack(">III", 1024, 1, 1024))
    path.write_bytes(data)
    with open_audio(path) as reader:
        decoded = np.concatenate(list(reader.blocks()), axis=1)
    assert decoded.shape == audio.shape
    assert offset(audio, decoded) == 0


def test_an_edit_list_on_a_fine_clock_is_obeyed(make, noise):
    path = make("aac", noise(50003))
    data = bytearray(path.read_bytes())
    clock, edit = data.index(b"mvhd") + 16, data.index(b"elst") + 12
    data[clock : clock + 4] = struct.pack(">I", 44100)
    data[edit : edit + 4] = struct.pack(">I", 49980)  # a few samples less than the coded audio
    path.write_bytes(data)
    assert read_audio(path)[0].shape == (2, 49980)


@pytest.mark.parametrize("suffix", [".wav", ".mp3", ".txt", ".raw", ""])
@pytest.mark.parametrize("kind", ["wav-16", "flac-16", "mp3-vbr", "vorbis", "opus", "aac", "aiff-24"])
def test_the_content_decides_not_the_suffix(kind, suffix, make, noise, tmp_path):
    path = make(kind, noise(48000), 48000)
    named = shutil.move(path, tmp_path / f"ré:%d #1{suffix}")
    assert read_audio(named)[0].shape == (2, 48000)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(size=st.integers(1, 70000), kind=st.sampled_from(["wav-16", "flac-16", "mp3-vbr", "vorbis", "aac"]))
def test_the_block_size_changes_nothing(size, kind, make, noise):
    path = make(kind, noise(5000))
    whole, _ = read_audio(path)
    with open_audio(path) as reader:
        blocks = list(reader.blocks(size))
    assert all(block.shape[1] == size for block in blocks[:-1])
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), whole)


def test_blocks_are_read_once(make, noise):
    with open_audio(make("flac-16", noise(1000))) as reader:
        list(reader.blocks())
        with pytest.raises(ValueError, match="has been read already; open it again"):
            next(reader.blocks())


@pytest.mark.parametrize("kind", ["mp3-lame", "mp3-vbr", "aac", "flac-16"])
def test_files_with_cover_art_are_read(kind, make, noise):
    from mutagen.flac import FLAC, Picture
    from mutagen.mp4 import MP4Cover

    audio = noise(30000)
    path = make(kind, audio)
    image = b"\x89PNG\r\n\x1a\n" + np.random.default_rng(1).bytes(300_000)
    if kind == "aac":
        tags = MP4(path)
        tags["covr"] = [MP4Cover(image, MP4Cover.FORMAT_PNG)]
        tags.save()
    elif kind == "flac-16":
        tags = FLAC(path)
        picture = Picture()
        picture.data, picture.mime = image, "image/png"
        tags.add_picture(picture)
        tags.save()
    else:
        tags = ID3()
        tags.add(TIT2(encoding=3, text="A title"))
        tags.add(APIC(encoding=3, mime="image/png", type=3, desc="", data=image))
        tags.save(path)
    with open_audio(path) as reader:
        assert sum(block.shape[1] for block in reader.blocks()) == 30000
        assert reader.warning is None


CUT = (
    "wav-16",
    "wav-24",
    "wav-float",
    "wav-rf64",
    "aiff-16",
    "flac-16",
    "alac",
    "mp3-lame",
    "mp3-vbr",
    "vorbis",
    "opus",
)


@pytest.mark.parametrize("missing", [1, 3])
def test_a_part_of_the_last_frame_that_is_missing_counts_as_cut_short(tmp_path, noise, missing):
    path = tmp_path / "song.wav"
    sf.write(path, noise(1000).T, 44100, "PCM_16")
    path.write_bytes(path.read_bytes()[:-missing])
    with open_audio(path) as reader:
        assert sum(block.shape[1] for block in reader.blocks()) == 999
    assert "cut short" in (reader.warning or "")


@pytest.mark.parametrize("kind", [*CUT, "aac"])
def test_the_readable_part_of_a_truncated_file_is_decoded(kind, make, noise, cut, offset, capfd):
    audio = noise(200000)
    path = cut(make(kind, audio, 48000), 0.6)
    with open_audio(path) as reader:
        decoded = np.concatenate(list(reader.blocks()), axis=1)
    assert 80000 < decoded.shape[1] < 140000
    assert offset(audio[:, :80000], decoded) == 0
    assert reader.warning is not None
    assert str(path) in reader.warning
    assert "cut short" in reader.warning
    assert "\n" not in reader.warning
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("extra", [3, 10, 26, 27, 40, 300])
def test_an_ogg_file_may_end_anywhere_in_a_page(extra, make, noise):
    path = make("vorbis", noise(200000))
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"OggS", 0, len(data) * 2 // 3) + extra])
    with open_audio(path) as reader:
        assert 50000 < sum(block.shape[1] for block in reader.blocks()) < 150000
    assert reader.warning is not None


@pytest.mark.parametrize("kind", ["flac-16", "aac"])
def test_audio_after_damage_stays_on_time(kind, make, noise, offset, capfd):
    audio = noise(200000)
    path = make(kind, audio)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = bytes(octet ^ 0x5A for octet in data[middle : middle + 600])
    path.write_bytes(data)
    with open_audio(path) as reader:
        decoded = np.concatenate(list(reader.blocks()), axis=1)
    assert decoded.shape == audio.shape
    assert offset(audio[:, 150000:], decoded[:, 150000:]) == 0
    assert reader.warning is not None
    assert "damaged" in reader.warning
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0xFFFFFFFF])
def test_a_streamed_wav_without_a_length_is_read_whole(size, make, noise):
    path = make("wav-16", noise(30000))
    data = bytearray(path.read_bytes())
    data[4:8] = struct.pack("<I", size)
    data[40:44] = struct.pack("<I", size)
    path.write_bytes(data)
    with open_audio(path) as reader:
        assert sum(block.shape[1] for block in reader.blocks()) == 30000
        assert reader.warning is None


def test_several_ogg_streams_in_a_row_are_all_read(make, noise):
    path = make("vorbis", noise(100000))
    path.write_bytes(path.read_bytes() + make("vorbis", noise(50000)).read_bytes())
    with open_audio(path) as reader:
        assert sum(block.shape[1] for block in reader.blocks()) == pytest.approx(150000, abs=1024)


def _missing(path: Path) -> Path:
    return path.with_name("missing.mp3")


def _folder(path: Path) -> Path:
    return path.parent


def _device(path: Path) -> Path:
    return Path("/dev/zero")


def _empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def _text(path: Path) -> Path:
    path.write_text("RIFFs and solos\n" * 100)
    return path


def _playlist(path: Path) -> Path:
    path.write_text("#EXTM3U\n#EXTINF:10,\n/etc/hostname\n")
    return path


def _bytes(path: Path) -> Path:
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    return path


def _no_samples(path: Path) -> Path:
    sf.write(path, np.zeros((0, 2)), 44100, format="WAV")
    return path


def _no_flac_samples(path: Path) -> Path:
    sf.write(path, np.zeros((10, 2)), 44100, format="FLAC")
    header = bytearray(path.read_bytes()[:42])
    header[4] |= 0x80  # the last block of metadata
    path.write_bytes(header)
    return path


def _silent_film(path: Path) -> Path:
    import av

    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (_missing, "No such file"),
        (_folder, "is a folder"),
        (_device, "not a regular file"),
        (_empty, "is empty"),
        (_text, "not an audio file"),
        (_playlist, "not an audio file"),
        (_bytes, "not an audio file"),
        (_no_samples, "has no audio"),
        (_no_flac_samples, "no audio that can be decoded"),
        (_silent_film, "no sound"),
    ],
)
def test_bad_input_gets_one_clear_line(bad, words, tmp_path, capfd):
    path = bad(tmp_path / "song.wav")
    with pytest.raises(AudioError) as caught:
        open_audio(path)
    message = str(caught.value)
    assert re.match(rf"{re.escape(str(path))}:? ", message)
    assert words in message
    assert ";" in message  # and a remedy
    assert "\n" not in message
    assert capfd.readouterr() == ("", "")


def test_a_file_without_permission_gets_one_clear_line(make, noise, tmp_path, run_python):
    path = make("wav-16", noise(100))
    path.chmod(0)
    code = """
import os, sys
import stembridge.audio.sndfile
from stembridge.audio import open_audio
os.chdir(os.path.dirname(sys.argv[1]))
if os.getuid() == 0:
    os.setuid(65534)
try:
    open_audio("wav-16.wav")
except ValueError as error:
    print(error)
"""
    for folder in (tmp_path, *tmp_path.parents):  # let any user reach the file
        if folder.owner() == path.owner() and "pytest" in str(folder):
            folder.chmod(0o755)
    done = run_python(code, path)
    assert done.stdout.startswith("wav-16.wav cannot be read: Permission denied;"), done.stderr
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize("kind", ["wav-16", "flac-16", "mp3-vbr"])
def test_memory_does_not_grow_with_length(kind, make, run_python):
    code = """
import sys
from stembridge.audio import open_audio
with open_audio(sys.argv[1]) as reader:
    frames = sum(block.shape[1] for block in reader.blocks())
print(frames, int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]))
"""
    peak = []
    for seconds in (10, 300):
        path = make(kind, np.zeros((2, 8000 * seconds), np.float32), 8000)
        frames, kilobytes = map(int, run_python(code, path).stdout.split())
        assert frames == 8000 * seconds
        peak.append(kilobytes)
    assert peak[1] < peak[0] + 8000  # the audio itself takes 19000 KB


def test_broken_tags_do_not_stop_reading(make, noise):
    path = make("wav-16", noise(3000))
    info = b"INFOINAM" + struct.pack("<I", 4) + b"\xff\xfe\xe9\x00"
    path.write_bytes(path.read_bytes() + b"LIST" + struct.pack("<I", len(info)) + info)
    assert read_audio(path)[0].shape == (2, 3000)
    mp3 = make("mp3-vbr", noise(3000))
    mp3.write_bytes(
        b"ID3\x03\x00\x00\x00\x00\x00\x20TIT2\x7f\xff\xff\xff\x00\x00\x03\xff\xff" + bytes(19) + mp3.read_bytes()
    )
    assert read_audio(mp3)[0].shape == (2, 3000)


def test_a_name_that_is_not_unicode_works(make, noise, tmp_path):
    for kind in ("wav-16", "mp3-vbr"):
        name = os.fsencode(tmp_path) + b"/caf\xe9"
        shutil.move(make(kind, noise(3000)), os.fsdecode(name))
        assert read_audio(os.fsdecode(name))[0].shape == (2, 3000)


@pytest.mark.parametrize("kind", ["vorbis", "opus"])
def test_damage_inside_an_ogg_page_is_short_and_reported(kind, make, noise):
    path = make(kind, noise(300000), 48000)
    with open_audio(path) as reader:
        whole = np.concatenate([*reader.blocks()], axis=1)
        assert reader.warning is None
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = np.random.default_rng(0).bytes(2000)
    path.write_bytes(data)
    with open_audio(path) as reader:
        damaged = np.concatenate([*reader.blocks()], axis=1)
        assert "damaged or cut short" in reader.warning
    assert abs(damaged.shape[1] - whole.shape[1]) < 1000
    for part in (slice(1000, 90000), slice(200000, 290000)):  # before the damage and after
        lags = np.arange(-400, 401)
        likeness = [np.sum(damaged[0, part.start + lag : part.stop + lag] * whole[0, part]) for lag in lags]
        assert abs(lags[np.argmax(likeness)]) <= 128  # FFmpeg starts Vorbis up to 128 samples early or late
        assert max(likeness) > 0.9 * np.sum(whole[0, part] ** 2)


@pytest.mark.parametrize("kind", ["vorbis", "opus"])
def test_an_ogg_file_after_another_is_not_lost_in_silence(kind, make, noise, tmp_path):
    path = make(kind, noise(60000), 48000)
    twice = tmp_path / f"twice{path.suffix}"
    twice.write_bytes(path.read_bytes() * 2)
    with open_audio(twice) as reader:
        frames = sum(block.shape[1] for block in reader.blocks())
        assert frames >= 119000 or reader.warning is not None


@pytest.mark.parametrize("kind", ["wav-16", "flac-16", "mp3-lame", "alac"])
def test_no_ctrl_c_is_lost_while_a_file_is_read(kind, make, noise, ctrl_c_lost):
    path = make(kind, noise(44100 * 60, 2), 44100)

    def read():
        with open_audio(path) as reader:
            yield
            for _ in reader.blocks():
                pass

    assert ctrl_c_lost(read) == 0


# --- several audio streams in one file


@pytest.fixture
def tones(tmp_path):
    """tones(name, hz, default) -> a file with an audio stream per frequency; default: the default stream's index."""

    def tones(name, hz, default=None):
        path = tmp_path / name
        codec = "libopus" if name.endswith(("mkv", "ogg")) else "aac"
        with av.open(str(path), "w") as container:
            streams = []
            for number, frequency in enumerate(hz, 1):
                stream = container.add_stream(codec, rate=48000, layout="mono")
                stream.metadata.update({"title": f"tone {frequency}", "language": "eng"})
                stream.disposition = Disposition.default if number == default else Disposition(0)
                streams.append(stream)
            for stream, frequency in zip(streams, hz, strict=True):
                sine = np.sin(2 * np.pi * frequency * np.arange(48000) / 48000)[None].astype(np.float32)
                for start in range(0, sine.shape[1], 960):
                    frame = av.AudioFrame.from_ndarray(
                        np.ascontiguousarray(sine[:, start : start + 960]), format="fltp", layout="mono"
                    )
                    frame.sample_rate, frame.pts = 48000, start
                    container.mux(stream.encode(frame))
                container.mux(stream.encode(None))
        return path

    return tones


def _hz(path, stream=None):
    audio, rate = read_audio(path, stream)
    return round(np.argmax(np.abs(np.fft.rfft(audio[0]))) * rate / audio.shape[1] / 50) * 50


@pytest.mark.parametrize("name", ["several.mkv", "several.mp4", "several.stem.mp4", "several.ogg"])
def test_each_of_several_streams_can_be_chosen(tones, name):
    path = tones(name, (500, 1000, 2000))
    assert [_hz(path, stream) for stream in (None, 1, 2, 3)] == [500, 500, 1000, 2000]


@pytest.mark.parametrize("default", [1, 2, 3])
def test_the_stream_marked_as_default_is_read_with_a_message(tones, default):
    path = tones("several.mkv", (500, 1000, 2000), default)
    assert _hz(path) == (500, 1000, 2000)[default - 1]
    with open_audio(path) as reader:
        assert reader.stream_note.startswith(f"{path} has 3 audio streams: 1 (tone 500, eng, opus, 1 channel), 2 (")
        assert reader.stream_note.endswith(f"; stream {default} is used; choose another with --stream")
    with open_audio(path, 2) as reader:
        assert reader.stream_note is None


def test_the_chosen_stream_of_an_ogg_is_read_past_lost_pages_and_into_a_joined_file(tones):
    path = tones("several.ogg", (500, 1000))
    one = tones("one.ogg", (2000,))
    pages = _pages(path)
    path.write_bytes(b"".join(pages[:-5] + pages[-4:]) + one.read_bytes())
    for stream, hz in ((1, 500), (2, 1000)):
        audio, rate = read_audio(path, stream)
        assert audio.shape[1] == pytest.approx(2 * rate, abs=2000)
        for second, expected in ((audio[0, : rate // 4], hz), (audio[0, -rate // 2 :], 2000)):
            assert np.argmax(np.abs(np.fft.rfft(second))) * rate / len(second) == pytest.approx(expected, abs=10)
    with open_audio(path) as reader:
        assert reader.stream_note.startswith(f"{path} has 2 audio streams: 1 (tone 500, eng, opus, 1 channel), 2 (")
    with pytest.raises(AudioError, match="no audio stream 3; choose from 1 "):
        open_audio(path, 3)


def test_a_missing_stream_is_refused_with_a_list_of_the_streams(tones, make, noise):
    path = tones("several.mp4", (500, 1000))
    for stream in (0, 3, -1):
        with pytest.raises(AudioError, match=rf"no audio stream {stream}; choose from 1 \(.*aac.*\), 2 \(.*\)$"):
            open_audio(path, stream)
    for kind in ("wav-16", "aiff-16", "flac-16", "mp3-lame", "vorbis", "ogg-flac"):
        one = make(kind, noise(2000))
        with open_audio(one, 1) as reader:
            assert reader.stream_note is None
        with pytest.raises(AudioError, match="no audio stream 2; "):
            open_audio(one, 2)


def _read(path):
    with open_audio(path) as reader:
        return np.concatenate([*reader.blocks()], axis=1), reader.warning


def _pages(path):
    data = path.read_bytes()
    with path.open("rb") as file:
        return [data[page.offset : page.offset + page.size] for page in Pages(file)]


LOSSES = {
    "one": lambda pages: pages[:5] + pages[6:],
    "two": lambda pages: pages[:5] + pages[7:],
    "the first": lambda pages: pages[:2] + pages[3:],
    "the last but one": lambda pages: pages[:-2] + pages[-1:],
    "damaged": lambda pages: [*pages[:5], pages[5][:-1] + bytes([pages[5][-1] ^ 1]), *pages[6:]],
    "in the second of two streams": lambda pages: pages + pages[:5] + pages[6:],
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", ["opus", "vorbis", "ogg-flac"])
def test_a_lost_ogg_page_becomes_silence_and_the_rest_stays_in_place(kind, loss, make, noise):
    path = make(kind, noise(48000 * 9), 48000)
    whole, _ = _read(path)
    whole = np.tile(whole, 2 if "two streams" in loss else 1)
    path.write_bytes(b"".join(LOSSES[loss](_pages(path))))
    decoded, warning = _read(path)
    assert decoded.shape == whole.shape
    assert "damaged" in warning
    assert "sound is missing: 1 gap" in warning
    block = 9600
    alike = [
        np.corrcoef(whole[0, start : start + block], decoded[0, start : start + block])[0, 1] > 0.9
        for start in range(0, whole.shape[1] - block, block)
        if decoded[0, start : start + block].any()
    ]
    assert sum(alike) >= len(alike) - 2  # the edges of the gap
    assert len(alike) > 0.6 * whole.shape[1] / block


@pytest.mark.parametrize("kind", ["opus", "vorbis"])
def test_ogg_pages_that_are_repeated_or_out_of_order_are_put_in_order(kind, make, noise):
    path = make(kind, noise(48000 * 8), 48000)
    whole, _ = _read(path)
    pages = _pages(path)
    path.write_bytes(b"".join([*pages[:4], pages[5], pages[4], pages[5], *pages[6:]]))
    decoded, warning = _read(path)
    assert decoded.shape == whole.shape
    np.testing.assert_allclose(decoded, whole, atol=0.02)
    assert "repeated or out of order" in warning


def test_a_recording_of_a_broadcast_begins_where_it_begins(make, noise):
    path = make("ogg-flac", noise(48000 * 8), 48000)
    whole, _ = _read(path)
    pages = _pages(path)
    path.write_bytes(b"".join(pages[:2] + [_renumbered(page, 2 + k) for k, page in enumerate(pages[6:])]))
    decoded, warning = _read(path)
    np.testing.assert_array_equal(decoded, whole[:, -decoded.shape[1] :])
    assert decoded.shape[1] > 48000
    assert warning is None


def test_an_opus_file_whose_clock_starts_late_is_read_right_from_the_start(make, noise):
    path = make("opus", noise(48000 * 3), 48000)
    whole, _ = _read(path)
    late = [
        page[:6] + struct.pack("<q", struct.unpack("<q", page[6:14])[0] + 96000) + page[14:] for page in _pages(path)
    ]
    path.write_bytes(b"".join([*_pages(path)[:2], *(_renumbered(page, 2 + k) for k, page in enumerate(late[2:]))]))
    decoded, warning = _read(path)
    np.testing.assert_allclose(decoded, whole, atol=0.02)
    assert warning is None


@pytest.mark.parametrize("stated", [0, 20000, 22050])
def test_an_opus_file_that_does_not_state_a_rate_of_opus_is_read_at_48_khz(stated, make, noise):
    path = make("opus", noise(48000), 48000)
    whole, _ = _read(path)
    head, *pages = _pages(path)
    path.write_bytes(b"".join([_summed(head[:40] + struct.pack("<I", stated) + head[44:]), *pages]))
    decoded, rate = read_audio(path)
    assert rate == 48000
    np.testing.assert_allclose(decoded, whole, atol=0.02)


def _renumbered(page, number):
    return _summed(page[:18] + struct.pack("<I", number) + page[22:])


def _summed(page):
    from stembridge.audio.ogg import _checksum

    return page[:22] + struct.pack("<I", _checksum(page[:22] + bytes(4) + page[26:])) + page[26:]


@pytest.mark.parametrize("later", [("mono", 44100, 1), ("slow", 22050, 2)], ids=lambda later: later[0])
@pytest.mark.parametrize("kind", ["mp3-lame", "vorbis", "flac-16", "aac-bare", "ogg-flac"])
def test_audio_after_a_change_of_format_is_converted_to_the_first_format(kind, later, make, noise):
    _, rate, num_channels = later
    path = make(kind, noise(88200))
    first = path.read_bytes()
    low = np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate) * 0.5
    other = make(kind, np.tile(low, (num_channels, 1)).astype(np.float32), rate).read_bytes()
    path.write_bytes(first + other)
    with open_audio(path) as reader:
        assert (reader.sample_rate, reader.num_channels) == (44100, 2)
        decoded = np.concatenate([*reader.blocks()], axis=1)
    assert decoded.shape[1] == pytest.approx(4 * 44100, abs=6000)
    tone = decoded[:, -44100 - 4000 : -4000]
    for channel in tone:
        assert np.sqrt(np.mean(channel**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.06)  # LAME takes 5 % off
        assert np.argmax(np.abs(np.fft.rfft(channel))) == 440
    assert "its format changes at 2.0" in reader.warning
    assert f"to {rate} Hz {'mono' if num_channels == 1 else 'stereo'}" in reader.warning
    assert "damaged" not in reader.warning


@pytest.mark.parametrize(("suffix", "codec", "form"), [("caf", "alac", "s16p"), ("wav", "libmp3lame", "fltp")])
def test_a_last_packet_that_is_not_full_is_not_damage(suffix, codec, form, noise, tmp_path):
    path = tmp_path / f"song.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=44100, layout="stereo")
        convert = av.AudioResampler(format=form, layout="stereo", rate=44100, frame_size=stream.frame_size)
        frame = av.AudioFrame.from_ndarray(noise(50000), format="fltp", layout="stereo")
        frame.sample_rate = 44100
        for converted in [*convert.resample(frame), *convert.resample(None), None]:
            container.mux(stream.encode(converted))
    decoded, warning = _read(path)
    assert decoded.shape[1] >= 50000
    assert warning is None


@pytest.mark.parametrize("kind", ["mp3-lame", "flac-16", "aac-bare"])
def test_joined_files_of_one_format_are_not_damage(kind, make, noise):
    path = make(kind, noise(44100))
    path.write_bytes(path.read_bytes() * 3)
    decoded, warning = _read(path)
    assert decoded.shape[1] == pytest.approx(3 * 44100, abs=7000)
    assert warning is None


def _wav(data, size=None):
    header = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 2, 44100, 176400, 4, 16)
    return header + struct.pack("<4sI", b"data", len(data) if size is None else size) + data


INFO = b"LIST" + struct.pack("<I", 16) + b"INFOIART" + struct.pack("<I", 4) + b"Nina"


@pytest.mark.parametrize("between", [b"", INFO], ids=["at once", "after tags"])
@pytest.mark.parametrize("kind", ["wav-16", "aiff-16"])
def test_a_header_that_covers_only_part_of_the_sound_is_reported(kind, between, make, noise):
    path = make(kind, noise(44100))
    data = path.read_bytes()
    path.write_bytes(data + between * (kind == "wav-16") + data[-44100 * 4 :] * 3)
    decoded, warning = _read(path)
    assert decoded.shape[1] == 44100
    assert "its header says 1.00 s" in warning
    assert "3.00 s more" in warning


@pytest.mark.parametrize("tail", [INFO, b"TAG" + bytes(125), bytes(400000), INFO + bytes(400000), b"\0" + INFO])
def test_other_data_after_the_sound_is_ignored(tail, noise, tmp_path):
    data = (noise(30000).T * 20000).astype("<i2").tobytes()
    (tmp_path / "song.wav").write_bytes(_wav(data) + tail)
    decoded, warning = _read(tmp_path / "song.wav")
    assert decoded.shape[1] == 30000
    assert warning is None


def test_joined_wav_files_are_reported(noise, tmp_path):
    data = _wav((noise(44100).T * 20000).astype("<i2").tobytes())
    (tmp_path / "song.wav").write_bytes(data * 3)
    assert "2.00 s more" in _read(tmp_path / "song.wav")[1]


@pytest.mark.parametrize("kind", ["wav-16", "aiff-16"])
def test_a_wav_or_aiff_behind_an_id3_tag_is_read_with_a_warning(kind, make, noise):
    path = make(kind, noise(30000))
    whole, _ = _read(path)
    path.write_bytes(b"ID3\x03\0\0\0\0\0\x20" + bytes(32) + path.read_bytes())
    decoded, warning = _read(path)
    np.testing.assert_array_equal(decoded, whole)
    assert "ID3" in warning


RF64_SIZES = {
    "zeros": struct.pack("<4sIQQQI", b"ds64", 28, 0, 0, 0, 0),
    "ones": struct.pack("<4sI", b"ds64", 28) + b"\xff" * 28,
    "minus one": struct.pack("<4sIqqqI", b"ds64", 28, -1, -1, -1, 0),
    "reserved": struct.pack("<4sI28x", b"JUNK", 28),
    "missing": b"",
}


@pytest.mark.parametrize("sizes", RF64_SIZES)
def test_an_rf64_file_without_its_length_is_read_to_the_end(sizes, noise, tmp_path):
    samples = (noise(30000) * 20000).astype("<i2")
    data = _wav(samples.T.tobytes())
    path = tmp_path / "song.wav"
    path.write_bytes(b"RF64" + b"\xff" * 4 + b"WAVE" + RF64_SIZES[sizes] + data[12:40] + b"\xff" * 4 + data[44:])
    decoded, warning = _read(path)
    np.testing.assert_array_equal(decoded, samples / np.float32(32768))
    assert "ds64" in warning


def test_ac3_inside_a_wav_is_decoded(noise, offset, tmp_path):
    import av

    audio = noise(88200)
    with av.open(str(tmp_path / "coded"), "w", format="spdif") as container:
        stream = container.add_stream("ac3", rate=44100, layout="stereo")
        convert = av.AudioResampler(format=stream.format, layout="stereo", rate=44100, frame_size=stream.frame_size)
        frame = av.AudioFrame.from_ndarray(audio, format="fltp", layout="stereo")
        frame.sample_rate = 44100
        for converted in convert.resample(frame):
            container.mux(stream.encode(converted))
        container.mux(stream.encode(None))
    path = tmp_path / "song.wav"
    path.write_bytes(_wav((tmp_path / "coded").read_bytes()))
    decoded, _ = _read(path)
    late = offset(audio, decoded)
    assert 0 <= late < 2000
    assert np.corrcoef(audio[0, :80000], decoded[0, late : late + 80000])[0, 1] > 0.9


@pytest.mark.parametrize("start", ["7ffe8001", "fe7f0180", "1fffe800", "ff1f00e8"])
def test_dts_inside_a_wav_that_cannot_be_decoded_is_refused(start, tmp_path):
    frame = bytes.fromhex(start) + np.random.default_rng(0).bytes(2044)
    (tmp_path / "song.wav").write_bytes(_wav(frame * 100))
    with pytest.raises(AudioError):
        open_audio(tmp_path / "song.wav")


@pytest.mark.parametrize("kind", ["flac-16", "alac", "aiff-16", "wav-24", "a WAV of unknown length"])
def test_dts_is_refused_also_in_other_files_and_after_silence(kind, make, tmp_path):
    frame = bytes.fromhex("fe7f0180") + np.random.default_rng(0).bytes(2044)
    data = bytes(4 * 100000) + frame * 200
    if kind in LOSSLESS:
        path = make(kind, np.frombuffer(data, "<i2").reshape(-1, 2).T / np.float32(32768))
    else:
        path = tmp_path / "song.wav"
        path.write_bytes(_wav(data, 0))
    with pytest.raises(AudioError, match="contains DTS or AC-3"):
        read_audio(path)


def test_samples_that_look_like_dts_only_once_are_samples(noise, tmp_path):
    data = (noise(30000).T * 20000).astype("<i2").tobytes()
    (tmp_path / "song.wav").write_bytes(_wav(b"\xfe\x7f\x01\x80" * 100 + data))  # full scale, alternating
    decoded, warning = _read(tmp_path / "song.wav")
    assert decoded.shape[1] == 30100
    assert warning is None


@pytest.mark.parametrize("reserved", ["wav-16", "flac-16", "mp3-lame", "vorbis", "aiff-16"])
def test_zeros_reserved_by_a_recorder_are_neither_sound_nor_damage(reserved, make, noise):
    path = make(reserved, noise(44100))
    whole, _ = _read(path)
    with path.open("ab") as file:
        file.truncate(path.stat().st_size + 2**28)
    decoded, warning = _read(path)
    np.testing.assert_array_equal(decoded, whole)
    assert warning is None


def test_a_flac_may_end_in_a_zero(noise, tmp_path):
    path = tmp_path / "song.flac"
    audio = noise(2000, 1)
    length = 300
    while not path.exists() or path.read_bytes()[-1]:  # the low byte of the last frame's checksum
        length += 1
        sf.write(path, audio[:, :length].T, 44100)
    whole = path.read_bytes()
    for zeros in (0, 1, 1000):
        path.write_bytes(whole + bytes(zeros))
        decoded, warning = _read(path)
        assert decoded.shape[1] == length
        assert warning is None


def _film(path, noise, codec, *, seconds=2, start=0.0, picture_seconds=5, options=None):
    """Make a film with sound from `start` for `seconds`."""
    import av

    with av.open(str(path), "w", options=options or {}) as container:
        picture = container.add_stream("mpeg4" if path.suffix != ".webm" else "libvpx", rate=10)
        picture.width = picture.height = 64
        sound = container.add_stream(codec, rate=48000, layout="stereo")
        convert = av.AudioResampler(format=sound.format, layout="stereo", rate=48000, frame_size=sound.frame_size)
        frame = av.AudioFrame.from_ndarray(noise(48000 * seconds), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = 48000, round(48000 * start)
        for _ in range(10 * picture_seconds):
            container.mux(picture.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))))
        for converted in [*convert.resample(frame), *convert.resample(None)]:
            container.mux(sound.encode(converted))
        container.mux(picture.encode(None))
        container.mux(sound.encode(None))
    return path


@pytest.mark.parametrize("start", [0.0, 1.5])
@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mkv", "aac"),
        ("a.mkv", "flac"),
        ("a.webm", "libopus"),
        ("a.mp4", "aac"),
        ("a.mov", "pcm_s16le"),
        ("a.ts", "aac"),
    ],
)
def test_a_longer_picture_or_a_late_start_of_the_sound_is_not_damage(name, codec, start, noise, tmp_path):
    decoded, warning = _read(_film(tmp_path / name, noise, codec, start=start))
    assert decoded.shape[1] == pytest.approx(96000, abs=3000)
    assert warning is None


@pytest.mark.parametrize("name", ["a.mkv", "a.webm", "a.mp4"])
def test_a_truncated_film_is_reported(name, noise, tmp_path, cut):
    options = {"movflags": "frag_keyframe+empty_moov"} if name.endswith("mp4") else None
    film = _film(tmp_path / name, noise, "aac" if name != "a.webm" else "libopus", seconds=5, options=options)
    assert _read(film)[1] is None
    assert "cut short" in _read(cut(film, 0.7))[1]


@pytest.mark.parametrize("kind", ["wav-float", "wav-double"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_numbers_become_silence_with_a_warning(kind, value, make, noise):
    audio = noise(88200).astype(np.float64)
    audio[1, 44100:44110] = value
    decoded, warning = _read(make(kind, audio))
    assert np.isfinite(decoded).all()
    assert not decoded[1, 44100:44110].any()
    np.testing.assert_array_equal(decoded[0], audio[0].astype(np.float32))
    assert "10 samples are not finite numbers" in warning
    assert "at 1.000 s" in warning


def test_few_samples_far_above_full_scale_are_reported(make, noise):
    audio = noise(88200)
    audio[0, 44100] = 1e30
    assert "1 sample is far above full scale (1e+30 at 1.000 s)" in _read(make("wav-float", audio))[1]
    audio[0, 20000:60000] = 1e30
    assert "40000 samples are far above full scale" in _read(make("wav-float", audio))[1]
    assert _read(make("wav-float", noise(88200) * 20))[1] is None


def test_whole_numbers_in_a_float_file_are_reported(make, noise):
    audio = noise(88200) * 32768
    decoded, warning = _read(make("wav-float", audio))
    np.testing.assert_array_equal(decoded, audio)
    assert f"its peak is {np.abs(audio).max():.5g}, but networks hear samples above 64 as silence; scale it" in warning


def test_the_short_last_frame_of_a_webm_is_not_a_gap(noise, tmp_path):
    path = tmp_path / "x.webm"
    samples = noise(48655)  # the last frame has few samples, and its time stamp is rounded to a millisecond
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libopus", rate=48000, layout="stereo")
        for start in range(0, samples.shape[1], 1000):
            block = np.ascontiguousarray(samples[:, start : start + 1000])
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with open_audio(path) as reader:
        assert sum(block.shape[1] for block in reader.blocks()) == 48655
        assert reader.warning is None


@pytest.mark.parametrize("frame_ms", ["2.5", "20"])
@pytest.mark.parametrize("sample_rate", [8000, 16000, 48000])
@pytest.mark.parametrize("container", ["webm", "matroska", "mp4"])
def test_opus_of_any_rate_in_a_video_container_is_on_time(container, sample_rate, frame_ms, make, noise, offset):
    audio = noise(sample_rate)
    options = {} if frame_ms == "20" else {"frame_duration": frame_ms}
    path = make("opus", audio, sample_rate, format=container, codec_options=options)
    # Older versions of FFmpeg wrote the length of the priming (Matroska's CodecDelay, in ns) as if it had this rate.
    delay = round(1e9 * {"2.5": 120, "20": 312}[frame_ms] / 48000)
    true, written = (b"\x56\xaa\x83" + number.to_bytes(3, "big") for number in (delay, delay * sample_rate // 48000))
    assert path.read_bytes().count(true) == (container != "mp4")
    path.write_bytes(path.read_bytes().replace(true, written))
    decoded, warning = _read(path)
    assert warning is None
    assert decoded.shape[1] == 48000
    assert offset(np.repeat(audio, 48000 // sample_rate, axis=1), decoded) in range(-3, 4)
