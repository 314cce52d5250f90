"""Pictures of songs: complete, self-contained, light or dark, with the numbers in them."""

import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib.image import imread
from stembridge.render.inspect.figure import draw_figure, draw_file
from stembridge.render.inspect.inspection import Inspection, Loud

EDGES = np.geomspace(40, 16000, 161)


@pytest.fixture
def inspection():
    """Inspect a song with an awkward name: one quarter silent, then vocals, then drums."""
    levels = np.full((4, 400), -100, np.float32)
    levels[0, 100:200], levels[1, 200:400] = -20, -30
    wave = np.linspace(0, 0.8, 400) * (np.arange(400) >= 100)
    stems = {
        "vocals": Loud(-18.5, -6, 0.25),
        "drums": Loud(-20.25, -7, 0.75),
        "bass": Loud(None, -np.inf, 0),
        "<other>": Loud(None, -np.inf, 0),
    }
    return Inspection(
        name="A $song$ & <b>more</b> \N{SNOWMAN}", model="live", seconds=200, sample_rate=44100, num_channels=2,
        song=Loud(-14.2, -0.5, 1, -0.3), stems=stems, warning="", waveform=np.stack([-wave, wave]).astype(np.float32),
        spectrum=np.full((160, 400), -40, np.float32), edges_hz=EDGES, levels=levels,
    )  # fmt: skip


def pixels(inspection, **options):
    """Return the pixels, (rows, columns, red green blue), 0 to 1."""
    return imread(io.BytesIO(draw_figure(inspection, ".png", **options)), "png")[..., :3]


def luminance(image):
    return image @ [0.2126, 0.7152, 0.0722]


def test_light_and_dark_are_easy_to_read(inspection):
    light, dark = luminance(pixels(inspection)), luminance(pixels(inspection, dark=True))
    assert light.shape == dark.shape == (1000, 1600)
    assert np.median(light) > 0.7
    assert np.median(dark) < 0.3
    # Title and facts, against the background.
    for picture in light, dark:
        title = picture[40:70, 110:500]
        assert title.max() - title.min() > 0.7


def test_each_stem_is_drawn_at_its_time(inspection):
    """The second quarter has the colour of vocals, the third has not."""
    image = pixels(inspection)
    hue = np.array([0xD5, 0x5E, 0x00]) / 255
    near = (abs(image - hue).max(axis=2) < 0.05)[:, 118:1346]
    quarters = np.array_split(near, 4, axis=1)
    counts = [int(quarter.sum()) for quarter in quarters]
    assert counts[1] > 5000
    assert counts[2] < 500
    assert counts[3] < 500


def test_an_svg_has_its_text_as_text_and_loads_nothing(inspection):
    svg = draw_figure(inspection, ".svg").decode()
    text = " ".join(" ".join(ET.fromstring(svg).itertext()).split())
    minus = "\N{MINUS SIGN}"
    for part in inspection.name, f"{minus}14.2 LUFS", f"true peak {minus}0.3 dBTP", f"{minus}18.5 LUFS", "75% of the":
        assert part in text
    assert "3:20, 44.1 kHz stereo." in text
    assert text.count("silent") == 2
    assert not re.search(r'(href|src)="(?!#|data:)', svg)
    assert draw_figure(inspection, ".svg").decode() == svg


def test_a_page_has_both_pictures_and_a_table_and_needs_nothing(inspection):
    page = draw_figure(inspection, ".html").decode()
    assert "prefers-color-scheme: dark" in page
    assert page.count("data:image/svg+xml;base64,") == 2
    assert "<script" not in page
    assert "<b>more" not in page
    assert "&lt;other&gt;" in page
    assert not re.search(r'(href|src|srcset)="(?!#|data:)', page)
    assert "default-src 'none'" in page
    assert "<td>\N{MINUS SIGN}20.2 LUFS</td>" in page


@pytest.mark.parametrize("seconds", [0.00002, 0.5, 59.0, 7300.0])
@pytest.mark.parametrize("names", [("a",), ("vocals", "drums", "bass", "guitar", "piano", "strings", "other")])
def test_any_length_and_any_stems(inspection, seconds, names):
    stems = dict.fromkeys(names, Loud(-20, -3, 1 / len(names)))
    levels = np.resize(inspection.levels, (len(names), 400))
    other = replace(inspection, seconds=seconds, stems=stems, levels=levels)
    assert draw_figure(other, ".svg")


@pytest.mark.parametrize("name", ["bell \a escape \x1b[31m", "two\nlines", "not text \udcff", "turned \u202e round"])
def test_a_name_may_be_anything(inspection, name):
    odd = replace(inspection, name=name)
    text = "".join(ET.fromstring(draw_figure(odd, ".svg").decode()).itertext())
    shown = re.sub("[\a\x1b\n\udcff\u202e]", "\N{REPLACEMENT CHARACTER}", name)
    assert shown in text
    assert f"<title>{shown} - StemBridge" in draw_figure(odd, ".html").decode()


def test_a_long_name_ends_within_the_picture(inspection):
    image = luminance(pixels(replace(inspection, name="x" * 200)))[40:70]
    assert image.min() < 0.2
    assert (image[:, 1500:] > 0.9).all()


def test_silence_is_empty(inspection):
    """The spectrogram has the background colour, and no number is minus zero or inf."""
    silence = Loud(None, -np.inf, 0)
    silent = replace(
        inspection, song=replace(silence, true_peak_db=-np.inf), stems=dict.fromkeys(inspection.stems, silence),
        spectrum=np.full((160, 400), -100, np.float32), levels=np.full((4, 400), -100, np.float32),
    )  # fmt: skip
    assert luminance(pixels(silent))[270:530, 200:1300].min() > 0.95
    page = draw_figure(silent, ".html").decode()
    assert "inf " not in page
    assert page.count("<td>silent</td>") == 5


def test_a_song_too_short_for_lufs_shows_its_peak(inspection):
    short = replace(inspection, song=Loud(None, -0.04, 1, -0.04), stems={"vocals": Loud(None, -6, 0.003)})
    text = "".join(ET.fromstring(draw_figure(short, ".svg").decode()).itertext())
    for part in "peak 0.0 dBFS", "true peak 0.0 dBTP", "peak \N{MINUS SIGN}6.0 dBFS", "<1% of the energy":
        assert part in text


def test_files(make_song, tmp_path, tiny_live_model):
    song = make_song()
    seen = draw_file(song, tmp_path / "song.PNG", tiny_live_model, dark=True)
    assert seen.name == "song"
    assert (tmp_path / "song.PNG").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(OSError, match="exists already"):
        draw_file(song, tmp_path / "song.PNG", tiny_live_model)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["song.PNG", "song.wav"]
