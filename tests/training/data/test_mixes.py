"""Mixes allow for missing stems, are seeded, and every augmentation works as named."""

import numpy as np
import pytest
import soundfile
import torch
from stembridge.core.errors import DataError
from stembridge.training.data.augment import limited, panned, resampled_spectrum, reverberant, saturated, smooth_length
from stembridge.training.data.labels import Passage
from stembridge.training.data.mixes import RemixDataset
from stembridge.training.data.songs import STEMS, StemCache, find_songs
from stembridge.training.data.tracks import Take

RATE = 44100


def dataset(folder, tmp_path, seed=0, **chances):
    data = RemixDataset(find_songs([folder]), StemCache(tmp_path / "cache"), 0.5, seed)
    for name, value in chances.items():
        assert hasattr(data, name)
        setattr(data, name, value)
    return data


def test_batches_are_seeded(songs_folder, tmp_path):
    one, two, other = (dataset(songs_folder, tmp_path, seed) for seed in (1, 1, 2))
    first = one.batch(3)
    assert first.shape == (3, 4, 2, smooth_length(RATE // 2))
    assert first.dtype == torch.float32
    assert torch.isfinite(first).all()
    assert (first == two.batch(3)).all()
    assert not (first == other.batch(3)).all()
    assert (one.responses(100) == two.responses(100)).all()


def test_missing_stems_are_never_silence_in_a_songs_own_mix(songs_folder, tmp_path):
    data = dataset(songs_folder, tmp_path, own_mix=1.0)
    assert len(data.complete) == 4
    # Every stem of every own mix sounds, so the song that has only drums and bass was not taken.
    assert (data.batch(40).abs().amax(dim=(2, 3)) > 0).all()


def test_a_songs_own_mix_changes_speed_as_a_whole_and_random_mixes_do_not(songs_folder, tmp_path):
    data = dataset(songs_folder, tmp_path, speed_change=1.0, missing_stem=0.0, second_take=0.0)
    own, strangers = ([take(1) for _ in range(8)] for take in (data._own, data._strangers))
    for takes in map(list, own):
        assert [take.place for take in takes] == [4, 5, 6, 7]
        assert len({(take.start, take.samples) for take in takes}) == 1
        assert takes[0].samples != data.length
        assert 2 ** (-0.34) < takes[0].samples / data.length < 2**0.34
    assert all(len({take.samples for take in takes}) > 1 for takes in strangers)


def test_takes_have_their_speed_and_level_and_add_up(tmp_path):
    (tmp_path / "songs" / "a").mkdir(parents=True)
    for stem in ("vocals", "drums", "bass", "other"):
        soundfile.write(tmp_path / "songs" / "a" / f"{stem}.wav", 0.4 * tone(441, 2 * RATE).numpy(), RATE)
    data = dataset(tmp_path / "songs", tmp_path)
    track, n = data.pools["bass"][0], data.length
    takes = [Take(1, track, 0, n), Take(1, track, 0, n, 0.5), Take(6, track, 0, 5 * n // 4)]
    out = data._recorded(takes, 2)
    assert out.shape == (2, 4, 2, n)
    assert torch.allclose(out[0, 1, 0], 0.6 * tone(441, n), atol=1e-3)
    higher = out[1, 2, 1]
    assert higher.std() == pytest.approx(0.4 / 2**0.5, rel=0.01)
    assert torch.fft.rfft(higher).abs().argmax() * RATE / n == pytest.approx(1.25 * 441, abs=2)
    out[0, 1] = out[1, 2] = 0
    assert not out.any()


def test_incomplete_songs_serve_random_mixes(songs_folder, tmp_path):
    data = dataset(songs_folder, tmp_path)
    assert {stem: len(pool) for stem, pool in data.pools.items()} == {"vocals": 4, "drums": 5, "bass": 5, "other": 4}
    assert len(data.voices) == 2


def test_solo_voices_alone_can_be_the_vocals(tmp_path, make):
    make.song(tmp_path / "songs" / "a", 1, stems=("drums", "bass", "other"))
    (tmp_path / "songs" / "v").mkdir()
    soundfile.write(tmp_path / "songs" / "v" / "singer.wav", make.stem("vocals", 1.0, 1).T, RATE)
    data = dataset(tmp_path / "songs", tmp_path, missing_stem=0.0)
    assert (data.batch(8).abs().amax(dim=(2, 3)) > 0).all()


def test_a_song_of_one_stem_serves_random_mixes(tmp_path, make):
    make.song(tmp_path / "songs" / "a", 1, stems=("drums", "bass", "vocals"))
    make.song(tmp_path / "songs" / "guitar", 2, stems=("other",))
    assert len(dataset(tmp_path / "songs", tmp_path).pools["other"]) == 1


def test_a_stem_that_no_song_has_is_named(tmp_path, make):
    make.song(tmp_path / "songs" / "a", 1, stems=("drums", "bass", "vocals"))
    with pytest.raises(DataError, match="other"):
        dataset(tmp_path / "songs", tmp_path)


def test_probabilities_work_as_named(songs_folder, tmp_path):
    mono = dataset(songs_folder, tmp_path, mono=1.0).batch(4)
    assert (mono[:, :, 0] == mono[:, :, 1]).all()
    silent = dataset(songs_folder, tmp_path, own_mix=0.0, missing_stem=1.0, second_take=0.0).batch(4)
    assert (silent == 0).all()
    data = dataset(songs_folder, tmp_path, band_limit=1.0, speed_change=0.0)
    data.batch(50)
    limited = data.responses(1000)
    ends = (limited > 0).sum(dim=-1)
    assert (ends == ends[:, :1]).all()  # all stems of a mix end together
    assert ends.min() >= 180 - 1
    assert len(set(ends[:, 0].tolist())) > 20
    data.band_limit = 0.0
    open_ = data.responses(1000)
    assert (open_ > 0).all()
    assert 1 < (20 * open_.log10()).std() < 6


@pytest.mark.parametrize("speed_change", [0.0, 1.0])
def test_a_mix_ends_where_a_stem_from_a_file_with_a_low_sample_rate_ends(tmp_path, make, speed_change):
    make.song(tmp_path / "songs" / "a", 1, stems=("drums", "bass", "other"))
    (tmp_path / "songs" / "v").mkdir()
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, 3 * 16000)
    soundfile.write(tmp_path / "songs" / "v" / "singer.wav", noise, 16000)
    data = dataset(
        tmp_path / "songs", tmp_path, missing_stem=0.0, second_take=0.0, band_limit=0.0, speed_change=speed_change
    )
    voices = data.batch(20)[:, 0].sum(dim=1)
    spectra, responses = torch.fft.rfft(voices).abs(), data.responses(data.length // 2 + 1)
    ends = (responses > 0).sum(dim=-1)
    assert (ends == ends[:, :1]).all()  # for all stems of a mix
    for spectrum, end in zip(spectra, ends[:, 0], strict=True):
        heard = spectrum[: int(0.95 * end)].square().mean()
        assert spectrum[int(1.02 * end) :].square().mean() < 1e-3 * heard
        assert spectrum[int(0.9 * end) : int(0.95 * end)].square().mean() > 0.1 * heard
    shares = ends[:, 0] / (data.length // 2 + 1)
    assert shares.std() > 0.05 if speed_change else (shares - 16000 / RATE).abs().max() < 1e-3


def passage(**levels_db):
    """Make a teacher's passage: a constant in each stem at its level; stems without a level are faint."""
    levels = dict.fromkeys(STEMS, -60.0) | levels_db
    stems = {stem: np.full((RATE, 2), round(32767 * 10 ** (level / 20)), np.int16) for stem, level in levels.items()}
    return Passage(stems, levels_db)


def labelled_dataset(folder, tmp_path, passages, share=0.5):
    songs = find_songs([folder]) if folder else []
    data = RemixDataset(songs, StemCache(tmp_path / "cache"), 0.5, 0, labelled=passages, share=share)
    data.missing_stem = data.second_take = data.speed_change = data.solo_voice = 0.0
    return data


def test_labelled_stems_are_as_loud_as_true_ones_in_random_mixes_alone(tmp_path):
    levels = {"vocals": -10.0, "drums": -20.0, "bass": -30.0, "other": -15.0}
    data = labelled_dataset(None, tmp_path, [passage(**levels)])
    for takes, wanted in ((data._strangers, dict.fromkeys(STEMS, -22.0)), (data._own, levels)):
        out = data._recorded([*takes(0)], 1)[0]
        for stem, audio in zip(STEMS, out, strict=True):
            assert 20 * torch.log10(audio.mean()) == pytest.approx(wanted[stem], abs=0.1), stem


def test_faint_stems_of_labelled_songs_are_never_heard(tmp_path):
    songs = [passage(vocals=-20.0, drums=-20.0, other=-20.0), passage(bass=-20.0)]
    data = labelled_dataset(None, tmp_path, songs)
    assert {stem: len(pool) for stem, pool in data.labelled.items()} == dict.fromkeys(STEMS, 1)
    assert data.labelled_complete == []


def test_a_stem_that_no_labelled_song_has_is_silent_until_one_has_it(tmp_path):
    data = labelled_dataset(None, tmp_path, [passage(vocals=-20.0, drums=-20.0, other=-20.0)])
    assert data.missing_stems == ["bass"]
    data.silent_end = 0.0
    heard = data.batch(4).abs().amax(dim=(0, 2, 3)) > 0
    assert dict(zip(STEMS, heard.tolist(), strict=True)) == dict.fromkeys(STEMS, True) | {"bass": False}
    data.add([passage(bass=-20.0)])
    assert data.missing_stems == []
    assert (data.batch(4).abs().amax(dim=(2, 3)) > 0).all()


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_of_labelled_stems_can_be_set(songs_folder, tmp_path, share):
    levels = dict.fromkeys(STEMS, -20.0)
    data = labelled_dataset(songs_folder, tmp_path, [passage(**levels)], share)
    for takes in data._strangers, data._own:
        labelled = [take.track in data.labelled[STEMS[take.place]] for _ in range(100) for take in takes(0)]
        assert sum(labelled) / len(labelled) == pytest.approx(share, abs=0.15 if 0 < share < 1 else 0)


def test_labels_added_later_are_mixed_too(songs_folder, tmp_path):
    data = labelled_dataset(songs_folder, tmp_path, [], 1.0)
    assert not any(data.labelled.values())
    data.add([passage(bass=-20.0)])
    assert all(take.track in data.labelled["bass"] for take in data._strangers(0) if STEMS[take.place] == "bass")
    assert (data.batch(4).abs().amax(dim=(2, 3)) > 0).all()


@pytest.mark.parametrize("change", ["saturation", "reverb", "limiter"])
def test_augmentations_happen_when_requested(songs_folder, tmp_path, change):
    plain = dataset(songs_folder, tmp_path, silent_end=0.0).batch(4)
    changed = dataset(songs_folder, tmp_path, silent_end=0.0, **{change: 1.0}).batch(4)
    assert changed.shape == plain.shape
    assert torch.isfinite(changed).all()
    assert not torch.allclose(changed, plain)


def tone(hertz, n, rate=RATE):
    return torch.sin(2 * torch.pi * hertz * torch.arange(n) / rate)


def test_smooth_lengths_are_close_and_have_small_factors():
    for n in (11025, 22050, 132300, 264600, 300000):
        length = smooth_length(n)
        assert length % 2 == 0
        assert abs(length / n - 1) < 0.01
        for factor in (2, 3, 5, 7):
            while length % factor == 0:
                length //= factor
        assert length == 1


@pytest.mark.parametrize("n", [8000, 12000])
def test_resampled_audio_is_higher_or_lower(n):
    audio = tone(50, 10000, 10000)  # fifty whole turns
    assert torch.allclose(torch.fft.irfft(resampled_spectrum(audio, n), n), tone(50, n, n), atol=1e-4)


def test_pan_matrices_act_on_left_and_right():
    stems = torch.randn(3, 4, 2, 100)
    swap = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).expand(3, 4, 2, 2)
    assert torch.equal(panned(stems, swap), stems.flip(2))


def test_saturated_stems_are_denser_and_no_louder_at_their_peaks():
    stems = 0.3 * torch.randn(1, 2, 5000, generator=torch.Generator().manual_seed(0)).expand(5, 2, 5000)
    driven = saturated(stems, torch.tensor([1.0, 2, 4, 8, 10]))
    assert torch.allclose(driven.abs().amax((1, 2)), stems.abs().amax((1, 2)))
    rise = driven.square().mean((1, 2)) / stems.square().mean((1, 2))
    assert (rise.diff() > 0).all()
    assert rise[0] > 1
    assert torch.isfinite(saturated(torch.zeros(1, 2, 10), torch.tensor([3.0]))).all()


def test_a_room_sounds_after_the_source_and_decays():
    click = torch.zeros(1, 2, RATE)
    click[..., 1000] = 1
    noise = torch.randn(1, 2, RATE // 2, generator=torch.Generator().manual_seed(0))
    out = reverberant(click, noise, torch.tensor([0.3]), torch.tensor([0.5]), RATE)
    assert out[..., :1000].abs().max() < 1e-5
    tail = out - click
    assert tail.square().sum(-1).sqrt() == pytest.approx(0.5, rel=1e-3)
    early, late = (tail[0, 0, 1000 + start : 2000 + start].square().mean().sqrt() for start in (0, 6615))
    assert 20 * torch.log10(early / late) == pytest.approx(30, abs=3)  # 60 dB in 0.3 s


def test_a_limiter_holds_the_mix_and_moves_all_stems_alike():
    stems = 0.2 * torch.randn(2, 4, 2, 20000, generator=torch.Generator().manual_seed(0))
    stems[..., 10000:10100] *= 4
    out = limited(stems, torch.tensor([6.0, 12.0]), RATE)
    peaks = stems.sum(1).abs().amax((1, 2)) * 10 ** (-torch.tensor([6.0, 12.0]) / 20)
    assert (out.sum(1).abs().amax((1, 2)) <= peaks * 1.001).all()
    ratio = out / stems
    assert torch.allclose(ratio[:, :1], ratio, rtol=1e-3)
    assert torch.allclose(out[0, ..., :5000], stems[0, ..., :5000])  # far from the burst
