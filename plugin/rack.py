"""StemRack: every stem through a pedalboard of its own, and together again to the sample."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pedalboard import Pedalboard, Plugin, PluginContainer

from ..core.protocols import Move
from ..core.stems import check_stems
from ..engine import StemProcessor
from ..engine.fifo import Fifo
from ..engine.gains import Faders, FaderSurface
from ..engine.processor import as_channels
from ..models import Model, load_model
from ..presets.gains import Gains
from .board import Board

Block = NDArray[np.float32]


@runtime_checkable
class Effect(Protocol):
    """An effect for a stem: float32 (channels, n) to the same shape, delayed by `latency_samples`.

    If it has `prepare(sample_rate, num_channels)` too, that is called first.
    """

    @property
    def latency_samples(self) -> int: ...
    def process(self, block: Block) -> Block: ...
    def reset(self) -> None: ...


class StemRack(FaderSurface):
    """A desk with a channel for each stem: the stem goes through its effects, then its fader, and all are summed.

    effects: by stem, `StemRack(vocals=Pedalboard([Reverb()]), drums=Compressor())`: a plugin or a board of pedalboard,
    a list of plugins, or an Effect. A stem that is not named stays dry. Branches are aligned to the sample.
    model, gains_db, threads: as for StemProcessor. Mono and stereo at any rate: `prepare` says which, at first it is
    44.1 kHz stereo. Faders, mutes and solos come after the effects, so that they silence a reverb with its tail.
    MidiControl moves it, and automation too.

    The output goes on as long as the input does: feed silence to hear the tails out.
    Plugins' parameters may be changed at any time; `prepare` again after adding or removing a plugin.
    Raises ModelError or ValueError, in one line, for a model, stem, gain or effect that it cannot use.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Model = "live",
        gains_db: Gains | None = None,
        threads: int = 1,
        **effects: Plugin | Sequence[Plugin] | Effect,
    ) -> None:
        self._model = model if isinstance(model, Model) else load_model(model)
        self._threads = threads
        stems = self._model.card.stems
        check_stems(effects, stems)
        self._effects = {stem: _as_effect(stem, effect) for stem, effect in effects.items()}
        _refuse_shared(effects)
        self._faders = Faders(stems, 44100, gains_db)
        self.sample_rate, self.num_channels = 0.0, 0
        self.prepare(44100, 2)

    @property
    def latency_samples(self) -> int:
        """How many samples the output comes after the input, exactly: the model's latency and the slowest board's."""
        return self._processor.latency_samples + max(self._late.values(), default=0)

    def __repr__(self) -> str:
        about = [repr(self._model.card.name), *(f"{s}: {e!r}" for s, e in self._effects.items()), *self._about_faders()]
        return f"StemRack({', '.join(about)})"

    def prepare(self, sample_rate: float, num_channels: int) -> None:
        """Prepare for a stream of 8000 to 192000 Hz and 1 or 2 channels: measure latencies, then reset.

        Raises ValueError if the model or an effect cannot be used so; then call `prepare` again before `process`.
        """
        before = self.sample_rate, self.num_channels
        self.sample_rate, self.num_channels = 0.0, 0  # until all is ready
        if (sample_rate, num_channels) != before:
            self._processor = StemProcessor(self._model, sample_rate, num_channels, threads=self._threads)
            faders = Faders(self.stems, sample_rate, self._faders.gains_db)
            for stem in self._faders.muted:
                faders.mute(stem)
            for stem in self._faders.soloed:
                faders.solo(stem)
            self._faders = faders
        for stem, effect in self._effects.items():
            if prepare := getattr(effect, "prepare", None):
                try:
                    prepare(sample_rate, num_channels)
                except ValueError as error:
                    raise ValueError(f"{stem}: {error}") from error
        self._late = {stem: _latency(stem, effect) for stem, effect in self._effects.items()}
        self.sample_rate, self.num_channels = sample_rate, num_channels
        self.reset()

    def reset(self) -> None:
        """Forget all audio, tails and moves not yet heard. Faders stay where they are, without a glide."""
        self._stale = True  # until the reset is complete, because Ctrl-C may come at any moment
        self._processor.reset()
        self._faders.reset(self.latency_samples)
        self._delays = {stem: Fifo((self.num_channels,)) for stem in self.stems}
        for effect in self._effects.values():
            effect.reset()
        for stem, delay in self._delays.items():
            delay.push_zeros(self.latency_samples - self._late.get(stem, 0))
        self._early = self._processor.latency_samples  # what comes before a song; effects begin with its first sample
        self._stale = False

    def process(self, block: NDArray[Any], moves: Iterable[Move] = ()) -> Block:
        """Send a block through the rack, delayed by `latency_samples`; block and moves as for StemProcessor.process.

        After an error in the rack or an effect, or Ctrl-C, the stream starts again, as after `reset`. An invalid block
        or move is refused first, and changes nothing.

        Raises ValueError as StemProcessor.process does, and if an effect changes the shape of a block; RuntimeError if
        an effect's latency has changed.
        """
        if not self.sample_rate:
            raise RuntimeError("the last prepare() failed or was interrupted; call it again before process()")
        audio = as_channels(np.atleast_1d(block), self.num_channels)
        moves = self._faders.check_moves(moves, audio.shape[-1])
        out = np.zeros(np.shape(np.atleast_1d(block)), np.float32)
        if self._stale:
            self.reset()
        self._stale = True
        try:
            self._mix(audio, moves, out.reshape(audio.shape))
        except BaseException:  # including Ctrl-C
            self.reset()
            raise
        self._stale = False
        return out

    def _mix(self, audio: Block, moves: list[Move], out: Block) -> None:
        """Add all stems, after their effects and faders, to `out`, (channels, n)."""
        n = audio.shape[-1]
        self._faders.schedule(moves, n)
        stems = self._processor.separate(audio)
        early, self._early = self._early, max(0, self._early - n)
        for stem, gain, dry in zip(self.stems, self._faders.advance(n), stems[..., early:], strict=True):
            self._delays[stem].push(self._wet(stem, dry))
            if gain.any():  # what an effect makes may not even be a number, and a fader that is down silences it
                out += gain * self._delays[stem].peek(n)
            self._delays[stem].drop(n)

    def _wet(self, stem: str, dry: Block) -> Block:
        if (effect := self._effects.get(stem)) is None or not dry.size:
            return dry
        wet = np.asarray(effect.process(dry))
        if wet.dtype.kind != "f":
            raise ValueError(f"{stem}: its effect made {wet.dtype} of a block of {dry.dtype}; it must make floats")
        if wet.shape != dry.shape:
            raise ValueError(f"{stem}: its effect made {wet.shape} of a block of shape {dry.shape}")
        if effect.latency_samples != self._late[stem]:
            raise RuntimeError(
                f"{stem}: its effect's latency went from {self._late[stem]} to {effect.latency_samples} samples; "
                "call prepare() again after what changes it"
            )
        return wet


def _as_effect(stem: str, given: Any) -> Effect:
    if isinstance(given, Plugin):
        return Board(given if isinstance(given, Pedalboard) else Pedalboard([given]))
    if isinstance(given, list | tuple) and all(isinstance(plugin, Plugin) for plugin in given):
        return Board(Pedalboard(list(given)))
    if isinstance(given, Effect) and not isinstance(given, type):
        return given
    raise ValueError(
        f"{stem}: {given!r} is no effect; give a pedalboard, a plugin, a list of plugins, "
        "or an object with process, reset and latency_samples"
    )


def _latency(stem: str, effect: Effect) -> int:
    latency = effect.latency_samples
    if not isinstance(latency, int | np.integer) or latency < 0:
        raise ValueError(f"{stem}: its effect's latency_samples is {latency!r}; it must be a whole number, 0 or more")
    return int(latency)


def _refuse_shared(effects: Mapping[str, Any]) -> None:
    """Raise ValueError if one effect is in two places, where each would hear the other's past."""
    owners: dict[int, str] = {}
    for stem, effect in effects.items():
        for part in _parts(effect):
            owner = owners.setdefault(id(part), stem)
            if owner != stem:
                raise ValueError(f"{owner} and {stem} share the same {type(part).__name__}; give each one of its own")


def _parts(effect: Any) -> Iterator[Any]:
    yield effect
    if isinstance(effect, PluginContainer | list | tuple):
        for part in effect:
            yield from _parts(part)
