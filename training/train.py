"""The training loop: time-boxed, resumable, seeded, with averaged weights and songs held apart to choose by."""

import csv
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..engine.stft import Analysis, Synthesis
from .data import STEMS, VALIDATION, DataError, RemixDataset, Song, StemCache
from .metrics import clip_sdr
from .networks import MaskNetwork, Recipe
from .objective import error_db, example, input_features

HELD_APART = 10  # training songs to choose checkpoints by


@dataclass
class Settings:
    """How long and how to train.

    minutes: wall-clock time in all, earlier sessions included; the learning rate falls to zero at its end.
    batch, seconds: mixes a step and their length. threads: of PyTorch, 0 for its own choice.
    """

    minutes: float
    batch: int = 8
    seconds: float = 3.0
    learning_rate: float = 2e-3
    seed: int = 0
    threads: int = 0
    validate_every: float = 10.0  # minutes
    device: str = field(default_factory=lambda: "cuda" if torch.cuda.is_available() else "cpu")


def split(songs: list[Song]) -> tuple[list[Song], list[Song]]:
    """Songs to train on, and songs held apart to choose checkpoints by; MUSDB18's validation songs are in neither.

    Held apart is every eighth complete song that has a mixture, ten at most. Raises DataError if nothing is left.
    """
    allowed = [song for song in songs if song.name not in VALIDATION]
    candidates = [song for song in allowed if song.complete and "mixture" in song.files]
    apart = candidates[::8][:HELD_APART]
    names = {song.name for song in apart}
    training = [song for song in allowed if song.name not in names]
    if not training:
        raise DataError("no song is left to train on: MUSDB18's validation songs are never used; add others to --data")
    return training, apart


def train(
    songs: list[Song],
    recipe: Recipe,
    folder: Path,
    cache: StemCache,
    settings: Settings,
    initial: dict[str, Tensor] | None = None,
    report: Callable[[str], None] = print,
) -> Path:
    """Train until the time is up and return the checkpoint that did best on the songs held apart.

    folder: for `last.safetensors` (everything needed to go on), `best.safetensors` and `log.csv`. If it holds a
    `last.safetensors`, training goes on from there. initial: weights to start from instead of random ones.
    """
    if settings.threads:
        torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    torch.set_flush_denormal(True)
    device = torch.device(settings.device)
    training, apart = split(songs)
    network = MaskNetwork(recipe)
    if initial:
        network.load_state_dict(initial)
    network.to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.02)
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    progress = {"step": 0, "seconds": 0.0, "best": -math.inf, "recipe": recipe.as_dict(), "seed": settings.seed}
    folder.mkdir(parents=True, exist_ok=True)
    last, best = folder / "last.safetensors", folder / "best.safetensors"
    if last.exists():
        progress |= _resume(last, network, optimizer, average)
        report(f"going on from step {progress['step']} after {progress['seconds'] / 60:.1f} minutes")
    data = RemixDataset(training, cache, settings.seconds, settings.seed + progress["step"])
    clips = [_clip(song, cache) for song in apart]
    report(f"{len(training)} songs to train on, {len(apart)} held apart, {settings.device}")

    # Half precision where the processor computes with it: about 1.4 times the steps a minute.
    half = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
    budget, before, started = settings.minutes * 60, progress["seconds"], time.monotonic()
    next_validation = before + settings.validate_every * 60
    losses: list[float] = []
    while progress["seconds"] < budget:
        rate = settings.learning_rate * min(1.0, (progress["step"] + 1) / 200)
        rate *= 0.5 + 0.5 * math.cos(math.pi * progress["seconds"] / budget)
        for group in optimizer.param_groups:
            group["lr"] = rate
        stems, limits = data.batch(settings.batch), data.band_limits(settings.batch)
        batch = example(torch.from_numpy(stems).to(device), recipe, torch.from_numpy(limits))
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            logits, _ = network(batch.seen)
        loss = error_db(logits.float(), batch).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        decay = min(0.999, (progress["step"] + 1) / (progress["step"] + 10))
        for name, value in network.state_dict().items():
            average[name].lerp_(value, 1 - decay)
        unmixed = 10 * torch.log10(batch.stem_power + 1e-9)
        heard = batch.stem_power > 1e-3 * batch.stem_power.sum(1, keepdim=True)
        losses.append(float((unmixed - error_db(logits.detach().float(), batch))[heard].mean()))
        progress["step"] += 1
        progress["seconds"] = before + time.monotonic() - started
        if progress["seconds"] >= min(next_validation, budget):
            next_validation += settings.validate_every * 60
            scores = _validate(average, recipe, clips)
            mean = float(np.mean([*scores.values()])) if scores else float(np.mean(losses))
            _log(folder / "log.csv", progress, float(np.mean(losses)), rate, mean, scores)
            report(
                f"{progress['seconds'] / 60:6.1f} min  step {progress['step']:6d}"
                f"  training SDR {np.mean(losses):5.2f} dB  held apart {mean:5.2f} dB  " + "  ".join(f"{k} {v:.2f}" for k, v in scores.items())
            )
            losses.clear()
            if mean > progress["best"]:
                progress["best"] = mean
                save_weights(best, average, progress)
            _save_all(last, network, optimizer, average, progress)
    return best


def _clip(song: Song, cache: StemCache) -> dict[str, np.ndarray]:
    return {stem: cache.load(song, stem).T.astype(np.float32) / 32767 for stem in (*STEMS, "mixture")}


@torch.no_grad()
def _validate(weights: dict[str, Tensor], recipe: Recipe, clips: list[dict]) -> dict[str, float]:
    """Median clip SDR per stem of the averaged weights, with the engine's own transform."""
    network = MaskNetwork(recipe)
    network.load_state_dict({name: value.cpu() for name, value in weights.items()})
    scores: dict[str, list[float]] = {stem: [] for stem in STEMS}
    delay = recipe.grid.synthesis_window - recipe.grid.hop
    for clip in clips:
        mixture = np.pad(clip["mixture"], ((0, 0), (0, recipe.grid.window)))
        spectrum = Analysis(recipe.grid, 2).push(mixture)
        real, imag = torch.from_numpy(spectrum.real.copy()), torch.from_numpy(spectrum.imag.copy())
        seen, _ = input_features(real.unsqueeze(1), imag.unsqueeze(1), recipe, torch.zeros(1, 1))
        masks = recipe.bands.spread(network(seen)[0][:, 0].softmax(dim=1)).numpy()
        audio = Synthesis(recipe.grid, (len(STEMS), 2)).push(masks * spectrum[:, None])
        length = min(len(clip[stem].T) for stem in clip)
        for i, stem in enumerate(STEMS):
            sdr = clip_sdr(clip[stem][:, :length], audio[i, :, delay : delay + length])
            if sdr is not None:
                scores[stem].append(sdr)
    return {stem: float(np.median(values)) for stem, values in scores.items() if values}


def _log(path: Path, progress: dict, training: float, rate: float, mean: float, scores: dict[str, float]) -> None:
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["minutes", "step", "learning_rate", "training_sdr", "held_apart_sdr", *STEMS])
        values = [progress["seconds"] / 60, rate, training, mean, *(scores.get(stem, math.nan) for stem in STEMS)]
        minutes, *others = (f"{value:.5g}" for value in values)
        writer.writerow([minutes, progress["step"], *others])


def save_weights(path: Path, tensors: dict[str, Tensor], progress: dict) -> None:
    """Write tensors and, as metadata, how far training is; the file appears whole or not at all."""
    temporary = path.with_suffix(".tmp")
    contents = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    save_file(contents, temporary, {"progress": json.dumps(progress)})
    os.replace(temporary, path)


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict]:
    """The inverse of `save_weights`. Raises DataError if the file is no checkpoint of ours."""
    try:
        with safe_open(path, "pt") as file:
            progress = json.loads((file.metadata() or {})["progress"])
            return {name: file.get_tensor(name) for name in file.keys()}, progress  # noqa: SIM118
    except Exception as error:  # safetensors raises its own error types, by version
        raise DataError(f"{path}: not a checkpoint ({error}); give a .safetensors file that training wrote") from error


def _save_all(path: Path, network: MaskNetwork, optimizer, average: dict[str, Tensor], progress: dict) -> None:
    tensors = {f"network/{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"average/{name}": value for name, value in average.items()}
    for i, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{i}/{name}": torch.as_tensor(value) for name, value in state.items()}
    save_weights(path, tensors, progress)


def _resume(path: Path, network: MaskNetwork, optimizer, average: dict[str, Tensor]) -> dict:
    tensors, progress = load_weights(path)
    parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "optimizer": {}}
    for name, value in tensors.items():
        part, rest = name.split("/", 1)
        parts[part][rest] = value
    network.load_state_dict(parts["network"])
    for name, value in parts["average"].items():
        average[name].copy_(value)
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in parts["optimizer"].items():
        i, field_name = name.split("/")
        state.setdefault(int(i), {})[field_name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return progress
