"""Names of outputs follow the template, and are safe, whatever the names of tags and folders."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from stembridge.render.batch.naming import FIELDS, MAX_NAME_BYTES, Template, safe_name, song_fields

TAGS = {
    "artist": ["AC/DC", "Friends"], "album": ["Live?"], "title": ["T.N.T."], "tracknumber": ["3"], "discnumber": ["1"],
    "date": ["1976-05-14"], "genre": ["Rock"],
}  # fmt: skip
GIVEN = {"preset": "karaoke", "model": "studio", "stem": "vocals", "ext": "flac"}
RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"COM{n}" for n in range(10)), *(f"LPT{n}" for n in range(10))}

# Tags as people and programs write them, and harmful ones.
text = st.text(max_size=300) | st.sampled_from(
    ["", ".", "..", "../../etc/passwd", "/etc/passwd", "a\\b", "C:\\x", "nul", "Com1.txt", "x" * 300, "é" * 150, "~",
     "-rf", "a\0b", "line\nbreak", "\u202egnp.exe", "{name}", "{folder}", "%s", " ", "...", "\ud800", "e\u0301"]
)  # fmt: skip


def name(template, folder="", number=1, tags=TAGS, **values):
    return Template(template).name({**song_fields("/music/tnt.live.mp3", folder, tags), **GIVEN, **values}, number)


def check_part(part):
    assert part not in ("", ".", "..")
    assert not part.startswith(".")
    assert not part.endswith((".", " "))
    assert len(part.encode()) <= MAX_NAME_BYTES
    assert unicodedata.is_normalized("NFC", part)
    assert not set(part) & set('/\\:*?"<>|')
    assert not any(unicodedata.category(sign) in ("Cc", "Cs") for sign in part)
    assert part.partition(".")[0].upper() not in RESERVED


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{name}.{ext}", "tnt.live.flac"),
        ("{artist} - {title} ({preset}).{ext}", "AC_DC, Friends - T.N.T. (karaoke).flac"),
        ("{albumartist}/{year} {album}/{disc}-{track} {title}.{ext}", "AC_DC, Friends/1976 Live_/1-03 T.N.T.flac"),
        ("{genre}/{model}/{name} {stem}.{ext}", "Rock/studio/tnt.live vocals.flac"),
        ("{{x}} {name}.{ext}", "{x} tnt.live.flac"),
        ("./a//{name}.{ext}", "a/tnt.live.flac"),
    ],
)
def test_names_follow_the_template(template, expected):
    assert name(template) == expected


def test_tags_that_are_missing():
    assert name("{artist}/{albumartist}/{album}/{year}/{genre}/{disc}-{track} {title}.{ext}", tags={}) == (
        "Unknown Artist/Unknown Artist/Unknown Album/Unknown Year/Unknown Genre/1-00 tnt.live.flac"
    )
    assert name("{artist} - {title}.{ext}", tags={"title": ["  "], "artist": ["\t", "Band"]}) == "Band - tnt.live.flac"
    assert name("{track}.{ext}", tags={"tracknumber": ["A"]}) == "00.flac"
    assert name("{albumartist}/{year}.{ext}", tags={"albumartist": ["Various"], "date": ["14.5.1976"]}) == (
        "Various/1976.flac"
    )


def test_a_template_without_a_slash_stays_in_the_mirrored_folder():
    assert name("{title}.{ext}", "a/b") == "a/b/T.N.T.flac"
    assert name("all/{title}.{ext}", "a/b") == "all/T.N.T.flac"
    assert name("{genre}/{folder}/{name}/{stem}.{ext}", "a/b") == "Rock/a/b/tnt.live/vocals.flac"
    assert name("{folder}/{stem}.{ext}", "") == "vocals.flac"
    assert name("{folder} {name}.{ext}", "a/b") == "a/b tnt.live.flac"


def test_the_number_of_a_second_song_of_one_name():
    assert name("{title}.{ext}", "a", 2) == "a/T.N.T (2).flac"
    assert name("{folder}/{name}/{stem}.{ext}", "a", 3) == "a/tnt.live (3)/vocals.flac"
    assert name("{name} {stem}.{ext}", "a", 3) == "a/tnt.live vocals (3).flac"
    assert name("{stem}.{ext}", "a", 3) == "a/vocals (3).flac"
    assert len(name("{title}.{ext}", number=12, title="x" * 300).encode()) == MAX_NAME_BYTES


def test_the_longest_field_of_too_long_a_name_is_cut():
    for title in "x" * 300, "é" * 150, "a/b " * 70:
        for number in 1, 12:
            made = name("{title} ({preset}).{ext}", number=number, title=title)
            assert made.endswith(" (karaoke).flac" if number == 1 else " (karaoke) (12).flac")
            assert MAX_NAME_BYTES - 5 <= len(made.encode()) <= MAX_NAME_BYTES
    assert (
        name("{artist}/{title} ({preset}).{ext}", artist="A" * 300, title="T")
        == f"{'A' * MAX_NAME_BYTES}/T (karaoke).flac"
    )


@given(st.lists(st.text(max_size=300), min_size=3, max_size=3), st.integers(1, 10**6))
@example(["x" * 110, "y" * 110, "z" * 110], 1)
@example(["é" * 300, "é" * 300, "é" * 300], 12)
def test_long_tags_leave_the_stems_of_a_song_apart(texts, number):
    given = dict(zip(("artist", "album", "title"), texts, strict=True))
    names = [
        name("{artist} - {album} - {title} - {stem}.{ext}", number=number, **given, stem=stem)
        for stem in ("vocals", "drums", "bass", "other")
    ]
    assert len(set(names)) == 4
    check_part(names[0])


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("", "does not end in .{ext}"),
        ("{name}", "does not end in .{ext}"),
        ("{name}.wav", "does not end in .{ext}"),
        (".{ext}", "has no file name"),
        ("{album}/.{ext}", "has no file name"),
        ("/{name}.{ext}", "begins with a slash"),
        ("../{name}.{ext}", "leads out"),
        ("a/../../{name}.{ext}", "leads out"),
        ("{nmae}.{ext}", "unknown field {nmae} (did you mean 'name'?): choose from artist"),
        ("{}.{ext}", "unknown field {}"),
        ("{0}.{ext}", "unknown field {0}"),
        ("{name.__class__}.{ext}", "unknown field"),
        ("{name!r}.{ext}", "more than a name"),
        ("{track:>500000000}.{ext}", "more than a name"),
        ("{name.{ext}", ""),
        ("name}.{ext}", ""),
    ],
)
def test_impossible_templates_are_refused(template, why):
    with pytest.raises(ValueError, match="name ") as caught:
        Template(template)
    assert why in str(caught.value)
    assert repr(template) in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.fixed_dictionaries({field: text for field in FIELDS if field != "ext"}), st.integers(1, 99))
@example(dict.fromkeys(FIELDS, "../.."), 1)
def test_no_value_leaves_the_folder_or_makes_a_name_that_a_disk_refuses(values, number):
    for template in ["{folder}/{name}/{stem}.{ext}", "{artist}/{album}/{track} {title}.{ext}", "{title}{preset}.{ext}"]:
        path = Template(template).name({**values, "ext": "wav"}, number)
        assert path.endswith(".wav")
        for part in path.split("/"):
            check_part(part)


@given(text)
def test_a_safe_name_is_not_changed(value):
    assert safe_name(safe_name(value)) == safe_name(value)


@pytest.mark.parametrize("plain", ["T.N.T", "Déjà vu", "日本語", "01 - Song (live) [2003]", "👩\u200d🎤", "a'b & c; d"])
def test_ordinary_names_are_not_changed(plain):
    assert safe_name(plain) == plain


def test_names_of_urls():
    def says(url):
        return song_fields(url, "", {})["name"]

    assert says("https://example.org/a/song.mp3?key=1/2") == "song"
    assert says("zip://a/one.flac::s3://bucket/two.zip") == "one"
