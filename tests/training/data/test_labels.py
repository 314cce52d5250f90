"""A teacher labels songs once, in stretches, and only reliable labels are taught."""

import shutil

import numpy as np
import pytest
import soundfile
from stembridge.core.errors import DataError
from stembridge.models import load_model
from stembridge.training.data import labels as module
from stembridge.training.data.labels import Labels
from stembridge.training.data.songs import STEMS, find_mixtures

RATE = 44100


@pytest.fixture
def teacher(make_teacher):
    """Make a teacher that gives vocals half of the mix, and the other stems a sixth each."""
    return load_model(make_teacher(0.5, 1 / 6, 1 / 6))


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a song of noise, changed by a function of its samples, and finds it."""

    def write(seconds, change=lambda audio: None, name="song"):
        audio = 0.1 * np.random.default_rng(0).standard_normal((2, round(seconds * RATE)))
        change(audio)
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / f"{name}.flac", audio.T, RATE)
        return find_mixtures([tmp_path / name])[0]

    return write


def label(song, teacher, folder, **whole):
    labels = Labels(teacher, folder)
    return labels, [*labels.label(song, **whole)]


def test_labels_are_the_stems_of_the_teacher_and_sum_to_the_mix(write, teacher, tmp_path):
    song = write(8)
    labels, done = label(song, teacher, tmp_path / "cache")
    assert len(done) == 1
    (passage,) = labels.passages(song, 0)
    assert len(passage) == 8 * RATE
    mix = song.decode("mixture")
    stems = {stem: passage.stems[stem].T / 32767 for stem in STEMS}
    for stem, share in zip(STEMS, (0.5, 1 / 6, 1 / 6, 1 / 6), strict=True):
        assert np.abs(stems[stem] - share * mix).max() < 1e-3, stem
        assert passage.levels_db[stem] == pytest.approx(-20 + 20 * np.log10(share), abs=0.1)
    assert np.abs(sum(stems.values()) - mix).max() < 1e-3


def test_a_song_is_labelled_from_its_middle_on_in_whole_stretches(write, teacher, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "STRETCH_S", 8)

    def rise(audio):
        audio *= np.linspace(0.1, 1, audio.shape[1])

    song = write(21.5, rise)
    labels, done = label(song, teacher, tmp_path / "cache")
    assert len(done) == 1
    assert labels.is_labelled(song)
    assert not labels.is_labelled(song, whole=True)
    assert labels.passages(song, 1) is None
    assert len([*labels.label(song, whole=True)]) == 2
    assert labels.is_labelled(song, whole=True)
    levels = [labels.passages(song, number)[0].levels_db["vocals"] for number in range(3)]
    assert levels[1] < levels[0] < levels[2]
    assert [len(labels.passages(song, number)[0]) / RATE for number in range(3)] == [7, 7, 7]
    assert labels.passages(song, 3) is None


def test_nothing_is_labelled_twice(write, teacher, tmp_path, make_teacher, monkeypatch):
    monkeypatch.setattr(module, "STRETCH_S", 8)
    song = write(16)
    label(song, teacher, tmp_path / "cache")
    assert label(song, teacher, tmp_path / "cache")[1] == []
    assert len(label(song, teacher, tmp_path / "cache", whole=True)[1]) == 1
    assert label(song, teacher, tmp_path / "cache", whole=True)[1] == []
    other = load_model(make_teacher(0.4, 0.2, 0.2))
    assert len(label(song, other, tmp_path / "cache")[1]) == 1


def test_a_label_without_its_facts_is_made_again(write, teacher, tmp_path):
    song = write(6)
    labels, _ = label(song, teacher, tmp_path / "cache")
    (facts,) = (tmp_path / "cache").glob("*.json")
    facts.unlink()  # as after a kill between the two writes
    assert labels.passages(song, 0) is None
    assert len(label(song, teacher, tmp_path / "cache")[1]) == 1


def test_clipped_and_silent_seconds_are_left_out(write, teacher, tmp_path):
    def spoil(audio):
        audio[:, 2 * RATE : 3 * RATE] = 0
        audio[:, 10 * RATE : 11 * RATE] = np.clip(30 * audio[:, 10 * RATE : 11 * RATE], -1, 1)

    song = write(20, spoil)
    labels, _ = label(song, teacher, tmp_path / "cache")
    first, second = labels.passages(song, 0)
    # The two seconds at the start are too short to be used.
    assert (len(first) / RATE, len(second) / RATE) == (7, 9)
    mix = song.decode("mixture")
    assert np.abs(first.stems["vocals"].T / 32767 - 0.5 * mix[:, 3 * RATE : 10 * RATE]).max() < 2e-3


def test_parts_where_two_chunk_grids_disagree_are_not_taught(write, make_model, tmp_path):
    """The teacher's masks rise within each chunk, so that they depend on where chunks begin."""
    ramp = """
        zero = Constant <value_int = 0> ()
        ones = Exp (silent)
        count = CumSum (ones, zero)
        size = Constant <value_float = 400.0> ()
        mask = Div (count, size)
        masks = Concat <axis = 1> (mask, mask, mask)
    """
    chunk = {"left": 4, "frames": 100, "right": 4, "overlap": 4}
    unsure = load_model(make_model(ramp, mode="chunked", chunk=chunk))
    song = write(8)
    labels, done = label(song, unsure, tmp_path / "cache")
    assert len(done) == 1
    assert labels.passages(song, 0) == []


@pytest.mark.parametrize("damage", ["empty.json", "odd.json", "missing.npy", "empty.npy", "short.npy"])
def test_a_damaged_label_is_made_again(write, teacher, tmp_path, damage):
    song = write(6)
    labels, _ = label(song, teacher, tmp_path / "cache")
    whole = {path.suffix: path for path in (tmp_path / "cache").iterdir()}
    kept = {path: path.read_bytes() for path in whole.values()}
    path = whole[f".{damage.partition('.')[2]}"]
    if damage.startswith("missing"):
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "odd": b"[1]", "short": kept[path][:1000]}[damage.partition(".")[0]])
    assert not labels.is_labelled(song)
    assert labels.passages(song, 0) is None
    assert len(label(song, teacher, tmp_path / "cache")[1]) == 1
    assert {path: path.read_bytes() for path in kept} == kept


def test_faint_stems_are_not_taught(write, make_teacher, tmp_path):
    song = write(6)
    labels, _ = label(song, load_model(make_teacher(0.5, 0.1, 0.17)), tmp_path / "cache")  # drums 20 dB below the mix
    (passage,) = labels.passages(song, 0)
    assert set(passage.levels_db) == {"vocals", "bass", "other"}
    assert set(passage.stems) == set(STEMS)


def test_stems_beyond_full_scale_keep_their_balance(write, make_teacher, tmp_path):
    song = write(6)
    labels, _ = label(song, load_model(make_teacher(8.0, -4.0, -2.0)), tmp_path / "cache")
    (passage,) = labels.passages(song, 0)
    rms = {stem: np.sqrt(np.mean((passage.stems[stem] / 32767) ** 2)) for stem in STEMS}
    assert np.abs(passage.stems["vocals"]).max() == 32767
    assert rms["vocals"] / rms["drums"] == pytest.approx(2, rel=1e-3)
    assert 20 * np.log10(rms["vocals"]) == pytest.approx(passage.levels_db["vocals"], abs=0.01)


def test_a_teacher_with_other_stems_is_refused(make_model, tmp_path):
    model = load_model(make_model("masks = Identity (silent)", name="halves", stems=["vocals", "rest"]))
    with pytest.raises(DataError, match=r"model halves gives vocals, rest, but not drums; choose a teacher that gives"):
        Labels(model, tmp_path / "cache")


def test_unknown_stems_belong_to_other(write, make_model, tmp_path):
    body = """
        some = Constant <value_float = 0.2> ()
        mask = Add (silent, some)
        masks = Concat <axis = 1> (mask, mask, mask, mask)
    """
    song = write(6)
    teacher = load_model(make_model(body, stems=["drums", "vocals", "guitar", "bass", "other"]))
    labels, _ = label(song, teacher, tmp_path / "cache")
    (passage,) = labels.passages(song, 0)
    other = passage.stems["other"].T / 32767
    assert np.abs(other - 0.4 * song.decode("mixture")[:, : other.shape[1]]).max() < 1e-3


def test_songs_too_short_to_be_used_are_named(write, teacher, tmp_path):
    with pytest.raises(DataError, match=r"song.flac is shorter than 6 s; give longer songs"):
        label(write(5.9), teacher, tmp_path / "cache")


def test_a_cache_that_is_a_file_is_refused(teacher, tmp_path):
    (tmp_path / "notes.txt").write_bytes(b"kept")
    with pytest.raises(DataError, match=r"notes.txt is a file; give a folder for decoded songs to --cache"):
        Labels(teacher, tmp_path / "notes.txt")


def test_songs_are_found_whether_they_have_stems_or_not(tmp_path, make):
    stem = make.song(tmp_path / "source", 1, seconds=0.1) / "vocals.wav"
    for place in ("a.wav", "Drums.oga", "album/b.wma", "mine/vocals.wav", "mine/drums.wav", "mine/mixture.wav"):
        (tmp_path / "songs" / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(stem, tmp_path / "songs" / place)
    make.song(tmp_path / "songs" / "stems alone", 2, seconds=0.1)
    for place in ("karaoke/mixture.wav", "karaoke/vocals.wav", "only/mixture.wav", "._a.wav", ".hidden/c.wav"):
        (tmp_path / "songs" / place).parent.mkdir(exist_ok=True)
        shutil.copy(stem, tmp_path / "songs" / place)
    make.musdb(tmp_path / "songs" / "A - B.STEM.MP4", 3, 0.1)
    songs = find_mixtures([tmp_path / "songs"])
    assert [song.name for song in songs] == ["A - B", "Drums", "a", "b", "karaoke", "mine", "only"]
    assert all([*song.files] == ["mixture"] for song in songs)
    assert {song.files["mixture"].name for song in songs[4:]} == {"mixture.wav"}
    assert songs[0].decode("mixture").shape[0] == 2


def test_folders_without_songs_are_refused_in_one_line(tmp_path):
    with pytest.raises(DataError, match=r"contains no songs; it should have audio files"):
        find_mixtures([tmp_path])
    with pytest.raises(DataError, match=r"does not exist; give a folder of songs to --songs"):
        find_mixtures([tmp_path / "missing"])
    (tmp_path / "song.wav").write_bytes(b"")
    with pytest.raises(DataError, match=r"song.wav is not a folder; give a folder of songs to --songs"):
        find_mixtures([tmp_path / "song.wav"])


def test_stems_without_a_mixture_are_no_songs_to_label(tmp_path, make):
    make.song(tmp_path / "song", 1, seconds=0.1)
    with pytest.raises(DataError, match=r"contains only stems without a mixture; give it to --data, or add mixture"):
        find_mixtures([tmp_path])
