"""The training loop: time-boxed, resumable, seeded, with averaged weights and songs held apart to choose by."""

import csv
import ctypes
import math
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.errors import DataError
from .checkpoint import Progress, load_checkpoint, save_checkpoint
from .data.mixes import RemixDataset
from .data.songs import SAMPLE_RATE, STEMS, Song, StemCache
from .inference import separate_clip
from .metrics import clip_sdr
from .networks.make import make_network
from .objective import LOSSES, Example, error_db, example
from .recipe import Recipe
from .teaching import LabelledSongs

HELD_APART = 10  # songs to choose checkpoints by
WARM_UP_STEPS = 200  # until the learning rate is full
WARM_UP_SHARE = 0.05  # of the time, in which it is full at the latest
MIX_MEMORY = 2**30  # bytes of a card that a mix of a step may need: of 6 s they were 0.3 to 0.65 GiB
KEEP_EVERY = 60.0  # s, so that whatever stops training costs no more
AVERAGE = 0.999  # of the weights before, in the moving average that is validated and exported


@dataclass
class Settings:
    """How long and how to train.

    minutes: wall-clock time in all, earlier runs included; the learning rate falls to zero at its end. batch: mixes a
    step, 0 for 4 on a processor and up to 32 on a card. seconds: length of a mix. loss: one of LOSSES. init: the model
    that the weights to start from are of. teacher: the model that labels songs. songs_share: see RemixDataset. threads:
    of PyTorch, 0 for its own choice. validate_every: minutes.
    """

    minutes: float
    batch: int = 0
    seconds: float = 6.0
    learning_rate: float = 2e-3
    loss: str = "sdr"
    init: str | None = None
    teacher: str | None = None
    songs_share: float = 0.5
    seed: int = 0
    threads: int = 0
    validate_every: float = 5.0
    device: str = field(default_factory=lambda: "cuda" if torch.cuda.is_available() else "cpu")


def split(songs: list[Song]) -> tuple[list[Song], list[Song]]:
    """Songs to train on, and songs held apart to choose checkpoints by; MUSDB18's validation songs are in neither.

    Held apart is every eighth complete song, ten at most, of those that have a mixture if any have; one of the same
    name, which may be the same in another form, is in neither. Raises DataError if no song is left to train on.
    """
    allowed = [song for song in songs if not song.for_validation]
    complete = [song for song in allowed if song.complete]
    candidates = [song for song in complete if "mixture" in song.files] or complete
    apart = candidates[::8][:HELD_APART] if len(complete) > 1 else []
    names = {song.name.casefold() for song in apart}
    training = [song for song in allowed if song.name.casefold() not in names]
    if songs and not training:
        raise DataError("no song is left to train on: MUSDB18's validation songs are never used; add others to --data")
    return training, apart


def train_network(
    songs: list[Song],
    recipe: Recipe,
    folder: Path,
    cache: StemCache,
    settings: Settings,
    initial: dict[str, Tensor] | None = None,
    report: Callable[[str], None] = print,
    labelled: LabelledSongs | None = None,
) -> Path:
    """Train until the time is up and return the checkpoint that did best on the songs held apart.

    folder: for `last.safetensors` (everything needed to go on), `best.safetensors` (averaged weights) and `log.csv`.
    If it holds a `last.safetensors`, training goes on from there; one is written every minute, and by Ctrl-C. initial:
    weights to start from instead of random ones, which are scored first: what is no better does not take their place.
    labelled: songs whose stems a teacher finds, to train on and choose by too. What it has found is read every minute.
    Raises DataError for songs or a checkpoint that cannot be used.
    """
    _keep_memory()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    training, apart = split(songs)
    last, best = folder / "last.safetensors", folder / "best.safetensors"
    learner = Learner(recipe, settings, initial)
    run: dict[str, Any] = {"--init": settings.init, "--loss": settings.loss, "--seed": settings.seed}
    run["songs (--data)"] = [[song.name for song in part] for part in (training, apart)]
    if labelled:
        run |= {"--teacher": settings.teacher, "--songs-share": settings.songs_share}
        run["songs (--songs)"] = [[song.name for song in part] for part in (labelled.training, labelled.apart)]
    if last.exists():
        learner.load(last)
        if best.exists():  # it is written first, so a killed run's progress may lack it
            learner.progress.best = max(learner.progress.best, load_checkpoint(best)[1].best)
        names = run.keys() | learner.progress.run.keys()
        if other := sorted(name for name in names if learner.progress.run.get(name) != run.get(name)):
            raise DataError(f"{last}: was trained with another {other[0]}; give the same, or train to another output")
        report(f"going on from step {learner.progress.step} after {learner.progress.seconds / 60:.1f} minutes")
    progress = learner.progress
    progress.run = run
    passages = labelled.new_passages() if labelled else []
    seed = settings.seed + progress.step
    data = RemixDataset(training, cache, settings.seconds, seed, settings.device, passages, settings.songs_share)
    clips = [_clip(song, cache) for song in apart]
    counts = [f"{len(training)} songs to train on, {len(apart)} held apart"] if songs else []
    if labelled:
        clips += labelled.clips()
        counts.append(f"{len(labelled.training)} labelled songs to train on, {len(labelled.apart)} held apart")
    report(", ".join([*counts, settings.device]))
    folder.mkdir(parents=True, exist_ok=True)
    size = settings.batch or _batch_size(learner.device)
    sdrs: list[Tensor] = []  # on the device: to look at each would be to wait for it

    def score() -> None:
        scores = _validate(learner.average, recipe, clips, settings.device)
        learnt = float(torch.stack(sdrs).nanmean()) if sdrs else math.nan
        sdrs.clear()
        mean = float(np.mean([*scores.values()])) if scores else math.nan
        _log(folder / "log.csv", progress, learnt, mean, scores)
        said = {"training": learnt, "held apart": mean} | scores
        line = "  ".join(f"{name} {sdr:.2f}" for name, sdr in said.items() if not math.isnan(sdr))
        report(f"{progress.seconds / 60:6.1f} min  step {progress.step:6d}  SDR in dB: {line}")
        rank = mean if scores else learnt
        if math.isnan(rank):
            raise DataError("nothing was heard in any mix; give songs whose stems are not silent")
        progress.scored = progress.step
        if rank > progress.best:
            progress.best = rank
            save_checkpoint(best, learner.average, progress, recipe)
        learner.save(last)

    torch.set_flush_denormal(True)  # denormal numbers are slow, and teach nothing
    try:
        if initial and clips and progress.scored < 0:
            score()
        budget, before, started = settings.minutes * 60, progress.seconds, time.monotonic()
        kept, scored = before, before
        # Where mixes choose, and none was scored since the last run ended, it takes one more to choose by.
        while progress.seconds < budget or not (sdrs or clips or progress.scored == progress.step):
            stems, responses = data.batch(size), data.responses(size, recipe.grid.bins)
            sdrs.append(learner.step(stems, responses, progress.seconds / budget))
            progress.seconds = before + time.monotonic() - started
            if progress.seconds - scored >= settings.validate_every * 60 and progress.seconds < budget:
                score()
                scored = kept = progress.seconds
            elif progress.seconds - kept >= KEEP_EVERY:
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


class Learner:
    """A network, its optimizer and the moving average of its weights."""

    def __init__(self, recipe: Recipe, settings: Settings, initial: dict[str, Tensor] | None) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.device = settings, torch.device(settings.device)
        self.network = make_network(recipe)
        if initial:
            self.network.load_state_dict(initial)
        self.network.to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.02
        )
        self.average = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        self.progress = Progress()
        # Half precision where the processor computes with it: about 1.4 times the steps a minute. A card has none to
        # gain: its recurrent layers wait for one time step after the other, and use TF32 for themselves.
        self.half = self.device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()

    def step(self, stems: Tensor, responses: Tensor, time_used: float) -> Tensor:
        """Learn from a batch of `RemixDataset`; time_used: share of the budget.

        Returns the mean SDR in dB of the stems that are heard, NaN if none is.
        """
        warm = min(1.0, max((self.progress.step + 1) / WARM_UP_STEPS, time_used / WARM_UP_SHARE))
        rate = warm * (0.5 + 0.5 * math.cos(math.pi * min(1.0, time_used)))
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * rate
        batch = example(stems, responses, self.network.recipe)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            logits, _ = self.network(batch.seen)
        recipe = self.network.recipe
        logits = logits[recipe.lookahead :].float()
        self.optimizer.zero_grad(set_to_none=True)
        loss = LOSSES[self.settings.loss](logits, batch, recipe)
        loss.mean().backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.progress.step += 1
        # At first the average reaches back less far, so that it soon forgets the random weights.
        decay = min(AVERAGE, self.progress.step / (self.progress.step + 9))
        for name, value in self.network.state_dict().items():
            self.average[name].lerp_(value, 1 - decay)
        error = loss if LOSSES[self.settings.loss] is error_db else error_db(logits.detach(), batch, recipe)
        return _mean_sdr(error.detach(), batch)

    def save(self, path: Path) -> None:
        """Write everything needed to go on."""
        tensors = {f"network/{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"average/{name}": value for name, value in self.average.items()}
        for i, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{i}/{name}": torch.as_tensor(value) for name, value in state.items()}
        save_checkpoint(path, tensors, self.progress, self.network.recipe)

    def load(self, path: Path) -> None:
        """Go on from what `save` wrote. Raises DataError if that was another network's."""
        tensors, self.progress, recipe = load_checkpoint(path)
        if recipe != self.network.recipe:
            raise DataError(f"{path}: a checkpoint of another network; train to another output, or move it away")
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "optimizer": {}}
        for name, value in tensors.items():
            part, rest = name.split("/", 1)
            parts[part][rest] = value
        if parts["network"].keys() != self.network.state_dict().keys():
            raise DataError(f"{path}: a checkpoint of another version; train to another output, or move it away")
        self.network.load_state_dict(parts["network"])
        for name, value in parts["average"].items():
            self.average[name].copy_(value)
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in parts["optimizer"].items():
            i, entry = name.split("/")
            state.setdefault(int(i), {})[entry] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})


def _batch_size(device: torch.device) -> int:
    """Mixes a step. A card takes little longer for many than for few, and has as many as its free memory holds."""
    if device.type == "cpu":
        return 4
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(32, free // MIX_MEMORY))


def _mean_sdr(error: Tensor, batch: Example) -> Tensor:
    heard = batch.stem_power > 1e-3 * batch.stem_power.sum(1, keepdim=True)
    sdr = torch.where(heard, 10 * torch.log10(batch.stem_power) - error, 0)
    return sdr.sum() / heard.sum()  # not indexed by `heard`, for which one would wait for the card


def _keep_memory() -> None:
    """Let glibc keep freed memory: to give every large tensor back and fetch it anew halves the speed."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        trim_threshold, mmap_max = -1, -4  # of <malloc.h>
        libc.mallopt(trim_threshold, 2**31 - 1)
        libc.mallopt(mmap_max, 0)


def _clip(song: Song, cache: StemCache) -> dict[str, np.ndarray]:
    """Up to ten seconds from the middle of a song: stem, and "mixture", -> (2, n)."""
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
    """Mean clip SDR per stem of the averaged weights.

    A mean of ten songs tells more than a median. No score counts as less than -5 dB, so that one nearly silent stem
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
    with open(path, "a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["minutes", "step", "training_sdr", "held_apart_sdr", *STEMS])
        values = [training, mean, *(scores.get(stem, math.nan) for stem in STEMS)]
        writer.writerow([f"{progress.seconds / 60:.2f}", progress.step, *(f"{value:.3f}" for value in values)])
