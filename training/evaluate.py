"""Scores of a model on songs with true stems, through the engine. Needs no PyTorch."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError
from ..engine import separate
from ..models import Model, load_model
from .data.songs import SAMPLE_RATE, STEMS, Song
from .metrics import SILENT_DB, clip_sdr, frame_sdr, left_over_db, rms_db, sir_sar

MEASURES = ("sdr", "frame_sdr", "sir", "sar")
KARAOKE = ("instrumental_sdr", "vocals_left")

StemScores = dict[str, dict[str, float]]
"""Stem -> measure -> dB."""


@dataclass(frozen=True)
class Evaluation:
    """Scores of songs.

    songs: song -> stem -> measure -> dB. left_out: how many references were too quiet to score. karaoke: song ->
    measure -> dB, of the mix without vocals, for songs with vocals and models that give them: instrumental_sdr, and
    vocals_left, how loud the vocals still are in it against the vocals as they were.
    """

    songs: dict[str, StemScores]
    left_out: int
    karaoke: dict[str, dict[str, float]] = field(default_factory=dict)

    def medians(self) -> dict[str, dict[str, float]]:
        """stem -> measure -> median over the songs that have it, and `mean` over the stems."""
        stems: dict[str, dict[str, list[float]]] = {}
        for song in self.songs.values():
            for stem, scores in song.items():
                for measure, score in scores.items():
                    stems.setdefault(stem, {}).setdefault(measure, []).append(score)
        table = {stem: {m: float(np.median(values)) for m, values in scores.items()} for stem, scores in stems.items()}
        measures = [m for m in MEASURES if all(m in scores for scores in table.values())]
        return table | {"mean": {m: float(np.mean([scores[m] for scores in table.values()])) for m in measures}}

    def karaoke_medians(self) -> dict[str, float]:
        """measure -> median over the songs that have it."""
        songs = self.karaoke.values()
        return {m: float(np.median(scores)) for m in KARAOKE if (scores := [song[m] for song in songs if m in song])}


def songs_to_score(songs: Iterable[Song], *, every: bool = False) -> list[Song]:
    """MUSDB18's validation songs if they are among `songs`, else all that have all stems of their own mix.

    every: all of those anyway. Raises DataError if there is none.
    """
    complete = [song for song in songs if song.complete]
    validation = [song for song in complete if song.for_validation]
    if not complete:
        raise DataError("no song has all of vocals, drums, bass and other; only such songs can be scored")
    return complete if every else validation or complete


def score_songs(
    songs: Sequence[Song],
    model: str | os.PathLike[str] | Model,
    *,
    sample_rate: int = SAMPLE_RATE,
    input_db: float = 0.0,
    bss_eval: bool = True,
    threads: int = 1,
    progress: Callable[[float], None] | None = None,
    scored: Callable[[str, StemScores], None] | None = None,
) -> Evaluation:
    """Score a model on whole songs: the mixture in (the sum of the stems where there is none), the stems compared.

    sample_rate: songs are resampled to it first, references too, so that lower rates have equally low-passed
    references. input_db: gain on the mixture, taken back from the stems before they are compared, to see whether level
    matters. bss_eval: SIR and SAR too (museval, slow). References below -60 dBFS are left out and counted.
    progress: called with the share done, 0 to 1. scored: called with each song's name and scores.
    """
    model = model if isinstance(model, Model) else load_model(model)
    if not set(model.card.stems) & set(STEMS):
        stems = ", ".join(model.card.stems)
        raise DataError(f"model {model.card.name} gives {stems}, and songs have {', '.join(STEMS)}: nothing to compare")
    gain = np.float32(10 ** (input_db / 20))
    scores: dict[str, StemScores] = {}
    karaoke: dict[str, dict[str, float]] = {}
    left_out = 0
    for number, song in enumerate(songs):
        advance = progress and _part_of(progress, number, len(songs))
        tracks = {name: song.decode(name, sample_rate) for name in song.files}
        length = min(track.shape[-1] for track in tracks.values())
        tracks = {name: track[:, :length] for name, track in tracks.items()}
        mixture = tracks.pop("mixture") if "mixture" in tracks else np.sum([*tracks.values()], axis=0)
        references = {stem: tracks[stem] for stem in model.card.stems if stem in tracks}
        estimates = separate(mixture * gain, sample_rate, model, threads=threads, progress=advance)
        heard = [stem for stem, reference in references.items() if rms_db(reference) >= SILENT_DB]
        left_out += len(references) - len(heard)
        pairs = {stem: (references[stem], estimates[stem] / gain) for stem in heard}
        name = song.name if song.name not in scores else f"{song.name} ({number + 1})"
        scores[name] = {stem: _scores(*pair, sample_rate) for stem, pair in pairs.items()}
        if "vocals" in pairs:
            karaoke[name] = _karaoke(*pairs["vocals"], mixture, sample_rate)
        if bss_eval and pairs:
            sir, sar = sir_sar(*(np.stack(side) for side in zip(*pairs.values(), strict=True)))
            for i, stem in enumerate(pairs):
                scores[name][stem] |= {"sir": float(sir[i]), "sar": float(sar[i])}
        if scored:
            scored(name, scores[name])
    return Evaluation(scores, left_out, karaoke)


def _part_of(progress: Callable[[float], None], number: int, total: int) -> Callable[[float], None]:
    """Return what reports the progress within one of several songs as that of them all."""
    return lambda fraction: progress((number + fraction) / total)


def _scores(reference: NDArray[Any], estimate: NDArray[Any], sample_rate: float) -> dict[str, float]:
    measured = {"sdr": clip_sdr(reference, estimate), "frame_sdr": frame_sdr(reference, estimate, sample_rate)}
    return {measure: score for measure, score in measured.items() if score is not None}


def _karaoke(
    vocals: NDArray[Any], estimate: NDArray[Any], mixture: NDArray[Any], sample_rate: float
) -> dict[str, float]:
    """Scores of the mixture without the estimated vocals, against the mixture without the true ones."""
    measured = {
        "instrumental_sdr": clip_sdr(mixture - vocals, mixture - estimate),
        "vocals_left": left_over_db(vocals, estimate, sample_rate),
    }
    return {measure: score for measure, score in measured.items() if score is not None}
