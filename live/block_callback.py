"""The work on each block: move the faders, make the sound, update the meters, and measure the time."""

import math
import os
import threading
import time
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from ..engine import StemProcessor
from .settings import Settings
from .shared_memory import MIX, STEMS, SharedMemory

WARM_UP = 0.5  # s of silence before the first block: the first runs of a network take longer
PRIORITY = 20  # of real-time threads
AT_ONCE = 2.5e-4  # s within which a device hands over a block that has waited for us


class BlockCallback:
    """Remixes blocks, (channels, n) -> (channels, n), `latency_samples` late, as `memory` wants it.

    held: blocks that stand between a block that comes late and a gap. Sets `stopped` after as long as the settings say.
    """

    def __init__(self, settings: Settings, memory: SharedMemory, stopped: threading.Event, held: int) -> None:
        if settings.realtime:
            # Threads that start from now on inherit it. All are alike, and the one that plays goes before them: one
            # that is held up by a higher one while it holds Python's lock would hold up the sound.
            request_realtime_priority(PRIORITY - 1)
        self._processor = processor = StemProcessor(
            settings.model,
            settings.sample_rate,
            settings.num_channels,
            settings.gains_db,
            realtime_block=settings.block,
        )
        self._rate, self._realtime, self._held = settings.sample_rate, settings.realtime, held
        self._left = math.inf if settings.length is None else settings.length
        self._memory, self._stopped = memory, stopped
        self._followed = np.zeros_like(memory.wanted)
        self._followed[0] = [settings.gains_db[stem] for stem in processor.stems]
        self._expected = self._done = math.inf
        self._player: int | None = None
        self._busy = 0.0
        processor.on_stems = self._measure
        silence = np.zeros((settings.num_channels, settings.block), np.float32)
        for _ in range(math.ceil(WARM_UP * self._rate / settings.block)):
            processor.process(silence)
        processor.reset()
        memory.counts[3] = self.latency_samples = processor.latency_samples

    def __call__(self, block: NDArray[np.float32], came: float | None = None) -> NDArray[np.float32]:
        """Remix a block. came: when it was there, by time.perf_counter; None for a device's, which does not say it."""
        began = time.perf_counter()
        if self._player != threading.get_ident():  # a device that has returned has another
            self._player = threading.get_ident()
            if self._realtime:
                request_realtime_priority(PRIORITY)
            self._busy = time.process_time()
        lasts = block.shape[-1] / self._rate
        if self._left <= block.shape[-1]:
            block = block[:, : int(self._left)]
            self._stopped.set()
        self._left -= block.shape[-1]
        self._follow()
        self._memory.counts[0] += block.shape[-1]
        out = self._processor.process(block)
        self._measure_mix(out)
        now = time.perf_counter()
        if came is None:
            came = min(began, self._expected) if began - self._done < AT_ONCE else began
        missed = self._realtime and now > came + self._held * lasts
        self._expected, self._done = came + lasts, now
        self._memory.note_block(now - began, missed)
        busy, self._busy = self._busy, time.process_time()
        if lasts:
            self._memory.note_load(self._busy - busy, lasts)
        return out

    def rest(self, lasts: float) -> None:
        """Let so many seconds pass while time stands still for the sound: the meters and the load fall."""
        if lasts:
            self._memory.note_levels(slice(None), 0.0, 0.0, lasts)
            self._memory.note_load(0.0, lasts)
        self._busy, self._expected = time.process_time(), math.inf

    def _follow(self) -> None:
        wanted = self._memory.wanted.copy()
        if (wanted == self._followed).all():
            return
        changed, self._followed = wanted != self._followed, wanted
        processor = self._processor
        for k, stem in enumerate(processor.stems):
            if changed[0, k]:
                processor.set_gains_db(**{stem: wanted[0, k]})
            if changed[1, k]:
                processor.mute(stem, bool(wanted[1, k]))
            if changed[2, k]:
                processor.solo(stem, bool(wanted[2, k]))

    def _measure(self, stems: NDArray[np.float32], gains: NDArray[np.float32]) -> None:
        if not stems.shape[-1]:
            return
        size = np.abs(stems * gains[:, None]).reshape(len(stems), -1)
        self._memory.note_levels(STEMS, size.max(axis=1), np.square(size).mean(axis=1), stems.shape[-1] / self._rate)

    def _measure_mix(self, out: NDArray[np.float32]) -> None:
        if out.size:
            peak = max(out.max(), -out.min())
            self._memory.note_levels(MIX, peak, np.square(out).mean(), out.shape[-1] / self._rate)
            if peak > 1:
                self._memory.counts[4] += np.count_nonzero(np.abs(out) > 1)


def request_realtime_priority(priority: int) -> None:
    """Go before all that is not audio, where the system allows it to the thread that calls."""
    if hasattr(os, "sched_setscheduler"):
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
