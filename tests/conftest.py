"""Tiny networks that keep the contract, a MIDI controller, and interrupts, for all tests."""

import gc
import itertools
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

if "PYTEST_XDIST_WORKER" in os.environ:  # each core runs its own tests, so more threads only cost time
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ.pop("COLUMNS", None)  # readline, which pytest loads, has set it for all that pytest starts

import mido
import numpy as np
import onnx.parser
import psutil
import pytest
from hypothesis import HealthCheck, settings
from mido.sockets import PortServer, SocketPort
from numpy.typing import NDArray
from stembridge.models import save_model

# Slow examples on a busy machine are not failures.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

# Masks that depend on the present and the last frame, so that state, order and time all matter.
MASKS = """
    re, im = Split <axis = -1, num_outputs = 2> (spectrum)
    re2 = Mul (re, re)
    im2 = Mul (im, im)
    power4 = Add (re2, im2)
    last_axis = Constant <value_ints = [-1]> ()
    power = Squeeze (power4, last_axis)
    zero = Constant <value_ints = [0]> ()
    end = Constant <value_ints = [-1]> ()
    early = Slice (power, zero, end, zero)
    before = Concat <axis = 0> (PAST, early)
    both = Add (power, before)
    tiny = Constant <value_float = 1e-12> ()
    sum = Add (both, tiny)
    onset = Div (power, sum)
    half = Constant <value_float = 0.5> ()
    third = Constant <value_float = 0.3> ()
    decay = Div (before, sum)
    one = Mul (onset, half)
    two = Mul (onset, third)
    three = Mul (decay, half)
    stem_axis = Constant <value_ints = [1]> ()
    a = Unsqueeze (one, stem_axis)
    b = Unsqueeze (two, stem_axis)
    c = Unsqueeze (three, stem_axis)
    masks = Concat <axis = 1> (a, b, c)
"""
STREAMING = f"""
<ir_version: 8, opset_import: ["" : 18]>
tiny (float[frames, 2, 1025, 2] spectrum, float[1, 2, 1025] state)
  => (float[frames, 3, 2, 1025] masks, float[1, 2, 1025] next_state) {{
    {MASKS.replace("PAST", "state")}
    far = Constant <value_ints = [1000000]> ()
    next_state = Slice (power, end, far, zero)
}}
"""
CHUNKED = f"""
<ir_version: 8, opset_import: ["" : 18]>
tiny (float[frames, 2, 1025, 2] spectrum) => (float[frames, 3, 2, 1025] masks) {{
    one_frame = Constant <value_ints = [1]> ()
    start = Constant <value_ints = [0]> ()
    first_frame = Slice (spectrum, start, one_frame, start)
    silence = Sub (first_frame, first_frame)
    axis = Constant <value_ints = [-1]> ()
    silent = ReduceSum <keepdims = 0> (silence, axis)
    {MASKS.replace("PAST", "silent")}
}}
"""
CARD = {
    "version": "1",
    "stems": ["vocals", "drums", "bass", "other"],
    "sample_rate": 44100,
    "window": 2048,
    "hop": 256,
    "terms": "CC0",
}


def tiny_graph(text: str) -> bytes:
    """Return the bytes of a graph given in ONNX's text form."""
    return onnx.parser.parse_model(text).SerializeToString()


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use temporary folders for the user's presets and models."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "config" / "stembridge" / "presets"


@pytest.fixture(scope="session")
def tiny_live_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a streaming model with the frame grid of `live`."""
    path = tmp_path_factory.mktemp("models") / "tiny_live.onnx"
    card = CARD | {"name": "tiny_live", "mode": "streaming", "synthesis_window": 512}
    return save_model(path, tiny_graph(STREAMING), card).path


@pytest.fixture(scope="session")
def tiny_studio_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a chunked model: chunks of 8 frames, 3 of which cross-fade, with a context of 2 before and 1 after."""
    path = tmp_path_factory.mktemp("models") / "tiny_studio.onnx"
    chunk = {"left": 2, "frames": 8, "right": 1, "overlap": 3}
    card = CARD | {"name": "tiny_studio", "mode": "chunked", "synthesis_window": 2048, "chunk": chunk}
    return save_model(path, tiny_graph(CHUNKED), card).path


@pytest.fixture(scope="session", params=["tiny_live_model", "tiny_studio_model"])
def tiny_model(request: pytest.FixtureRequest) -> Path:
    """Give each of the two models in turn."""
    return request.getfixturevalue(request.param)


# The start of graph bodies: `silent` is zeros of shape (frames, 1, 2, bins), to which a body adds its masks.
SILENT = """
    last = Constant <value_ints = [-1]> ()
    one_axis = Constant <value_ints = [1]> ()
    sum = ReduceSum <keepdims = 0> (spectrum, last)
    nothing = Sub (sum, sum)
    silent = Unsqueeze (nothing, one_axis)
"""


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that makes a model of any kind: (body of the graph, fields of the card) -> path.

    The body computes `masks` from `spectrum` (and `state`, one float that keeps its value unless the body gives
    `next_state`). SILENT is put before the body, which may use it. masks: the shape to declare.
    """
    folder = tmp_path_factory.mktemp("made")
    numbers = itertools.count()

    def make(body: str, masks: str = "frames, stems, 2, bins", state: str = "1", **fields: Any) -> Path:
        card: dict[str, Any] = CARD | {"mode": "streaming", "synthesis_window": 512} | fields
        name = f"made{next(numbers)}"
        takes, gives = f"float[frames, 2, {card['window'] // 2 + 1}, 2] spectrum", f"float[{masks}] masks"
        if card["mode"] == "streaming":
            takes, gives = f"{takes}, float[{state}] state", f"{gives}, float[{state}] next_state"
            if "next_state" not in body:
                body += "\n next_state = Identity (state)"
        text = f'<ir_version: 8, opset_import: ["" : 18]> {name} ({takes}) => ({gives}) {{ {SILENT} {body} }}'
        return save_model(folder / f"{name}.onnx", tiny_graph(text), {"name": name, **card}).path

    return make


@pytest.fixture(scope="session")
def noise() -> Callable[..., NDArray[np.float32]]:
    """Return a function: (channels, n) -> noise that is loud and quiet by turns, so that masks change."""

    def noise(num_channels: int, n: int, seed: int = 0) -> NDArray[np.float32]:
        audio = np.random.default_rng(seed).uniform(-0.5, 0.5, (num_channels, n))
        return (audio * (0.55 + 0.45 * np.sin(np.arange(n) / 300))).astype(np.float32)

    return noise


@pytest.fixture(scope="session")
def delayed() -> Callable[[NDArray[np.float32], int], NDArray[np.float32]]:
    """Return a function that delays audio by n samples and keeps its length."""

    def delayed(audio: NDArray[np.float32], n: int) -> NDArray[np.float32]:
        late = np.zeros_like(audio)
        late[..., n:] = audio[..., : max(0, audio.shape[-1] - n)]
        return late

    return delayed


class MidiDevice:
    """A MIDI controller on the network: a server of mido that can be unplugged."""

    def __init__(self) -> None:
        self._server = PortServer("localhost", 0)
        self._number = self._server._socket.getsockname()[1]
        self._port: SocketPort | None = None

    @property
    def name(self) -> str:
        """The address to connect to."""
        return f"localhost:{self._number}"

    @property
    def port(self) -> SocketPort:
        """Wait for a connection, and return it."""
        if self._port is None:
            self._server._socket.settimeout(30)
            self._port = self._server.accept()
        return self._port

    def send(self, *messages: mido.Message) -> None:
        """Move controls."""
        for message in messages:
            self.port.send(message)

    def receive(self) -> mido.Message:
        """Wait for the next message to a motor or light."""
        stop = time.monotonic() + 30
        while (message := self.port.poll()) is None:
            assert time.monotonic() < stop, "nothing came"
            time.sleep(0.001)
        return message

    def unplug(self) -> None:
        """Vanish."""
        self._server.close()
        if self._port is not None:
            self._port._socket.shutdown(socket.SHUT_RDWR)  # closing alone leaves it open while mido reads from it
            self._port.close()
        self._port = None

    def plug_in(self) -> None:
        """Return."""
        self._server = PortServer("localhost", self._number)


@pytest.fixture
def midi_device() -> Iterator[MidiDevice]:
    """Start a controller that accepts connections."""
    device = MidiDevice()
    yield device
    device.unplug()


@pytest.fixture(scope="session")
def interrupted() -> Callable[..., bool]:
    """Return a function: run another, and raise KeyboardInterrupt at its n-th bytecode (from 0) in the modules given.

    It returns whether the n-th bytecode was reached. Fails if the function has not ended after half a minute.
    """

    def interrupted(function: Callable[[], object], n: int, *modules: ModuleType) -> bool:
        files, left, raised = {module.__file__ for module in modules}, n, threading.Event()

        def trace(frame: FrameType, event: str, _: object) -> Any:
            nonlocal left
            if frame.f_code.co_filename not in files:
                return None
            frame.f_trace_opcodes = True
            if event == "opcode":
                left -= 1
                if left < 0 and not raised.is_set():
                    raised.set()
                    raise KeyboardInterrupt
            return trace

        def run() -> None:
            sys.settrace(trace)
            with suppress(KeyboardInterrupt):
                function()
            sys.settrace(None)  # else the end of this thread, with a lock of all threads held, would be interrupted

        thread = threading.Thread(target=run, daemon=True)
        gc.disable()  # else finalizers of other objects would be interrupted
        try:
            thread.start()
            thread.join(30)
        finally:
            gc.enable()
        assert not thread.is_alive(), f"hangs after an interrupt at bytecode {n}"
        return raised.is_set()

    return interrupted


# Two devices on ALSA's null device. The libasound in pedalboard's wheel needs no sound card and no other file.
DEVICES = """
pcm.recorder {{
    type file slave.pcm {{ type null }} format raw infile "{0}/microphone" file "{0}/recorded"
    hint {{ show on description "Recorder" }}
}}
pcm.player {{
    type file slave.pcm {{ type null }} format raw file "{0}/played"
    hint {{ show on description "Player" }}
}}
"""


@dataclass(frozen=True)
class Alsa:
    """ALSA's devices "Recorder" and "Player".

    Attributes:
        folder: Holds all float32 samples that the devices played and recorded, in files "played" and "recorded".
        settings: Environment of programs that use the devices.
        microphone: Where to write what the recorder hears, a pipe.
    """

    folder: Path
    settings: dict[str, str]
    microphone: int


@pytest.fixture
def alsa(tmp_path: Path) -> Iterator[Alsa]:
    (tmp_path / "asound.conf").write_text(DEVICES.format(tmp_path))
    os.mkfifo(tmp_path / "microphone")
    microphone = os.open(tmp_path / "microphone", os.O_RDWR | os.O_NONBLOCK)
    yield Alsa(tmp_path, {"ALSA_CONFIG_PATH": str(tmp_path / "asound.conf")}, microphone)
    os.close(microphone)


@pytest.fixture
def interrupt_replace(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int, Path], bool]], None]:
    """Make os.replace raise KeyboardInterrupt where a function of the call's number (from 0) and target is true."""

    def interrupt(here: Callable[[int, Path], bool]) -> None:
        replace, numbers = os.replace, itertools.count()

        def stopped(source: Path, target: Path) -> None:
            if here(next(numbers), Path(target)):
                raise KeyboardInterrupt
            replace(source, target)

        monkeypatch.setattr(os, "replace", stopped)

    return interrupt


@pytest.fixture
def new_children() -> Callable[[], set[psutil.Process]]:
    """Return a function that gives the child processes started since the test began; earlier ones may end meanwhile."""
    before = set(psutil.Process().children())
    return lambda: set(psutil.Process().children()) - before


@pytest.fixture
def kill() -> Callable[[psutil.Process], None]:
    """Return a function that kills a process; it is a zombie until the plugin reaps it."""

    def kill(process: psutil.Process) -> None:
        process.kill()
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.001)

    return kill
