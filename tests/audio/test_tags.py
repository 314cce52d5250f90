"""Tags and cover art: what travels, between which kinds of files, and what must stay behind."""

import errno
import io
import struct

import numpy as np
import pytest
from mutagen.flac import FLAC, Picture
from mutagen.id3 import APIC, COMM, GEOB, ID3, POPM, RVA2, TCON, TIT2, TLEN, TPE1, TRCK, TSSE, TXXX
from mutagen.mp3 import MP3
from mutagen.mp4 import MP4
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis
from stembridge.audio import copy_tags, open_audio, read_audio, read_tags
from stembridge.audio.tags import _open, _read

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
TARGETS = ("wav-16", "flac-16", "mp3-vbr", "vorbis")
KINDS = (*TARGETS, "aiff-16", "opus", "ogg-flac", "aac", "alac")


@pytest.fixture
def files(make, noise, tmp_path):
    """files(kind, kind) -> two files of these kinds, whose names say nothing."""

    def files(*kinds):
        for i, kind in enumerate(kinds):
            yield make(kind, noise(24000), 48000).rename(tmp_path / f"file{i}.part")

    return files


def _tag(path, texts):
    """Tag a file by way of a FLAC, which takes every name."""
    flac = FLAC(path)
    flac.tags.update(texts)
    picture = Picture()
    picture.data, picture.mime, picture.type, picture.desc = PNG, "image/png", 3, "front"
    flac.add_picture(picture)
    flac.save()


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_tags_and_cover_travel_between_all_kinds(source, target, files):
    first, middle, last = files("flac-16", source, target)
    _tag(first, TEXTS | UNTRUE)
    before = read_audio(last)[0]
    assert copy_tags(first, middle) is None
    assert copy_tags(middle, last) is None
    texts, pictures = _read(_open(last))
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
def test_between_id3_and_id3_every_frame_is_kept_but_what_new_sound_makes_untrue(target, files):
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
    copied = _open(last).tags
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
def test_a_file_without_tags_gives_none(kind, files):
    source, last = files(kind, "mp3-vbr")
    assert copy_tags(source, last) is None
    assert not MP3(last).tags


@pytest.mark.parametrize("target", TARGETS)
def test_tags_that_cannot_be_read_stay_behind_with_one_line(target, files, tmp_path):
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


def test_a_cover_without_any_text_travels_too(files):
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
def test_tags_alone_are_read_from_files_and_from_what_is_none_of_this_machine(kind, files):
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
def test_where_there_are_no_tags_none_are_read(content):
    assert read_tags(io.BytesIO(content)) == {}
