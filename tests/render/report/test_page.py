"""The page of a batch shows the report, whatever the names are, and is self-contained."""

import re
import shutil
import subprocess
import tracemalloc
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stembridge.core.times import clock
from stembridge.render.report.page import write_page
from stembridge.render.report.report import Report
from stembridge.render.report.results import SongReport
from stembridge.render.report.svg import STEM_HEIGHT, WAVE_HEIGHT, draw_stems, draw_waveform
from stembridge.render.song.level import Level
from stembridge.render.song.overview import Overview

STEMS = ("vocals", "drums", "bass", "other")
VOID = {"meta", "input", "br", "line", "rect", "path"}
HOSTILE = """<script>alert(1)</script> &amp; "quoted" 'too' javascript:alert(1) </title></style> ünï.wav"""


class Reader(HTMLParser):
    """Collects the parts of a page, and checks that its tags are nested."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert tag in VOID or self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.texts.append(data)

    def count(self, tag):
        return sum(name == tag for name, _ in self.tags)


def make_overview(seed=0, stems=STEMS):
    random = np.random.default_rng(seed)
    high = random.uniform(0, 1, (2, 240))
    levels = random.uniform(-80, 3, (2, len(stems), 240)).astype(np.float32)
    waves = np.stack([-high, high], axis=-1).astype(np.float32)
    return Overview(stems, 201.0, waves[0], waves[1], levels[0], levels[1])


def make_song(source="a.wav", outcome="done", **fields):
    levels = {"before": Level(-14.2, -0.1), "after": (Level(-15.8, -1.2, -0.9),)} if outcome != "failed" else {}
    outputs = {"outputs": () if outcome == "failed" else (f"out/{Path(source).name}",)}
    return SongReport(source, outcome=outcome, **outputs | {"seconds": 201.0, "took": 5.0} | levels | fields)


def make_report(*songs, took=20.0, overview=None, **settings):
    return Report(songs, took, settings, overview or (lambda song: make_overview()))


@pytest.fixture
def show(tmp_path):
    """Return a function that writes a report's page and reads it."""

    def show(report):
        path = tmp_path / "report.html"
        write_page(report, path)
        assert [file.name for file in tmp_path.iterdir() if "report" in file.name] == ["report.html"]
        return Reader(path.read_text("utf-8"))

    return show


def test_failed_songs_come_first_and_then_those_with_warnings(show):
    page = show(
        make_report(
            make_song("fine.wav"),
            make_song("odd.wav", warnings=("turned down by 1.00 dB",)),
            make_song("bad.wav", "failed", reason="not an audio file"),
            make_song("old.wav", "skipped"),
        )
    )
    text = "\n".join(page.texts)
    places = [text.rindex(part) for part in ("bad.wav", "not an audio file", "odd.wav", "fine.wav", "old.wav")]
    assert places == sorted(places)
    assert page.count("article") == 3
    assert "4 songs, 1 failed" in page.texts
    assert {"1 failed", "1 with warnings", "1 done", "1 done before", "turned down by 1.00 dB"} <= set(page.texts)


def test_numbers_and_settings(show):
    page = show(make_report(make_song(), make_song("b.wav"), gains_db={"vocals": -80}, preset="karaoke"))
    text = " ".join(page.texts)
    assert "6:42 rendered in 0:20, 20.1 times real time" in text
    assert "-14.2 → -15.8 LUFS (-1.6)" in text
    assert "-0.1 → -1.2 dBFS" in text
    assert "-0.9 dBTP" in text
    assert '{"vocals": -80}' in text
    assert "karaoke" in text


def test_each_stem_file_has_its_loudness(show):
    outputs = tuple(f"out/{stem}.wav" for stem in STEMS)
    levels = tuple(Level(-20.0 - k, -3.0) for k in range(4))
    page = show(make_report(make_song(outputs=outputs, after=levels)))
    for output, level in zip(outputs, levels, strict=True):
        assert output in page.texts
        assert f"{level.lufs:.1f} LUFS, peak -3.0 dBFS" in page.texts
    assert page.count("audio") == 0


def test_a_plan_and_a_report_of_nothing(show):
    page = show(
        make_report(make_song(outcome="planned", seconds=None, took=None, before=None, after=()), overview=None)
    )
    assert "out/a.wav" in page.texts
    assert show(make_report()).count("article") == 0


def test_silence_and_missing_pictures(show):
    song = make_song(before=Level(None, None), after=(Level(None, None),))
    page = show(make_report(song, overview=lambda song: None))
    assert page.count("article") == 1
    assert page.count("path") == 0
    silent = np.zeros((240, 2), np.float32), np.full((4, 240), -80, np.float32)
    page = show(make_report(song, overview=lambda song: Overview(STEMS, 1.0, *silent[:1] * 2, *silent[1:] * 2)))
    assert page.texts.count("silent") == 4


def test_links_lead_from_the_page_to_the_files(show, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = "songs/a b#1?.wav", "songs/javascript:alert(1).wav", "s3://bucket/c.wav"
    page = show(make_report(*(make_song(name, outputs=("elsewhere/x%20y.wav",)) for name in names)))
    links = [values["href"] for tag, values in page.tags if tag == "a" and not values["href"].startswith("#")]
    assert {unquote(link) for link in links} == {*names[:2], "elsewhere/x%20y.wav"}
    assert not [link for link in links if set(link) & set(":?#")]
    assert page.count("audio") == 5


@settings(max_examples=30)
@given(text=st.text(st.characters(exclude_categories=("Cc", "Cs")) | st.just("\udce9"), min_size=1))
def test_text_stays_text(text, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    song = make_song(f"x{text}x", outputs=(f"y{text}y",), warnings=(f"w{text}w",))
    bad = make_song(f"b{text}b", "failed", reason=f"r{text}r")
    report = make_report(song, bad, overview=lambda song: make_overview(stems=(f"s{text}s",)), preset=f"p{text}p")
    write_page(report, folder / "report.html")
    page = Reader((folder / "report.html").read_text("utf-8", errors="strict"))
    plain = text.encode("utf-8", "backslashreplace").decode()
    assert {f"y{plain}y", f"w{plain}w", f"b{plain}b", f"r{plain}r", f"s{plain}s", f"p{plain}p"} <= set(page.texts)
    assert page.count("script") == 0
    write_page(make_report(make_song(), make_song("b", "failed"), preset="p"), folder / "plain.html")
    plain_page = Reader((folder / "plain.html").read_text("utf-8"))
    assert {tag for tag, _ in page.tags} == {tag for tag, _ in plain_page.tags}


def outlines(picture):
    """Yield the points of each path: a list of (x, y)."""
    for data in re.findall(r' d="([^"]*)"', picture):
        x = y = 0
        points = []
        for command, arguments in re.findall(r"([MLl])([^MLlz]*)", data):
            numbers = [int(number) for number in re.findall(r"-?\d+", arguments)]
            for dx, dy in zip(numbers[::2], numbers[1::2], strict=True):
                x, y = (x + dx, y + dy) if command == "l" else (dx, dy)
                points.append((x, y))
        yield points


def between(points, size):
    """Return y at every whole x of a line through points."""
    xs, ys = zip(*sorted(points), strict=True)
    return np.interp(np.arange(size), xs, ys)


@pytest.mark.parametrize("seed", range(3))
def test_a_picture_shows_the_waveform(seed):
    overview = make_overview(seed)
    scale = WAVE_HEIGHT / 2 / min(1, max(np.abs(overview.before).max(), np.abs(overview.after).max()))
    for points, wave in zip(outlines(draw_waveform(overview)), (overview.before, overview.after), strict=True):
        turn = next(k for k, point in enumerate(points) if point[0] == 239) + 1
        for part, column in (points[:turn], 1), (points[turn:], 0):
            np.testing.assert_allclose(WAVE_HEIGHT / 2 - between(part, 240), scale * wave[:, column], atol=0.51)


def test_a_picture_shows_the_levels():
    overview = make_overview()
    pairs = [pair for stem in zip(overview.stems_before, overview.stems_after, strict=True) for pair in stem]
    for row, (points, levels) in enumerate(zip(outlines(draw_stems(overview)), pairs, strict=True)):
        floor = STEM_HEIGHT * (row // 2 + 1)
        loudest = levels.reshape(120, 2).max(1)
        turn = next(k for k, point in enumerate(points) if point[0] == 119) + 1
        expected = (STEM_HEIGHT - 2) * np.clip(1 + loudest / 50, 0, 1)
        np.testing.assert_allclose(floor - between(points[:turn], 120), expected, atol=0.51)
        assert {y for _, y in points[turn:]} == {floor}


def test_pictures_are_small():
    assert len(draw_waveform(make_overview())) < 5000  # noise; music takes about 3,500
    assert len(draw_stems(make_overview())) < 5000


def test_fader_changes_are_shown_in_decibels():
    overview = make_overview()
    before = np.full((4, 240), -20, np.float32)
    after = before + np.array([[-60], [3], [0], [-6]], np.float32)
    picture = draw_stems(Overview(STEMS, 1.0, overview.before, overview.after, before, after))
    assert re.findall(r"<li><span>(.*?)</span><span>(.*?)</span>", picture) == [
        ("vocals", "silent"), ("drums", "+3.0 dB"), ("bass", "0 dB"), ("other", "-6.0 dB")
    ]  # fmt: skip


def test_times():
    assert [clock(seconds) for seconds in (0, 0.4, 59.6, 61, 3599.6, 36_000)] == [
        "0:00", "0:00", "1:00", "1:01", "1:00:00", "10:00:00"
    ]  # fmt: skip


def test_songs_are_written_one_by_one(tmp_path):
    path = tmp_path / "report.html"
    report = make_report(*(make_song(f"{k}.wav") for k in range(150)))
    write_page(make_report(make_song()), path)  # so that the template is compiled
    tracemalloc.start()
    write_page(report, path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size > 1_000_000
    assert peak < 400_000


def test_a_page_appears_whole_or_not_at_all(tmp_path):
    def stumble(song):
        raise OSError("the journal is gone")

    path = tmp_path / "report.html"
    path.write_text("old")
    with pytest.raises(OSError, match="the journal is gone"):
        write_page(make_report(make_song(), overview=stumble), path)
    with pytest.raises(OSError, match="nowhere"):
        write_page(make_report(), tmp_path / "nowhere" / "report.html")
    assert path.read_text() == "old"
    assert list(tmp_path.glob("*report*")) == [path]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Return a function that opens a page in headless Chromium, without a network: (page, options) -> its output."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no Chromium on this machine")
    profile = tmp_path_factory.mktemp("profile")

    def browser(page, *options):
        quiet = "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"
        cut = "--host-resolver-rules=MAP * ~NOTFOUND"
        command = [program, *quiet, cut, f"--user-data-dir={profile}", *options, page.as_uri()]
        return subprocess.run(command, capture_output=True, timeout=120, check=True).stdout

    return browser


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory):
    """Make a page in which all text is hostile."""
    path = tmp_path_factory.mktemp("hostile") / "report.html"
    songs = [make_song(f"{k}{HOSTILE}", warnings=(HOSTILE,)) for k in range(5)]
    bad = make_song(HOSTILE, "failed", reason=HOSTILE)
    write_page(
        make_report(*songs, bad, overview=lambda song: make_overview(stems=(*STEMS, HOSTILE)), name=HOSTILE), path
    )
    return path


def test_a_browser_builds_the_page_and_runs_nothing(browser, hostile_page):
    page = Reader(browser(hostile_page, "--dump-dom").decode())
    assert page.count("script") == 0
    assert page.count("article") == 5
    assert page.count("svg") == 1 + 2 * 5
    assert page.count("path") == 5 * (2 + 2 * 5)
    assert page.texts.count(HOSTILE) == 1 + 1 + 1 + 5 + 5  # failed, its reason, a setting, warnings, stems
    known = {name for _, attributes in page.tags for name in attributes}
    assert not {name for name in known if name.startswith("on")}
    targets = [value for _, attributes in page.tags for name, value in attributes.items() if name in ("href", "src")]
    assert targets
    assert not [target for target in targets if ":" in target or target.startswith("/")]


def pixels(path):
    with av.open(str(path)) as file:
        return next(file.decode(video=0)).to_ndarray(format="rgb24").astype(int)


def test_a_browser_shows_the_pictures(browser, hostile_page, tmp_path):
    shots = {}
    dark = "--force-dark-mode", "--blink-settings=preferredColorScheme=0"
    for name, size, options in ("wide", "1400,1500", ()), ("narrow", "500,1800", ()), ("dark", "1400,1500", dark):
        browser(hostile_page, f"--window-size={size}", f"--screenshot={tmp_path / name}.png", *options)
        shots[name] = pixels(tmp_path / f"{name}.png")
    for name, shot in shots.items():
        red, green, blue = np.moveaxis(shot, -1, 0)
        assert np.mean(blue > red + 60) > 0.01, f"no waveform: {name}"
        assert np.mean((red > blue + 60) & (red > green + 30)) > 0.003, f"no vocals: {name}"
    assert shots["wide"].mean() > 180
    assert shots["dark"].mean() < 90
