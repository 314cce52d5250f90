"""The mask network at work: spectra in, masked spectra out."""

import ctypes
import os
from functools import cache
from threading import Lock, Thread
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from ..models import Chunk, MaskCard, Model, ModelError, check_graph, initial_state

TINY = 1e-30  # below this a state is zero: it would decay into denormal numbers, which are slow
LARGEST_MASK = 1e6  # 120 dB
# A card's shorter floats would be heard: sums in a network's filters cancel.
EXACT = {"CUDAExecutionProvider": {"use_tf32": "0"}}

_sessions: WeakValueDictionary[tuple, Any] = WeakValueDictionary()  # those in use, by what they were made of
_opening = Lock()
_checked: set[MaskCard] = set()  # cards whose graph was seen to keep the contract in this process


def open_session(model: Model, threads: int = 1, providers: list[str] | None = None) -> Any:
    """An ONNX Runtime session for the model's graph; all who ask for the same share one.

    It holds no state, and any number of threads may run it at once. The graph of a model that did not ship is checked
    against the contract the first time.
    threads: within one operator. providers: ONNX Runtime's execution providers, None for the CPU.
    Raises ModelError if the graph cannot be loaded or breaks the contract.
    """
    threads = max(1, min(threads, os.cpu_count() or 1))  # more only cost memory
    providers = providers or ["CPUExecutionProvider"]
    # A forked child makes its own: its parent's threads, and what they hold locked, did not come along.
    key = (os.getpid(), model.card, threads, *providers)
    with _opening:
        session = _sessions.get(key)
        if session is None:
            session = _new_session(model, threads, providers)
            if isinstance(model.card, MaskCard) and not model.shipped and model.card not in _checked:
                check_graph(session, model.card, model.path)
                _checked.add(model.card)
            _sessions[key] = session
    return session


def _new_session(model: Model, threads: int, providers: list[str]) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # A plan of the memory that a run needs saves time with single frames; with chunks it only costs 24 MB.
    options.enable_mem_pattern = model.card.realtime
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    if threads > 1:
        # Threads that spin between the small operators of a hop would take the processor from the host.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    available = onnxruntime.get_available_providers()
    if missing := [name for name in providers if name not in available]:
        raise ModelError(f"no execution provider {missing[0]!r} here; this ONNX Runtime has {', '.join(available)}")
    made: Any = None

    def make() -> None:
        nonlocal made
        try:
            exact = [(name, EXACT.get(name, {})) for name in providers]
            made = onnxruntime.InferenceSession(model.graph, options, providers=exact)
        except Exception as error:  # ONNX Runtime raises many types of its own
            made = error

    # ONNX Runtime turns denormals off for good on the thread that makes its first session: let that be a thread of our
    # own, because the caller's arithmetic is not ours to change.
    thread = Thread(target=make)
    thread.start()
    thread.join()
    if isinstance(made, Exception):
        reason = " ".join(str(made).split())[:200]
        if "bad_alloc" in reason:
            raise MemoryError(f"{model.path}: not enough memory for this model") from made
        raise ModelError(f"{model.path}: ONNX Runtime cannot load this graph: {reason}") from made
    # What it took to optimise the graph is free again, 50 MB for `studio`, but the C library keeps it for that thread.
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
    return made


class StreamingNetwork:
    """Masks every frame as it comes; the graph's state carries the past."""

    def __init__(self, session: Any, card: MaskCard) -> None:
        self._session, self._card = session, card
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self._state = initial_state(self._session)

    def push(self, spectra: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """Spectra (frames, channels, bins) to those of all stems but the last, (frames, stems - 1, channels, bins)."""
        feeds = {"spectrum": graph_input(spectra, self._card.bins), "state": self._state}
        masks, self._state = self._session.run(["masks", "next_state"], feeds)
        if not np.isfinite(self._state).all():
            self.reset()
        self._state[np.abs(self._state) < TINY] = 0
        return masked(fit_masks(masks, *spectra.shape[1:]), spectra)


class ChunkedNetwork:
    """Masks chunks of frames with context on both sides; neighbouring chunks overlap and cross-fade.

    The first chunk starts at the first frame after `reset`.
    """

    def __init__(self, session: Any, card: MaskCard, num_channels: int, bins: int) -> None:
        assert card.chunk is not None
        self._session, self._card, self._chunk = session, card, card.chunk
        self._shape = (num_channels, bins)
        self.reset()

    def reset(self) -> None:
        """Forget the past: silence went before."""
        chunk = self._chunk
        self._frames = np.zeros((chunk.left + chunk.frames + chunk.right, *self._shape), np.complex64)
        self._filled = chunk.left
        self._fading_out: NDArray | None = None  # masks of the previous chunk where it overlaps the next

    def push(self, spectra: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """As StreamingNetwork.push, but what comes out lags by `MaskCard.delay_frames` frames at most, in bursts."""
        done = []
        while len(spectra):
            taken = spectra[: len(self._frames) - self._filled]
            self._frames[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            spectra = spectra[len(taken) :]
            if self._filled == len(self._frames):
                done.append(self._run_chunk())
        if not done:
            return np.zeros((0, len(self._card.stems) - 1, *self._shape), np.complex64)
        return done[0] if len(done) == 1 else np.concatenate(done)

    def _run_chunk(self) -> NDArray[np.complex64]:
        chunk = self._chunk
        (masks,) = self._session.run(["masks"], {"spectrum": graph_input(self._frames, self._card.bins)})
        if len(masks) > chunk.frames:
            masks = masks[chunk.left : chunk.left + chunk.frames]
        masks = fit_masks(masks, *self._shape)
        stride = chunk.frames - chunk.overlap
        if self._fading_out is not None and chunk.overlap:
            fade = _fade_in(chunk).reshape(-1, *[1] * (masks.ndim - 1))
            masks[: chunk.overlap] = fade * masks[: chunk.overlap] + (1 - fade) * self._fading_out
        self._fading_out = masks[stride:].copy()
        result = masked(masks[:stride], self._frames[chunk.left : chunk.left + stride])
        self._frames[:-stride] = self._frames[stride:].copy()
        self._filled -= stride
        return result


@cache
def _fade_in(chunk: Chunk) -> NDArray[np.float32]:
    return (np.arange(1, chunk.overlap + 1) / (chunk.overlap + 1)).astype(np.float32)


def graph_input(spectra: NDArray[np.complex64], bins: int) -> NDArray[np.float32]:
    """What a graph takes: (frames, 2, bins, 2). Mono goes in twice; bins the network lacks are cropped or zero.

    Where one of two channels is silent, frame by frame, the other goes in twice too: it is mono, and sounds like it.
    """
    frames, _, here = spectra.shape
    sounds = np.any(spectra, axis=2, keepdims=True)
    one_sided = sounds[:, :1] != sounds[:, -1:]
    if one_sided.any():
        spectra = np.where(one_sided, spectra.sum(axis=1, keepdims=True), spectra)
    if spectra.shape[1:] == (2, bins):
        return np.ascontiguousarray(spectra).view(np.float32).reshape(frames, 2, bins, 2)
    fitted = np.zeros((frames, 2, bins), np.complex64)
    fitted[..., : min(bins, here)] = spectra[..., : min(bins, here)]
    return fitted.view(np.float32).reshape(frames, 2, bins, 2)


def fit_masks(masks: NDArray[Any], num_channels: int, bins: int) -> NDArray:
    """Masks (frames, stems - 1, 2, their bins[, 2]) for spectra of `bins` bins: (frames, stems - 1, channels, bins).

    Mono gets the mean of both channels. There are no more bins than the network has. What is not finite, or beyond any
    sense, becomes zero.
    """
    sound = (masks < LARGEST_MASK) & (masks > -LARGEST_MASK)
    if not sound.all():
        masks = np.where(sound, masks, np.float32(0))
    if masks.ndim == 5:
        masks = np.ascontiguousarray(masks).view(np.complex64)[..., 0]
    if num_channels == 1:
        masks = masks.mean(axis=2, keepdims=True)
    return masks[..., :bins]


def masked(masks: NDArray, spectra: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Spectra (frames, channels, bins) through `fit_masks`' masks: (frames, stems - 1, channels, bins).

    Bins above the network's follow its topmost.
    """
    known = masks.shape[-1]
    result = np.empty((*masks.shape[:-1], spectra.shape[-1]), np.complex64)
    np.multiply(masks, spectra[:, None, :, :known], out=result[..., :known])
    np.multiply(masks[..., -1:], spectra[:, None, :, known:], out=result[..., known:])
    return result
