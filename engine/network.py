"""Run mask networks: spectra in, masked spectra out."""

from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..models import Chunk, MaskCard, initial_state, run_graph
from .masks import apply_masks, fit_masks, graph_input

MIN_STATE = 1e-30  # smaller values become 0, because they would decay into denormal numbers, which are slow


class StreamingNetwork:
    """Masks every frame as it comes, or `MaskCard.lookahead` frames later; the graph's state carries the past.

    The graph does not run before the first frame with sound, so that silence before a song does not change its stems.
    """

    def __init__(self, session: Any, card: MaskCard, source: object = "this model") -> None:
        self._run = partial(run_graph, session, card, source)
        self._session, self._card = session, card
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self._heard = False  # whether there was any sound yet
        self._state = initial_state(self._session)
        self._early = self._card.lookahead  # masks still to come for frames before the first
        self._waiting: NDArray[np.complex64] | None = None  # spectra whose masks are still to come

    def push(self, spectra: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """Add spectra and return those of the stems.

        Args:
            spectra: (frames, channels, bins).

        Returns:
            Spectra of all stems except the last, (frames, stems - 1, channels, bins). With look-ahead they belong to
            earlier frames, so there are fewer or none for the first frames with sound.
        """
        if not self._heard:
            silent = silent_frames(spectra)
            self._heard = silent < len(spectra)
            if silent:
                silence = np.zeros((silent, len(self._card.stems) - 1, *spectra.shape[1:]), np.complex64)
                return np.concatenate([silence, self.push(spectra[silent:])]) if self._heard else silence
        masks, state = self._run(graph_input(spectra, self._card.bins), self._state)
        assert state is not None
        self._state = state if np.isfinite(state).all() else initial_state(self._session)
        self._state[np.abs(self._state) < MIN_STATE] = 0
        if self._card.lookahead:
            masks, self._early = masks[self._early :], max(0, self._early - len(masks))
            if self._waiting is not None:
                spectra = np.concatenate([self._waiting, spectra])
            self._waiting, spectra = spectra[len(masks) :], spectra[: len(masks)]
        return _masked(fit_masks(masks, *spectra.shape[1:]), spectra)


class ChunkedNetwork:
    """Masks chunks of frames with context on both sides; neighbouring chunks overlap and cross-fade.

    The first chunk starts at the first frame after `reset`. Chunks at the start of a stream are left out until one has
    sound before the frames that it shares with the next, so that silence before a song does not change its stems.
    """

    def __init__(
        self, session: Any, card: MaskCard, num_channels: int, bins: int, source: object = "this model"
    ) -> None:
        assert card.chunk is not None
        self._run = partial(run_graph, session, card, source)
        self._card, self._chunk = card, card.chunk
        self._shape = (num_channels, bins)
        self.reset()

    def reset(self) -> None:
        """Forget the past, as if silence had come before."""
        chunk = self._chunk
        self._frames = np.zeros((chunk.left + chunk.frames + chunk.right, *self._shape), np.complex64)
        self._filled = chunk.left
        self._heard = False  # whether there was any sound yet
        self._fading_out: NDArray[Any] | None = None  # masks of the previous chunk where it overlaps the next

    def push(self, spectra: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """Add spectra and return those of the stems, as `StreamingNetwork.push`.

        They come in bursts, one for each chunk, at most `MaskCard.delay_frames` frames late.
        """
        done = []
        while len(spectra):
            taken = spectra[: len(self._frames) - self._filled]
            self._frames[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            spectra = spectra[len(taken) :]
            if self._filled == len(self._frames):
                done.append(self._next_chunk())
        if not done:
            return self._silence(0)
        return done[0] if len(done) == 1 else np.concatenate(done)

    def _next_chunk(self) -> NDArray[np.complex64]:
        chunk = self._chunk
        stride = chunk.frames - chunk.overlap
        result = self._masked_chunk(stride) if self._hear(stride) else self._silence(stride)
        self._frames[:-stride] = self._frames[stride:].copy()
        self._filled -= stride
        return result

    def _hear(self, stride: int) -> bool:
        """Return whether there was sound before the frames that this chunk shares with the next."""
        self._heard = self._heard or bool(self._frames[: self._chunk.left + stride].any())
        return self._heard

    def _silence(self, frames: int) -> NDArray[np.complex64]:
        return np.zeros((frames, len(self._card.stems) - 1, *self._shape), np.complex64)

    def _masked_chunk(self, stride: int) -> NDArray[np.complex64]:
        chunk = self._chunk
        masks, _ = self._run(graph_input(self._frames, self._card.bins))
        if len(masks) > chunk.frames:
            masks = masks[chunk.left : chunk.left + chunk.frames]
        masks = fit_masks(masks, *self._shape)
        if self._fading_out is not None and chunk.overlap:
            fade = _fade_in(chunk).reshape(-1, *[1] * (masks.ndim - 1))
            masks[: chunk.overlap] = fade * masks[: chunk.overlap] + (1 - fade) * self._fading_out
        self._fading_out = masks[stride:].copy()
        return _masked(masks[:stride], self._frames[chunk.left : chunk.left + stride])


def silent_frames(spectra: NDArray[np.complex64]) -> int:
    """Return how many of the first frames of spectra (frames, channels, bins) are silent."""
    sounds = spectra.any(axis=(1, 2))
    return int(sounds.argmax()) if sounds.any() else len(spectra)


@cache
def _fade_in(chunk: Chunk) -> NDArray[np.float32]:
    return (np.arange(1, chunk.overlap + 1) / (chunk.overlap + 1)).astype(np.float32)


def _masked(masks: NDArray[Any], spectra: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Return the spectra of stems. Bins above those of the network get the mask of its highest bin."""
    return apply_masks(masks, spectra[:, None], above=masks[..., -1:])
