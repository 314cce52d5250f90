"""Videos on the command line: their sound is remixed and written back."""

import av
import numpy as np
import pytest


def make_clip(path, seconds=1, sound=True):
    """Write a video with a sound track of quiet noise."""
    noise = np.random.default_rng(0).uniform(-0.2, 0.2, (2, 44100 * seconds)).astype(np.float32)
    webm = path.suffix == ".webm"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libvpx" if webm else "mpeg4", rate=25, width=64, height=48)
        if sound:
            audio = container.add_stream("libopus" if webm else "aac", rate=48000 if webm else 44100, layout="stereo")
        for i in range(25 * seconds):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 9 * i % 256, np.uint8), format="rgb24")
            frame.pts = i
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if sound:
            frame = av.AudioFrame.from_ndarray(noise, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = 44100, 0
            container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
    return path


def pictures(path):
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.dts is not None]


def level(path):
    with av.open(str(path)) as container:
        return np.sqrt(np.mean([np.mean(frame.to_ndarray() ** 2) for frame in container.decode(audio=0)]))


@pytest.mark.parametrize("suffix", [".mp4", ".m4v", ".mov", ".mkv", ".webm"])
def test_a_video_keeps_its_picture(desk, suffix):
    clip = make_clip(desk.folder / f"clip{suffix}")
    faders = [word for stem in ("vocals", "drums", "bass", "other") for word in (f"--{stem}", "-20")]
    result = desk.call("remix", clip.name, "-o", f"clip2{suffix}", *faders, "--model", desk.model)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"wrote clip2{suffix}: 0:01.0")
    new = desk.folder / f"clip2{suffix}"
    assert pictures(new) == pictures(clip)
    assert len(pictures(new)) == 25
    assert level(new) == pytest.approx(level(clip) / 10, rel=0.1)


def test_a_video_overwrites_itself_only_by_force(desk):
    clip = make_clip(desk.folder / "clip.mp4")
    before, loud = pictures(clip), level(clip)
    faders = [word for stem in ("vocals", "drums", "bass", "other") for word in (f"--{stem}", "-20")]
    arguments = "remix", clip.name, "-o", "clip.mp4", *faders, "--model", desk.model
    assert "is the song itself; choose another name, or" in desk.refused(*arguments, here=True)
    result = desk.call(*arguments, "--force")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("wrote clip.mp4 in place of the song: 0:01.0")
    assert pictures(clip) == before
    assert level(clip) == pytest.approx(loud / 10, rel=0.1)
    make_clip(desk.folder / "other.mp4")
    line = desk.refused("remix", "clip.mp4", "-o", "other.mp4", "--vocals", "-80", "--model", desk.model, here=True)
    assert "other.mp4 exists already" in line


def test_a_video_that_cannot_be_written_becomes_mkv(desk):
    clip = make_clip(desk.folder / "clip.ts")
    faders = "--vocals", "-20", "--model", desk.model
    result = desk.call("remix", clip.name, *faders)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("wrote clip (vocals -20 dB).mkv: ")
    assert len(pictures(desk.folder / "clip (vocals -20 dB).mkv")) == 25
    line = desk.refused("remix", clip.name, *faders, "-o", "new.ts", here=True)
    assert ": new.ts: cannot write .ts; use .wav, " in line
    assert line.endswith("; for a video .mp4, .mov, .mkv, .webm\n")
    result = desk.call("separate", clip.name, "--model", desk.model, "--stems", "vocals", "--format", "flac")
    assert (result.returncode, result.stderr) == (0, "")


def test_files_that_are_not_videos_or_have_no_sound(desk):
    desk.make_song("song.mp3")
    line = desk.refused("remix", "--vocals=-6", "song.mp3", "-o", "song.mp4", "--model", desk.model, here=True)
    assert "song.mp3 is not a video; write an audio file, such as .m4a" in line
    make_clip(desk.folder / "silent.mp4", sound=False)
    assert "has no sound; give" in desk.refused(
        "remix", "--vocals=-6", "silent.mp4", "-o", "new.mp4", "--model", desk.model, here=True
    )
    make_clip(desk.folder / "clip.webm")
    webm = "remix", "--vocals=-6", "clip.webm", "-o", "new.webm", "--bits", "16", "--model", desk.model
    assert ".webm files have no choice of bits per sample" in desk.refused(*webm, here=True)


def test_the_sound_of_a_video_alone(desk):
    make_clip(desk.folder / "clip.mp4")
    result = desk.call("remix", "clip.mp4", "-o", "song.m4a", "--vocals", "-6", "--model", desk.model)
    assert (result.returncode, result.stderr) == (0, "")
    with av.open(str(desk.folder / "song.m4a")) as container:
        assert [stream.type for stream in container.streams] == ["audio"]


def test_many_videos(desk):
    clips = [make_clip(desk.folder / name) for name in ("a.mp4", "b.mkv", "c.webm", "d.mov")]
    arguments = *(clip.name for clip in clips), "-o", "out/", "--vocals", "-80", "--model", desk.model
    result = desk.call("remix", *arguments)
    assert (result.returncode, result.stderr) == (0, "")
    for clip in clips:
        assert pictures(desk.folder / "out" / f"{clip.stem} (no vocals){clip.suffix}") == pictures(clip)
    assert desk.call("remix", *arguments).stdout == "4 done before\n"
    result = desk.call("remix", "--vocals=-6", "*.mp4", "-o", "sound/", "--format", "opus", "--model", desk.model)
    assert result.returncode == 0
    assert (desk.folder / "sound" / "a (vocals -6 dB).opus").exists()


def test_stems_of_videos_are_sound(desk):
    make_clip(desk.folder / "a.mp4")
    (desk.folder / "r.toml").write_text('songs = ["a.mp4"]\noutput = "out"\nstems = ["instrumental"]\nformat = "m4a"')
    result = desk.call("separate", "--recipe", "r.toml", "--model", desk.model)
    assert (result.returncode, result.stderr) == (0, "")
    assert (desk.folder / "out" / "a" / "instrumental.m4a").exists()
