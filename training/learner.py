"""A network that learns: one step at a time, with averaged weights, from where it was saved."""

import math
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ..core.errors import DataError
from .checkpoint import Progress, load_checkpoint, save_checkpoint
from .networks.make import make_network
from .objective import LOSSES, Example, error_db, example
from .recipe import Recipe

WARM_UP_STEPS = 200  # until the learning rate is full
WARM_UP_SHARE = 0.05  # of the time; then the learning rate is full at the latest
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
        tensors, self.progress, _ = load_checkpoint(path, self.network.recipe)
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


def _mean_sdr(error: Tensor, batch: Example) -> Tensor:
    heard = batch.stem_power > 1e-3 * batch.stem_power.sum(1, keepdim=True)
    sdr = torch.where(heard, 10 * torch.log10(batch.stem_power) - error, 0)
    return sdr.sum() / heard.sum()  # not indexed by `heard`, which would wait for the card
