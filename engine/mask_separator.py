"""A separator that runs mask networks: analysis, network, resynthesis."""

import numpy as np
from numpy.typing import NDArray

from ..core.background import BackgroundWorker
from ..models import MaskCard, Model
from .fifo import Fifo
from .level import Level
from .network import ChunkedNetwork, StreamingNetwork
from .separator import Stream, Timing, extra_latency
from .sessions import open_session
from .stft import Analysis, FrameGrid, Synthesis


def mask_timing(card: MaskCard, sample_rate: float, realtime_block: int | None = None) -> Timing:
    """Return the timing of a MaskSeparator.

    Args:
        card: Card of the model.
        sample_rate: Sample rate of the audio, in Hz.
        realtime_block: As for `Stream`.
    """
    grid = _grid(card, sample_rate)
    latency = grid.synthesis_window + card.delay_frames * grid.hop
    hop = grid.hop * (card.chunk.frames - card.chunk.overlap if card.chunk else 1)
    if realtime_block is not None:
        latency += extra_latency(hop, realtime_block)
    return Timing(latency, hop, grid.window + hop)


class MaskSeparator:
    """Separates audio with masks on its spectra, at the audio's own sample rate.

    Args:
        model: A model with a MaskCard.
        stream: Its audio, and how to run the network: with `realtime_block` in a separate thread, otherwise in the
            `push` that completes a hop.

    Raises:
        ModelError: The graph cannot be loaded or breaks its contract.
    """

    def __init__(self, model: Model, stream: Stream) -> None:
        card = model.card
        assert isinstance(card, MaskCard)
        self.grid = _grid(card, stream.sample_rate)
        self.timing = mask_timing(card, stream.sample_rate, stream.realtime_block)
        self.offline = False
        self._gathers = card.chunk is None  # a chunk takes as long whenever it is run
        self.wants_level = False
        self.level: Level | None = None
        self._shape = (len(card.stems) - 1, stream.num_channels)
        session = open_session(model, stream.threads, stream.providers)
        self._analysis = Analysis(self.grid, stream.num_channels)
        self._network: StreamingNetwork | ChunkedNetwork = (
            ChunkedNetwork(session, card, stream.num_channels, self.grid.bins, model.path)
            if card.chunk
            else StreamingNetwork(session, card, model.path)
        )
        self._synthesis = Synthesis(self.grid, self._shape)
        self._worker = None if stream.realtime_block is None else BackgroundWorker()
        self.reset()

    def reset(self) -> None:
        """Forget all audio, as if silence had come before."""
        if self._worker is not None:
            self._worker.discard()
        self._analysis.reset()
        self._network.reset()
        self._synthesis.reset()
        self._held = Fifo((self._shape[1],))  # audio that was not analysed yet
        # The first samples from the synthesis belong to the time synthesis_window - hop before the first input sample.
        self._separated = Fifo(self._shape)
        self._separated.push_zeros(self.timing.latency - (self.grid.synthesis_window - self.grid.hop))
        self._pulled = 0  # samples of the last pull, which stay valid until the next call

    def push(self, audio: NDArray[np.float32]) -> None:
        """Add audio, (channels, n), and separate as much as the next n samples need."""
        self._separated.drop(self._pulled)
        self._pulled = 0
        n = audio.shape[-1]
        self._held.push(audio)
        if self.offline and self._gathers and len(self._separated) >= n:
            return
        spectra = self._analysis.push(self._held.peek(len(self._held)))
        self._held.drop(len(self._held))
        if self._worker is None:
            if len(spectra):
                self._separated.push(self._resynthesize(spectra))
            return
        if len(spectra):
            self._worker.submit(self._resynthesize, spectra)
        while len(self._separated) < n:
            self._separated.push(self._worker.result())

    def pull(self, n: int, wanted: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return the next n samples of all stems except the last, (stems - 1, channels, n).

        Args:
            n: At most as many as were pushed and not pulled yet.
            wanted: Ignored, because a mask network computes all stems at once.
        """
        self._separated.drop(self._pulled)
        self._pulled = n
        return self._separated.peek(n)

    def _resynthesize(self, spectra: NDArray[np.complex64]) -> NDArray[np.float32]:
        return self._synthesis.push(self._network.push(spectra))


def _grid(card: MaskCard, sample_rate: float) -> FrameGrid:
    return FrameGrid(card.sample_rate, card.hop, card.window, card.synthesis_window).at(sample_rate)
