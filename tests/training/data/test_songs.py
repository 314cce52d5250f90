"""Training material is found, decoded once, and split so that validation songs are never trained on."""

import numpy as np
import pytest
import soundfile
from stembridge.core.errors import AudioError, DataError
from stembridge.training.data.songs import STEMS, VALIDATION, StemCache, find_songs
from stembridge.training.train import split

RATE = 44100


def test_every_form_of_song_is_found(songs_folder):
    songs = {song.name: song for song in find_songs([songs_folder])}
    assert set(songs) == {"song 0", "song 1", "song 2", "instrumental", "Somebody - A Song", "singer 0", "singer 1"}
    assert {name for name, song in songs.items() if song.complete} == {
        "song 0",
        "song 1",
        "song 2",
        "Somebody - A Song",
    }
    assert set(songs["instrumental"].files) == {"drums", "bass"}
    assert set(songs["singer 0"].files) == {"vocals"}
    assert "mixture" in songs["Somebody - A Song"].files


def test_musdb_streams_are_the_right_stems(tmp_path, make):
    make.musdb(tmp_path / "A - B.stem.mp4", 3)
    (song,) = find_songs([tmp_path])
    decoded = {stem: song.decode(stem) for stem in (*STEMS, "mixture")}
    for stem in STEMS:
        n = min(decoded[stem].shape[1], 2 * RATE)
        reference = make.stem(stem, 2.0, 3)[:, :n]
        error = decoded[stem][:, :n] - reference
        assert np.sum(error**2) < 0.5 * np.sum(reference**2), stem  # AAC is coarse with noisy drums
    n = min(audio.shape[1] for audio in decoded.values())
    total = sum(decoded[stem][:, :n] for stem in STEMS)
    assert np.sum((total - decoded["mixture"][:, :n]) ** 2) < 0.05 * np.sum(total**2)


@pytest.mark.parametrize(("rate", "channels"), [(22050, 1), (48000, 2), (44100, 1)])
def test_decoding_gives_stereo_at_the_training_rate(tmp_path, rate, channels):
    (tmp_path / "s").mkdir()
    tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    soundfile.write(tmp_path / "s" / "bass.wav", np.stack([0.5 * tone] * channels, axis=1), rate)
    (song,) = find_songs([tmp_path])
    audio = song.decode("bass")
    assert audio.shape == (2, RATE)
    wanted = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    assert np.abs(audio - wanted)[:, 2000:-2000].max() < 1e-2


def test_cache_decodes_once_and_notices_changes(tmp_path, make):
    folder = make.song(tmp_path / "songs" / "a", 1, seconds=0.5)
    cache = StemCache(tmp_path / "cache")
    (song,) = find_songs([tmp_path / "songs"])
    first = cache.load(song, "bass")
    files = sorted((tmp_path / "cache").iterdir())
    assert np.abs(first.T / 32767 - make.stem("bass", 0.5, 1)).max() < 1e-4
    cache.load(song, "bass")
    assert sorted((tmp_path / "cache").iterdir()) == files
    soundfile.write(folder / "bass.wav", np.zeros((1000, 2)), RATE)
    assert len(cache.load(song, "bass")) == 1000


def test_a_damaged_cache_is_filled_again(tmp_path, make):
    make.song(tmp_path / "songs" / "a", 1, seconds=0.5)
    cache = StemCache(tmp_path / "cache")
    (song,) = find_songs([tmp_path / "songs"])
    whole = cache.load(song, "bass").copy()
    for path in (tmp_path / "cache").iterdir():
        path.write_bytes(path.read_bytes()[:1000])
    assert np.array_equal(cache.load(song, "bass"), whole)


def test_more_than_two_channels_are_refused_in_one_line(tmp_path):
    (tmp_path / "s").mkdir()
    soundfile.write(tmp_path / "s" / "bass.wav", np.zeros((1000, 4)), RATE)
    (song,) = find_songs([tmp_path])
    with pytest.raises(AudioError, match=r"bass.wav has 4 channels, but .* mono and stereo only; mix it down first"):
        StemCache(tmp_path / "cache").load(song, "bass")


def test_loud_stems_are_kept_whole(tmp_path):
    (tmp_path / "s").mkdir()
    soundfile.write(tmp_path / "s" / "bass.wav", np.linspace(-3, 3, 1000), RATE, subtype="FLOAT")
    (song,) = find_songs([tmp_path])
    audio = StemCache(tmp_path / "cache").load(song, "bass")
    assert np.abs(audio[:, 0] - np.round(np.linspace(-1, 1, 1000) * 32767)).max() <= 1


def test_a_loud_song_is_kept_in_balance(tmp_path):
    (tmp_path / "s").mkdir()
    tracks = {"bass": 0.9 * np.ones(1000), "drums": 0.6 * np.ones(1000), "mixture": 1.5 * np.ones(1000)}
    for name, track in tracks.items():
        soundfile.write(tmp_path / "s" / f"{name}.wav", track, RATE, subtype="FLOAT")
    (song,) = find_songs([tmp_path])
    cache = StemCache(tmp_path / "cache")
    loaded = {name: cache.load(song, name)[500, 0] / 32767 for name in tracks}
    assert loaded == pytest.approx({"bass": 0.6, "drums": 0.4, "mixture": 1.0}, abs=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_numbers_are_refused(tmp_path, value):
    (tmp_path / "s").mkdir()
    audio = np.zeros(1000)
    audio[500] = value
    soundfile.write(tmp_path / "s" / "bass.wav", audio, RATE, subtype="FLOAT")
    (song,) = find_songs([tmp_path])
    with pytest.raises(DataError, match=r"s/bass.wav has NaN or infinite samples; export it again"):
        StemCache(tmp_path / "cache").load(song, "bass")
    assert not [*(tmp_path / "cache").iterdir()]


def test_links_are_followed_but_not_in_circles(tmp_path, make):
    make.song(tmp_path / "elsewhere" / "a", 1, seconds=0.1)
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "up").symlink_to(tmp_path / "songs")
    assert [song.name for song in find_songs([tmp_path / "songs"])] == ["a"]


@pytest.mark.parametrize("content", [{}, {"notes.txt": b"hello"}])
def test_folders_without_songs_are_refused_in_one_line(tmp_path, content):
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match="contains no songs") as caught:
        find_songs([tmp_path])
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="does not exist"):
        find_songs([tmp_path / "missing"])


def test_validation_songs_are_never_trained_on(tmp_path, make):
    for name in sorted(VALIDATION)[:3]:
        make.song(tmp_path / name, 1, seconds=0.1)
    for number in range(20):
        make.song(tmp_path / f"other {number}", 2, seconds=0.1)
    songs = find_songs([tmp_path])
    training, held_out = split(songs)
    names = [song.name for song in training + held_out]
    assert not VALIDATION & set(names)
    assert len(names) == len(set(names)) == 20
    assert len(held_out) == 3
    with pytest.raises(DataError, match="no song remains"):
        split([song for song in songs if song.name in VALIDATION])


@pytest.mark.parametrize("place", ["{}/stems", "{}/vocals", "hq/{}"])
@pytest.mark.parametrize("change", [str, str.lower, str.upper])
def test_validation_songs_under_other_names_are_never_trained_on(tmp_path, make, place, change):
    name = change("Leaf - Summerghost")
    if place.endswith("vocals"):  # a file alone, which looks like a solo voice
        make.song(tmp_path / place.format(name), 1, 0.1, ("vocals",))
        (tmp_path / place.format(name) / "vocals.wav").rename(tmp_path / place.format(name) / "lead.wav")
    else:
        make.song(tmp_path / place.format(name), 1, seconds=0.1)
    for number in range(3):
        make.song(tmp_path / f"other {number}", 2, seconds=0.1)
    training, held_out = split(find_songs([tmp_path]))
    assert sorted(song.name for song in training + held_out) == ["other 0", "other 1", "other 2"]


def test_validation_songs_behind_links_or_in_the_working_folder_are_never_trained_on(tmp_path, make, monkeypatch):
    song = make.song(tmp_path / "hq" / "Leaf - Summerghost", 1, seconds=0.1)
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "mine").symlink_to(song)
    (tmp_path / "voices").mkdir()
    (song / "vocals.wav").rename(tmp_path / "voices" / "Leaf - Summerghost.wav")
    for folder in "links", "voices":
        assert [song.for_validation for song in find_songs([tmp_path / folder])] == [True]
    monkeypatch.chdir(song)
    (found,) = find_songs(["."])
    assert (found.name, found.for_validation) == ("Leaf - Summerghost", True)


def test_a_cache_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_bytes(b"kept")
    with pytest.raises(DataError, match=r"notes.txt is a file; give a folder for decoded songs to --cache"):
        StemCache(tmp_path / "notes.txt")


def test_held_out_songs_are_not_trained_on_in_another_form(tmp_path, make):
    for number in range(3):
        make.song(tmp_path / "hq" / f"song {number}", number, seconds=0.1)
        make.musdb(tmp_path / "mp4" / f"Song {number}.stem.mp4", number, 0.1)
        make.song(tmp_path / "copies" / f"song {number}" / "Stems", number, seconds=0.1)
    training, held_out = split(find_songs([tmp_path]))
    assert held_out
    assert not {song.name.lower() for song in held_out} & {song.name.lower() for song in training}
