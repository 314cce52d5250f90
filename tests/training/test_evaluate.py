"""Scoring a model through the engine, with and without PyTorch installed."""

import json
import subprocess
import sys

import numpy as np
import pytest
from stembridge.cli import main
from stembridge.core.errors import DataError
from stembridge.engine import separate
from stembridge.models import load_model
from stembridge.training.data.songs import VALIDATION, find_songs
from stembridge.training.evaluate import score_songs, songs_to_score
from stembridge.training.metrics import clip_sdr


def test_scores_are_those_of_the_engine_on_the_mixture(songs_folder, tiny_model):
    songs = [song for song in find_songs([songs_folder]) if song.complete]
    done = []
    evaluation = score_songs(songs, tiny_model, bss_eval=False, progress=done.append)
    assert set(evaluation.songs) == {"song 0", "song 1", "song 2", "Somebody - A Song"}
    song = next(song for song in songs if song.name == "Somebody - A Song")
    mixture, drums = song.decode("mixture"), song.decode("drums")
    n = min(song.decode(name).shape[1] for name in song.files)
    estimate = separate(mixture[:, :n], 44100, tiny_model)["drums"]
    assert evaluation.songs[song.name]["drums"]["sdr"] == pytest.approx(clip_sdr(drums[:, :n], estimate))
    table = evaluation.medians()
    assert set(table) == {*load_model(tiny_model).card.stems, "mean"}
    scores = [song["drums"]["sdr"] for song in evaluation.songs.values()]
    assert table["drums"]["sdr"] == pytest.approx(np.median(scores))
    assert table["mean"]["sdr"] == pytest.approx(np.mean([table[stem]["sdr"] for stem in table if stem != "mean"]))
    assert done == sorted(done)


def test_silent_references_are_left_out_and_counted(tmp_path, make, tiny_live_model):
    import soundfile

    folder = make.song(tmp_path / "songs" / "a", 1, seconds=1.5)
    soundfile.write(folder / "vocals.wav", np.zeros((66150, 2)), 44100)
    evaluation = score_songs(find_songs([tmp_path / "songs"]), tiny_live_model, bss_eval=False)
    assert evaluation.left_out == 1
    assert set(evaluation.songs["a"]) == {"drums", "bass", "other"}


def test_songs_of_silence_or_of_one_sample_have_no_scores(tmp_path, make, tiny_live_model):
    import soundfile

    for name, samples in ("a", np.zeros((66150, 2))), ("b", np.full((1, 2), 0.5)):
        folder = make.song(tmp_path / "songs" / name, 1, seconds=1.5)
        for file in folder.glob("*.wav"):
            soundfile.write(file, samples, 44100)
    evaluation = score_songs(find_songs([tmp_path / "songs"]), tiny_live_model, bss_eval=False)
    assert "vocals_remaining" not in evaluation.karaoke_medians()
    silent = score_songs(find_songs([tmp_path / "songs" / "a"]), tiny_live_model)
    assert silent.medians() == {}


def test_sir_and_sar_need_a_second_of_sound(tmp_path, make, tiny_live_model):
    import soundfile

    make.song(tmp_path / "songs" / "short", 1, seconds=0.5)
    broken = make.song(tmp_path / "songs" / "silent", 2, seconds=1.5)
    soundfile.write(broken / "mixture.wav", np.zeros((66150, 2)), 44100)
    scores = score_songs(find_songs([tmp_path / "songs"]), tiny_live_model).songs
    assert set(scores) == {"short", "silent"}
    assert not any("sir" in measured for song in scores.values() for measured in song.values())


def test_input_level_and_rate_reach_the_engine(songs_folder, tiny_live_model):
    songs = [song for song in find_songs([songs_folder]) if song.name == "song 0"]
    plain = score_songs(songs, tiny_live_model, bss_eval=False).songs["song 0"]
    # The tiny network is a ratio of powers, so level does not matter to it.
    quiet = score_songs(songs, tiny_live_model, bss_eval=False, input_db=-20).songs["song 0"]
    assert quiet["drums"]["sdr"] == pytest.approx(plain["drums"]["sdr"], abs=0.01)
    low = score_songs(songs, tiny_live_model, bss_eval=False, sample_rate=16000).songs["song 0"]
    assert low["drums"]["sdr"] != plain["drums"]["sdr"]


def test_validation_songs_come_before_others(tmp_path, make):
    name = min(VALIDATION)
    for song in (name, "mine"):
        make.song(tmp_path / song, 1, seconds=0.1)
    assert [song.name for song in songs_to_score(find_songs([tmp_path]))] == [name]
    make.song(tmp_path / "half" / "b", 1, seconds=0.1, stems=("drums",))
    with pytest.raises(DataError, match="all of vocals"):
        songs_to_score(find_songs([tmp_path / "half"]))
    with pytest.raises(DataError, match="all of vocals"):
        songs_to_score(find_songs([tmp_path / "half"]), every=True)
    assert len(songs_to_score(find_songs([tmp_path]), every=True)) == 2


def test_songs_of_the_same_name_all_count(tmp_path, make, tiny_live_model):
    for folder in "a", "b":
        make.song(tmp_path / folder / "song", 1, seconds=0.1)
    evaluation = score_songs(find_songs([tmp_path]), tiny_live_model, bss_eval=False)
    assert set(evaluation.songs) == {"song", "song (2)"}


def test_a_model_with_other_stems_is_reported(tmp_path, make, make_model):
    make.song(tmp_path / "song", 1, seconds=0.1)
    model = make_model("masks = Identity (silent)", name="halves", stems=["center", "sides"])
    with pytest.raises(DataError, match=r"model halves gives center, sides, but songs have vocals, .*; choose another"):
        score_songs(find_songs([tmp_path]), model, bss_eval=False)


def test_the_mixture_is_the_sum_of_all_stems_even_those_that_the_model_lacks(tmp_path, make, make_model):
    make.song(tmp_path / "song", 1, seconds=1)
    # The model returns half of its input as vocals.
    body = "half = Constant <value_float = 0.5> ()\n masks = Add (silent, half)"
    model = make_model(body, stems=["vocals", "rest"])
    (song,) = find_songs([tmp_path])
    mixture = np.sum([song.decode(stem) for stem in song.files], axis=0)
    scores = score_songs([song], model, bss_eval=False).songs["song"]
    assert scores["vocals"]["sdr"] == pytest.approx(clip_sdr(song.decode("vocals"), mixture / 2), abs=1e-3)


def test_the_mix_without_vocals(tmp_path, make, make_teacher):
    make.song(tmp_path / "song", 1, seconds=2)
    (song,) = find_songs([tmp_path / "song"])
    vocals, mixture = song.decode("vocals"), np.sum([song.decode(stem) for stem in song.files], axis=0)
    evaluation = score_songs([song], make_teacher(0.25, 0.25, 0.25), bss_eval=False)
    karaoke = evaluation.karaoke["song"]
    assert karaoke["instrumental_sdr"] == pytest.approx(clip_sdr(mixture - vocals, 0.75 * mixture), abs=1e-2)
    assert karaoke["vocals_remaining"] == pytest.approx(20 * np.log10(0.75), abs=0.5)
    assert evaluation.karaoke_medians() == karaoke
    (tmp_path / "song" / "vocals.wav").unlink()
    assert score_songs(find_songs([tmp_path / "song"]), make_teacher(0.25, 0.25, 0.25), bss_eval=False).karaoke == {}


def test_the_command_needs_no_pytorch(songs_folder, tiny_live_model, tmp_path):
    code = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, NoTorch())
from stembridge.cli import main
sys.exit(main())
"""
    report = tmp_path / "scores.json"
    arguments = ["evaluate", "--data", songs_folder / "song 0", "--model", tiny_live_model, "-o", report, "--json"]
    run = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert run.returncode == 0, run.stderr
    scores = json.loads(report.read_text())
    assert set(scores["medians"]["drums"]) == {"sdr", "frame_sdr", "sir", "sar"}
    assert json.loads(run.stdout) == scores
    (name,) = scores["songs"]
    (line,) = run.stderr.splitlines()
    assert line.startswith(f"1/1  {name}: ")
    assert f"drums {scores['songs'][name]['drums']['sdr']:.2f}" in line


def test_the_table_comes_after_a_line_for_each_song(songs_folder, tiny_live_model, tmp_path, capsys):
    report = tmp_path / "scores.json"
    arguments = [
        "evaluate",
        "--data",
        songs_folder / "song 0",
        "--model",
        tiny_live_model,
        "--no-bss-eval",
        "-o",
        report,
    ]
    assert main([*map(str, arguments)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("1/1  ")
    drums = next(line for line in lines if line.startswith("drums"))
    assert drums.split()[1] in lines[0], "one song is its own median"
    karaoke = json.loads(report.read_text())["karaoke"]
    line = next(line for line in lines if line.startswith("without vocals"))
    assert line.endswith(
        f"SDR {karaoke['instrumental_sdr']:.2f} dB, vocals remaining {karaoke['vocals_remaining']:.2f} dB"
    )


def test_without_museval_the_other_scores_are_printed(songs_folder, tiny_live_model, monkeypatch, capsys):
    monkeypatch.setattr("stembridge.cli.evaluate.find_spec", lambda name: None)
    arguments = ["evaluate", "--data", str(songs_folder / "song 0"), "--model", str(tiny_live_model)]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert "SIR and SAR need museval, which is not installed: pip install " in err
    assert out.splitlines()[1].split() == ["stem", "sdr", "frame_sdr"]
    assert out.splitlines()[-1].startswith("1 song, ")
    assert main([*arguments, "--bss-eval"]) == 2
    capsys.readouterr()
    assert main([*arguments, "--no-bss-eval"]) == 0
    assert "museval" not in capsys.readouterr().err


def test_progress_never_goes_back_and_moves_within_a_song(songs_folder, tiny_live_model):
    told = []
    songs = songs_to_score(find_songs([songs_folder / "song 0"]))
    score_songs(songs, tiny_live_model, bss_eval=False, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1
