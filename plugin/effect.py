"""StemProcessor as the plugin's processor: its faders are parameters, and mutes are exact to the sample too."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import StemBridgeError
from ..core.gains import GLIDE_S, MAX_DB, SILENCE_DB
from ..core.stems import parameter_prefix, silenced
from ..engine import StemProcessor
from ..engine.kinds import separator_timing
from ..models import Card
from .bridge.factory import Timing

PRE_FADER = "stems_pre_fader"  # the parameter that makes the stems' outputs pre-fader
FALL_DB_PER_S = 20.0  # of a level meter


def parameter_prefixes(stems: Sequence[str]) -> dict[str, str]:
    """Return the first part of the names of each stem's parameters.

    Args:
        stems: Names of the stems.

    Returns:
        Stem to prefix.

    Raises:
        ValueError: Two stems would have the same prefix.

    >>> parameter_prefixes(["vocals", "lead__guitar_"])
    {'vocals': 'vocals', 'lead__guitar_': 'lead_guitar'}
    """
    prefixes: dict[str, str] = {}
    for stem in stems:
        prefix = parameter_prefix(stem)
        for other, taken in prefixes.items():
            if taken == prefix:
                raise StemBridgeError(
                    f"stems {other!r} and {stem!r} would both have the parameter {prefix}_db; rename one in the card"
                )
        prefixes[stem] = prefix
    return prefixes


def stem_parameters(stems: Sequence[str]) -> dict[str, tuple[float, float, float] | bool]:
    """Return the parameters of a model: `<stem>_db`, `<stem>_mute` and `<stem>_solo`.

    Args:
        stems: Names of the stems.

    Returns:
        Name to (minimum, maximum, default), or to a bool.

    Raises:
        ValueError: Two stems would have the same parameters.
    """
    prefixes = parameter_prefixes(stems).values()
    gains = {f"{prefix}_db": (SILENCE_DB, MAX_DB, 0.0) for prefix in prefixes}
    mutes = {f"{prefix}_mute": False for prefix in prefixes}
    return gains | mutes | {f"{prefix}_solo": False for prefix in prefixes}


def stem_meters(stems: Sequence[str]) -> dict[str, tuple[float, float, float]]:
    """Return the level meters of a model: `<stem>_level_db`.

    Args:
        stems: Names of the stems.

    Returns:
        Name to (minimum, maximum, default), in dB.
    """
    return {f"{prefix}_level_db": (SILENCE_DB, MAX_DB, SILENCE_DB) for prefix in parameter_prefixes(stems).values()}


def stem_timing(card: Card, sample_rate: float) -> Timing:
    """Return the timing that a StemEffect with this model would have.

    Args:
        card: The model's card.
        sample_rate: In Hz.
    """
    timing = separator_timing(card, sample_rate)
    return Timing(timing.latency, timing.hop, timing.tail)


class StemEffect:
    """A StemProcessor whose faders and buttons are attributes and moves, for a host to set by name.

    Besides the main output it has one for each stem, see `process_outputs`.

    Args:
        sample_rate: In Hz, 8000 to 192000.
        num_channels: 1 or 2.
        model: A shipped model's name, or the path of an .onnx file.
        measure: Measure the level of each stem.
        stems: The model's stems in the order of the outputs and meters; by default the model's own order.

    Attributes:
        parameters: Name to (minimum, maximum, default), or to a bool. The values are attributes with these names.
        meters: Name to (minimum, maximum, default), in the same way; empty without `measure`. A level is the peak of a
            stem after its fader, in dB; it falls by FALL_DB_PER_S.

    Raises:
        ModelError: The model cannot be used.
        ValueError: Sample rate or channels cannot be used.
    """

    def __init__(
        self,
        sample_rate: float,
        num_channels: int,
        model: str = "live",
        measure: bool = False,
        stems: Sequence[str] | None = None,
    ) -> None:
        self._processor = StemProcessor(model, sample_rate, num_channels)
        own = self._processor.stems
        stems = own if stems is None else stems
        self._rows = [own.index(stem) for stem in stems]  # of the outputs and meters, among the processor's stems
        self._prefixes = parameter_prefixes(stems)
        self.parameters = stem_parameters(stems) | {PRE_FADER: False}
        self.meters = stem_meters(stems) if measure else {}
        # The stem of each parameter.
        kinds = "db", "mute", "solo"
        self._stems = {f"{prefix}_{kind}": stem for stem, prefix in self._prefixes.items() for kind in kinds}
        for name, declared in (self.parameters | self.meters).items():
            setattr(self, name, declared[2] if isinstance(declared, tuple) else declared)
        self._pre_fader = 0.0  # crossfade of the stems' outputs, from post-fader, 0, to pre-fader, 1
        if measure:
            self._processor.on_stems = self._measure

    @property
    def latency_samples(self) -> int:
        """Samples by which the output is later than the input."""
        return self._processor.latency_samples

    @property
    def hop_samples(self) -> int:
        """Samples that the network processes at a time."""
        return self._processor.hop_samples

    @property
    def offline(self) -> bool:
        """Whether blocks are rendered offline: see StemProcessor."""
        return self._processor.offline

    @offline.setter
    def offline(self, offline: bool) -> None:
        self._processor.offline = offline

    @property
    def tail_samples(self) -> int:
        """After silence as long as this and the latency, the output is silent, and no sound remains inside."""
        return self._processor.tail_samples

    def reset(self) -> None:
        """Forget all audio; faders jump to the values of the attributes."""
        self._processor.set_gains_db(**self._gains_db())
        self._processor.reset()
        self._pre_fader = float(getattr(self, PRE_FADER))
        for name, (_, _, lowest) in self.meters.items():
            setattr(self, name, lowest)

    def process(self, block: NDArray[Any], moves: Iterable[tuple[int, str, float]] = ()) -> NDArray[Any]:
        """Remix a block, as StemProcessor.process does.

        Args:
            block: Samples, shape (channels, n).
            moves: (offset in the block, parameter, value), in the order in which they act.

        Returns:
            Samples of the same shape.

        Raises:
            ValueError: A parameter is unknown, or the block cannot be used.
        """
        before = {name: getattr(self, name) for name in self.parameters}
        try:
            return self._processor.process(block, [made for move in moves for made in self._moves(*move)])
        except BaseException:
            vars(self).update(before)  # undo the moves of this block
            raise

    def process_outputs(self, block: NDArray[Any], moves: Iterable[tuple[int, str, float]] = ()) -> NDArray[np.float32]:
        """Remix a block as `process` does, and return the stems too.

        Args:
            block: Samples, shape (channels, n).
            moves: As for `process`.

        Returns:
            Samples, shape (1 + stems, channels, n): the mix, and then each stem after its fader and buttons. The stems
            sum to the mix. With `stems_pre_fader` they are the stems before their faders.
        """
        outputs, done = np.empty((1 + len(self._prefixes), *np.shape(block)), np.float32), 0

        def keep(stems: NDArray[np.float32], gains: NDArray[np.float32]) -> None:
            nonlocal done
            n = stems.shape[-1]
            pre_fader = self._glide(n)
            faded = stems * (gains + pre_fader * (1 - gains))[:, None]
            outputs[1:, :, done : done + n] = faded[self._rows]
            done += n
            if measure:
                measure(stems, gains)

        measure, self._processor.on_stems = self._processor.on_stems, keep
        try:
            outputs[0] = self.process(block, moves)
        finally:
            self._processor.on_stems = measure
        return outputs

    def _glide(self, n: int) -> NDArray[np.float32]:
        """Return the crossfade from post-fader to pre-fader for n samples; it takes as long as a fader's glide."""
        target = float(getattr(self, PRE_FADER))
        steps = np.arange(1, n + 1, dtype=np.float32) / (GLIDE_S * self._processor.sample_rate)
        start = self._pre_fader
        glide: NDArray[np.float32]
        glide = np.minimum(start + steps, target) if target > start else np.maximum(start - steps, target)
        self._pre_fader = float(glide[-1])
        return glide

    def _measure(self, stems: NDArray[np.float32], gains: NDArray[np.float32]) -> None:
        peaks = np.abs(stems * gains[:, None]).max(axis=(1, 2), initial=0)[self._rows]
        fall = FALL_DB_PER_S * stems.shape[-1] / self._processor.sample_rate
        for (name, (lowest, highest, _)), peak in zip(self.meters.items(), peaks.tolist(), strict=True):
            level = 20 * math.log10(peak) if peak > 0 else lowest
            setattr(self, name, min(max(level, getattr(self, name) - fall, lowest), highest))

    def _moves(self, offset: int, name: str, value: float) -> list[tuple[int, str, float]]:
        """Set a parameter, and return the moves of the faders that it moves."""
        if name not in self.parameters:
            raise StemBridgeError(f"unknown parameter {name!r}; choose from {', '.join(self.parameters)}")
        setattr(self, name, value >= 0.5 if isinstance(self.parameters[name], bool) else value)
        moved = [self._stems[name]] if name in self._stems else []
        if name.endswith("_solo"):
            moved = list(self._processor.stems)
        gains_db = self._gains_db()
        return [(offset, stem, gains_db[stem]) for stem in moved]

    def _gains_db(self) -> dict[str, float]:
        """Return the gain of each stem, after its buttons."""
        muted, soloed = (
            [stem for stem, prefix in self._prefixes.items() if getattr(self, f"{prefix}_{kind}")]
            for kind in ("mute", "solo")
        )
        silent = silenced(self._prefixes, muted, soloed)
        return {
            stem: SILENCE_DB if stem in silent else getattr(self, f"{prefix}_db")
            for stem, prefix in self._prefixes.items()
        }
