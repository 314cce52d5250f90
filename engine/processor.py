"""The signal path: split a stream into stems, and mix them through faders."""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from numbers import Real
from operator import index
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..core.errors import TOGETHER, StateError, StemBridgeError
from ..core.protocols import Move
from ..models import Model, load_model
from ..presets.gains import Gains
from .blocks import as_channels, limited
from .fifo import Fifo
from .gains import Faders, FaderSurface
from .kinds import open_separator
from .level import LevelMeter
from .separator import Stream

Block = NDArray[np.float32]

MIN_RATE_HZ, MAX_RATE_HZ = 8000, 192000
SLICE_SAMPLES = 1 << 15  # processed at a time, so that a block of any length needs little memory
MAX_FLOAT32 = np.finfo(np.float32).max  # samples are clipped to this, so that no gain makes them infinite


class StemProcessor(FaderSurface):
    """Faders on the stems of a stream of audio.

    If an error interrupts processing (in the network or `on_stems`, out of memory, Ctrl-C), the stream starts afresh,
    as after `reset`. Invalid blocks and moves are refused before anything changes.

    Args:
        model: Name of a shipped or imported model, the path of an .onnx file, or a loaded Model.
        sample_rate: Sample rate of the audio, 8000 to 192000 Hz.
        num_channels: 1 or 2.
        gains_db: Where the faders start, stem to dB, at most +20; -80 or below is silence, and stems that are not named
            start at 0. Or a preset: its name or the path of its .json file.
        preset: Gains that `gains_db` overrides stem by stem: a preset's name or path.
        threads: Processor cores for the network.
        providers: Execution providers of ONNX Runtime; by default the one that `STEMBRIDGE_PROVIDER` in the environment
            names, otherwise the CPU.
        realtime_block: Length of the blocks, in samples, if they come in real time. A separate thread then runs the
            network, and a call waits only if its own output is not ready. The latency is longer if the network would
            otherwise have too little time. None: the call that completes a hop runs the network.

    Attributes:
        model: The loaded Model.
        sample_rate: In Hz.
        num_channels: 1 or 2.
        on_stems: None, or a function that is called during `process` and `separate` with consecutive pieces of the
            stems, (stems, channels, n), delayed like the output, and their gains as factors, (stems, n), or (stems, 1)
            if no fader moves. Both arrays are valid until it returns. It runs in the thread that processes the audio,
            so it should be quick.

    Raises:
        ModelError: The model cannot be used.
        ValueError: The sample rate, number of channels, a gain, `threads` or `realtime_block` is out of range.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Model = "live",
        sample_rate: float = 44100,
        num_channels: int = 2,
        gains_db: Gains | None = None,
        *,
        preset: str | os.PathLike[str] | None = None,
        threads: int = 1,
        providers: list[str] | None = None,
        realtime_block: int | None = None,
    ) -> None:
        _check_rate(sample_rate)
        if not isinstance(num_channels, int | np.integer) or type(num_channels) is bool or num_channels not in (1, 2):
            raise StemBridgeError(
                f"{num_channels!r} channels do not work; mix down to mono or stereo first, and give 1 or 2"
            )
        threads = _checked_count("threads", threads, "from 1 on")
        if realtime_block is not None:
            realtime_block = _checked_count("realtime_block", realtime_block, "of samples from 1 on, or None")
        self.model = model if isinstance(model, Model) else load_model(model)
        self.sample_rate = sample_rate
        self.num_channels = num_channels
        self.on_stems: Callable[[NDArray[np.float32], NDArray[np.float32]], None] | None = None
        self._faders = Faders(self.model.card.stems, sample_rate, gains_db, preset)
        self._separator = open_separator(
            self.model, Stream(sample_rate, num_channels, threads, providers, realtime_block)
        )
        self._turn = 0  # counts resets and calls that process audio, to notice one within another
        self.reset()

    @property
    def latency_samples(self) -> int:
        """Exact delay of the output, in samples."""
        return self._separator.timing.latency

    @property
    def hop_samples(self) -> int:
        """Input samples from one run of the network to the next. The network does nearly all of the work."""
        return self._separator.timing.hop

    @property
    def tail_samples(self) -> int:
        """Samples of silence, in addition to the latency, after which the processor holds no more sound."""
        return self._separator.timing.tail

    def __repr__(self) -> str:
        channels = "mono" if self.num_channels == 1 else "stereo"
        about = [repr(self.model.card.name), f"{float(self.sample_rate):g} Hz", channels, *self._about_faders()]
        return f"StemProcessor({', '.join(about)})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a StemProcessor cannot be pickled or copied, because it is in the middle of a stream; "
            "make a new one from the same model, sample rate and gains where you need it"
        )

    def reset(self) -> None:
        """Forget all audio and all moves that were not heard yet. The faders jump to their positions."""
        self._stale = True  # until the reset is complete, because Ctrl-C may come at any moment
        self._turn += 1
        self._separator.reset()
        self._faders.reset(self.latency_samples)
        self._dry = Fifo((self.num_channels,))
        self._dry.push_zeros(self.latency_samples)
        self._stale = False

    @property
    def offline(self) -> bool:
        """Whether blocks come as fast as they are processed, rather than in real time. May be set at any time.

        Hops are then worked on together where the latency allows it, which takes less time: with blocks as long as a
        hop, two at a time. Neither the latency nor the sound changes.
        """
        return self._separator.offline

    @offline.setter
    def offline(self, offline: bool) -> None:
        self._separator.offline = offline

    @property
    def wants_song(self) -> bool:
        """Whether `hear_song` makes stems better: some networks expect songs at a standard level."""
        return self._separator.wants_level

    def hear_song(self, blocks: Iterable[NDArray[Any]]) -> None:
        """Measure the level of the song that comes next, if the network needs it.

        Without this, the network uses the level of the audio so far. The measured level is kept until the next call.

        Args:
            blocks: Blocks of the whole song, as for `process`; not read if `wants_song` is false.
        """
        if self.wants_song:
            meter = LevelMeter()
            for block in blocks:
                audio = as_channels(block, self.num_channels)
                for start in range(0, audio.shape[-1], SLICE_SAMPLES):
                    meter.add(limited(audio[:, start : start + SLICE_SAMPLES]))
            self._separator.level = meter.level()

    def process(self, block: NDArray[Any], moves: Iterable[Move] = ()) -> NDArray[np.float32]:
        """Remix a block, delayed by `latency_samples`.

        Args:
            block: (channels, n), or (n,) for a mono processor, with any n from 0 up. Any float type, in -1..1, or
                int16. It is not modified.
            moves: (offset in the block, stem, gain in dB). A move is heard together with the sample at its offset.

        Returns:
            float32 samples of the block's shape.

        Raises:
            ValueError: The block has a wrong shape or type, or a move is not valid.
            StateError: `on_stems` or another thread called `process`, `separate` or `reset` meanwhile.
        """
        audio = as_channels(block, self.num_channels)
        moves = self._faders.check_moves(moves, audio.shape[-1])
        mix = np.empty(np.shape(block), np.float32)
        self._run(audio, moves, mix.reshape(audio.shape), mixing=True)
        return mix

    def pass_through(self, block: NDArray[Any]) -> NDArray[np.float32]:
        """Return a block as it sounds with all faders at 0 dB, without the network and without latency.

        It does not change the stream that `process` and `separate` work on.

        Args:
            block: As for `process`.

        Returns:
            A new float32 array of the block's shape, bit for bit the output of `process` without its latency.
        """
        return as_channels(block, self.num_channels).reshape(np.shape(block)).copy()

    def separate(self, block: NDArray[Any]) -> NDArray[np.float32]:
        """Return the stems of a block, delayed by `latency_samples`. The faders do not change them.

        Use either `process` or this method for the blocks of a stream.

        Args:
            block: As for `process`.

        Returns:
            float32 samples, (stems, channels, n), or (stems, n) for a block (n,). The stems sum to the delayed input.

        Raises:
            ValueError: The block has a wrong shape or type.
            StateError: As `process`.
        """
        audio = as_channels(block, self.num_channels)
        stems = np.empty((len(self.stems), *np.shape(block)), np.float32)
        out = stems.reshape(len(stems), *audio.shape)
        self._run(audio, [], out, mixing=False)
        return stems

    def _run(self, audio: Block, moves: list[Move], out: Block, mixing: bool) -> None:
        """Process audio, (channels, n), in slices, and fill `out`, (..., n), with the mix or with the stems."""
        if self._stale:  # an earlier call and the reset after it were interrupted, or one is under way
            self.reset()
        self._stale = True
        self._turn = turn = self._turn + 1
        try:
            self._faders.schedule(moves, audio.shape[-1])
            for start in range(0, audio.shape[-1], SLICE_SAMPLES):
                piece = audio[:, start : start + SLICE_SAMPLES]
                n = piece.shape[-1]
                self._dry.push(piece)
                self._separator.push(limited(piece))
                dry, gains = self._dry.peek(n), self._faders.advance(n)
                # The last stem is the input minus the others, so equal gains are a single factor on the input, and at
                # 0 dB the output equals the input bit for bit.
                relative = gains[:-1] - gains[-1]
                on_stems = self.on_stems  # read once, because another thread may remove it
                heard = relative.any(axis=1)
                wanted = heard if mixing and on_stems is None else np.ones(len(relative), bool)
                separated = self._separator.pull(n, wanted)
                result = _mixed(dry, separated, gains[-1], relative, heard) if mixing else _all_stems(dry, separated)
                out[..., start : start + n] = result
                if on_stems:
                    on_stems(_all_stems(dry, separated), gains)
                if self._turn != turn:
                    break
                self._dry.drop(n)
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


def _mixed(dry: Block, separated: Block, last: Block, relative: Block, heard: NDArray[np.bool_]) -> Block:
    """Return the sum of the stems at their gains, (channels, n).

    Args:
        dry: The sum of all stems, (channels, n).
        separated: All stems except the last, (stems - 1, channels, n).
        last: Gains of the last stem, (n,) or (1,).
        relative: Gains of the others minus those of the last, (stems - 1, n) or (stems - 1, 1).
        heard: Whether any of these is not 0, (stems - 1,).
    """
    with np.errstate(over="ignore"):
        mix: Block = last * dry
        for gain, stem, adds in zip(relative, separated, heard, strict=True):
            if adds:
                mix += gain * stem
    return mix.clip(-MAX_FLOAT32, MAX_FLOAT32, out=mix)


def _all_stems(dry: Block, separated: Block) -> Block:
    """Return all stems, (stems, channels, n): the last is the input minus the others."""
    return np.concatenate([separated, (dry - separated.sum(axis=0))[None]])


def _check_rate(sample_rate: Any) -> None:
    if not isinstance(sample_rate, Real):
        raise StemBridgeError(f"sample rate {sample_rate!r} is not a number; give {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz")
    if not MIN_RATE_HZ <= float(sample_rate) <= MAX_RATE_HZ:
        raise StemBridgeError(
            f"sample rate {sample_rate} Hz is out of range; resample to {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz"
        )


def _checked_count(name: str, value: Any, what: str) -> int:
    with suppress(TypeError):
        if not isinstance(value, bool) and (count := index(value)) >= 1:
            return count
    raise StemBridgeError(f"{name} {value!r} does not work; give a whole number {what}")
