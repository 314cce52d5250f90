"""Tags and cover art: what is copied between which kinds of files, and what must not be."""

import errno
import io
import shutil
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile as sf
from mutagen.apev2 import BINARY, APEv2, APEValue
from mutagen.flac import FLAC, CueSheet, CueSheetTrack, CueSheetTrackIndex, MetadataBlock, Picture
from mutagen.id3 import APIC, CHAP, COMM, GEOB, ID3, POPM, RVA2, TCON, TIT2, TLEN, TMED, TPE1, TRCK, TSSE, TXXX, UFID
from mutagen.mp3 import MP3
from mutagen.mp4 import MP4, MP4FreeForm
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis
from stembridge.audio import copy_tags, create_audio, open_audio, read_audio, read_tags
from stembridge.audio.chunk_tags import chunk_markers, read_chunks
from stembridge.audio.markers import Marker, container_markers, id3_markers, vorbis_markers
from stembridge.audio.tag_files import open_tags
from stembridge.audio.tag_formats import read_contents

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 400
TEXTS = {
    "title": ["Ein Stück, 歌"],
    "artist": ["Anna"],
    "albumartist": ["Anna & Band"],
    "album": ["Album"],
    "date": ["2021-05-06"],
    "genre": ["Trip-Hop"],
    "comment": ["for the test"],
    "composer": ["Bach"],
    "tracknumber": ["3"],
    "tracktotal": ["12"],
    "discnumber": ["1"],
    "disctotal": ["2"],
    "isrc": ["GBAYE0000351"],
    "bpm": ["120"],
    "lyrics": ["la\nla"],
    "copyright": ["Nobody"],
    "catalog of mine": ["X-1"],
}
UNTRUE = {"replaygain_track_gain": ["-7 dB"], "encoder": ["Some 1.0"], "r128_track_gain": ["-5"], "itunsmpb": ["0 0"]}
TARGETS = ("wav-16", "flac-16", "mp3-vbr", "vorbis", "aiff-16", ".opus", ".m4a")  # with a dot: as StemBridge writes it
KINDS = (*TARGETS, "opus", "ogg-flac", "aac", "alac")


@pytest.fixture
def files(make, noise, tmp_path):
    """files(kind, kind) -> two files of these kinds, whose names do not show their kind."""

    def files(*kinds):
        for i, kind in enumerate(kinds):
            path = tmp_path / f"file{i}.part"
            if kind.startswith("."):
                with create_audio(path, 48000, 2, suffix=kind) as writer:
                    writer.write(noise(24000))
                yield path
            else:
                yield make(kind, noise(24000), 48000).rename(path)

    return files


def _tag(path, texts):
    """Tag a file through a FLAC, which can hold every tag name."""
    flac = FLAC(path)
    flac.tags.update(texts)
    picture = Picture()
    picture.data, picture.mime, picture.type, picture.desc = PNG, "image/png", 3, "front"
    flac.add_picture(picture)
    flac.save()


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_tags_and_cover_are_copied_between_all_kinds(source, target, files):
    first, middle, last = files("flac-16", source, target)
    _tag(first, TEXTS | UNTRUE)
    before = read_audio(last)[0]
    assert copy_tags(first, middle) is None
    assert copy_tags(middle, last) is None
    texts, pictures = read_contents(open_tags(last))
    for name in ("encoder", "metadata_block_picture"):
        texts.pop(name, None)  # the encoder of the target is its own
    assert texts == TEXTS
    assert [picture.data for picture in pictures] == [PNG]
    assert pictures[0].mime == "image/png"
    with open_audio(last) as reader:
        after = np.concatenate(list(reader.blocks()), axis=1)
        assert reader.warning is None
    np.testing.assert_array_equal(after, before)


def test_other_programs_find_the_tags_where_they_expect_them(files):
    first, mp3, ogg, opus, m4a = files("flac-16", "mp3-vbr", "vorbis", "opus", "aac")
    _tag(first, TEXTS)
    for path in (mp3, ogg, opus, m4a):
        assert copy_tags(first, path) is None
    id3 = ID3(mp3)
    assert (str(id3["TIT2"]), str(id3["TRCK"]), str(id3["TDRC"])) == ("Ein Stück, 歌", "3/12", "2021-05-06")
    assert str(id3["TXXX:CATALOG OF MINE"]) == "X-1"
    assert OggVorbis(ogg)["title"] == OggOpus(opus)["title"] == ["Ein Stück, 歌"]
    assert MP4(m4a)["\xa9nam"] == ["Ein Stück, 歌"]
    assert MP4(m4a)["trkn"] == [(3, 12)]


@pytest.mark.parametrize("target", ["mp3-vbr", "wav-16"])
def test_between_id3_tags_every_frame_is_kept_except_those_that_are_untrue_of_new_sound(target, files):
    source, last = files("mp3-vbr", target)
    tags = ID3()
    kept = [
        TIT2(encoding=3, text="Title"),
        TPE1(encoding=3, text=["One", "Two"]),
        TCON(encoding=3, text="Rock"),
        TRCK(encoding=3, text="7"),
        COMM(encoding=3, lang="deu", desc="", text="Hallo"),
        COMM(encoding=3, lang="eng", desc="mood", text="calm"),
        TXXX(encoding=3, desc="Barcode", text="123"),
        POPM(email="a@b.c", rating=200, count=3),
        GEOB(encoding=3, mime="text/plain", filename="a.txt", desc="notes", data=b"abc"),
        APIC(encoding=3, mime="image/png", type=3, desc="front", data=PNG),
        APIC(encoding=3, mime="image/png", type=4, desc="back", data=PNG[:1000]),
    ]
    untrue = [
        TXXX(encoding=3, desc="REPLAYGAIN_TRACK_GAIN", text="-3 dB"),
        TXXX(encoding=3, desc="replaygain_album_peak", text="0.9"),
        COMM(encoding=3, lang="eng", desc="iTunNORM", text="0000"),
        COMM(encoding=3, lang="eng", desc="iTunSMPB", text="0000"),
        RVA2(desc="track", channel=1, gain=-3.0, peak=0.9),
        TLEN(encoding=3, text="500"),
        TSSE(encoding=3, text="LAME"),
    ]
    for frame in kept + untrue:
        tags.add(frame)
    tags.save(source)
    assert copy_tags(source, last) is None
    copied = open_tags(last).tags
    assert {frame.HashKey for frame in copied.values()} == {frame.HashKey for frame in kept}
    for frame in kept:
        assert copied[frame.HashKey] == frame


def test_several_values_stay_several(files):
    source, last = files("flac-16", "vorbis")
    _tag(source, {"artist": ["One", "Two"], "genre": ["A", "B"]})
    assert copy_tags(source, last) is None
    assert OggVorbis(last)["artist"] == ["One", "Two"]
    assert OggVorbis(last)["genre"] == ["A", "B"]


def test_the_info_chunk_of_a_wav_is_read(files):
    source, last = files("wav-16", "flac-16")
    info = b"INFOINAM" + struct.pack("<I", 6) + b"Title\0" + b"IART" + struct.pack("<I", 6) + b"Artist"
    source.write_bytes(source.read_bytes() + b"LIST" + struct.pack("<I", len(info)) + info)
    data = bytearray(source.read_bytes())
    data[4:8] = struct.pack("<I", len(data) - 8)
    source.write_bytes(data)
    assert copy_tags(source, last) is None
    assert FLAC(last)["title"] == ["Title"]
    assert FLAC(last)["artist"] == ["Artist"]


@pytest.mark.parametrize("kind", TARGETS)
def test_a_file_without_tags_adds_no_tags(kind, files):
    source, last = files(kind, "mp3-vbr")
    assert copy_tags(source, last) is None
    assert not MP3(last).tags


@pytest.mark.parametrize("target", TARGETS)
def test_unreadable_tags_are_left_out_with_one_line(target, files, tmp_path):
    (last,) = files(target)
    broken = tmp_path / "broken.flac"
    broken.write_bytes(b"fLaC" + b"\x84\x00\x00\x10" + b"\xff" * 100)
    before = last.read_bytes()
    warning = copy_tags(broken, last)
    assert warning is not None
    assert str(broken) in warning
    assert "\n" not in warning
    assert last.read_bytes() == before


FULL = """
import resource, sys
from stembridge.audio import copy_tags
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
try:
    print(copy_tags(sys.argv[1], sys.argv[2]))
except OSError as error:
    print(error.errno)
"""


@pytest.mark.parametrize("target", TARGETS)
def test_a_full_disk_is_an_error(target, files, run_python):
    source, last = files("flac-16", target)
    _tag(source, TEXTS)
    done = run_python(FULL, source, last, last.stat().st_size + 5000)
    assert done.stderr == ""
    assert done.stdout == f"{errno.EFBIG}\n"


def test_a_cover_without_any_text_is_copied_too(files):
    source, target = files("flac-16", "flac-16")
    flac = FLAC(source)
    flac.delete()
    flac = FLAC(source)
    picture = Picture()
    picture.data, picture.mime, picture.type = PNG, "image/png", 3
    flac.add_picture(picture)
    flac.save()
    assert copy_tags(source, target) is None
    assert [picture.data for picture in FLAC(target).pictures] == [PNG]


def test_a_flac_behind_an_id3_tag_keeps_its_own_tags(files):
    source, target = files("flac-16", "flac-16")
    _tag(source, TEXTS)
    id3 = b"ID3\x04\x00\x00\x00\x00\x01\x00" + bytes(128)
    source.write_bytes(id3 + source.read_bytes())
    assert copy_tags(source, target) is None
    assert FLAC(target)["title"] == TEXTS["title"]
    assert [picture.data for picture in FLAC(target).pictures] == [PNG]


@pytest.mark.parametrize("kind", KINDS)
def test_tags_alone_are_read_from_open_files_and_from_memory(kind, files):
    tagged, path = files("flac-16", kind)
    _tag(tagged, TEXTS | UNTRUE)
    assert copy_tags(tagged, path) is None
    with path.open("rb") as file:
        texts = read_tags(file)
        assert not file.closed
    assert {name: texts[name] for name in ("title", "artist", "date", "tracknumber", "discnumber")} == {
        name: TEXTS[name] for name in ("title", "artist", "date", "tracknumber", "discnumber")
    }
    assert read_tags(io.BytesIO(path.read_bytes())) == texts


@pytest.mark.parametrize(
    "content", [b"", b"no audio", b"ID3", b"fLaC" + bytes(50), b"OggS" + bytes(200), b"RF64" + bytes(90)]
)
def test_data_without_tags_has_no_tags(content):
    assert read_tags(io.BytesIO(content)) == {}


# --- tags that are too large, or outside a file's main tags


@pytest.mark.parametrize("target", TARGETS)
def test_only_a_picture_too_large_for_flac_is_left_out(target, files):
    source, last = files("mp3-vbr", target)
    before = read_audio(last)[0]
    large = APIC(encoding=3, mime="image/jpeg", type=3, desc="front", data=bytes(18_000_000))
    small = APIC(encoding=3, mime="image/png", type=4, desc="back", data=PNG)
    tags = ID3()
    for frame in (TIT2(encoding=3, text="Title"), large, small):
        tags.add(frame)
    tags.save(source)
    warning = copy_tags(source, last)
    texts, pictures = read_contents(open_tags(last))
    assert texts["title"] == ["Title"]
    if target == "flac-16":
        assert warning == f"{source}: FLAC cannot hold all of its tags; left out: a picture (image/jpeg, 18.0 MB)"
        assert [picture.data for picture in pictures] == [PNG]
    else:
        assert warning is None
        assert sorted(len(picture.data) for picture in pictures) == [len(PNG), 18_000_000]
    np.testing.assert_array_equal(read_audio(last)[0], before)


@pytest.mark.parametrize("length", [65017, 65018, 65025, 130050, 200_000])
@pytest.mark.parametrize("target", ["vorbis", ".opus"])
def test_vorbis_comments_of_any_length_leave_the_sound_as_it_is(target, length, files):
    source, last = files("flac-16", target)
    before = read_audio(last)[0]
    flac = FLAC(source)
    flac["lyrics"] = "x" * length
    flac.save()
    for _ in range(2):  # the second time over long ones
        assert copy_tags(source, last) is None
    assert open_tags(last)["lyrics"] == ["x" * length]
    with open_audio(last) as reader:
        np.testing.assert_array_equal(np.concatenate(list(reader.blocks()), axis=1), before)
        assert reader.warning is None


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("with_id3", [False, True])
def test_apev2_tags_of_an_mp3_are_kept_and_id3_overrides_them(target, with_id3, files):
    source, last = files("mp3-vbr", target)
    tags = APEv2()
    tags["Title"], tags["Artist"], tags["Track"], tags["MP3GAIN_MINMAX"] = "APE title", ["A", "B"], "3/9", "100,200"
    tags["Cover Art (Front)"] = APEValue(b"cover.png\0" + PNG, BINARY)
    tags.save(source)
    if with_id3:
        id3 = ID3()
        id3.add(TIT2(encoding=3, text="ID3 title"))
        id3.save(source)
    assert copy_tags(source, last) is None
    texts, pictures = read_contents(open_tags(last))
    texts.pop("encoder", None)
    title = "ID3 title" if with_id3 else "APE title"
    assert texts == {"title": [title], "artist": ["A", "B"], "tracknumber": ["3"], "tracktotal": ["9"]}
    assert [picture.data for picture in pictures] == [PNG]
    with source.open("rb") as file:
        assert read_tags(file)["title"] == [title]


@pytest.mark.parametrize("target", TARGETS)
def test_all_of_several_comments_are_kept(target, files):
    source, middle, last = files("flac-16", "mp3-vbr", target)
    _tag(source, {"comment": ["one", "two"], "comment:mood": ["calm"]})
    id3 = ID3()
    id3.add(COMM(encoding=3, lang="deu", desc="", text="drei"))
    id3.save(middle)
    assert copy_tags(source, middle) is None
    assert copy_tags(middle, last) is None
    texts, _ = read_contents(open_tags(last))
    assert sorted(texts["comment"]) == ["drei", "one", "two"]
    assert texts["comment:mood"] == ["calm"]


def test_frames_that_are_not_text_are_named(files):
    source, last = files("mp3-vbr", "flac-16")
    tags = ID3()
    for frame in (TIT2(encoding=3, text="T"), POPM(email="a@b.c", rating=200, count=3), TMED(encoding=3, text="CD")):
        tags.add(frame)
    tags.save(source)
    assert copy_tags(source, last) == f"{source}: FLAC cannot hold all of its tags; left out: POPM frame"
    assert FLAC(last)["media"] == ["CD"]


# --- chunks, cue points, chapters


@pytest.mark.parametrize("target", ["mp3-vbr", "wav-16", "aiff-16"])
def test_dates_and_totals_that_id3_cannot_hold_are_kept_as_text(target, files):
    source, middle, last = files("flac-16", target, "flac-16")
    texts = {"date": ["circa 1975"], "originaldate": ["05/1999"], "releasedate": ["2021-05-06"], "tracktotal": ["12"]}
    _tag(source, texts)
    assert copy_tags(source, middle) is None
    tags = open_tags(middle).tags
    assert [tags.getall(name) for name in ("TDRC", "TDOR")] == [[], []]
    assert str(tags["TDRL"]) == "2021-05-06"
    assert copy_tags(middle, last) is None
    found, _ = read_contents(open_tags(last))
    assert found == texts


def test_numbers_that_an_mp4_cannot_hold_are_kept_as_text(files):
    source, middle, last = files("flac-16", ".m4a", "flac-16")
    texts = {"tracknumber": ["A1"], "tracktotal": ["12"], "disctotal": ["2"], "bpm": ["fast"]}
    _tag(source, texts)
    assert copy_tags(source, middle) is None
    assert MP4(middle)["trkn"] == [(0, 12)]
    assert copy_tags(middle, last) is None
    found, _ = read_contents(open_tags(last))
    assert found == texts


def test_a_text_of_id3_without_a_description_is_no_website(files):
    source, last = files("mp3-vbr", "flac-16")
    tags = ID3()
    tags.add(TXXX(encoding=3, desc="", text="words"))
    tags.save(source)
    assert copy_tags(source, last) is None
    assert FLAC(last).tags.as_dict() == {"txxx": ["words"]}


def test_an_invalid_field_takes_no_other_tags_with_it(files):
    mp3, flac, ogg, m4a, last = files("mp3-vbr", "flac-16", "vorbis", ".m4a", "flac-16")
    tags = ID3()
    for frame in (TIT2(encoding=3, text="T"), UFID(owner="http://musicbrainz.org", data=b"\xff\xfe")):
        tags.add(frame)
    tags.save(mp3)
    for path, kind in ((flac, FLAC), (ogg, OggVorbis)):
        file = kind(path)
        file.update({"title": "T", "metadata_block_picture": "!"})
        file.save()
    file = MP4(m4a)
    file.update({"\xa9nam": "T", "----:com.apple.iTunes:X": [MP4FreeForm(b"St\xfcck")]})
    file.save()
    for path, lost in ((mp3, "UFID frame"), (flac, "invalid pictures"), (ogg, "invalid pictures"), (m4a, None)):
        FLAC(last).delete()
        warning = copy_tags(path, last)
        assert warning == (lost and f"{path}: FLAC cannot hold all of its tags; left out: {lost}")
        assert FLAC(last)["title"] == ["T"]
        assert read_tags(path.open("rb"))["title"] == ["T"]
    assert FLAC(last)["x"] == ["St\ufffdck"]


def test_damaged_tags_do_not_hide_the_others(files):
    wav, flac, last = files("wav-16", "flac-16", "flac-16")
    _add_chunks(wav, (b"LIST", b"INFO" + _chunk(b"INAM", b"T")), (b"id3 ", b"ID3\4\0\0\0\0\0\x20TIT2\0\0"))
    _tag(flac, {"title": ["T"]})
    start, end = flac.read_bytes().split(b"image/png")
    flac.write_bytes(start[:-1] + b"\xff" + b"image/png" + end)  # a wrong length
    for path in (wav, flac):
        FLAC(last).delete()
        assert copy_tags(path, last).startswith(f"{path}: some of its tags are damaged, the others were copied (")
        assert FLAC(last)["title"] == ["T"]
        assert read_tags(path.open("rb")) == {"title": ["T"]}


def _chunk(name, data, order="<"):
    return name + struct.pack(f"{order}I", len(data)) + data + b"\0" * (len(data) % 2)


def _add_chunks(path, *chunks, order="<"):
    data = bytearray(path.read_bytes() + b"".join(_chunk(*chunk, order) for chunk in chunks))
    data[4:8] = struct.pack(f"{order}I", len(data) - 8)
    path.write_bytes(data)


def _bext(loudness):
    data = bytearray(b"A scene".ljust(602, b"\0") + b"A=PCM\r\n")
    data[346:348] = b"\x02\0"
    data[412:422] = struct.pack("<5h", *loudness)
    return bytes(data)


CUE = struct.pack("<I" + "II4sIII" * 2, 2, 7, 12000, b"data", 0, 0, 12000, 9, 18001, b"data", 0, 0, 18001)
LABELS = b"adtl" + _chunk(b"labl", struct.pack("<I", 7) + b"Verse\0") + _chunk(b"labl", struct.pack("<I", 9) + b"End\0")
SMPL = struct.pack("<9I6I", 0, 0, 20833, 60, 0, 0, 0, 1, 0, 0, 0, 1000, 2000, 0, 0)
INFO = b"INFO" + _chunk(b"INAM", b"Title\0") + _chunk(b"IKEY", b"a, b\0") + _chunk(b"ISFT", b"Some 1.0\0")


@pytest.fixture
def wav(files):
    """Make a WAV of 0.5 s at 48 kHz with all the chunks that other programs write."""
    (path,) = files("wav-16")
    path = path.rename(path.with_name("source.wav"))
    chunks = (b"bext", _bext((-2300, 500, -100, -2000, -2100))), (b"cue ", CUE), (b"LIST", LABELS), (b"smpl", SMPL)
    _add_chunks(path, *chunks, (b"iXML", b"<BWFXML/>"), (b"LIST", INFO), (b"PEAK", bytes(24)))
    return path


def test_a_wav_keeps_the_chunks_of_a_wav(wav, files):
    (last,) = files("wav-16")
    before = read_audio(last)[0]
    assert copy_tags(wav, last) is None
    with last.open("rb") as file:
        chunks = read_chunks(file)
    unknown = (0x7FFF,) * 5  # new sound has another loudness
    info = INFO[: -len(_chunk(b"ISFT", b"Some 1.0\0"))]
    expected = [("bext", _bext(unknown)), ("cue ", CUE), ("LIST", LABELS), ("smpl", SMPL), ("iXML", b"<BWFXML/>")]
    assert chunks == [*expected, ("LIST", info)]
    np.testing.assert_array_equal(read_audio(last)[0], before)
    assert str(open_tags(last).tags["TIT2"]) == "Title"


@pytest.mark.parametrize("target", [target for target in TARGETS if target != "wav-16"])
def test_other_formats_keep_cue_points_as_chapters_and_name_the_rest(wav, files, target):
    (last,) = files(target)
    warning = copy_tags(wav, last)
    assert warning.endswith(" cannot hold all of its tags; left out: bext chunk, smpl chunk, iXML chunk")
    assert _places(last) == [(0.25, "Verse"), (0.375, "End")]
    assert read_contents(open_tags(last))[0]["keywords"] == ["a, b"]


def _places(path):
    """Return chapters and cue points, to the millisecond."""
    file = open_tags(path)
    with path.open("rb") as opened:
        found = chunk_markers(read_chunks(opened), 48000)
    if isinstance(file, MP4):
        found = [Marker(chapter.start, None, chapter.title) for chapter in file.chapters]
        assert container_markers(path)[0].name == found[0].name  # FFmpeg finds them too
    found = found or (id3_markers(file.tags) if isinstance(file.tags, ID3) else vorbis_markers(read_contents(file)[0]))
    return sorted((round(marker.start, 3), marker.name) for marker in found)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("source", ["wav", "aiff-16", "mp3-vbr", "vorbis", "flac-16", "chapters.m4a", "chapters.mka"])
def test_chapters_and_cue_points_are_copied(source, target, files, tmp_path, request, noise):
    first = request.getfixturevalue("wav") if source == "wav" else None
    last, *others = files(target, source) if source in KINDS else files(target)
    first = first or (others[0] if others else tmp_path / source)
    if source == "wav":
        pass  # it has them
    elif source == "aiff-16":
        marks = struct.pack(">HhI6shI4s", 2, 7, 12000, b"\x05Verse", 9, 18001, b"\x03End")
        _add_chunks(first, (b"MARK", marks), order=">")
    elif source == "mp3-vbr":
        tags = ID3()
        for number, (start, end, name) in enumerate([(250, 375, "Verse"), (375, 500, "End")]):
            tags.add(CHAP(element_id=f"c{number}", start_time=start, end_time=end, sub_frames=[TIT2(text=name)]))
        tags.save(first)
    elif source in ("vorbis", "flac-16"):
        file = open_tags(first)
        file.update({"CHAPTER001": "00:00:00.250", "CHAPTER001NAME": "Verse"})
        file.update({"CHAPTER002": "00:00:00.375", "CHAPTER002NAME": "End"})
        file.save()
    else:
        with av.open(str(first), "w", format="mp4" if source.endswith("m4a") else "matroska") as container:
            times = [(0, 0.375, "Verse"), (0.375, 0.5, "End")]  # an MP4's first chapter begins at 0
            container.set_chapters(
                [
                    {
                        "id": number,
                        "start": int(1000 * start),
                        "end": int(1000 * end),
                        "time_base": Fraction(1, 1000),
                        "metadata": {"title": name},
                    }
                    for number, (start, end, name) in enumerate(times)
                ]
            )
            stream = container.add_stream(
                "alac" if source.endswith("m4a") else "pcm_s16le", rate=48000, layout="stereo"
            )
            samples = (noise(24000) * 30000).astype(np.int16)
            stream.format = "s16p" if source.endswith("m4a") else "s16"
            data = samples if source.endswith("m4a") else samples.T.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(data), format=stream.format.name, layout="stereo")
            frame.sample_rate = 48000
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    copy_tags(first, last)
    assert _places(last) == [(0 if "." in source else 0.25, "Verse"), (0.375, "End")]


def test_a_flac_keeps_the_cue_sheet_and_other_blocks_of_a_flac(files):
    first, last, mp3 = files("flac-16", "flac-16", "mp3-vbr")
    flac = FLAC(first)
    sheet = CueSheet(None)
    for number, offset in ((1, 0), (2, 12000), (255, 24000)):
        track = CueSheetTrack(number, offset)
        if number != 255:
            track.indexes.append(CueSheetTrackIndex(1, 0))
        sheet.tracks.append(track)
    flac.cuesheet = sheet
    flac.metadata_blocks.append(sheet)
    block = MetadataBlock(b"abcd some program's own")
    block.code = 2
    flac.metadata_blocks.append(block)
    flac.save()
    assert copy_tags(first, last) is None
    assert FLAC(last).cuesheet == FLAC(first).cuesheet
    assert [block.write() for block in FLAC(last).metadata_blocks if block.code == 2] == [block.write()]
    assert copy_tags(first, mp3) == f"{first}: MP3 cannot hold all of its tags; left out: abcd block"
    assert _places(mp3) == [(0, "Track 1"), (0.25, "Track 2")]


def test_an_aiff_keeps_the_chunks_of_an_aiff(files):
    first, last = files("aiff-16", "aiff-16")
    marks = struct.pack(">HhI6s", 1, 2, 12000, b"\x05Verse")
    instrument = struct.pack(">bbbbbbh6h", 60, 0, 0, 127, 1, 127, 0, 0, 0, 0, 0, 0, 0)
    chunks = (b"MARK", marks), (b"INST", instrument), (b"APPL", b"stocA note."), (b"NAME", b"Title")
    _add_chunks(first, *chunks, order=">")
    before = read_audio(last)[0]
    assert copy_tags(first, last) is None
    with last.open("rb") as file:
        assert [(name.encode(), data) for name, data in read_chunks(file)] == list(chunks)
    np.testing.assert_array_equal(read_audio(last)[0], before)
    assert str(open_tags(last).tags["TIT2"]) == "Title"


@pytest.mark.parametrize("target", ["aiff-16", ".m4a"])
def test_lengths_of_markers_are_named_where_they_cannot_be_kept(target, files):
    source, last = files("wav-16", target)
    region = _chunk(b"ltxt", struct.pack("<II4s8x", 7, 1000, b"rgn "))
    _add_chunks(source, (b"cue ", CUE), (b"LIST", LABELS + region))
    assert copy_tags(source, last).endswith(" cannot hold all of its tags; left out: lengths of markers")
    assert _places(last) == [(0.25, "Verse"), (0.375, "End")]


def test_only_as_many_chapters_as_an_mp4_can_hold_are_written(files):
    source, last = files("flac-16", ".m4a")
    flac = FLAC(source)
    for number in range(300):
        flac[f"CHAPTER{number:03}"] = f"00:00:00.{number:03}"
        flac[f"CHAPTER{number:03}NAME"] = "é" * 200
    flac.save()
    assert copy_tags(source, last).endswith("left out: all markers after the first 255")
    places = _places(last)
    assert (len(places), places[-1]) == (255, (0.254, "é" * 127))


def test_a_wav_takes_the_loops_and_texts_of_an_aiff(files):
    first, last = files("aiff-16", "wav-16")
    marks = struct.pack(">HhI6shI4s", 2, 1, 12000, b"\x05Verse", 2, 18001, b"\x03End")
    instrument = struct.pack(">bbbbbbh6h", 60, 0, 0, 127, 1, 127, 0, 1, 1, 2, 0, 0, 0)
    texts = (b"NAME", b"Title"), (b"AUTH", b"Anna"), (b"COMT", struct.pack(">HIHH5s", 1, 0, 0, 5, b"hello"))
    _add_chunks(first, (b"MARK", marks), (b"INST", instrument), *texts, order=">")
    assert copy_tags(first, last) is None
    with last.open("rb") as file:
        chunks = dict(read_chunks(file))
    assert struct.unpack_from("<9I4I", chunks["smpl"])[2:] == (20833, 60, 0, 0, 0, 1, 0, 0, 0, 12000, 18000)
    assert read_contents(open_tags(last))[0] == {"title": ["Title"], "artist": ["Anna"], "comment": ["hello"]}


def test_zeros_after_the_last_chunk_end_the_search(wav):
    with wav.open("rb") as file:
        chunks = read_chunks(file)
    with wav.open("ab") as file:
        file.truncate(wav.stat().st_size + 500_000_000)
    with wav.open("rb") as file:
        assert read_chunks(file) == chunks


def test_the_texts_of_a_wav_are_found_where_a_recorder_reserved_gigabytes(make, noise):
    path = make("wav-16", noise(3000))
    texts = b"LIST" + (16).to_bytes(4, "little") + b"INFOIART" + (4).to_bytes(4, "little") + b"Nina"
    with path.open("ab") as file:
        file.write(texts)
        file.truncate(2**34)  # FFmpeg would look at every 8 bytes of it
    with path.open("rb") as file:
        assert read_tags(file) == {"artist": ["Nina"]}


def test_an_id3_tag_before_a_wav_is_copied(make, noise, tmp_path):
    path = make("wav-16", noise(3000))
    tags = ID3()
    tags.add(TIT2(encoding=3, text="A title"))
    tags.save(tmp_path / "tag")
    path.write_bytes((tmp_path / "tag").read_bytes() + path.read_bytes())
    shutil.copy(make("wav-24", noise(3000)), tmp_path / "out.wav")
    assert copy_tags(path, tmp_path / "out.wav") is None
    with (tmp_path / "out.wav").open("rb") as file:
        assert read_tags(file) == {"title": ["A title"]}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("before", ["wav-16", "aiff-16"])
def test_chunks_behind_an_id3_tag_are_copied(before, target, files, tmp_path):
    source, last = files(before, target)
    if before == "wav-16":
        _add_chunks(source, (b"cue ", CUE), (b"LIST", LABELS))
    else:
        marks = struct.pack(">HhI6shI4s", 2, 7, 12000, b"\x05Verse", 9, 18001, b"\x03End")
        _add_chunks(source, (b"MARK", marks), order=">")
    tags = ID3()
    tags.add(TIT2(encoding=3, text="A title"))
    tags.save(tmp_path / "tag")
    source.write_bytes((tmp_path / "tag").read_bytes() + source.read_bytes())
    assert copy_tags(source, last) is None
    assert _places(last) == [(0.25, "Verse"), (0.375, "End")]
    with last.open("rb") as file:
        assert read_tags(file)["title"] == ["A title"]


def test_big_endian_texts_of_a_wav_are_read(noise, tmp_path):
    path = tmp_path / "song.wav"
    sf.write(path, noise(3000).T, 44100, subtype="PCM_16", endian="BIG")
    assert path.read_bytes()[:4] == b"RIFX"
    _add_chunks(path, (b"LIST", b"INFO" + _chunk(b"IART", b"Nina", ">")), order=">")
    with path.open("rb") as file:
        assert read_tags(file) == {"artist": ["Nina"]}


@pytest.mark.parametrize("zeros", [0, 500_000_000])
@pytest.mark.parametrize("target", TARGETS)
def test_cue_points_of_an_rf64_are_copied(target, zeros, files, tmp_path):
    (last,) = files(target)
    source = tmp_path / "song.wav"
    sf.write(source, np.zeros((24000, 2)), 48000, format="RF64", subtype="PCM_16")
    with source.open("ab") as file:
        file.write(_chunk(b"cue ", CUE) + _chunk(b"LIST", LABELS))
        file.truncate(file.tell() + zeros)
    assert copy_tags(source, last) is None
    assert _places(last) == [(0.25, "Verse"), (0.375, "End")]
