"""The training loop: limited in time, resumable, seeded, with averaged weights that are chosen by songs held out."""

import csv
import ctypes
import math
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.atomic import naming
from ..core.errors import DataError
from ..core.log import say
from .checkpoint import Progress, load_checkpoint, save_checkpoint
from .data.mixes import RemixDataset
from .data.songs import SAMPLE_RATE, STEMS, Song, StemCache
from .inference import separate_clip
from .learner import Learner, Settings
from .metrics import clip_sdr
from .networks.make import make_network
from .recipe import Recipe
from .teaching import LabelledSongs

LABELLED = "songs (--songs)"  # among what must not change between runs, and known once the songs are labelled
MAX_HELD_OUT = 10  # songs by which checkpoints are chosen
MIX_MEMORY_BYTES = 2**30  # of a card, for one mix; mixes of 6 s needed 0.3 to 0.65 GiB
SAVE_INTERVAL_S = 60.0  # if training is killed, no more than this is lost


def split(songs: list[Song]) -> tuple[list[Song], list[Song]]:
    """Split songs into those to train on, and those held out, by which checkpoints are chosen.

    Every eighth complete song is held out, ten at most; if some songs have a mixture, only those. MUSDB18's
    validation songs are in neither part. Nor are other songs with the name of one held out, because they may be the
    same song in another form.

    Args:
        songs: All songs.

    Returns:
        Songs to train on, and songs held out.

    Raises:
        DataError: No song remains to train on.
    """
    allowed = [song for song in songs if not song.for_validation]
    complete = [song for song in allowed if song.complete]
    candidates = [song for song in complete if "mixture" in song.files] or complete
    held_out = candidates[::8][:MAX_HELD_OUT] if len(complete) > 1 else []
    names = {song.name.casefold() for song in held_out}
    training = [song for song in allowed if song.name.casefold() not in names]
    if songs and not training:
        raise DataError("no song remains to train on: MUSDB18's validation songs are never used; add others to --data")
    return training, held_out


def check_folder(folder: Path, recipe: Recipe, settings: Settings, songs: list[Song]) -> bool:
    """Check that training can go on in a folder, as far as that is known before songs are labelled.

    Args:
        folder: As for `train_network`, and so are the others.
        recipe: Recipe of the network.
        settings: Settings of training.
        songs: Songs with stems.

    Returns:
        Whether nothing is left to train.

    Raises:
        DataError: It is a file, or has a checkpoint with other settings, or songs cannot be used.
    """
    run = _run(settings, songs)
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file, but checkpoints belong in a folder of this name; move the file away")
    if not (last := folder / "last.safetensors").exists():
        return False
    progress = load_checkpoint(last, recipe)[1]
    _check_run(last, progress, run | {LABELLED: progress.run.get(LABELLED)})
    return progress.seconds >= settings.minutes * 60 and progress.scored >= progress.step


def _run(settings: Settings, songs: list[Song]) -> dict[str, Any]:
    """Return the options, and the songs with stems, that must not change between runs."""
    run: dict[str, Any] = {"--init": settings.init, "--loss": settings.loss, "--seed": settings.seed}
    if settings.teacher:
        run |= {"--teacher": settings.teacher, "--songs-share": settings.songs_share}
    return run | {"songs (--data)": [[song.name for song in part] for part in split(songs)]}


def _check_run(last: Path, progress: Progress, run: dict[str, Any]) -> None:
    if other := [name for name in progress.run | run if progress.run.get(name) != run.get(name)]:
        which = "other" if other[0].startswith("songs") else "another"
        raise DataError(f"{last} was trained with {which} {other[0]}; give the same, or train to another output")


def train_network(
    songs: list[Song],
    recipe: Recipe,
    folder: Path,
    cache: StemCache,
    settings: Settings,
    initial: dict[str, Tensor] | None = None,
    report: Callable[[str], None] = say,
    labelled: LabelledSongs | None = None,
) -> Path:
    """Train until the time is up, and return the checkpoint that was best on the songs held out.

    Args:
        songs: Songs with stems.
        recipe: Recipe of the network.
        folder: For `last.safetensors` (everything needed to continue), `best.safetensors` (averaged weights) and
            `log.csv`. If `last.safetensors` exists, training continues from there. It is written every minute, and at
            Ctrl-C.
        cache: Decoded songs.
        settings: Settings of training.
        initial: Weights to start from instead of random ones. They are scored first, and replaced only by better ones.
        report: Called with lines about the progress.
        labelled: Songs with a teacher's labels, to train on and to choose by. New labels are read every minute.

    Returns:
        Path of the best checkpoint.

    Raises:
        DataError: Songs or a checkpoint cannot be used.
        OSError: A file cannot be written.
    """
    _keep_memory()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    training, held_out = split(songs)
    last, best = folder / "last.safetensors", folder / "best.safetensors"
    learner = Learner(recipe, settings, initial)
    run = _run(settings, songs)
    if labelled:
        run[LABELLED] = [[song.name for song in part] for part in (labelled.training, labelled.held_out)]
    if last.exists():
        learner.load(last)
        if best.exists():  # written before `last`, so the progress of a killed run may not have it yet
            learner.progress.best = max(learner.progress.best, load_checkpoint(best)[1].best)
        _check_run(last, learner.progress, run)
        report(f"continuing from step {learner.progress.step} after {learner.progress.seconds / 60:.1f} minutes")
    progress = learner.progress
    progress.run = run
    passages = labelled.new_passages() if labelled else []
    seed = settings.seed + progress.step
    data = RemixDataset(training, cache, settings.seconds, seed, settings.device, passages, settings.songs_share)
    clips = [_clip(song, cache) for song in held_out]
    voices = sum([*song.files] == ["vocals"] for song in training)
    found = _songs(len(training) - voices) + (f" and {voices} solo voice{'s'[: voices != 1]}" if voices else "")
    counts = [f"{found} to train on, {len(held_out)} held out"] if songs else []
    if labelled:
        clips += labelled.clips()
        counts.append(f"{_songs(len(labelled.training), 'labelled ')} to train on, {len(labelled.held_out)} held out")
    report(", ".join([*counts, settings.device]))
    if missing := data.missing_stems:
        report(f"no song has {' or '.join(missing)}: mixes are without, and the network learns nothing new about that")
    folder.mkdir(parents=True, exist_ok=True)
    size = settings.batch or _batch_size(learner.device)
    sdrs: list[Tensor] = []  # on the device, because reading each value would wait for it

    def score() -> None:
        scores = _validate(learner.average, recipe, clips, settings.device)
        learnt = float(torch.stack(sdrs).nanmean()) if sdrs else math.nan
        sdrs.clear()
        mean = float(np.mean([*scores.values()])) if scores else math.nan
        _log(folder / "log.csv", progress, learnt, mean, scores)
        said = {"training": learnt, "held out": mean} | scores
        line = "  ".join(f"{name} {sdr:.2f}" for name, sdr in said.items() if not math.isnan(sdr))
        labels = f"  {text}" if labelled and (text := labelled.progress()) else ""
        report(f"{progress.seconds / 60:6.1f} min  step {progress.step:6d}  SDR in dB: {line}{labels}")
        rank = mean if scores else learnt
        if math.isnan(rank):
            raise DataError("all mixes were silent; give songs whose stems are not silent")
        progress.scored = progress.step
        if rank > progress.best:
            progress.best = rank
            save_checkpoint(best, learner.average, progress, recipe)
        learner.save(last)

    torch.set_flush_denormal(True)  # denormal numbers are slow and useless
    try:
        if initial and clips and progress.scored < 0:
            score()
        budget, before, started = settings.minutes * 60, progress.seconds, time.monotonic()
        kept, scored = before, before
        # Without songs held out the mixes choose, so at least one must be scored in each run.
        while progress.seconds < budget or not (sdrs or clips or progress.scored == progress.step):
            stems, responses = data.batch(size), data.responses(recipe.grid.bins)
            sdrs.append(learner.step(stems, responses, progress.seconds / budget))
            progress.seconds = before + time.monotonic() - started
            if progress.seconds - scored >= settings.validate_every * 60 and progress.seconds < budget:
                score()
                scored = kept = progress.seconds
            elif progress.seconds - kept >= SAVE_INTERVAL_S:
                learner.save(last)
                if labelled:
                    data.add(labelled.new_passages())
                kept = progress.seconds
        if progress.scored < progress.step:
            score()
    except KeyboardInterrupt:
        learner.save(last)
        raise
    finally:
        torch.set_flush_denormal(False)
    return best


def _songs(count: int, kind: str = "") -> str:
    return f"{count} {kind}{'song' if count == 1 else 'songs'}"


def _batch_size(device: torch.device) -> int:
    """Return the mixes in a step. A card needs little more time for many than for few, so its memory decides."""
    if device.type == "cpu":
        return 4
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(32, free // MIX_MEMORY_BYTES))


def _keep_memory() -> None:
    """Let glibc keep freed memory, because returning and requesting every large tensor would halve the speed."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        trim_threshold, mmap_max = -1, -4  # of <malloc.h>
        libc.mallopt(trim_threshold, 2**31 - 1)
        libc.mallopt(mmap_max, 0)


def _clip(song: Song, cache: StemCache) -> dict[str, np.ndarray]:
    """Return up to ten seconds from the middle of a song: stem or "mixture" to (2, n)."""
    tracks = {name: cache.load(song, name) for name in (*STEMS, "mixture") if name in song.files}
    length = min(map(len, tracks.values()))
    start = max(0, length // 2 - 5 * SAMPLE_RATE)
    clip = {
        name: track[start : min(length, start + 10 * SAMPLE_RATE)].T.astype(np.float32) / 32767
        for name, track in tracks.items()
    }
    return {"mixture": np.sum([*clip.values()], axis=0)} | clip


def _validate(
    weights: dict[str, Tensor], recipe: Recipe, clips: list[dict[str, NDArray[np.float32]]], device: str
) -> dict[str, float]:
    """Return the mean clip SDR of each stem, with the averaged weights.

    For ten songs a mean is more reliable than a median. Lower scores count as -5 dB, so that one nearly silent stem
    does not outweigh the others.
    """
    network = make_network(recipe).eval()
    network.load_state_dict(weights)
    network.to(device)
    scores: dict[str, list[float]] = {stem: [] for stem in STEMS}
    for clip in clips:
        estimates = separate_clip(network, clip["mixture"])
        for stem, estimate in zip(STEMS, estimates, strict=True):
            sdr = clip_sdr(clip[stem], estimate) if stem in clip else None
            if sdr is not None:
                scores[stem].append(max(-5.0, sdr))
    return {stem: float(np.mean(values)) for stem, values in scores.items() if values}


def _log(path: Path, progress: Progress, training: float, mean: float, scores: dict[str, float]) -> None:
    new = not path.exists()
    with naming(path), open(path, "a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["minutes", "step", "training_sdr", "held_out_sdr", *STEMS])
        values = [training, mean, *(scores.get(stem, math.nan) for stem in STEMS)]
        writer.writerow([f"{progress.seconds / 60:.2f}", progress.step, *(f"{value:.3f}" for value in values)])
