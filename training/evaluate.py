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
from .metrics import SILENT_DB, clip_sdr, frame_sdr, remaining_db, rms_db, sir_sar

MEASURES = ("sdr", "frame_sdr", "sir", "sar")
KARAOKE = ("instrumental_sdr", "vocals_remaining")

StemScores = dict[str, dict[str, float]]
"""Stem to measure to dB."""


@dataclass(frozen=True)
class Evaluation:
    """Scores of songs.

    Attributes:
        songs: Song to stem to measure to dB.
        left_out: Number of references that were too quiet to score.
        karaoke: Song to measure to dB, for the mix without vocals, if song and model have vocals: instrumental_sdr, and
            vocals_remaining, the level of the vocals in it compared with the true vocals.
    """

    songs: dict[str, StemScores]
    left_out: int
    karaoke: dict[str, dict[str, float]] = field(default_factory=dict)

    def medians(self) -> dict[str, dict[str, float]]:
        """Return the median of each score over the songs: stem to measure to dB. "mean" is the mean over the stems.

        Empty if no reference was loud enough to score.
        """
        stems: dict[str, dict[str, list[float]]] = {}
        for song in self.songs.values():
            for stem, scores in song.items():
                for measure, score in scores.items():
                    stems.setdefault(stem, {}).setdefault(measure, []).append(score)
        table = {stem: {m: float(np.median(values)) for m, values in scores.items()} for stem, scores in stems.items()}
        if not table:
            return {}
        measures = [m for m in MEASURES if all(m in scores for scores in table.values())]
        return table | {"mean": {m: float(np.mean([scores[m] for scores in table.values()])) for m in measures}}

    def karaoke_medians(self) -> dict[str, float]:
        """Return the median of each karaoke score over the songs: measure to dB."""
        songs = self.karaoke.values()
        return {m: float(np.median(scores)) for m in KARAOKE if (scores := [song[m] for song in songs if m in song])}


def songs_to_score(songs: Iterable[Song], *, every: bool = False) -> list[Song]:
    """Return MUSDB18's validation songs if some are given, else all songs with all four stems.

    Args:
        songs: The songs that were found.
        every: Return all songs with all four stems in any case.

    Raises:
        DataError: No song has all four stems.
    """
    complete = [song for song in songs if song.complete]
    validation = [song for song in complete if song.for_validation]
    if not complete:
        raise DataError("no song has all of vocals, drums, bass and other; give one that has all four to --data")
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
    """Score a model on whole songs: separate each mixture, and compare the stems with the true ones.

    If a song has no mixture, the sum of its stems is used. References below -60 dBFS are left out and counted.

    Args:
        songs: Songs with stems.
        model: A model, its name, or the path of an .onnx file.
        sample_rate: In Hz. Songs and references are resampled to it first.
        input_db: Gain on the mixture, which is taken back from the stems, to see whether the level matters.
        bss_eval: Measure SIR and SAR too (slow; needs museval), except of songs shorter than a second, or with an
            estimate of silence.
        threads: Processor cores for the network.
        progress: Called with the share done, 0 to 1.
        scored: Called with each song's name and scores.

    Raises:
        ModelError: The model cannot be used.
        DataError: The model has none of the songs' stems, or a song cannot be decoded.
    """
    model = model if isinstance(model, Model) else load_model(model)
    if not set(model.card.stems) & set(STEMS):
        stems = ", ".join(model.card.stems)
        raise DataError(
            f"model {model.card.name} gives {stems}, but songs have {', '.join(STEMS)}; choose another model"
        )
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
        # BSS Eval fits filters of 512 samples, which no short clip can judge, and cannot score silence.
        if bss_eval and pairs and length >= sample_rate and all(np.any(estimate) for _, estimate in pairs.values()):
            sir, sar = sir_sar(*(np.stack(side) for side in zip(*pairs.values(), strict=True)))
            for i, stem in enumerate(pairs):
                scores[name][stem] |= {"sir": float(sir[i]), "sar": float(sar[i])}
        if scored:
            scored(name, scores[name])
    return Evaluation(scores, left_out, karaoke)


def _part_of(progress: Callable[[float], None], number: int, total: int) -> Callable[[float], None]:
    """Return a function that takes the progress of one song, and reports that of all songs."""
    return lambda fraction: progress((number + fraction) / total)


def _scores(reference: NDArray[Any], estimate: NDArray[Any], sample_rate: float) -> dict[str, float]:
    measured = {"sdr": clip_sdr(reference, estimate), "frame_sdr": frame_sdr(reference, estimate, sample_rate)}
    return {measure: score for measure, score in measured.items() if score is not None}


def _karaoke(
    vocals: NDArray[Any], estimate: NDArray[Any], mixture: NDArray[Any], sample_rate: float
) -> dict[str, float]:
    """Score the mixture without the estimated vocals, compared with the mixture without the true ones."""
    measured = {
        "instrumental_sdr": clip_sdr(mixture - vocals, mixture - estimate),
        "vocals_remaining": remaining_db(vocals, estimate, sample_rate),
    }
    return {measure: score for measure, score in measured.items() if score is not None}
