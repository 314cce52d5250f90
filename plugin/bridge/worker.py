"""The process that makes the sound: a Python processor behind the native shell.

The shell starts it with a socket as descriptor 3 and shared memory as descriptor 4; native/protocol.h has the layout of
both. Only modules that the processor needs are imported, because a plugin loads only as fast as this process starts.
"""

import io
import json
import mmap
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import StemBridgeError, error_text
from ...core.protocols import check_floats
from .factory import Timing, Toggle, find_factory, make_processor, read_parameters, takes_moves, timing_of

if sys.platform != "linux":
    raise ImportError("the process behind a VST3 plugin runs on Linux only")

SOCKET, MEMORY = 3, 4  # file descriptors
MAX_CHANNELS = 2
BEATS_OFFSET, SKIP_OFFSET, AUDIO_OFFSET = 0, 8, 4096  # in shared memory
CONFIGURE, RESET, PROCESS, READY, DONE, FAILED = range(1, 7)
PACKET = struct.Struct("@IIqqd")  # kind, count, position, length, value
REALTIME, ALL_OUTPUTS = 1, 2  # flags in a PROCESS packet's value
LONGEST_RING = 1 << 21  # samples
MOVE = struct.Struct("@iid")  # offset, parameter, value
MAX_PACKET = PACKET.size + 1024 * MOVE.size
MAX_TEXT, MAX_METERS = 500, 64
BEAT_INTERVAL_S = 0.1
OFFLINE = "offline"  # the attribute that tells a processor whether it works offline, not in real time
WARM_UP_S, WARM_UP_BLOCK = 0.05, 256  # minimum length of silence; samples in a block if the hop is not known
AWAKE_S = 200e-6  # how long to stay awake for the next packet; waking up on another core takes 50 to 100 us

Move = tuple[int, str, float | bool]


def main() -> None:
    """Serve the shell until it hangs up."""
    # Ctrl-C is meant for the host, and this process ends with it. The shell has blocked the signal until now.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # so that os._exit loses nothing that a processor prints
    os.closerange(MEMORY + 1, 1 << 16)  # inherited files of the host
    connection = socket.socket(fileno=SOCKET)
    memory = mmap.mmap(MEMORY, 0)
    os.close(MEMORY)
    beats = memoryview(memory)[BEATS_OFFSET : BEATS_OFFSET + 8].cast("Q")
    threading.Thread(target=_beat, args=(beats, os.getppid()), daemon=True).start()
    code = 1
    try:
        _serve(_Connection(connection), memory, json.loads(sys.argv[-1]))
        code = 0
    except _HungUp:
        code = 0
    except BaseException as error:  # a processor may raise SystemExit or KeyboardInterrupt
        _send_failure(connection, error)
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)  # at once, because the host waits


class _HungUp(Exception):
    """The shell is gone."""


class _Connection:
    """Packets from and to the shell. Its methods raise _HungUp when the shell is gone."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def send(self, kind: int, position: int, length: int = 0, value: float = 0.0, meters: Sequence[float] = ()) -> None:
        packet = PACKET.pack(kind, len(meters), position, length, value)
        try:
            self._socket.send(packet + struct.pack(f"@{len(meters)}d", *meters))
        except OSError as error:
            raise _HungUp from error

    def receive(self, incoming: bytearray, eager: bool) -> int:
        """Wait for a packet, and return its size. If `eager`, stay awake for a while, because it will come soon."""
        try:
            size = _receive(self._socket, incoming, eager)
        except OSError as error:
            raise _HungUp from error
        if size == 0:
            raise _HungUp
        return size


def _send_failure(connection: socket.socket, error: BaseException) -> None:
    """Send the shell the reason why this process ends."""
    try:
        text = _failure(error)
    except Exception:  # the error's __str__ failed
        text = type(error).__name__
    reason = text.encode(errors="backslashreplace")[:MAX_TEXT]
    with suppress(OSError):
        connection.send(PACKET.pack(FAILED, len(reason), 0, 0, 0.0) + reason)


def _beat(beats: memoryview, parent: int) -> None:
    """Show that this process runs, and end it when the host is gone, even if the main thread hangs."""
    hung_up = select.poll()
    hung_up.register(SOCKET, 0)
    while True:
        beats[0] += 1
        # A fork of the host may still hold the other end of the socket, so check the parent's id too.
        if hung_up.poll(1000 * BEAT_INTERVAL_S) or os.getppid() != parent:
            os._exit(0)


def _serve(connection: _Connection, memory: mmap.mmap, hosted: dict[str, Any]) -> None:
    stage = _Stage(memory, hosted)
    skip_to = memoryview(memory)[SKIP_OFFSET : SKIP_OFFSET + 8].cast("q")
    incoming = bytearray(MAX_PACKET)
    realtime = False
    while True:
        size = connection.receive(incoming, eager=not realtime)
        kind, count, position, length, value = PACKET.unpack_from(incoming)
        if kind == PROCESS:
            flags = int(value)
            if realtime != bool(flags & REALTIME):
                realtime = bool(flags & REALTIME)
                _set_realtime_priority(realtime)
            if position >= skip_to[0]:  # the shell no longer waits for older blocks
                moves = stage.moves(incoming, size) if count else []
                stage.process(position, length, moves, offline=not realtime, all_outputs=bool(flags & ALL_OUTPUTS))
            connection.send(DONE, position + length, meters=stage.meters())
        elif kind == RESET:
            stage.reset(length, stage.moves(incoming, size))
        elif kind == CONFIGURE:
            if realtime:
                realtime = False
                _set_realtime_priority(False)  # because making a processor takes long
            connection.send(READY, *stage.configure(value, count))


def _set_realtime_priority(on: bool) -> None:
    """Give the calling thread real-time priority, or ordinary priority again, if the system allows it.

    Threads and processes that it starts do not inherit it.
    """
    if not hasattr(os, "sched_setscheduler"):
        return
    policy, priority = os.SCHED_OTHER, 0
    if on:
        policy, priority = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_get_priority_min(os.SCHED_FIFO)
    with suppress(OSError):
        os.sched_setscheduler(0, policy, os.sched_param(priority))


def _receive(connection: socket.socket, incoming: bytearray, eager: bool) -> int:
    until = time.perf_counter() + AWAKE_S
    while eager and time.perf_counter() < until:
        try:
            return connection.recv_into(incoming, 0, socket.MSG_DONTWAIT)
        except BlockingIOError:
            os.sched_yield()
    return connection.recv_into(incoming)


class _Stage:
    """The processor, and the shared memory with its audio.

    Args:
        memory: Shared with the shell.
        hosted: The factory's path, its arguments, and the declared parameters in the order of their numbers.
    """

    def __init__(self, memory: mmap.mmap, hosted: dict[str, Any]) -> None:
        self._factory, self._kwargs = find_factory(hosted["factory"]), hosted["kwargs"]
        self._parameters = list(read_parameters(hosted["parameters"]).items())
        audio = np.frombuffer(memory, np.float32, offset=AUDIO_OFFSET).reshape(-1, MAX_CHANNELS, LONGEST_RING)
        self._input, self._outputs = audio[0], audio[1:]
        self._ring = 1
        self._processor: Any = None

    def moves(self, packet: bytearray, size: int) -> list[Move]:
        """Return the moves in a packet."""
        moves: list[Move] = []
        for offset, index, value in MOVE.iter_unpack(memoryview(packet)[PACKET.size : size]):
            name, declared = self._parameters[index]
            moves.append((offset, name, value >= 0.5 if isinstance(declared, Toggle) else value))
        return moves

    def configure(self, sample_rate: float, channels: int) -> Timing:
        """Make the processor, and run it on silence, so that the first block takes no longer than the others."""
        processor = make_processor(self._factory, self._kwargs, sample_rate, channels)
        self._processor, self._channels = processor, channels
        self._process = processor.process if takes_moves(processor) else self._process_cut
        timing = timing_of(processor)
        self._meters = list(getattr(processor, "meters", ()))[:MAX_METERS]
        self._hears_offline = hasattr(processor, OFFLINE) and OFFLINE not in dict(self._parameters)
        self.reset(1, [(0, name, declared.default) for name, declared in self._parameters])
        block = timing.hop or WARM_UP_BLOCK
        for _ in range(ceil(max(timing.latency, WARM_UP_S * sample_rate) / block)):
            self._process(np.zeros((channels, block), np.float32), [])
        return timing

    def reset(self, ring: int, moves: list[Move]) -> None:
        """Forget all audio, and set the size of the rings and the values of parameters."""
        self._ring = ring
        for _, name, value in moves:
            setattr(self._processor, name, value)
        self._processor.reset()

    def process(self, position: int, length: int, moves: list[Move], *, offline: bool, all_outputs: bool) -> None:
        """Process the block at a position of the stream. It does not cross the end of the ring."""
        if self._hears_offline:
            setattr(self._processor, OFFLINE, offline)
        at = slice(position % self._ring, position % self._ring + length)
        block = self._input[: self._channels, at].copy()  # the processor may keep it, but the ring will be overwritten
        if all_outputs:
            name, process = "process_outputs", self._processor.process_outputs
            shape = (len(self._outputs), *block.shape)
            wanted = self._outputs[:, : self._channels, at]
        else:
            name, process, shape, wanted = "process", self._process, block.shape, self._outputs[0, : self._channels, at]
        out = process(block, moves)
        if np.shape(out) != shape:
            raise StemBridgeError(
                f"{name} returned shape {np.shape(out)} for a block of shape {block.shape}, not {shape}"
            )
        samples = np.asarray(out)
        check_floats(name, samples)
        wanted[:] = samples

    def meters(self) -> list[float]:
        """The values of the processor's meters, in order."""
        return [float(getattr(self._processor, name)) for name in self._meters]

    def _process_cut(self, block: NDArray[np.float32], moves: list[Move]) -> NDArray[np.float32]:
        """Process a block with a processor that takes no moves: cut the block wherever a parameter moves."""
        done, pieces = 0, []
        for offset, name, value in moves:
            if offset > done:
                pieces.append(self._processor.process(block[:, done:offset]))
                done = offset
            setattr(self._processor, name, value)
        pieces.append(self._processor.process(block[:, done:]))
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=-1)


def _failure(error: BaseException) -> str:
    """Return a line that says what failed, and where."""
    where = ""
    trace = error.__traceback__
    while trace:
        code = trace.tb_frame.f_code
        where, trace = f" ({os.path.basename(code.co_filename)}, line {trace.tb_lineno})", trace.tb_next
    return error_text(error) + where
