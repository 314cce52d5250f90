"""A pedalboard in a stream, with a latency that is known and a sound that does not depend on how the stream is cut."""

import numpy as np
from numpy.typing import NDArray
from pedalboard import Pedalboard

from ..engine.fifo import Fifo

Block = NDArray[np.float32]

STEP = 64  # samples in each call of a board with latency, because codecs and resamplers want all calls alike
LARGEST = 4096  # samples in a call of another
LEAST = {1: 1, 2: 3}  # from how many samples on pedalboard can tell them from channels, by channels
SETTLED = 8192  # samples in which a latency that does not grow has been found
PATIENCE = 60  # seconds until a board that gives nothing back is given up
FAINT = 0.01  # what is so much fainter in a stream than on a whole song does not work in streams


class Board:
    """A pedalboard as an effect: float32 (channels, n) in and out, delayed by `latency_samples`, n from 0 up.

    However the stream is cut, it sounds as if the board had got it in one call. That takes two samples of latency in
    stereo, and 63 where the board has latency itself. Parameters of its plugins may be changed at any time.
    """

    latency_samples = 0

    def __init__(self, board: Pedalboard) -> None:
        self._board = board

    def __str__(self) -> str:
        return " and ".join(type(plugin).__name__ for plugin in self._board)

    def prepare(self, sample_rate: float, num_channels: int) -> None:
        """Make ready for a stream and measure the latency. Raises ValueError for a board that is silent in streams."""
        self._rate, self._channels = sample_rate, num_channels
        self._start(STEP)
        short = self._measure()
        if short:
            self._least = self._most = STEP
        else:
            self._least, self._most = LEAST[num_channels], LARGEST
            self._start(LARGEST)
        self.latency_samples = short + self._least - 1
        self.reset()

    def reset(self) -> None:
        """Forget all audio."""
        self._board.reset()
        self._waiting, self._done = Fifo((self._channels,)), Fifo((self._channels,))
        self._done.push_zeros(self.latency_samples)

    def process(self, block: Block) -> Block:
        """A block through the board. Raises RuntimeError if its latency has grown since `prepare`."""
        n = block.shape[-1]
        self._waiting.push(block)
        while len(self._waiting) >= self._least:
            piece = self._waiting.peek(self._most)
            self._done.push(self._call(piece))
            self._waiting.drop(piece.shape[-1])
        if len(self._done) < n:
            raise RuntimeError("the board's latency has grown; call prepare() again after changing its plugins")
        out = self._done.peek(n).copy()
        self._done.drop(n)
        return out

    def _call(self, piece: Block) -> Block:
        """What the board gives for the next samples of the stream, at first less than that, and aligned with them."""
        audio = piece if self._channels > 1 else piece[0]
        return self._board(audio, self._rate, buffer_size=self._most, reset=False).reshape(self._channels, -1)

    def _start(self, most: int) -> None:
        """Let the board know the longest call: a longer one later would make it begin anew."""
        self._most = most
        self._board(np.zeros((self._channels, most), np.float32), self._rate, buffer_size=most)
        self._board.reset()

    def _measure(self) -> int:
        """By how many samples what comes out is short of what went in, at most."""
        random = np.random.default_rng(0)
        pieces: list[Block] = []
        given: list[Block] = []
        behind = short = settled = 0
        while settled < SETTLED:
            if short > PATIENCE * self._rate:
                raise ValueError(f"{self} gives nothing back in a stream; use it on whole stems instead")
            pieces.append(random.uniform(-0.1, 0.1, (self._channels, STEP)).astype(np.float32))
            given.append(self._call(pieces[-1]))
            behind += STEP - given[-1].shape[-1]
            settled = 0 if behind > short else settled + STEP
            short = max(short, behind)
        stream = np.concatenate(given, axis=-1)
        whole = self._board(np.concatenate(pieces, axis=-1), self._rate, buffer_size=STEP)[:, : stream.shape[-1]]
        if np.std(stream) < FAINT * np.std(whole):
            raise ValueError(f"{self} is silent in a stream, a fault of pedalboard's; use it on whole stems instead")
        self._board.reset()
        return short
