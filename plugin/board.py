"""A pedalboard in a stream, with a known latency, and a sound that does not depend on how the stream is cut."""

import numpy as np
from numpy.typing import NDArray
from pedalboard import Pedalboard

from ..core.errors import StateError, StemBridgeError
from ..engine.fifo import Fifo

Block = NDArray[np.float32]

STEP_SAMPLES = 64  # in each call of a board with latency, because codecs and resamplers need calls of equal length
LARGEST_CALL = 4096  # samples in a call of a board without latency
SMALLEST_CALL = {1: 1, 2: 3}  # channels to the samples that pedalboard needs to tell samples from channels
SETTLED_SAMPLES = 8192  # the latency has been found if it does not grow for so long
BOARD_TIMEOUT_S = 60  # of audio; a board that returns nothing for so long does not work
SILENT_RATIO = 0.01  # a board that is so much fainter in a stream than on a whole song does not work in streams


class Board:
    """A pedalboard as an effect for a stream of blocks, delayed by `latency_samples`.

    However the stream is cut, it sounds as if the board had processed it in one call. This adds two samples of latency
    in stereo, or 63 if the board itself has latency. Parameters of its plugins may be changed at any time.

    Args:
        board: The pedalboard.

    Attributes:
        latency_samples: Samples by which the output is later than the input.
    """

    latency_samples = 0

    def __init__(self, board: Pedalboard) -> None:
        self._board = board

    def __str__(self) -> str:
        return " and ".join(type(plugin).__name__ for plugin in self._board)

    def prepare(self, sample_rate: float, num_channels: int) -> None:
        """Prepare for a stream, and measure the latency.

        Args:
            sample_rate: In Hz.
            num_channels: 1 or 2.

        Raises:
            ValueError: The board does not work in streams.
        """
        self._rate, self._channels = sample_rate, num_channels
        self._start(STEP_SAMPLES)
        short = self._measure()
        if short:
            self._least = self._most = STEP_SAMPLES
        else:
            self._least, self._most = SMALLEST_CALL[num_channels], LARGEST_CALL
            self._start(LARGEST_CALL)
        self.latency_samples = short + self._least - 1
        self.reset()

    def reset(self) -> None:
        """Forget all audio."""
        self._board.reset()
        self._waiting, self._done = Fifo((self._channels,)), Fifo((self._channels,))
        self._done.push_zeros(self.latency_samples)

    def process(self, block: Block) -> Block:
        """Process a block.

        Args:
            block: Samples, shape (channels, n), n from 0 up.

        Returns:
            Samples of the same shape.

        Raises:
            StateError: The board's latency has grown since `prepare`.
        """
        n = block.shape[-1]
        self._waiting.push(block)
        while len(self._waiting) >= self._least:
            piece = self._waiting.peek(self._most)
            self._done.push(self._call(piece))
            self._waiting.drop(piece.shape[-1])
        if len(self._done) < n:
            raise StateError("the board's latency has grown; call prepare() again after changing its plugins")
        out = self._done.peek(n).copy()
        self._done.drop(n)
        return out

    def _call(self, piece: Block) -> Block:
        """Return the board's output for the next samples of the stream; at first it is shorter, by the latency."""
        audio = piece if self._channels > 1 else piece[0]
        return self._board(audio, self._rate, buffer_size=self._most, reset=False).reshape(self._channels, -1)

    def _start(self, most: int) -> None:
        """Show the board the longest call, because a longer one later would reset it."""
        self._most = most
        self._board(np.zeros((self._channels, most), np.float32), self._rate, buffer_size=most)
        self._board.reset()

    def _measure(self) -> int:
        """Return by how many samples the output is shorter than the input, at most."""
        random = np.random.default_rng(0)
        pieces: list[Block] = []
        given: list[Block] = []
        behind = short = settled = 0
        while settled < SETTLED_SAMPLES:
            if short > BOARD_TIMEOUT_S * self._rate:
                raise StemBridgeError(f"{self} returns no audio in a stream; use it on whole stems instead")
            pieces.append(random.uniform(-0.1, 0.1, (self._channels, STEP_SAMPLES)).astype(np.float32))
            given.append(self._call(pieces[-1]))
            behind += STEP_SAMPLES - given[-1].shape[-1]
            settled = 0 if behind > short else settled + STEP_SAMPLES
            short = max(short, behind)
        stream = np.concatenate(given, axis=-1)
        whole = self._board(np.concatenate(pieces, axis=-1), self._rate, buffer_size=STEP_SAMPLES)[
            :, : stream.shape[-1]
        ]
        if np.std(stream) < SILENT_RATIO * np.std(whole):
            raise StemBridgeError(
                f"{self} is silent in a stream, because of a fault in pedalboard; use it on whole stems instead"
            )
        self._board.reset()
        return short
