"""The documentation builds as a site that loads nothing from the network, and its tutorial works."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import soundfile
import stembridge

ROOT = Path(stembridge.__file__).parent
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site as `.ci/run` does."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder]
    built = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    return folder


class Loaded(HTMLParser):
    """Collects the addresses that a browser loads by itself, without those of links to click."""

    def __init__(self):
        super().__init__()
        self.addresses = []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.addresses += [attributes[name] for name in ("src", "data", "poster") if name in attributes]
        if tag == "link" and attributes.get("rel") not in ("canonical", "next", "prev"):
            self.addresses.append(attributes["href"])


def test_every_page_is_there_and_none_loads_anything_from_elsewhere(site):
    pages = {page.relative_to(site).parent.name for page in site.rglob("index.html")}
    assert pages == {"", *(page.stem for page in DOCS.glob("*.md"))} - {"index"}
    for page in site.rglob("*.html"):
        loaded = Loaded()
        loaded.feed(page.read_text("utf-8"))
        assert loaded.addresses
        assert not [address for address in loaded.addresses if re.match(r"(\w+:)?//", address)], page
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", style.read_text("utf-8")), style


def test_the_api_page_shows_what_the_package_exports(site):
    page = (site / "api" / "index.html").read_text("utf-8")
    for name in set(stembridge.__all__) - {"__version__"}:
        assert f'id="stembridge.{name}"' in page, name


def test_the_architecture_names_the_rooms_and_only_files_that_exist():
    text = (DOCS / "architecture.md").read_text("utf-8")
    rooms = re.findall(r"^\| \d \| `(\w+)/`", text, re.MULTILINE)
    assert set(rooms) == {path.parent.name for path in ROOT.glob("*/__init__.py")}
    wings = [f"{room}/{wing}" for room, line in re.findall(r"^\| \d \| `(\w+)/` \|(.*)", text, re.MULTILINE)
             for wing in re.findall(r"`(\w+)/`", line)]  # fmt: skip
    paths = re.findall(r"`([\w/]+/(?:\w+\.\w+)?)`", text)
    assert len(paths) > 40
    for path in [*wings, *paths]:
        assert (ROOT / path).exists() or [*ROOT.glob(f"*/{path}")], path
    source = "".join(path.read_text("utf-8") for room in rooms for path in (ROOT / room).rglob("*.py"))
    for name in re.findall(r"`([A-Za-z_]\w+)(?:\(.*?\))?`", text):
        assert re.search(rf"\b{name}\b", source), name


def test_the_readme_has_the_same_table_of_networks():
    tables = [
        re.search(r"(?:^\| .*\n|^\|-.*\n)+", path.read_text("utf-8"), re.MULTILINE)[0]
        for path in (ROOT / "README.md", DOCS / "networks.md")
    ]
    assert "studio" in tables[0]
    assert tables[0] == tables[1]


def test_the_tutorial_works(tmp_path):
    """All its commands and programs in order, on a part of the song that it names."""
    with soundfile.SoundFile(ROOT / "examples" / "song.ogg") as file:
        rate = file.samplerate
        soundfile.write(tmp_path / "song.ogg", file.read(5 * rate), rate)
    text = (DOCS / "index.md").read_text("utf-8")
    (table,) = re.findall(r"```csv\n(.*?)```", text, re.DOTALL)
    (tmp_path / "ride.csv").write_text(table)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    said = ""
    for kind, body in re.findall(r"```(sh|python)\n(.*?)```", text, re.DOTALL):
        command = [sys.executable, "-c", body] if kind == "python" else ["sh", "-e", "-c", body]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), body
        said += done.stdout
    printed = re.search(r"It prints `(.*)`\.", text)[1]
    assert printed in said
    song, _ = soundfile.read(tmp_path / "song.ogg")
    stems = sum(soundfile.read(path)[0] for path in (tmp_path / "song").iterdir())
    assert abs(stems - song).max() < 4 / 32768
    ride, _ = soundfile.read(tmp_path / "ride.wav")
    assert abs(ride[: 2 * rate] - song[: 2 * rate]).max() > 0.01
    assert abs(ride[int(4.1 * rate) :] - song[int(4.1 * rate) :]).max() < 2 / 32768
    assert {path.name for path in tmp_path.iterdir()} == {
        "board.wav", "practice.wav", "quiet_drums.wav", "ride.csv", "ride.wav", "song", "song.ogg",
        "song (karaoke).ogg", "song (no vocals).ogg",
    }  # fmt: skip
