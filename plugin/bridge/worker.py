"""The process that makes the sound: a Python processor behind the native shell.

The shell starts it with a socket as descriptor 3 and shared memory as descriptor 4; native/protocol.h has the layout of
both. Nothing is imported that the processor does not need: what this takes to start, loading a plugin takes.
"""

import json
import mmap
import operator
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .factory import find_factory, make_processor, takes_moves

SOCKET, MEMORY = 3, 4  # file descriptors
MAX_CHANNELS = 2
AUDIO_OFFSET = 4096
CONFIGURE, RESET, PROCESS, READY, DONE, FAILED = range(1, 7)
PACKET = struct.Struct("@IIqqd")  # kind, count, position, length, value
MOVE = struct.Struct("@iid")  # offset, parameter, value
MAX_PACKET = PACKET.size + 1024 * MOVE.size
MAX_TEXT = 500
BEAT = 0.1  # seconds
AWAKE = 200e-6  # seconds; to be woken on another core takes 50 to 100 us

Move = tuple[int, str, float | bool]


def main() -> None:
    """Serve the shell until it hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the host's; it hangs up if it ends
    os.closerange(MEMORY + 1, 1 << 16)  # what the host had open is not ours
    connection = socket.socket(fileno=SOCKET)
    memory = mmap.mmap(MEMORY, 0)
    os.close(MEMORY)
    threading.Thread(target=_beat, args=(memoryview(memory)[:8].cast("Q"), os.getppid()), daemon=True).start()
    try:
        _serve(connection, memory, json.loads(sys.argv[-1]))
        code = 0
    except ConnectionError:
        code = 0
    except BaseException as error:
        text = _one_line(error).encode(errors="backslashreplace")[:MAX_TEXT]
        connection.send(PACKET.pack(FAILED, len(text), 0, 0, 0.0) + text)
        code = 1
    sys.stderr.flush()
    os._exit(code)  # at once: the host waits


def _beat(beats: memoryview, parent: int) -> None:
    """Show that this process runs, and end it when the host is gone, whatever the main thread does."""
    hung_up = select.poll()
    hung_up.register(SOCKET, 0)
    while True:
        beats[0] += 1
        # A fork of the host may still hold the other end of the socket: the parent's number tells.
        if hung_up.poll(1000 * BEAT) or os.getppid() != parent:
            os._exit(0)


def _serve(connection: socket.socket, memory: mmap.mmap, hosted: dict[str, Any]) -> None:
    stage = _Stage(memory, hosted)
    incoming = bytearray(MAX_PACKET)
    while size := _receive(connection, incoming, eager=not stage.realtime):
        kind, count, position, length, value = PACKET.unpack_from(incoming)
        if kind == PROCESS:
            stage.process(position, length, stage.moves(incoming, size) if count else [])
            connection.send(PACKET.pack(DONE, 0, position + length, 0, 0.0))
        elif kind == RESET:
            stage.reset(length, stage.moves(incoming, size))
        elif kind == CONFIGURE:
            latency, hop = stage.configure(value, count, bool(position))
            connection.send(PACKET.pack(READY, 0, latency, hop, 0.0))


def _receive(connection: socket.socket, incoming: bytearray, eager: bool) -> int:
    """Wait for a packet; its size. eager: stay awake for a while, as the next block of a render comes soon."""
    until = time.perf_counter() + AWAKE
    while eager and time.perf_counter() < until:
        try:
            return connection.recv_into(incoming, 0, socket.MSG_DONTWAIT)
        except BlockingIOError:
            os.sched_yield()
    return connection.recv_into(incoming)


class _Stage:
    """The processor, and the shared memory that its audio comes from and goes to.

    hosted: the factory's path, its kwargs, and the declared parameters in the order the shell numbers them.
    """

    def __init__(self, memory: mmap.mmap, hosted: dict[str, Any]) -> None:
        self._factory, self._kwargs = find_factory(hosted["factory"]), hosted["kwargs"]
        self._parameters = list(hosted["parameters"].items())
        audio = np.frombuffer(memory, np.float32, offset=AUDIO_OFFSET).reshape(2, MAX_CHANNELS, -1)
        self._input, self._output = audio
        self._ring = 1
        self._processor: Any = None
        self.realtime = False

    def moves(self, packet: bytearray, size: int) -> list[Move]:
        """The moves behind a packet's head."""
        moves: list[Move] = []
        for offset, index, value in MOVE.iter_unpack(memoryview(packet)[PACKET.size : size]):
            name, declared = self._parameters[index]
            moves.append((offset, name, value >= 0.5 if isinstance(declared, bool) else value))
        return moves

    def configure(self, sample_rate: float, channels: int, realtime: bool) -> tuple[int, int]:
        """Make the processor; its latency and its hop in samples, 0 if it has none."""
        processor = make_processor(self._factory, self._kwargs, sample_rate, channels)
        self._processor, self._channels, self.realtime = processor, channels, realtime
        self._process = processor.process if takes_moves(processor) else self._process_cut
        hop = operator.index(getattr(processor, "hop_samples", 0))
        if realtime:  # then even the first block must be quick
            defaults = ((name, d if isinstance(d, bool) else d[2]) for name, d in self._parameters)
            self.reset(1, [(0, name, value) for name, value in defaults])
            self._process(np.zeros((channels, hop or 1), np.float32), [])
        latency = operator.index(processor.latency_samples)
        if latency < 0 or hop < 0:
            raise ValueError(f"latency_samples {latency} and hop_samples {hop} must not be negative")
        return latency, hop

    def reset(self, ring: int, moves: list[Move]) -> None:
        """Forget all audio; from now on a ring has that many samples, and the parameters these values."""
        self._ring = ring
        for _, name, value in moves:
            setattr(self._processor, name, value)
        self._processor.reset()

    def process(self, position: int, length: int, moves: list[Move]) -> None:
        """Process the block at that position of the stream, which does not cross the ring's end."""
        at = slice(position % self._ring, position % self._ring + length)
        block = self._input[: self._channels, at].copy()  # the processor may keep it, and the ring comes round
        out = self._process(block, moves)
        if np.shape(out) != block.shape:
            raise ValueError(f"process returned the shape {np.shape(out)} for a block of {block.shape}")
        self._output[: self._channels, at] = out

    def _process_cut(self, block: NDArray[np.float32], moves: list[Move]) -> NDArray[np.float32]:
        """For a processor that takes no moves: its block ends where a parameter moves."""
        done, pieces = 0, []
        for offset, name, value in moves:
            if offset > done:
                pieces.append(self._processor.process(block[:, done:offset]))
                done = offset
            setattr(self._processor, name, value)
        pieces.append(self._processor.process(block[:, done:]))
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=-1)


def _one_line(error: BaseException) -> str:
    """What went wrong, and where."""
    where = ""
    trace = error.__traceback__
    while trace:
        code = trace.tb_frame.f_code
        where, trace = f" ({os.path.basename(code.co_filename)}, line {trace.tb_lineno})", trace.tb_next
    return f"{type(error).__name__}: {' '.join(str(error).split())}{where}"
