"""The work on each block: move the faders, make the sound, update the meters, and measure the time."""

import math
import os
import sys
import threading
import time
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from ..engine import StemProcessor
from .settings import Settings
from .shared_memory import MIX, STEMS, SharedMemory

WARM_UP_S = 0.5  # length of silence before the first block, because the first runs of a network take longer
REALTIME_PRIORITY = 20  # of the thread that plays
WAITING_BLOCK_S = 2.5e-4  # if a device hands over a block within this time, it had been waiting


class BlockCallback:
    """Remixes each block with the faders in shared memory, and writes meters and times there.

    Args:
        settings: What to play, and how long.
        memory: Shared with the process that controls the sound.
        stopped: Set when the sound has reached its length.
        held: Number of blocks that a device buffers: a block that is later than that is heard as a gap.

    Attributes:
        latency_samples: Samples by which the output is later than the input.
    """

    def __init__(self, settings: Settings, memory: SharedMemory, stopped: threading.Event, held: int) -> None:
        if settings.realtime:
            # Threads that start later inherit this priority. They all have the same one, because a thread that is
            # interrupted while it holds Python's lock would delay the sound. Only the thread that plays is higher.
            request_realtime_priority(REALTIME_PRIORITY - 1)
        self._processor = processor = StemProcessor(
            settings.model,
            settings.sample_rate,
            settings.num_channels,
            settings.gains_db,
            realtime_block=settings.block,
        )
        self._rate, self._realtime, self._held = settings.sample_rate, settings.realtime, held
        self._remaining = math.inf if settings.length is None else settings.length
        self._memory, self._stopped = memory, stopped
        self._followed = np.zeros_like(memory.wanted)
        self._followed[0] = [settings.gains_db[stem] for stem in processor.stems]
        self._expected = self._done = math.inf
        self._player: int | None = None
        self._busy = 0.0
        processor.on_stems = self._measure
        silence = np.zeros((settings.num_channels, settings.block), np.float32)
        for _ in range(math.ceil(WARM_UP_S * self._rate / settings.block)):
            processor.process(silence)
        processor.reset()
        memory.counts[3] = self.latency_samples = processor.latency_samples

    def __call__(self, block: NDArray[np.float32], came: float | None = None) -> NDArray[np.float32]:
        """Remix a block.

        Args:
            block: Samples, shape (channels, n).
            came: When it arrived, by time.perf_counter; None if that is not known, as for a device.

        Returns:
            Samples of the same shape, or fewer at the end of the sound.
        """
        began = time.perf_counter()
        if self._player != threading.get_ident():  # a device that returns has another thread
            self._player = threading.get_ident()
            if self._realtime:
                request_realtime_priority(REALTIME_PRIORITY)
            self._busy = time.process_time()
        lasts = block.shape[-1] / self._rate
        if self._remaining <= block.shape[-1]:
            block = block[:, : int(self._remaining)]
            self._stopped.set()
        self._remaining -= block.shape[-1]
        self._follow()
        self._memory.counts[0] += block.shape[-1]
        out = self._processor.process(block)
        self._measure_mix(out)
        now = time.perf_counter()
        if came is None:
            came = min(began, self._expected) if began - self._done < WAITING_BLOCK_S else began
        missed = self._realtime and now > came + self._held * lasts
        self._expected, self._done = came + lasts, now
        self._memory.note_block(now - began, missed)
        busy, self._busy = self._busy, time.process_time()
        if lasts:
            self._memory.note_load(self._busy - busy, lasts)
        return out

    def idle(self, lasts: float) -> None:
        """Let meters and load fall while nothing plays.

        Args:
            lasts: How long, in seconds.
        """
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
    """Give the calling thread real-time priority, if the system allows it.

    Args:
        priority: From 1 to 99, higher is more urgent.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
