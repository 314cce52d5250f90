"""Songs, teachers and recipes small enough to train in a test."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import soundfile
from stembridge.training.recipe import RECIPES, Recipe

RATE = 44100
STEMS = ("vocals", "drums", "bass", "other")


def make_stem(stem: str, seconds: float, seed: int) -> np.ndarray:
    """Make a stem of a given kind, (2, n): a vibrato, clicks, a low tone or noise."""
    random = np.random.default_rng([seed, STEMS.index(stem)])
    t = np.arange(round(seconds * RATE)) / RATE
    pitch = random.uniform(0.8, 1.2)
    mono = {
        "vocals": lambda: np.sin(2 * np.pi * 500 * pitch * t + 3 * np.sin(2 * np.pi * 5 * t)),
        "drums": lambda: random.standard_normal(len(t)) * np.exp(-20 * (t * 4 * pitch % 1)),
        "bass": lambda: np.sin(2 * np.pi * 60 * pitch * t),
        "other": lambda: np.sign(np.sin(2 * np.pi * 900 * pitch * t)) * 0.5,
    }[stem]()
    return 0.2 * np.stack([mono, mono * random.uniform(0.5, 1)])


def write_song(folder: Path, seed: int, seconds: float = 3.0, stems: tuple[str, ...] = STEMS) -> Path:
    """Write a folder with one WAV file per stem."""
    folder.mkdir(parents=True)
    for stem in stems:
        soundfile.write(folder / f"{stem}.wav", make_stem(stem, seconds, seed).T, RATE)
    return folder


def write_musdb(path: Path, seed: int, seconds: float = 2.0) -> Path:
    """Write a file like those of MUSDB18: five AAC streams, the mixture first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stems = {stem: make_stem(stem, seconds, seed) for stem in ("drums", "bass", "other", "vocals")}
    with av.open(str(path), "w", format="mp4") as container:
        streams = [container.add_stream("aac", rate=RATE, layout="stereo") for _ in range(5)]
        for stream, audio in zip(streams, [np.sum([*stems.values()], axis=0), *stems.values()], strict=True):
            for start in range(0, audio.shape[1], 1024):
                block = np.ascontiguousarray(audio[:, start : start + 1024], np.float32)
                frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
                frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="session")
def songs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make three whole songs, one without vocals and other, a MUSDB18 file, and two solo voices."""
    folder = tmp_path_factory.mktemp("songs")
    for seed in range(3):
        write_song(folder / f"song {seed}", seed)
    write_song(folder / "instrumental", 7, stems=("drums", "bass"))
    write_musdb(folder / "musdb" / "Somebody - A Song.stem.mp4", 11)
    (folder / "voices").mkdir()
    for seed in range(2):
        soundfile.write(folder / "voices" / f"singer {seed}.ogg", make_stem("vocals", 3, 20 + seed)[0], RATE)
    return folder


@pytest.fixture(scope="session")
def make_teacher(make_model: Callable[..., Path]) -> Callable[..., Path]:
    """Return a function that makes a model: vocals, drums and bass are shares of the mix, and other is the rest."""

    def make_teacher(*shares: float) -> Path:
        masks = [
            f"share{i} = Constant <value_float = {share:f}> () m{i} = Add (silent, share{i})"
            for i, share in enumerate(shares)
        ]
        body = "\n".join([*masks, "masks = Concat <axis = 1> (m0, m1, m2)"])
        return make_model(body, window=4096, synthesis_window=4096, hop=2048)

    return make_teacher


@pytest.fixture(scope="session")
def unlabelled_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make three songs of 7 s without stems."""
    folder = tmp_path_factory.mktemp("unlabelled")
    for seed in range(3):
        mix = np.sum([make_stem(stem, 7, 40 + seed) for stem in STEMS], axis=0)
        soundfile.write(folder / f"song without stems {seed}.flac", 0.8 * mix.T, RATE)
    return folder


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """Give the functions above to tests that need their own songs."""
    return SimpleNamespace(stem=make_stem, song=write_song, musdb=write_musdb)


def tiny(kind: tuple[str, str]) -> Recipe:
    return replace(RECIPES[kind], blocks=2, band_features=8, summary_features=4, hidden=8)


@pytest.fixture(params=["streaming", "chunked"])
def tiny_recipe(request: pytest.FixtureRequest) -> Recipe:
    """Give the recipe of each mode, of the shipped family, with few features."""
    return tiny(("recurrent", request.param))


@pytest.fixture(params=[(kind, 0) for kind in RECIPES] + [(kind, 3) for kind in RECIPES if kind[1] == "streaming"])
def any_recipe(request: pytest.FixtureRequest) -> Recipe:
    """Give the recipe of each family and mode with few features, and also those that stream with look-ahead."""
    kind, lookahead = request.param
    return replace(tiny(kind), lookahead=lookahead)
