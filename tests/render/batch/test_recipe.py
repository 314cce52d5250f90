"""A recipe gives the arguments of a batch; mistakes in it are one line."""

import inspect
import re

import pytest
from stembridge.core.settings import keys_of
from stembridge.models import load_model
from stembridge.render import load_recipe, remix_files, separate_files
from stembridge.render.batch.job import choose
from stembridge.render.settings import RemixFiles, SeparateFiles

NIGHT = """
songs = ["albums/**/*.flac", "/music/list.m3u", "s3://bucket/songs"]
output = "out"
preset = "karaoke"
gains_db = { drums = -3, bass = 1.5 }
model = "live"
automation = "ride.csv"
map = "maps/mine.json"
name = "{artist} - {title}.{ext}"
format = "flac"
normalize = true
encoding_quality = 7.5
sample_format = "int24"
overwrite = false
jobs = 4
dask = "tcp://host:8786"
threads = 1

[[song]]
match = "live/*"
gains_db = { drums = -6 }
preset = "mine.json"

[[song]]
match = "live/02*"
loudness = "match"
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "night.toml"
        path.write_text(text)
        return path

    return write


def test_a_recipe_is_the_arguments_of_a_batch(write, tmp_path):
    recipe = load_recipe(write(NIGHT))
    assert recipe == {
        "songs": [f"{tmp_path}/albums/**/*.flac", "/music/list.m3u", "s3://bucket/songs"],
        "output": f"{tmp_path}/out",
        "preset": "karaoke",
        "gains_db": {"drums": -3, "bass": 1.5},
        "model": "live",
        "automation": f"{tmp_path}/ride.csv",
        "map": f"{tmp_path}/maps/mine.json",
        "name": "{artist} - {title}.{ext}",
        "encoding_quality": 7.5,
        "format": "flac",
        "normalize": True,
        "sample_format": "int24",
        "overwrite": False,
        "jobs": 4,
        "dask": "tcp://host:8786",
        "threads": 1,
        "overrides": [
            {"match": "live/*", "gains_db": {"drums": -6}, "preset": f"{tmp_path}/mine.json"},
            {"match": "live/02*", "loudness": "match"},
        ],
    }
    inspect.signature(remix_files).bind(**recipe)


def test_a_recipe_of_stems(write, tmp_path):
    recipe = load_recipe(
        write('songs = ["a.wav"]\nstems = ["vocals"]\n[[song]]\nmatch = "a*"\nstems = ["drums", "no_drums"]'),
        "separate",
    )
    assert recipe["stems"] == ["vocals"]
    assert recipe["overrides"] == [{"match": "a*", "stems": ["drums", "no_drums"]}]
    inspect.signature(separate_files).bind(output="out", **recipe)


def test_every_argument_can_be_in_a_recipe():
    arguments = {*inspect.signature(remix_files).parameters, *inspect.signature(separate_files).parameters}
    keys = {*keys_of(RemixFiles), *keys_of(SeparateFiles)}
    assert keys == arguments - {"overrides", "dry_run", "watcher"}


def test_an_empty_recipe_sets_nothing(write):
    assert load_recipe(write("# later\n")) == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("vocals = -80", "unknown key 'vocals'; choose from songs, output"),
        ("stems = ['vocals']", "unknown key 'stems'"),
        ("dry_run = true", "unknown key 'dry_run'"),
        ("songs = 'a.wav'", "songs = 'a.wav' does not work; give a list of texts"),
        ("songs = [1]", "songs = [1] does not work"),
        ("gains_db = -80", "give a table of numbers"),
        ("gains_db = { vocals = '-80' }", "give a table of numbers"),
        ("gains_db = { vocals = true }", "give a table of numbers"),
        ("normalize = 1", "give true or false"),
        ("jobs = 2.5", "give a whole number"),
        ("jobs = true", "give a whole number"),
        ("loudness = 'loud'", 'give LUFS from -70 to 0, such as -14, or "match"'),
        ("loudness = true", "give LUFS"),
        ("preset = 1", "preset = 1 does not work; give text"),
        ("song = 1", "give tables that begin with [[song]]"),
        ("[[song]]\nmatch = 'a'\nmodel = 'live'", "[[song]] 1: unknown key 'model'; choose from match, gains_db"),
        ("[[song]]\nmatch = 'a'\n[[song]]\nmatch = 1", "[[song]] 2: match = 1 does not work"),
        ("jobs = ", "is not valid TOML"),
        ("jobs = 1\njobs = 2", "is not valid TOML"),
    ],
)
def test_mistakes_are_one_line(write, text, says):
    path = write(text)
    with pytest.raises(ValueError, match=r"night\.toml") as caught:
        load_recipe(path)
    assert str(caught.value).startswith(str(path))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recipe_that_cannot_be_read(tmp_path):
    with pytest.raises(OSError, match=r"recipe .*gone\.toml cannot be read: No such file"):
        load_recipe(tmp_path / "gone.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="is not valid TOML"):
        load_recipe(tmp_path / "bytes.toml")


@pytest.fixture
def chosen(tiny_live_model):
    """Return a function: (places, overrides, choices) -> the settings of each song."""
    model = load_model(tiny_live_model)

    def chosen(places, overrides, **choices):
        batch = RemixFiles("songs", "out", overrides=overrides, **choices)
        return [one.settings for one in choose(places, batch, model)]

    return chosen


def test_later_overrides_win_and_faders_are_merged(chosen):
    overrides = [
        {"match": "live/*", "gains_db": {"drums": -6}},
        {"match": "02*", "gains_db": {"drums": -9}, "loudness": -14},
        {"match": "/music/**/*.wav", "preset": "drumless"},
    ]
    places = ["/music/live/01.flac", "/music/live/02.flac", "/music/a/b/03.wav", "01.flac"]
    first, second, third, fourth = chosen(places, overrides, gains_db={"bass": 3}, normalize=True)
    assert first["gains_db"] == {"drums": -6, "bass": 3}
    assert second["gains_db"] == {"drums": -9, "bass": 3}
    assert third["gains_db"] == {"drums": -80, "bass": 3}
    assert fourth["gains_db"] == {"bass": 3}
    assert [one["normalize"] for one in (first, second, third, fourth)] == [True, False, True, True]
    assert [one["loudness"] for one in (first, second, third, fourth)] == [None, -14, None, None]


def test_the_later_of_bitrate_and_quality_wins(tiny_live_model):
    model = load_model(tiny_live_model)
    overrides = [{"match": "*.mp3", "bitrate": 128}, {"match": "b.mp3", "encoding_quality": 4}]
    places = ["a.mp3", "b.mp3", "c.opus", "d.flac"]
    jobs = choose(places, RemixFiles("songs", "out", encoding_quality=7, overrides=overrides), model)
    codings = [job.coding_of(job.suffix(place)) for place, job in zip(places, jobs, strict=True)]
    assert codings == [{"bitrate": 128}, {"encoding_quality": 4}, {"encoding_quality": 7}, {}]


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ("song.flac", True),
        ("*.flac", True),
        ("b/song.flac", True),
        ("b/*", True),
        ("a/**", True),
        ("a/**/song.*", True),
        ("/music/*/*/song.flac", True),
        ("**/song.[a-f]*", True),
        ("/song.flac", False),
        ("*.FLAC", False),
        ("a/*", False),
        ("ong.flac", False),
        ("music", False),
    ],
)
def test_a_match_is_a_glob_of_a_path_or_its_end(chosen, match, fits):
    overrides = [{"match": match, "gains_db": {"vocals": -80}}]
    if fits:
        assert chosen(["/music/a/b/song.flac"], overrides)[0]["gains_db"] == {"vocals": -80}
    else:
        with pytest.raises(ValueError, match="matches no song"):
            chosen(["/music/a/b/song.flac"], overrides)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ({"gains_db": {}}, "override 1 has no match"),
        ({"match": "*", "model": "live"}, "override 1: unknown key 'model'"),
        ({"match": "*", "gains_db": {"flute": 0}}, "override 1: unknown stem 'flute'"),
        ({"match": "*", "gains_db": {"drums": 21}}, "out of range"),
        ({"match": "*", "preset": "nonsense"}, "override 1: unknown preset"),
        ({"match": "*", "format": "mp4"}, "format 'mp4' does not work; give one of wav, flac"),
        ({"match": "*", "loudness": -14, "normalize": True}, "loudness and normalize"),
        ({"match": "*", "bitrate": 192, "encoding_quality": 5}, "choose one of them"),
        ({"match": "*", "encoding_quality": -1}, "encoding quality -1 does not work"),
        ({"match": "*", "format": "flac", "bitrate": 192}, ".flac keeps every sample and has no bitrate to choose"),
        ({"match": "*", "name": "{nmae}.{ext}"}, "unknown field {nmae}"),
    ],
)
def test_impossible_overrides_are_refused(chosen, override, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        chosen(["song.flac"], [override])


def test_a_recipe_at_work(write, make_song, tmp_path, tiny_live_model):
    for name in ["in/a.wav", "in/live/b.wav"]:
        make_song(name, frames=4000)
    live = '[[song]]\nmatch = "live/*"\nname = "l/{name}.{ext}"'
    recipe = write(f'songs = ["in"]\noutput = "out"\nmodel = "{tiny_live_model}"\n{live}')
    report = remix_files(**load_recipe(recipe))
    assert [song.outputs for song in report.done] == [(f"{tmp_path}/out/a (remix).wav",), (f"{tmp_path}/out/l/b.wav",)]


def test_brackets_in_a_match(chosen):
    places = ["/music/Live [2019]/01 song [abc123].flac", "/music/Live 2/01 song a.flac", "/music/02.flac"]

    def fits(match):
        found = chosen(places, [{"match": match, "gains_db": {"vocals": -80}}])
        return [number for number, one in enumerate(found) if one["gains_db"]]

    for match in "01 song [abc123].flac", "[0-9]? song [abc123].flac", "Live [2019]/*", "*[[]abc123].flac", "*[[]*":
        assert fits(match) == [0]
    assert fits("01 song [ab].flac") == [1], "a set, if no path has this name"
    with pytest.raises(ValueError, match=r"matches no song .of 3.; .*write \[\[\] for a bracket"):
        fits("01 song [xyz].flac")
