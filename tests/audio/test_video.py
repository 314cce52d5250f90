"""New sound in videos is in time with the picture, and everything else is copied unchanged."""

import errno
from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition
from stembridge.audio import AudioError, create_video, open_audio
from stembridge.audio.markers import container_markers
from stembridge.audio.streams import open_container, stream_descriptions

RATE, FPS, SECONDS = 48000, 25, 3
KINDS = [".mp4", ".m4v", ".mov", ".mkv", ".webm"]
CHAPTERS = [("Verse", 0, 1000), ("Chorus", 1000, 3000)]


def clicks(seconds=SECONDS, every=1.0):
    """Make stereo with a burst of 10 ms at 0.5 s, 1.5 s, 2.5 s ..."""
    times = np.arange(round(seconds * RATE)) / RATE
    return np.tile(np.sin(2 * np.pi * 1000 * times) * ((times + 0.5) % every < 0.01) * 0.8, (2, 1))


def make_clip(path, audio_start=0.0, video_start=0.0, more=True, codec=None, lead=0.0, b_frames=2):
    """Write a video of moving stripes and clicks, with B-frames if the codec has them.

    more: Add another sound track and subtitles. lead: Seconds of material before time 0, which an edit list
    leaves out.
    """
    webm = path.suffix == ".webm"
    mkv = path.suffix == ".mkv"
    with av.open(str(path), "w", format=None if path.suffix != ".m4v" else "mp4") as container:
        container.metadata["title"] = "Clip"
        video = container.add_stream("libvpx" if webm else "libx264", rate=FPS, width=64, height=48)
        video.options = {} if webm else {"bf": str(b_frames), "g": "20", "preset": "ultrafast"}
        if not webm:
            video.codec_context.max_b_frames = b_frames
        sounds = [container.add_stream(codec or ("libopus" if webm else "aac"), rate=RATE, layout="stereo")]
        if more:
            sounds.append(container.add_stream("libopus" if webm else "aac", rate=RATE, layout="stereo"))
            sounds[1].metadata.update({"language": "ger", "title": "Kommentar"})
            sounds[1].disposition = Disposition.comment.value
            if mkv:
                texts = container.add_mux_stream("subrip")
                texts.metadata["language"] = "eng"
        container.set_chapters(
            [
                {"id": i, "start": start, "end": end, "time_base": Fraction(1, 1000), "metadata": {"title": name}}
                for i, (name, start, end) in enumerate(CHAPTERS)
            ]
        )
        packets = []
        for i in range(SECONDS * FPS):
            picture = np.full((48, 64, 3), (i * 5) % 256, np.uint8)
            picture[:, (i * 3) % 64] = 255
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = i + round((video_start - lead) * FPS), Fraction(1, FPS)
            packets += video.encode(frame)
        packets += video.encode(None)
        for sound in sounds:
            samples = clicks() if sound is sounds[0] else clicks(every=0.4)
            for start in range(0, samples.shape[1], 1000):
                block = np.ascontiguousarray(samples[:, start : start + 1000], np.float32)
                frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
                frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
                frame.pts = start + round((audio_start - lead) * RATE)
                packets += sound.encode(frame)
            packets += sound.encode(None)
        if more and mkv:
            for start in (500, 1700):
                packet = av.Packet(f"Text at {start}".encode())
                packet.pts = packet.dts = start
                packet.duration, packet.time_base, packet.stream = 800, Fraction(1, 1000), texts
                packets.append(packet)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


def replace_sound(source, target, change=lambda block: block, **coding):
    """Write the clip with its sound changed; return the writer's note."""
    with open_audio(source) as reader, create_video(target, reader, **coding) as writer:
        for block in list(reader.blocks()):
            writer.write(change(block))
        return writer.note


def heard(path, number=0):
    """Return the times of clicks in an audio stream, in seconds, by the frames' time stamps, as a player does."""
    found = []
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.audio[number]):
            samples = frame.to_ndarray().astype(float)
            samples = samples if frame.format.is_planar else samples.reshape(-1, 2).T
            scale = {"s16": 2**15, "s32": 2**31}.get(frame.format.packed.name, 1)
            for i in np.flatnonzero(np.abs(samples[0]) / scale > 0.3):
                time = frame.time + i / frame.sample_rate
                if not found or time - found[-1][1] > 0.1:
                    found.append([time, time])
                found[-1][1] = time
    return np.array([first for first, _ in found])


def copied(path, changed=0):
    """Return all that must not change: the packets and times of all streams except one, and the pictures' times."""
    with av.open(str(path)) as container:
        sound = container.streams.audio[changed]
        streams = [s for s in container.streams if s is not sound and s.type in ("video", "audio", "subtitle")]
        packets = {stream.index: [] for stream in streams}
        for packet in container.demux(streams):
            if packet.pts is not None:
                times = [packet.pts] + ([packet.duration] if packet.stream.type == "subtitle" else [])
                times = [round(float(time * packet.time_base), 6) for time in times]
                packets[packet.stream.index].append((bytes(packet), *times))
    with av.open(str(path)) as container:
        pictures = [round(frame.time, 6) for frame in container.decode(video=0)]
    return packets, pictures


def described(path):
    """Return kinds, codecs, languages, titles and flags of all streams; chapters; the title."""
    with av.open(str(path)) as container:
        streams = [
            (s.type, s.codec_context and s.codec_context.name, s.metadata.get("language"), s.metadata.get("title"),
             s.disposition, s.codec_context and s.codec_context.codec_tag)
            for s in container.streams
        ]  # fmt: skip
        chapters = [
            (c["metadata"]["title"], float(c["start"] * c["time_base"]), float(c["end"] * c["time_base"]))
            for c in container.chapters()
        ]
        return streams, chapters, container.metadata.get("title")


@pytest.mark.parametrize("suffix", KINDS)
def test_all_except_the_sound_is_copied_unchanged(suffix, tmp_path):
    clip = make_clip(tmp_path / f"clip{suffix}")
    assert replace_sound(clip, tmp_path / f"new{suffix}") is None
    assert copied(tmp_path / f"new{suffix}") == copied(clip)
    assert described(tmp_path / f"new{suffix}") == described(clip)
    streams, chapters, title = described(clip)
    assert len(streams) >= 3
    assert [name for name, *_ in chapters] == ["Verse", "Chorus"]
    assert title == "Clip"
    assert len(copied(clip)[1]) == SECONDS * FPS


@pytest.mark.parametrize("suffix", KINDS)
def test_tags_that_are_not_utf_8_are_read_and_copied_with_replacement_characters(suffix, tmp_path):
    clip = make_clip(tmp_path / f"clip{suffix}")
    data = clip.read_bytes()
    wrong = {b"Clip": b"Cl\xffp", b"Kommentar": b"Komment\xe4r", b"Chorus": b"Chor\xff\xfe"}
    for good, bad in wrong.items():
        data = data.replace(good, bad)
    clip.write_bytes(data)
    replace_sound(clip, tmp_path / f"new{suffix}")
    for path in (clip, tmp_path / f"new{suffix}"):
        assert container_markers(path)[1].name == "Chor\ufffd\ufffd"
        with path.open("rb") as file, open_container(file) as container:
            assert container.metadata["title"] == "Cl\ufffdp"
        if suffix in (".mkv", ".webm"):  # others have no titles of streams
            assert "Komment\ufffdr" in stream_descriptions(path)[1]


@pytest.mark.parametrize(("audio_start", "video_start"), [(0, 0), (0.5, 0), (0.0137, 0), (0, 0.4), (2, 1)])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_the_sound_stays_in_time_to_the_millisecond(suffix, audio_start, video_start, tmp_path):
    clip = make_clip(tmp_path / f"clip{suffix}", audio_start, video_start, more=False)
    replace_sound(clip, tmp_path / f"new{suffix}", lambda block: 0.9 * block)
    before, after = heard(clip), heard(tmp_path / f"new{suffix}")
    assert len(before) == len(after) == SECONDS
    np.testing.assert_allclose(before, audio_start + np.arange(SECONDS) + 0.5, rtol=0, atol=0.003)
    np.testing.assert_allclose(after, before, rtol=0, atol=0.00125)  # the clocks of Matroska are rounded twice
    assert copied(tmp_path / f"new{suffix}") == copied(clip)


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("lead", [0.2, 1.36])
def test_an_edit_list_leaves_out_the_same_part_as_before(suffix, lead, tmp_path):
    clip = make_clip(tmp_path / f"clip{suffix}", more=False, lead=lead)
    replace_sound(clip, tmp_path / f"new{suffix}")
    before, after = heard(clip), heard(tmp_path / f"new{suffix}")
    assert len(before) == sum(time > lead for time in (0.5, 1.5, 2.5))
    np.testing.assert_allclose(after, before, rtol=0, atol=0.0001)
    assert copied(tmp_path / f"new{suffix}") == copied(clip)
    assert len(copied(clip)[1]) < SECONDS * FPS


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".webm"])
def test_new_sound_is_as_long_as_the_old(suffix, tmp_path):
    clip = make_clip(tmp_path / f"clip{suffix}")
    replace_sound(clip, tmp_path / f"new{suffix}")
    with open_audio(clip) as old, open_audio(tmp_path / f"new{suffix}") as new:
        assert sum(block.shape[1] for block in new.blocks()) == sum(block.shape[1] for block in old.blocks())
        assert (old.warning, new.warning) == (None, None)


def test_another_sound_track_is_replaced(tmp_path):
    clip = make_clip(tmp_path / "clip.mp4")
    with open_audio(clip, 2) as reader, create_video(tmp_path / "new.mp4", reader) as writer:
        for block in list(reader.blocks()):
            writer.write(block)
    assert copied(tmp_path / "new.mp4", changed=1) == copied(clip, changed=1)
    assert described(tmp_path / "new.mp4") == described(clip)
    np.testing.assert_allclose(heard(tmp_path / "new.mp4", 1), heard(clip, 1), rtol=0, atol=0.0001)


@pytest.mark.parametrize(
    ("suffix", "sample_format", "codec"),
    [(".mp4", "int16", "alac"), (".mp4", "int24", "alac"), (".mov", "int16", "pcm_s16le"),
     (".mov", "int24", "pcm_s24le"), (".mkv", "int16", "flac"), (".mkv", "int24", "flac")],
)  # fmt: skip
def test_sound_without_loss(suffix, sample_format, codec, tmp_path):
    clip = make_clip(tmp_path / f"clip{suffix}", more=False)
    replace_sound(clip, tmp_path / f"new{suffix}", sample_format=sample_format)
    with open_audio(clip) as old, open_audio(tmp_path / f"new{suffix}") as new:
        assert (new.codec, new.sample_format) == (codec, sample_format)
        before, after = (np.concatenate(list(reader.blocks()), axis=1) for reader in (old, new))
    np.testing.assert_allclose(after, before, rtol=0, atol=2.0 ** -int(sample_format[3:]) * 1.01)


def test_a_bitrate_sets_the_size(tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", more=False)
    rng = np.random.default_rng(0)
    for bitrate in (48, 256):
        replace_sound(
            clip, tmp_path / f"{bitrate}.mp4", lambda block: rng.uniform(-0.1, 0.1, block.shape), bitrate=bitrate
        )
    sizes = [(tmp_path / f"{bitrate}.mp4").stat().st_size for bitrate in (48, 256)]
    assert sizes[1] - sizes[0] == pytest.approx((256 - 48) * 1000 / 8 * SECONDS, rel=0.2)


def test_a_rate_that_the_container_cannot_have_is_resampled_in_time(tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", more=False)
    with av.open(str(tmp_path / "high.mkv"), "w") as high, av.open(str(clip)) as low:
        picture = high.add_stream_from_template(low.streams.video[0], opaque=True)
        sound = high.add_stream("flac", rate=96000, layout="stereo")
        for packet in [packet for packet in low.demux(video=0) if packet.dts is not None]:
            packet.stream = picture
            high.mux(packet)
        samples = np.repeat(clicks(), 2, axis=1) * 32767
        frame = av.AudioFrame.from_ndarray(samples.T.reshape(1, -1).astype(np.int16), format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 96000, 0, Fraction(1, 96000)
        high.mux(sound.encode(frame))
        high.mux(sound.encode(None))
    note = replace_sound(tmp_path / "high.mkv", tmp_path / "new.mp4")
    assert note == ".mp4 cannot hold sound at 96000 Hz; it was resampled to 48000 Hz"
    np.testing.assert_allclose(heard(tmp_path / "new.mp4"), heard(tmp_path / "high.mkv"), rtol=0, atol=0.001)


def test_a_file_of_sound_alone_is_copied_as_well(tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", more=False)
    with av.open(str(tmp_path / "sound.mkv"), "w") as sound, av.open(str(clip)) as container:
        stream = sound.add_stream_from_template(container.streams.audio[0], opaque=True)
        for packet in [packet for packet in container.demux(audio=0) if packet.dts is not None]:
            packet.stream = stream
            sound.mux(packet)
    replace_sound(tmp_path / "sound.mkv", tmp_path / "new.mkv")
    np.testing.assert_allclose(heard(tmp_path / "new.mkv"), heard(tmp_path / "sound.mkv"), rtol=0, atol=0.00125)


@pytest.mark.parametrize(
    ("source", "target", "says"),
    [
        ("clip.mp4", "new.webm", ".webm cannot hold stream 1 of {source} (video, h264); write a .mp4 file instead"),
        ("clip.mkv", "new.mp4", ".mp4 cannot hold stream 4 of {source} (subtitle, "),
        ("clip.avi", "new.mkv", "{source}: the picture cannot be copied, because AVI files do not say when its frames"),
        ("clip.ts", "new.webm", ".webm cannot hold stream 1 of {source} (video, h264); write .mkv, or an audio file"),
        ("song.wav", "new.mp4", "{source} is not a video; write an audio file, such as .m4a"),
        ("song.mp3", "new.mkv", "{source} is not a video; write an audio file, such as .m4a"),
    ],
)
def test_impossible_requests_are_refused_at_once(source, target, says, tmp_path, make, noise):
    path = tmp_path / source
    if source.startswith("clip"):
        make_clip(path, codec="libmp3lame" if source == "clip.avi" else None, more=source == "clip.mkv")
    else:
        make({".wav": "wav-16", ".mp3": "mp3-vbr"}[path.suffix], noise(5000)).rename(path)
    with open_audio(path) as reader, pytest.raises(AudioError) as caught:
        create_video(tmp_path / target, reader)
    assert says.format(source=path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("target", ["new.mkv", "new.mp4"])
@pytest.mark.parametrize(("suffix", "codec"), [(".avi", "libmp3lame"), (".ts", None), (".flv", None), (".3gp", None)])
def test_pictures_of_other_containers_stay_in_time_in_a_new_one(suffix, codec, target, tmp_path):
    clip = make_clip(tmp_path / f"clip{suffix}", more=False, codec=codec, b_frames=0 if suffix == ".avi" else 2)
    replace_sound(clip, tmp_path / target, lambda block: 0.9 * block)
    old, new = shown(clip), shown(tmp_path / target)
    assert len(old) == len(new) == SECONDS * FPS
    assert [picture for _, picture in new] == [picture for _, picture in old]
    times, begun = np.array([time for time, _ in new]), old[0][0] - new[0][0]
    np.testing.assert_allclose(times, [time - begun for time, _ in old], rtol=0, atol=0.00125)
    np.testing.assert_allclose(heard(tmp_path / target), heard(clip) - begun, rtol=0, atol=0.00125)
    assert abs(times[0]) < 0.2, "a transport stream may begin at any time, other files begin at 0"


def shown(path):
    """Return the time of each picture, and its pixels."""
    with av.open(str(path)) as container:
        return [(frame.time, frame.to_ndarray().tobytes()) for frame in container.decode(video=0)]


def test_attached_pictures_and_files_are_kept(tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", more=False)
    png = b"\x89PNG\r\n\x1a\n" + bytes(3000)
    with av.open(str(clip)) as plain, av.open(str(tmp_path / "full.mkv"), "w") as full:
        streams = {i: full.add_stream_from_template(plain.streams[i], opaque=True) for i in (0, 1)}
        full.add_attachment("cover.png", "image/png", png)
        full.add_attachment("font.ttf", "font/ttf", b"a font")
        for packet in [packet for packet in plain.demux(video=0, audio=0) if packet.dts is not None]:
            packet.stream = streams[packet.stream.index]
            full.mux(packet)
    assert replace_sound(tmp_path / "full.mkv", tmp_path / "new.mkv") is None
    assert png in (tmp_path / "new.mkv").read_bytes()
    assert b"a font" in (tmp_path / "new.mkv").read_bytes()
    note = replace_sound(tmp_path / "full.mkv", tmp_path / "new.mov", sample_format="int16")
    left_out = "left out: stream 3 (video, cover.png), stream 4 (attachment, font.ttf)"
    assert note == f"{tmp_path / 'full.mkv'}: .mov cannot hold all of it; {left_out}"


FULL = """
import resource, sys
from stembridge.audio import create_video, open_audio
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
try:
    with open_audio(sys.argv[1]) as reader, create_video(sys.argv[2], reader) as writer:
        for block in list(reader.blocks()):
            writer.write(block)
except OSError as error:
    print(error.errno, error)
"""


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("part", [0.0, 0.5, 0.999])
def test_a_full_disk_is_an_error_and_never_silent(suffix, part, tmp_path, run_python):
    clip, new = make_clip(tmp_path / f"clip{suffix}"), tmp_path / f"new{suffix}"
    replace_sound(clip, new)
    done = run_python(FULL, clip, new, int(new.stat().st_size * part))
    assert done.stderr == ""
    assert done.stdout == f"{errno.EFBIG} [Errno {errno.EFBIG}] File too large: '{new}'\n"
