"""The training loop: limited in time, resumable, seeded, with averaged weights that are chosen by songs held apart."""

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

MAX_HELD_APART = 10  # songs by which checkpoints are chosen
WARM_UP_STEPS = 200  # until the learning rate is full
WARM_UP_SHARE = 0.05  # of the time; then the learning rate is full at the latest
MIX_MEMORY_BYTES = 2**30  # of a card, for one mix; mixes of 6 s needed 0.3 to 0.65 GiB
SAVE_INTERVAL_S = 60.0  # if training is killed, no more than this is lost
AVERAGE_DECAY = 0.999  # of the moving average of the weights, which is validated and exported


@dataclass
class Settings:
    """Settings of training.

    Attributes:
        minutes: Total wall-clock time, including earlier runs. The learning rate falls to zero at its end.
        batch: Mixes in a step, 0 for 4 on a processor and up to 32 on a card.
        seconds: Length of a mix.
        learning_rate: Largest learning rate.
        loss: One of LOSSES.
        init: Name of the model whose weights training starts from.
        teacher: Name of the model that labels songs.
        songs_share: Share of labelled songs, see RemixDataset.
        seed: Random seed.
        threads: Processor cores for PyTorch, 0 for its own choice.
        validate_every: Minutes between two validations.
        device: "cpu" or "cuda".
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
    """Split songs into those to train on, and those held apart, by which checkpoints are chosen.

    Every eighth complete song is held apart, ten at most; if some songs have a mixture, only those. MUSDB18's
    validation songs are in neither part. Nor are other songs with the name of one held apart, because they may be the
    same song in another form.

    Args:
        songs: All songs.

    Returns:
        Songs to train on, and songs held apart.

    Raises:
        DataError: No song remains to train on.
    """
    allowed = [song for song in songs if not song.for_validation]
    complete = [song for song in allowed if song.complete]
    candidates = [song for song in complete if "mixture" in song.files] or complete
    apart = candidates[::8][:MAX_HELD_APART] if len(complete) > 1 else []
    names = {song.name.casefold() for song in apart}
    training = [song for song in allowed if song.name.casefold() not in names]
    if songs and not training:
        raise DataError("no song remains to train on: MUSDB18's validation songs are never used; add others to --data")
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
    """Train until the time is up, and return the checkpoint that was best on the songs held apart.

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
        if best.exists():  # written before `last`, so the progress of a killed run may not have it yet
            learner.progress.best = max(learner.progress.best, load_checkpoint(best)[1].best)
        names = run.keys() | learner.progress.run.keys()
        if other := sorted(name for name in names if learner.progress.run.get(name) != run.get(name)):
            raise DataError(f"{last} was trained with another {other[0]}; give the same, or train to another output")
        report(f"continuing from step {learner.progress.step} after {learner.progress.seconds / 60:.1f} minutes")
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
    sdrs: list[Tensor] = []  # on the device, because reading each value would wait for it

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
        # Without songs held apart the mixes choose, so at least one must be scored in each run.
        while progress.seconds < budget or not (sdrs or clips or progress.scored == progress.step):
            stems, responses = data.batch(size), data.responses(size, recipe.grid.bins)
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


class Learner:
    """A network, its optimizer and the moving average of its weights.

    Args:
        recipe: Recipe of the network.
        settings: Settings of training.
        initial: Weights to start from, None for random ones.
    """

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
        # Half precision if the processor supports it: about 1.4 times as many steps a minute. A card would not profit,
        # because its recurrent layers wait for one time step after another, and use TF32 anyway.
        self.half = self.device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()

    def step(self, stems: Tensor, responses: Tensor, time_used: float) -> Tensor:
        """Learn from a batch.

        Args:
            stems: From `RemixDataset.batch`.
            responses: From `RemixDataset.responses`.
            time_used: Share of the training time, 0 to 1.

        Returns:
            Mean SDR in dB of the audible stems, NaN if all are silent.
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
        # At first the average is shorter, so that it soon forgets the random weights.
        decay = min(AVERAGE_DECAY, self.progress.step / (self.progress.step + 9))
        for name, value in self.network.state_dict().items():
            self.average[name].lerp_(value, 1 - decay)
        error = loss if LOSSES[self.settings.loss] is error_db else error_db(logits.detach(), batch, recipe)
        return _mean_sdr(error.detach(), batch)

    def save(self, path: Path) -> None:
        """Write everything needed to continue.

        Args:
            path: The .safetensors file.
        """
        tensors = {f"network/{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"average/{name}": value for name, value in self.average.items()}
        for i, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{i}/{name}": torch.as_tensor(value) for name, value in state.items()}
        save_checkpoint(path, tensors, self.progress, self.network.recipe)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint.

        Args:
            path: A file that `save` wrote.

        Raises:
            DataError: It is from another network.
        """
        tensors, self.progress, recipe = load_checkpoint(path)
        if recipe != self.network.recipe:
            raise DataError(f"{path} is from another network; train to another output, or move it away")
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "optimizer": {}}
        for name, value in tensors.items():
            part, rest = name.split("/", 1)
            parts[part][rest] = value
        if parts["network"].keys() != self.network.state_dict().keys():
            raise DataError(f"{path} is from another version; train to another output, or move it away")
        self.network.load_state_dict(parts["network"])
        for name, value in parts["average"].items():
            self.average[name].copy_(value)
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in parts["optimizer"].items():
            i, entry = name.split("/")
            state.setdefault(int(i), {})[entry] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})


def _batch_size(device: torch.device) -> int:
    """Return the mixes in a step. A card needs little more time for many than for few, so its memory decides."""
    if device.type == "cpu":
        return 4
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(32, free // MIX_MEMORY_BYTES))


def _mean_sdr(error: Tensor, batch: Example) -> Tensor:
    heard = batch.stem_power > 1e-3 * batch.stem_power.sum(1, keepdim=True)
    sdr = torch.where(heard, 10 * torch.log10(batch.stem_power) - error, 0)
    return sdr.sum() / heard.sum()  # not indexed by `heard`, which would wait for the card


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
    with open(path, "a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["minutes", "step", "training_sdr", "held_apart_sdr", *STEMS])
        values = [training, mean, *(scores.get(stem, math.nan) for stem in STEMS)]
        writer.writerow([f"{progress.seconds / 60:.2f}", progress.step, *(f"{value:.3f}" for value in values)])
