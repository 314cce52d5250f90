"""End the plugin's process again and again while a small host plays, and see that the host goes on.

    python tests/hosts/kills.py [--signals KILL STOP] [--modes realtime offline] [--count 1000] [--hosts 8]

Needs g++, which builds the host of `tests/plugin/bridge/native/`. The plugin hosts a small processor, because the shell
handles failures in the same way for all. Its processes are killed, or stopped for ever, at random moments: most while
they play, some while they start. The exit code is 1 if a host hangs or crashes, if a call in real time waits for a
stopped process, if a sample cannot be dry, wet or in a fade, or if in real time the sound is not wet again at the end.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from stembridge.plugin.bridge.bundle import bundle_library

ROOT = Path(__file__).parents[2]
RATE, BLOCK = 8000, 512  # few and long blocks, so that many hosts play at the same time
SIGNALS, MODES = ("KILL", "STOP"), ("realtime", "offline")
LONGEST_SONG_S = 120
LOOK_S = 0.2  # how often to look for processes
LIFE_S = {"KILL": 4, "STOP": 15}  # about as long as a process takes to start, to be ended, and to be given up
# At the end in real time the sound is wet again after so much time. A process that stops before its first heartbeat is
# given up after 20 s, and after a slow start that failed the next one starts 30 s later.
LEFT_ALONE_S = 70
LONGEST_CALL_MS = {"realtime": 3000, "offline": 60_000}  # a process that stops is given up after 5 s
HANGS_AFTER_S = 240  # the host has to end within this much time after its last process was ended

PROCESSOR = """
import time
import numpy as np

class Half:
    "Half of the sound. Offline it takes its time, so that a song lasts long enough."
    parameters = {"gain": (0.0, 1.0, 0.5)}
    latency_samples = 0
    offline = False

    def reset(self):
        pass

    def process(self, block):
        time.sleep(0.05 * self.offline)
        return np.float32(self.gain) * block
"""


class Children:
    """Processes of the hosts. All hosts share one scan of the system, because it is slow."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen_s = -np.inf
        self._children: dict[int, set[psutil.Process]] = {}

    def of(self, host: int) -> set[psutil.Process]:
        """Return the processes that the host with this id has started."""
        with self._lock:
            if time.monotonic() > self._seen_s + LOOK_S:
                self._children.clear()
                for child in psutil.Process().children(recursive=True):
                    with suppress(psutil.Error):
                        self._children.setdefault(child.ppid(), set()).add(child)
                self._seen_s = time.monotonic()
            return set(self._children.get(host, ()))


@dataclass
class Ends:
    """How processes end.

    Attributes:
        signal: The signal to send to each.
        children: Finds the processes.
        most: Processes to end in a host.
        early: Share of them that are ended while they start.
        chance: Random generator for the moments.
    """

    signal: int
    children: Children
    most: int
    early: float
    chance: random.Random

    def end_processes(self, host: subprocess.Popen, seconds: float) -> int:
        """End one process of the host after another for so many seconds, and return how many."""
        until = time.monotonic() + seconds
        ended: set[psutil.Process] = set()
        while host.poll() is None and len(ended) < self.most and time.monotonic() < until:
            for child in self.children.of(host.pid) - ended:
                is_early = self.chance.random() < self.early
                time.sleep(self.chance.uniform(0, 0.5) if is_early else self.chance.uniform(1.5, 2.5))
                with suppress(psutil.Error):
                    child.send_signal(self.signal)
                    ended.add(child)
            time.sleep(LOOK_S / 4)
        return len(ended)


@dataclass
class Result:
    """The result of a host: how many processes it lost, its longest call in ms, and what was wrong."""

    ended: int
    longest_ms: float
    wrong: str


def main() -> None:
    """Read the command line, and run the hosts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds: dict[str, Any] = {"nargs": "+", "metavar": "KIND"}
    parser.add_argument("--signals", choices=SIGNALS, default=SIGNALS, help="KILL, STOP, or both (default)", **kinds)
    parser.add_argument("--modes", choices=MODES, default=MODES, help="realtime, offline, or both (default)", **kinds)
    parser.add_argument("--count", type=int, default=1000, help="processes to end in each way (default: %(default)s)")
    parser.add_argument("--hosts", type=int, default=8, help="that play at the same time (default: %(default)s)")
    parser.add_argument(
        "--early", type=float, default=0.2, help="share of processes ended while they start (default: %(default)s)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stembridge-kills-") as folder:
        prepare(Path(folder))
        wrong = sum(
            run(Path(folder), name, mode, options.count, options.hosts, options.early)
            for name in options.signals
            for mode in options.modes
        )
    sys.exit(f"{wrong} hosts went wrong" if wrong else 0)


def prepare(home: Path) -> None:
    """Build the host, and install the processor as a plugin."""
    (home / "half.py").write_text(PROCESSOR)
    install = [sys.executable, "-m", "stembridge", "vst3", "install", "half:Half", "--dir", str(home)]
    subprocess.run(install, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(home)})
    build = ROOT / "tests" / "plugin" / "bridge" / "native" / "build.py"
    subprocess.run([sys.executable, build, home / "host"], check=True)


def run(home: Path, name: str, mode: str, count: int, hosts: int, early: float) -> int:
    """End so many processes in this way, and return how many hosts went wrong."""
    most = -(-count // hosts)  # processes that a host loses
    seconds = min(LONGEST_SONG_S, most * LIFE_S[name]) + LEFT_ALONE_S
    song = np.random.default_rng(0).uniform(0.1, 0.5, seconds * RATE).astype(np.float32)
    song.tofile(home / "song")

    children = Children()

    def play_one(number: int) -> Result:
        ends = Ends(getattr(signal, f"SIG{name}"), children, most, early, random.Random(number))
        return play(home, number, song, mode, ends)

    ended, number, wrong = 0, 0, 0
    start = time.monotonic()
    while ended < count:
        with ThreadPoolExecutor(hosts) as pool:
            results = list(pool.map(play_one, range(number, number + hosts)))
        number += hosts
        ended += sum(result.ended for result in results)
        wrong += sum(bool(result.wrong) for result in results)
        longest, took = max(result.longest_ms for result in results), time.monotonic() - start
        print(
            f"{name}, {mode}: {ended} processes ended in {number} hosts, {took:.0f} s; longest call {longest:.0f} ms",
            *(f"  {result.wrong}" for result in results if result.wrong),
            sep="\n",
            flush=True,
        )
    return wrong


def play(home: Path, number: int, song: np.ndarray, mode: str, ends: Ends) -> Result:
    """Let a host play the song, end its processes, and then let it play until it is wet."""
    out, realtime = home / f"out{number}", mode == "realtime"
    command: list[str | Path] = [
        home / "host",
        bundle_library(home / "Half.vst3"),
        "play",
        home / "song",
        out,
        "channels=1",
        "ready=0",
    ]
    command += [f"rate={RATE}", f"block={BLOCK}", f"realtime={int(realtime)}", "until_wet=1"]
    with (
        open(home / f"log{number}", "w+") as log,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log) as host,
    ):
        assert host.stdin is not None
        seconds = len(song) / RATE - LEFT_ALONE_S
        ended = ends.end_processes(host, seconds)
        host.stdin.close()
        try:
            host.wait(HANGS_AFTER_S)
        except subprocess.TimeoutExpired:
            where = subprocess.run(["cat", f"/proc/{host.pid}/wchan"], capture_output=True, text=True, check=False)
            host.kill()
            return Result(ended, 0, f"host {number} hangs in {where.stdout}")
        log.seek(0)
        text = log.read()
    if host.returncode:
        return Result(ended, 0, f"host {number} ended with {host.returncode}: {text[-300:]}")
    told = dict(line.split() for line in text.splitlines() if len(line.split()) == 2)
    n, latency, longest = int(told["played"]), int(told["latency"]), float(told["longest_ms"])
    dry = np.concatenate([np.zeros(latency, np.float32), song])[:n]
    fault = find_fault(np.fromfile(out, np.float32)[:n], dry, longest, mode)
    if fault:
        said = [line for line in text.splitlines() if line.startswith("stembridge")]
        fault = "\n    ".join([f"host {number}: {fault}; it lost {ended} processes, and said last", *said[-5:]])
    return Result(ended, longest, fault)


def find_fault(out: np.ndarray, dry: np.ndarray, longest_ms: float, mode: str) -> str:
    """Return what is wrong with the output, or with the time that it took."""
    if longest_ms > LONGEST_CALL_MS[mode]:
        return f"a call took {longest_ms:.0f} ms"
    if not np.isfinite(out).all():
        return "samples that are not finite"
    # A fade to dry keeps the difference of the last wet sample, so a sample may differ by as much as any wet one.
    odd = (out < dry - dry.max() / 2 - 1e-6) | (out > dry + 1e-6)
    if odd.any():
        return f"{odd.sum()} samples that cannot be dry, wet or in a fade, at {odd.argmax() / RATE:.3f} s"
    if mode == "realtime" and np.array_equal(out[-RATE:], dry[-RATE:]):
        return "still dry at the end"
    return ""


if __name__ == "__main__":
    main()
