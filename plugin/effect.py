"""StemProcessor as the plugin's sound: its faders are parameters, and a mute is exact to the sample too."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from numpy.typing import NDArray

from ..core.gains import MAX_DB, SILENCE_DB
from ..engine import StemProcessor
from ..engine.kinds import separator_timing
from ..models import Card


def parameter_prefixes(stems: Sequence[str]) -> dict[str, str]:
    """Stem -> what the names of its parameters begin with.

    >>> parameter_prefixes(["vocals", "lead__guitar_"])
    {'vocals': 'vocals', 'lead__guitar_': 'lead_guitar'}

    Raises ValueError if two stems come to the same.
    """
    prefixes: dict[str, str] = {}
    for stem in stems:
        prefix = re.sub("_+", "_", stem).strip("_")
        for other, taken in prefixes.items():
            if taken == prefix:
                raise ValueError(
                    f"stems {other!r} and {stem!r} would both have the parameter {prefix}_db; rename one in the card"
                )
        prefixes[stem] = prefix
    return prefixes


def stem_parameters(stems: Sequence[str]) -> dict[str, tuple[float, float, float] | bool]:
    """The parameters of a model with these stems: `<stem>_db`, (minimum, maximum, default), then `<stem>_mute`.

    Raises ValueError if two stems would have the same.
    """
    prefixes = parameter_prefixes(stems).values()
    gains = {f"{prefix}_db": (SILENCE_DB, MAX_DB, 0.0) for prefix in prefixes}
    return gains | {f"{prefix}_mute": False for prefix in prefixes}


def stem_timing(card: Card, sample_rate: float) -> tuple[int, int]:
    """Return the latency and hop, in samples, that a StemEffect with this model would have."""
    timing = separator_timing(card, sample_rate)
    return timing.latency, timing.hop


class StemEffect:
    """A StemProcessor whose gains and mutes are attributes and moves, for a host to set by name.

    parameters: name -> (minimum, maximum, default), or a bool; attributes of those names hold the values.
    Raises as StemProcessor does.
    """

    def __init__(self, sample_rate: float, num_channels: int, model: str = "live") -> None:
        self._processor = StemProcessor(model, sample_rate, num_channels)
        self._prefixes = parameter_prefixes(self._processor.stems)
        self.parameters = stem_parameters(self._processor.stems)
        # What a parameter belongs to.
        self._stems = {f"{prefix}_{kind}": stem for stem, prefix in self._prefixes.items() for kind in ("db", "mute")}
        for name, declared in self.parameters.items():
            setattr(self, name, declared[2] if isinstance(declared, tuple) else declared)

    @property
    def latency_samples(self) -> int:
        """How many samples the output comes after the input."""
        return self._processor.latency_samples

    @property
    def hop_samples(self) -> int:
        """How many samples are worked on at a time."""
        return self._processor.hop_samples

    @property
    def tail_samples(self) -> int:
        """After silence as long as this and the latency, the output is silent and no sound is left inside."""
        return self._processor.tail_samples

    def reset(self) -> None:
        """Forget all audio; faders jump to where the attributes are."""
        self._processor.set_gains_db(**{stem: self._gain_db(stem) for stem in self._processor.stems})
        self._processor.reset()

    def process(self, block: NDArray[Any], moves: Iterable[tuple[int, str, float]] = ()) -> NDArray[Any]:
        """Remix a block: see StemProcessor.process.

        moves: (offset in the block, parameter, value), in the order they act. Raises ValueError for an unknown one.
        """
        before = {name: getattr(self, name) for name in self.parameters}
        try:
            return self._processor.process(block, [self._move(*move) for move in moves])
        except BaseException:
            vars(self).update(before)  # this block's moves do not count
            raise

    def _move(self, offset: int, name: str, value: float) -> tuple[int, str, float]:
        stem = self._stems.get(name)
        if stem is None:
            raise ValueError(f"unknown parameter {name!r}; there are {', '.join(self.parameters)}")
        setattr(self, name, value >= 0.5 if isinstance(self.parameters[name], bool) else value)
        return offset, stem, self._gain_db(stem)

    def _gain_db(self, stem: str) -> float:
        """Where the fader of a stem goes: a mute is stronger."""
        prefix = self._prefixes[stem]
        return SILENCE_DB if getattr(self, f"{prefix}_mute") else getattr(self, f"{prefix}_db")
