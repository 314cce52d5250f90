"""StemRack: sends each stem through its own pedalboard, and sums them again, aligned to the sample."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from pedalboard import Pedalboard, Plugin, PluginContainer

from ..core.errors import TOGETHER, StateError, StemBridgeError
from ..core.protocols import Move, Processor, check_floats, check_latency
from ..core.stems import check_stems
from ..engine import StemProcessor
from ..engine.blocks import as_channels
from ..engine.fifo import Fifo
from ..engine.gains import Faders, FaderSurface
from ..models import Model, load_model
from ..presets.gains import Gains
from .board import Board

Block = NDArray[np.float32]


class StemRack(FaderSurface):
    """A desk with a channel for each stem: the stem goes through its effects and its fader, and all are summed.

    `StemRack(vocals=Pedalboard([Reverb()]), drums=Compressor())` has a reverb on the vocals and a compressor on the
    drums. The channels are aligned to the sample. Faders, mutes and solos come after the effects, so a mute also
    silences the tail of a reverb. MidiControl and automation can move the faders.

    It works with mono and stereo at 8000 to 192000 Hz: call `prepare` first, unless it is stereo at 44100 Hz. The
    output is as long as the input: to hear the tails at the end, feed silence. Parameters of plugins may be changed at
    any time. After adding or removing a plugin, call `prepare` again.

    Args:
        model: A model, its name, or the path of an .onnx file.
        gains_db: Gains at the start, stem to dB, or a preset.
        preset: Gains that `gains_db` overrides stem by stem: a preset's name or path.
        threads: Processor cores for the network.
        effects: Stem to its effects: a plugin or a board of pedalboard, a list of plugins, or a `Processor`. Other
            stems stay dry.

    Attributes:
        sample_rate: In Hz.
        num_channels: 1 or 2.

    Raises:
        ModelError: The model cannot be used.
        ValueError: A stem, a gain or an effect cannot be used.
    """

    def __init__(
        self,
        /,
        model: str | os.PathLike[str] | Model = "live",
        gains_db: Gains | None = None,
        threads: int = 1,
        *,
        preset: str | os.PathLike[str] | None = None,
        **effects: Plugin | Sequence[Plugin] | Processor,
    ) -> None:
        self._model = model if isinstance(model, Model) else load_model(model)
        self._threads = threads
        stems = self._model.card.stems
        check_stems(effects, stems)
        self._effects = {stem: _as_effect(stem, effect) for stem, effect in effects.items()}
        _refuse_shared(effects)
        self._faders = Faders(stems, 44100, gains_db, preset)
        self.sample_rate, self.num_channels = 0.0, 0
        self._turn = 0  # counts resets and calls of process, to notice one within another
        self.prepare(44100, 2)

    @property
    def latency_samples(self) -> int:
        """Samples by which the output is later than the input: the model's latency and the longest of the effects."""
        return self._processor.latency_samples + max(self._late.values(), default=0)

    def __repr__(self) -> str:
        about = [repr(self._model.card.name), *(f"{s}: {e!r}" for s, e in self._effects.items()), *self._about_faders()]
        return f"StemRack({', '.join(about)})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a StemRack cannot be pickled or copied, because it is in the middle of a stream; "
            "make a new one from the same model, gains and effects where you need it"
        )

    def prepare(self, sample_rate: float, num_channels: int) -> None:
        """Prepare for a stream: measure latencies, then reset. If it fails, call it again before `process`.

        Args:
            sample_rate: In Hz, 8000 to 192000.
            num_channels: 1 or 2.

        Raises:
            ValueError: The model or an effect cannot be used with them.
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
                    raise StemBridgeError(f"{stem}: {error}") from error
        self._late = {stem: check_latency(effect, f"{stem}: the effect") for stem, effect in self._effects.items()}
        self.sample_rate, self.num_channels = sample_rate, num_channels
        self.reset()

    def reset(self) -> None:
        """Forget all audio, tails, and moves that were not heard yet. Faders stay where they are, without a glide."""
        self._stale = True  # until the reset is complete, because Ctrl-C may come at any moment
        self._turn += 1
        self._processor.reset()
        self._faders.reset(self.latency_samples)
        self._delays = {stem: Fifo((self.num_channels,)) for stem in self.stems}
        for effect in self._effects.values():
            effect.reset()
        for stem, delay in self._delays.items():
            delay.push_zeros(self.latency_samples - self._late.get(stem, 0))
        self._early = self._processor.latency_samples  # samples before the song; effects begin with its first sample
        self._stale = False

    def process(self, block: NDArray[Any], moves: Iterable[Move] = ()) -> Block:
        """Send a block through the rack.

        After an error in the rack or an effect, or Ctrl-C, the stream starts again, as after `reset`. An invalid block
        or move changes nothing.

        Args:
            block: Samples, shape (channels, n) or (n,), as for StemProcessor.process.
            moves: (offset in the block, stem, gain in dB), heard `latency_samples` later.

        Returns:
            Samples of the same shape, `latency_samples` later.

        Raises:
            ValueError: The block or a move cannot be used, or an effect changes the shape of a block.
            StateError: An effect's latency has changed, the last `prepare` failed, or an effect or another thread
                called `process` or `reset` meanwhile.
        """
        if not self.sample_rate:
            raise StateError("the last prepare() failed or was interrupted; call it again before process()")
        audio = as_channels(np.atleast_1d(block), self.num_channels)
        moves = self._faders.check_moves(moves, audio.shape[-1])
        out = np.zeros(np.shape(np.atleast_1d(block)), np.float32)
        if self._stale:
            self.reset()
        self._stale = True
        self._turn = turn = self._turn + 1
        try:
            self._mix(audio, moves, out.reshape(audio.shape))
        except BaseException as error:  # including Ctrl-C
            together = self._turn != turn and isinstance(error, Exception)
            self.reset()
            if together:
                raise StateError(TOGETHER) from error
            raise
        if self._turn != turn:
            self.reset()
            raise StateError(TOGETHER)
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
            if gain.any():  # not 0 * wet, because an effect may return NaN, which a fader at silence must remove
                out += gain * self._delays[stem].peek(n)
            self._delays[stem].drop(n)

    def _wet(self, stem: str, dry: Block) -> Block:
        if (effect := self._effects.get(stem)) is None or not dry.size:
            return dry
        wet = np.asarray(effect.process(dry))
        check_floats(f"{stem}: the effect", wet)
        if wet.shape != dry.shape:
            raise StemBridgeError(
                f"{stem}: the effect returned shape {wet.shape} for a block of shape {dry.shape}; these must be equal"
            )
        if effect.latency_samples != self._late[stem]:
            raise StateError(
                f"{stem}: the effect's latency changed from {self._late[stem]} to {effect.latency_samples} samples; "
                "call prepare() again after such a change"
            )
        return wet


def _as_effect(stem: str, given: Any) -> Processor:
    if isinstance(given, Plugin):
        return Board(given if isinstance(given, Pedalboard) else Pedalboard([given]))
    if isinstance(given, list | tuple) and all(isinstance(plugin, Plugin) for plugin in given):
        return Board(Pedalboard(list(given)))
    if isinstance(given, Processor) and not isinstance(given, type):
        return given
    raise StemBridgeError(
        f"{stem}: {given!r} is not an effect; give a pedalboard, a plugin, a list of plugins, "
        "or an object with process, reset and latency_samples"
    )


def _refuse_shared(effects: Mapping[str, Any]) -> None:
    """Raise ValueError if two stems share an effect, because each would hear the other's earlier sound."""
    owners: dict[int, str] = {}
    for stem, effect in effects.items():
        for part in _parts(effect):
            owner = owners.setdefault(id(part), stem)
            if owner != stem:
                raise StemBridgeError(f"{owner} and {stem} share the same {type(part).__name__}; give each its own")


def _parts(effect: Any) -> Iterator[Any]:
    yield effect
    if isinstance(effect, PluginContainer | list | tuple):
        for part in effect:
            yield from _parts(part)
