"""Songs named by files, folders, globs, playlists and URLs."""

import os
import zipfile
from pathlib import Path

import pytest
from stembridge.audio.playlists import playlist_entries
from stembridge.render.batch.sources import Source, find_songs

OUTPUT = "/nowhere/out"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def music(here):
    """Make a folder of songs and other files."""
    names = [
        "music/10.flac", "music/2.FLAC", "music/b/song.mp3", "music/B side/1.wav", "music/b/.hidden.wav",
        "music/.trash/old.wav", "music/cover.jpg", "music/b/notes.txt",
    ]  # fmt: skip
    for name in names:
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).touch()
    return here / "music"


def named(*arguments, output=OUTPUT):
    return [(song.place, song.folder) for song in find_songs(arguments, output)[0]]


def left_out(*arguments, output=OUTPUT):
    return find_songs(arguments, output)[1].lines()


def test_a_folder_gives_all_songs_below_it_in_natural_order(music):
    assert named("music") == [
        ("music/2.FLAC", ""),
        ("music/10.flac", ""),
        ("music/B side/1.wav", "B side"),
        ("music/b/song.mp3", "b"),
    ]
    assert named("music/b/") == [("music/b/song.mp3", "")]


def test_a_glob_mirrors_the_folders_below_its_first_wildcard(music):
    assert named("music/**/*.mp3") == [("music/b/song.mp3", "b")]
    assert named("mus*/**/*.wav") == [("music/B side/1.wav", "music/B side")]
    assert named(str(music / "?.FLAC")) == [(str(music / "2.FLAC"), "")]
    assert [place for place, _ in named("**/*")] == [place for place, _ in named("music")]


def test_folders_that_a_glob_matches_are_entered(music):
    assert named("music/*") == named("music")
    assert named("music/[bB]*") == [("music/B side/1.wav", "B side"), ("music/b/song.mp3", "b")]


def test_a_file_is_taken_whatever_its_suffix(here):
    for name in ["song", "[live] *.flac", "-o.wav", "notes.txt"]:
        (here / name).touch()
        assert named(name) == [(name, "")]


@pytest.mark.parametrize("argument", ["gone.wav", "gone/", "gone/*.wav", "empty", "music/*.ogg", "empty.m3u"])
def test_an_argument_that_names_nothing_is_an_error(music, here, argument):
    (here / "empty").mkdir()
    (here / "empty.m3u").write_text("#EXTM3U\n\n")
    with pytest.raises(ValueError, match=r"no such file|no song found") as caught:
        named("music", argument)
    assert str(caught.value).startswith(argument)
    assert "\n" not in str(caught.value)


def test_a_song_that_is_named_in_many_ways_is_one_song(music, here):
    (here / "link.flac").symlink_to(music / "10.flac")
    (here / "list.m3u").write_text("music/10.flac\n")
    ways = ["music/10.flac", "./music/b/../10.flac", str(music / "10.flac"), "link.flac", "list.m3u", "music"]
    assert [place for place, _ in named(*ways)].count("music/10.flac") == 1
    assert len(named(*ways)) == 4


def test_linked_folders_are_entered_once(music):
    (music / "b" / "loop").symlink_to(music)
    (music / "other").symlink_to(music / "b")
    assert len(named("music")) == 4


def test_a_glob_does_not_go_round_in_links(music):
    for name in ["a", "b/a", "b/loop"]:
        (music / name).symlink_to(music)
    assert named("music/**/*.mp3") == [("music/b/song.mp3", "b")]
    assert named("music/**/[bB]") == [("music/b/song.mp3", "b")]
    assert len(named("**")) == 4


def test_outputs_of_an_earlier_run_are_not_songs(music):
    (music / "out" / "b").mkdir(parents=True)
    (music / "out" / "b" / "song.mp3").touch()
    for argument in ["music", "music/**/*.mp3"]:
        assert not [place for place, _ in named(argument, output="music/out") if "out" in place]
    assert named("music/out/b/song.mp3", output="music/out") == [("music/out/b/song.mp3", "")], (
        "it was named explicitly"
    )
    assert named("music/out/b", output="music/out") == [("music/out/b/song.mp3", "")]
    assert ("music/out/b/song.mp3", "out/b") in named("music", output="elsewhere")


def test_in_the_folder_of_the_songs_only_our_outputs_are_left_out(music):
    ours = str(music / "10.flac")
    found, _ = find_songs(["music"], "music", lambda name: name == ours)
    assert [song.place for song in found] == ["music/2.FLAC", "music/B side/1.wav", "music/b/song.mp3"]


def test_a_playlist(music, here):
    text = (
        "#EXTM3U\r\n#EXTINF:1,Song\r\n10.flac\r\n\r\nb\\song.mp3\r\n  B side/1.wav  \r\nhttps://example.org/a.mp3\r\n"
    )
    for encoding in ["utf-8", "utf-8-sig"]:
        (music / "list.m3u8").write_text(text, encoding, newline="")
        assert named("music/list.m3u8") == [
            ("music/10.flac", ""),
            ("music/b/song.mp3", ""),
            ("music/B side/1.wav", ""),
            ("https://example.org/a.mp3", ""),
        ]


def test_playlists_of_other_kinds(music, here):
    (music / "Déjà.wav").touch()
    (here / "old.m3u").write_bytes("music/Déjà.wav\n".encode("latin-1"))
    assert named("old.m3u") == [("music/Déjà.wav", "")]
    (here / "powershell.m3u8").write_bytes("music/Déjà.wav\r\n".encode("utf-16"))
    assert named("powershell.m3u8") == [("music/Déjà.wav", "")]
    (here / "noise.m3u").write_bytes(b"music/10.flac\n\x00\x01")
    with pytest.raises(ValueError, match=r"noise\.m3u is not a playlist"):
        named("noise.m3u")
    (here / "urls.m3u").write_text((music / "B side" / "1.wav").as_uri())
    assert named("urls.m3u") == [(str(music / "B side" / "1.wav"), "")]
    (here / "list.pls").write_text(
        "[playlist]\nFile1=music/10.flac\nTitle1=Ten\nFile2=music/2.FLAC\nNumberOfEntries=2\n"
    )
    assert named("list.pls") == [("music/10.flac", ""), ("music/2.FLAC", "")]


def test_a_missing_song_of_a_playlist_is_a_failure_of_that_song(music):
    (music / "list.m3u").write_text("#EXTM3U\ngone.flac\n10.flac\nb\n")
    found, _ = find_songs(["music/list.m3u"], OUTPUT)
    assert found == [
        Source("music/gone.flac", failure="music/list.m3u, line 2: no such file"),
        Source("music/10.flac"),
        Source("music/b", failure="music/list.m3u, line 4: is a folder, not a song"),
    ]


def test_a_missing_playlist():
    with pytest.raises(OSError, match=r"playlist .*gone\.m3u cannot be read: No such file"):
        named("gone.m3u")


def test_urls(memory):
    for name in ["/music/10.flac", "/music/2.flac", "/music/b/song.mp3", "/music/.hidden.wav", "/music/cover.jpg"]:
        memory.pipe(name, b"")
    memory.pipe("/music/list.m3u", b"b/song.mp3\n")
    assert named("memory://music") == [
        ("memory:///music/2.flac", ""),
        ("memory:///music/10.flac", ""),
        ("memory:///music/b/song.mp3", "b"),
    ]
    assert named("memory://music/**/*.mp3") == [("memory:///music/b/song.mp3", "b")]
    assert named("memory:///music/2.flac") == [("memory:///music/2.flac", "")]
    assert named("memory:///music/list.m3u") == [("memory:///music/b/song.mp3", "")]
    assert named("memory://music", output="memory:///music/b") == named("memory://music")[:2]


def test_songs_in_an_archive(music, here):
    with zipfile.ZipFile("songs.zip", "w") as archive:
        archive.write("music/10.flac", "a/10.flac")
        archive.write("music/2.FLAC", "a/b/2.flac")
    archive = f"songs.zip::{here}/songs.zip".removeprefix("songs.zip::")
    assert named(f"zip://a::{archive}") == [(f"zip://a/10.flac::{archive}", ""), (f"zip://a/b/2.flac::{archive}", "b")]
    assert named(f"zip://**/2.flac::{archive}") == [(f"zip://a/b/2.flac::{archive}", "a/b")]


def test_playlists_at_urls(memory, here):
    memory.pipe_file("/p/list.m3u", b"a.flac\nb/c.flac\n")
    assert named("memory://p/list.m3u") == [("memory://p/a.flac", ""), ("memory://p/b/c.flac", "")]
    archive = here / "songs.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("lists/a.m3u", "one.flac\n")
    assert named(f"zip://lists/a.m3u::{archive}") == [(f"zip://lists/one.flac::{archive}", "")]


def test_a_query_after_the_address_of_a_playlist_is_no_part_of_the_folder():
    found = playlist_entries("https://example.org/l/a.m3u?at=1/2", b"one.flac")
    assert [place for _, place, _ in found] == ["https://example.org/l/one.flac"]


def test_file_urls_are_paths(music):
    assert named((music / "B side").as_uri()) == [(str(music / "B side" / "1.wav"), "")]


@pytest.mark.parametrize("url", ["memory://gone", "memory://gone/*.flac", "nonsense://bucket/song.flac"])
def test_a_url_that_names_nothing(memory, url):
    with pytest.raises(ValueError, match=r"no such file|no song found|is unknown to fsspec") as caught:
        named(url)
    assert str(caught.value).startswith(url)


def test_names_that_are_not_text(here):
    name = os.fsdecode(b"caf\xe9.wav")
    Path(name).touch()
    assert named(".") == [(f"./{name}", "")]


def touch(*names):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def test_brackets_are_literal_if_a_path_has_this_name(here):
    touch("Album [2019]/1 [live].flac", "Album [2019]/2.flac", "Album 2/3.flac", "more/Album [2019]/4.flac")
    assert named("Album [2019]/*.flac") == [("Album [2019]/1 [live].flac", ""), ("Album [2019]/2.flac", "")]
    assert named("Album [2019]") == named("Album [2019]/") == named("Album [2019]/*")
    assert named("*/1 [live].flac") == [("Album [2019]/1 [live].flac", "Album [2019]")]
    assert named("Album [2019]/[0-9].flac") == [("Album [2019]/2.flac", "")]
    assert named("Album [2019]/[0-9] [live].flac") == [("Album [2019]/1 [live].flac", "")]
    assert named("**/Album [2019]/[1-4]*.flac") == [
        ("Album [2019]/1 [live].flac", "Album [2019]"),
        ("Album [2019]/2.flac", "Album [2019]"),
        ("more/Album [2019]/4.flac", "more/Album [2019]"),
    ]
    assert named(str(here / "Album [2019]" / "*.flac")) == [
        (str(here / "Album [2019]" / "1 [live].flac"), ""),
        (str(here / "Album [2019]" / "2.flac"), ""),
    ]
    assert named("Album [12]/*.flac") == [("Album 2/3.flac", "Album 2")], "a set, if no path has this name"
    assert named("Album [[]2019]/2.flac") == [("Album [2019]/2.flac", "Album [2019]")]
    with pytest.raises(ValueError, match=r"Album \[1999\]/\*\.flac: no song found; .*write \[\[\] for a bracket"):
        named("Album [1999]/*.flac")


def test_brackets_at_a_url(memory):
    for name in ["/Album [2019]/1 [live].flac", "/Album [2019]/2.flac", "/Album 2/3.flac"]:
        memory.pipe(name, b"")
    first, second = "memory:///Album [2019]/1 [live].flac", "memory:///Album [2019]/2.flac"
    assert named("memory:///Album [2019]/*.flac") == [(first, ""), (second, "")]
    assert named("memory:///Album [2019]/1 [live].flac") == [(first, "")]
    assert named("memory:///Album [12]/*.flac") == [("memory:///Album 2/3.flac", "Album 2")]
    assert named("memory:///Album [[]2019]/?.flac") == [(second, "Album [2019]")]
    assert named("memory:///Album ?/3.flac") == [("memory:///Album 2/3.flac", "Album 2")]


def test_other_files_in_a_folder_are_counted(music):
    touch("music/a.MP4", "music/b/b.webm", "music/b/c.mp4", "music/README", "music/mix.Stem.MP4", "music/._2.FLAC")
    assert "music/mix.Stem.MP4" in [place for place, _ in named("music")]
    (line,) = left_out("music", "music/b")
    assert line == "left out 6 files without an audio suffix: 2 .mp4, 1 .jpg, 1 .txt, 1 .webm, 1 without a suffix"
    assert left_out("music/*") == (line,)
    assert left_out("music", output="music/b") == (
        "left out 3 files without an audio suffix: 1 .jpg, 1 .mp4, 1 without a suffix",
    )
    assert left_out("music/**/*.flac", "music/cover.jpg") == ()
    for arguments in ("music/b", "music/b/*.webm"), ("music/b/*.webm", "music/b"):
        assert left_out(*arguments) == ("left out 2 files without an audio suffix: 1 .mp4, 1 .txt",)
    touch(*(f"many/{number}.x{number}" for number in range(12)), "many/song.wav")
    assert left_out("many")[0].endswith(".x5, 4 others")


def test_files_requested_by_suffix_are_taken(music):
    touch("music/a.MP4", "music/b/c.mp4", "music/c.mp3", "music/d.mp4/e.txt", "music/d.mp4/f.wav")
    assert named("music/**/*.mp4") == [("music/b/c.mp4", "b"), ("music/d.mp4/f.wav", "d.mp4")]
    assert [place for place, _ in named("music/*.[mM][pP][34]")] == ["music/a.MP4", "music/c.mp3", "music/d.mp4/f.wav"]
    assert named("music/b/*.txt") == [("music/b/notes.txt", "")]
    assert named("music/.tra*/*") == [("music/.trash/old.wav", ".trash")]
    with pytest.raises(ValueError, match=r"no song found; left out 1 file .*: 1 \.mp4; .* such as '\*\*/\*\.mp4'"):
        named("music/b/c*")


def test_playlists_are_opened_if_requested(music):
    for number, name in enumerate(["10.flac", "2.FLAC"]):
        (music / f"{number} [x].m3u").write_text(f"{name}\n")
    assert named("music/*.m3u") == [("music/10.flac", ""), ("music/2.FLAC", "")]
    assert named("music/0 [x].m3u") == [("music/10.flac", "")]
    assert "2 .m3u" in left_out("music")[0]


def test_a_folder_that_cannot_be_read_is_left_out(music, monkeypatch):
    """The system call is patched to refuse, because root may read everything."""
    scandir = os.scandir

    def refuse(path):
        if os.path.basename(path) == "lost+found":
            raise PermissionError(13, "Permission denied", path)
        if os.path.basename(path) == "B side":
            raise FileNotFoundError(2, "No such file or directory", path)
        return scandir(path)

    touch("music/lost+found/a.wav", "music/x.wav")
    (music / "loop").symlink_to("loop")
    monkeypatch.setattr("os.scandir", refuse)
    lines = (
        "left out the folder music/B side: No such file or directory",
        "left out the folder music/lost+found: Permission denied",
    )
    for argument in "music", "music/**/*.*", "music/*":
        assert len(named(argument)) == 4
        assert left_out(argument)[:2] == lines
    assert left_out("music/lost+found", "music/b") == (lines[1], *left_out("music/b"))  # as a shell expands music/*
    with pytest.raises(ValueError, match=r"music/lost\+found: no song found; left out .*: Permission denied"):
        named("music/lost+found")
