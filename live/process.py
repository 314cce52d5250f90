"""The process that plays: it reads blocks, processes and writes them, and does nothing else."""

import gc
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing, nullcontext, suppress
from multiprocessing.connection import Connection
from typing import Any

from ..core.processes import ignore_ctrl_c
from .block_callback import BlockCallback
from .devices import PERIODS, play_through_devices
from .settings import Settings
from .shared_memory import SharedMemory
from .songs import Command, SongPlayer
from .sources_sinks import Discard, NewFile, Silence, Sink, Source

THREAD_SWITCH_INTERVAL_S = 0.0001  # other threads may keep the one that plays waiting for so long
POLL_INTERVAL_S = 0.001  # between two attempts to read a block while songs are paused


def play(settings: Settings, memory: SharedMemory, pipe: Connection) -> None:
    """Play until the end of the sound, or until the pipe brings None or is closed.

    Sends ("ready", None) once, ("report", line) for each event, ("recorded", path) if there is a new file, and finally
    ("ended", None), ("failed", line), or ("broken", line) for a bug.

    Args:
        settings: What to play, and how.
        memory: Shared with the process that controls the sound.
        pipe: Connects the two processes. All other messages that arrive are commands for the songs.
    """
    ignore_ctrl_c()
    sys.setswitchinterval(THREAD_SWITCH_INTERVAL_S)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # sound systems write to stderr, in the middle of the mixer's screen
    stopped = threading.Event()
    commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
    sending = threading.Lock()  # of the thread that plays, and of the one that decodes songs

    def send(kind: str, value: Any = None) -> None:
        with sending, suppress(OSError):  # the other process is gone
            pipe.send((kind, value))

    threading.Thread(target=_listen, args=(pipe, stopped, commands), daemon=True).start()
    try:
        _play(settings, memory, stopped, commands, send)
    except Exception as error:
        kind = "failed" if isinstance(error, ValueError | OSError) else "broken"
        send(kind, str(error) if kind == "failed" else f"{type(error).__name__}: {error}")
    else:
        send("ended")


def _play(
    settings: Settings,
    memory: SharedMemory,
    stopped: threading.Event,
    commands: "queue.SimpleQueue[Command]",
    send: Callable[..., None],
) -> None:
    def report(line: str) -> None:
        send("report", line)

    if settings.realtime and sys.platform != "linux":
        report("the sound has no real-time priority, which only Linux gives; if it drops out, choose a larger block")
    device = "device" in (settings.input_kind, settings.output_kind)
    work = BlockCallback(settings, memory, stopped, PERIODS if device else 1)
    gc.collect()
    gc.disable()  # playing makes no reference cycles, and a search for them takes milliseconds
    source: Source | None = None  # a device
    if settings.input_kind == "file":
        source = SongPlayer(settings, memory, work.latency_samples, commands, report)
    elif settings.input_kind == "none":
        source = Silence(settings.num_channels)
    with nullcontext() if source is None else closing(source):
        sink = _sink(settings)
        try:
            with nullcontext() if sink is None else closing(sink):
                if source is None or sink is None:
                    play_through_devices(settings, source, sink, work, stopped, report, lambda: send("ready"))
                else:
                    send("ready")
                    _play_by_the_clock(settings, source, sink, work, stopped)
        finally:
            if isinstance(sink, NewFile) and sink.recorded:  # complete, even if the sound ended with an error
                send("recorded", sink.recorded)


def _play_by_the_clock(
    settings: Settings, source: Source, sink: Sink, work: BlockCallback, stopped: threading.Event
) -> None:
    """Play at the pace of a device that receives one block while it plays another."""
    lasts = settings.block / settings.sample_rate if settings.realtime else 0.0
    comes = time.perf_counter() + lasts
    while not stopped.is_set():
        block = source.read(settings.block)
        if block is None:
            work.idle(lasts)
            time.sleep(lasts or POLL_INTERVAL_S)
            comes = time.perf_counter() + lasts
            continue
        time.sleep(max(0.0, comes - time.perf_counter()))
        sink.write(work(block, comes))
        # A device that had to wait too long does not catch up either.
        comes = max(comes + lasts, time.perf_counter() - lasts)


def _sink(settings: Settings) -> Sink | None:
    if settings.output_kind == "file":
        return NewFile(
            str(settings.output), settings.part, settings.sample_rate, settings.num_channels, settings.overwrite
        )
    return Discard() if settings.output_kind == "none" else None


def _listen(pipe: Connection, stopped: threading.Event, commands: "queue.SimpleQueue[Command]") -> None:
    try:
        with suppress(EOFError, OSError):
            while (command := pipe.recv()) is not None:
                commands.put(command)
    finally:
        stopped.set()
