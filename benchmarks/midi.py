"""Costs of MIDI: the time from a message to the parameter, a stream in a flood of messages, and automation.

    python benchmarks/midi.py

Ports are real: a connection of mido.sockets, and a virtual port if the machine has ALSA's sequencer. The device runs in
the same process as the faders, or for the flood in another one. With the defaults everything takes about a minute.
"""

import argparse
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import mido
import numpy as np
from measuring import RATE, alone, music, num_cores, run_benchmark, say, start_report
from mido.sockets import PortServer

MODEL = "live"
BLOCK = 256  # samples of a stream
PAUSE_S = 0.002  # between two messages
FLOOD = 20_000  # messages a second
STEMS = "vocals", "drums", "bass", "other"
Send = Callable[[mido.Message], None]


def time_messages(kind: str, seconds: float, busy: bool) -> dict[str, Any]:
    """Measure the time from sending a message until the parameter is set, in ms.

    Args:
        kind: "socket" or "virtual" port.
        seconds: Length of the measurement.
        busy: Process a stream at the same time.
    """
    from stembridge.control import MidiControl

    device, name, close = _socket() if kind == "socket" else _virtual()
    taken: list[float] = []
    arrived = threading.Event()

    class Desk:
        vocals_db = 0.0

        def __setattr__(self, name: str, value: float) -> None:
            taken.append(time.perf_counter())
            arrived.set()

    stop = threading.Event()
    stream = threading.Thread(target=_stream, args=(stop,))
    with MidiControl(Desk(), "general", name):
        send = device()
        if busy:
            stream.start()
        ms = []
        for k in range(100 + round(seconds / PAUSE_S)):
            arrived.clear()
            message = mido.Message("control_change", control=16, value=k % 128)
            start = time.perf_counter()
            send(message)
            if not arrived.wait(10):
                raise RuntimeError("a message did not arrive, so the measurement is useless")
            ms.append(1000 * (taken.pop() - start))
            time.sleep(PAUSE_S)
        stop.set()
        if busy:
            stream.join()
    close()
    p50, p99, longest = np.percentile(ms[100:], [50, 99, 100])
    return {"port": kind, "busy": busy, "messages": len(ms) - 100, "p50": p50, "p99": p99, "max": longest}


def _socket() -> tuple[Callable[[], Send], str, Callable[[], None]]:
    server = PortServer("localhost", 0)
    return lambda: server.accept().send, f"localhost:{server._socket.getsockname()[1]}", server.close


def _virtual() -> tuple[Callable[[], Send], str, Callable[[], None]]:
    port = mido.open_output("stembridge benchmark", virtual=True)
    return lambda: port.send, "stembridge benchmark", port.close


def _stream(stop: threading.Event) -> None:
    """Process blocks in real time until `stop` is set."""
    from stembridge import StemProcessor

    processor = StemProcessor(MODEL, RATE)
    block = music(BLOCK / RATE, RATE)
    due = time.perf_counter()
    while not stop.is_set():
        processor.process(block)
        due += BLOCK / RATE
        time.sleep(max(0, due - time.perf_counter()))


def time_stream(seconds: float, messages_a_second: int) -> dict[str, Any]:
    """Measure how long `process` takes for each block of a stream whose faders a controller moves, in ms.

    Args:
        seconds: Length of the measurement.
        messages_a_second: Rate of messages.

    Returns:
        Percentiles; missed is the number of blocks that took longer than their length.
    """
    from stembridge import StemProcessor
    from stembridge.control import MidiControl

    with socket.create_server(("localhost", 0)) as free:
        number = free.getsockname()[1]
    processor = StemProcessor(MODEL, RATE)
    audio = music(BLOCK / RATE, RATE)
    calls = round(seconds * RATE / BLOCK)
    ms = np.empty(calls)
    with (
        MidiControl(processor, "general", f":{number}", report=lambda line: None),
        ProcessPoolExecutor(1, get_context("spawn")) as device,
    ):
        processor.set_gains_db(vocals=-1)
        flood = device.submit(_flood, number, seconds, messages_a_second)
        while processor.gains_db["vocals"]:  # until the device has connected
            processor.process(audio)
        due = time.perf_counter()
        for k in range(calls):
            start = time.perf_counter()
            processor.process(audio)
            ms[k] = 1000 * (time.perf_counter() - start)
            due += BLOCK / RATE
            time.sleep(max(0, due - time.perf_counter()))
        flood.result()
        time.sleep(0.2)
        last_wins = set(processor.gains_db.values()) == {0.0}
    if not last_wins:
        raise RuntimeError("the faders do not have the last values that were sent")
    p50, p99, longest = np.percentile(ms, [50, 99, 100])
    lasts = 1000 * BLOCK / RATE
    return {
        "messages_a_second": messages_a_second,
        "block_lasts": lasts,
        "p50": p50,
        "p99": p99,
        "max": longest,
        "missed": int((ms > lasts).sum()),
        "calls": calls,
    }


def _flood(number: int, seconds: float, messages_a_second: int) -> None:
    """Send messages every millisecond, like a device, and at the end move all faders to 0 dB."""
    unity = b"".join(_moved(k, 100) for k in range(len(STEMS)))
    travel = [_moved(k % len(STEMS), k % 128) for k in range(len(STEMS) * 128)]
    with socket.create_connection(("localhost", number)) as device:
        device.sendall(unity)
        start, sent = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - start) < seconds:
            wanted = round(elapsed * messages_a_second)
            device.sendall(b"".join(travel[k % len(travel)] for k in range(sent, wanted)))
            sent = wanted
            time.sleep(0.001)
        device.sendall(unity)


def _moved(fader: int, value: int) -> bytes:
    return bytes(mido.Message("control_change", control=16 + fader, value=value).bin())


def watch_memory(seconds: float) -> float:
    """Return how much Python's memory grows during a flood of messages, in KiB.

    Args:
        seconds: Length of the flood.
    """
    from stembridge.control import MidiControl

    class Desk:
        vocals_db = drums_db = bass_db = other_db = 0.0

    class Port(mido.ports.BaseInput):  # type: ignore[misc]  # mido has no types
        callback = None

    port = Port("flood")
    with MidiControl(Desk(), "general", port):
        while port.callback is None:
            time.sleep(0.001)
        tracemalloc.start()
        for k in range(1000):
            port.callback(mido.Message("control_change", control=16 + k % 4, value=k % 128))
        before = tracemalloc.get_traced_memory()[0]
        for k in range(round(seconds * FLOOD)):
            port.callback(mido.Message("control_change", control=16 + k % 4, value=k % 128))
        growth = (tracemalloc.get_traced_memory()[0] - before) / 1024
        tracemalloc.stop()
    return growth


def time_automation(seconds: float, rounds: int) -> list[dict[str, Any]]:
    """Measure the time for a second of audio in blocks, without moves and with more and more of them, in ms.

    Args:
        seconds: Length of the audio.
        rounds: Number of alternating rounds.

    Returns:
        A row for each automation.
    """
    from stembridge import StemProcessor
    from stembridge.control import Automation

    still = Automation().step("vocals", 1e9, 0)
    ramps = Automation()
    for k, stem in enumerate(STEMS):
        for at in range(0, round(seconds) + 1):
            ramps.ramp(stem, at, at + 1, -3.0 * (1 + (at + k) % 4))
    points = [(n / 1000, stem, -0.01 * (n % 1000)) for n in range(1, round(1000 * seconds)) for stem in STEMS]
    steps = Automation(points)
    rides = {"none": still, "a ramp on each stem": ramps, "1000 steps a second on each stem": steps}
    audio = music(seconds, RATE)
    processor = StemProcessor(MODEL, RATE, gains_db={stem: -3.0 * k for k, stem in enumerate(STEMS)})
    taken: dict[str, list[float]] = {name: [] for name in rides}
    count = {}
    for _ in range(rounds + 1):
        for name, ride in rides.items():
            processor.reset()
            number = 0
            start = time.perf_counter()
            for at in range(0, audio.shape[-1], BLOCK):
                block = audio[:, at : at + BLOCK]
                moves = ride.moves(at, at + block.shape[-1], RATE)
                number += len(moves)
                processor.process(block, moves)
            taken[name].append(1000 * (time.perf_counter() - start) / seconds)
            count[name] = number / seconds
    best = {name: min(times[1:]) for name, times in taken.items()}  # without the first round, which is slower
    return [
        {"name": name, "moves_a_second": count[name], "ms": best[name], "cost": best[name] - best["none"]}
        for name in rides
    ]


def show(report: dict[str, Any]) -> None:
    """Print the report as tables.

    Args:
        report: The report.
    """
    from stembridge.cli.table import print_table

    print("\nTime from a message to the parameter, in ms")
    print_table(
        ["port", "messages", "p50", "p99", "max"],
        [
            [row["port"] + (", while a stream is processed" if row["busy"] else ""), str(row["messages"])]
            + [f"{row[name]:6.3f}" for name in ("p50", "p99", "max")]
            for row in report["messages"]
        ],
    )
    print(f"\nOne call of process in a stream with blocks of {BLOCK}, while a controller moves the faders, in ms")
    print_table(
        ["messages a second", "missed", "lasts", "p50", "p99", "max"],
        [
            [f"{row['messages_a_second']:,}", f"{row['missed']} of {row['calls']}"]
            + [f"{row[name]:6.3f}" for name in ("block_lasts", "p50", "p99", "max")]
            for row in report["stream"]
        ],
    )
    print(f"\nMemory grew by {report['growth_kib']:.1f} KiB in a flood of {FLOOD:,} messages a second")
    print(f"\nAutomation of {MODEL} in blocks of {BLOCK}, stereo at {RATE} Hz, in ms for each second of audio")
    print_table(
        ["moves", "a second", "total", "for automation"],
        [
            [row["name"], f"{row['moves_a_second']:,.0f}", f"{row['ms']:6.2f}", f"{row['cost']:6.2f}"]
            for row in report["automation"]
        ],
    )
    for line in report["missing"]:
        print(f"\n{line}")


def measure_all(options: argparse.Namespace) -> dict[str, Any]:
    """Return the report.

    Args:
        options: Options of the command line.
    """
    from stembridge.control.ports import port_names

    kinds, missing = ["socket"], []
    try:
        port_names()
    except ValueError as error:
        missing.append(f"No virtual port: {error}")
    else:
        kinds.append("virtual")
    report = start_report()
    cores = num_cores()
    say("latency")
    report["messages"] = [
        alone(cores, time_messages, kind, options.seconds, busy) for kind in kinds for busy in (False, True)
    ]
    say("flood")
    report["stream"] = [alone(cores, time_stream, options.seconds, n) for n in (0, 1000, FLOOD)]
    report["growth_kib"] = alone(cores, watch_memory, options.seconds)
    say("automation")
    report["automation"] = alone(1, time_automation, options.seconds, options.rounds)
    report["missing"] = missing
    return report


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement (default: 5)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the comparison of automations (default: 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers to this file")
    run_benchmark(parser, measure_all, show)


if __name__ == "__main__":
    main()
