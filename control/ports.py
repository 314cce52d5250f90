"""MIDI ports: those of this machine, those over a network, and objects that look like mido's."""

import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from ..core.errors import ControlError
from ..core.extras import install_extra
from ..core.suggest import did_you_mean
from .connections import Client, Receive, Server

if TYPE_CHECKING:
    from mido import Message

RETRY_INTERVAL_S = 1.0  # time between two attempts to open a port, and between two checks that it is still there
POLL_INTERVAL_S = 0.001  # time between two checks for messages, if a port can only be polled
ALSA_SEQUENCER = "/dev/snd/seq"  # if it cannot be opened, ALSA itself would write to stderr
ALSA_THROUGH = "Midi Through"  # a port of ALSA without a device


def port_names() -> tuple[list[str], list[str]]:
    """Return the names of the MIDI inputs and outputs of this machine.

    Raises:
        ControlError: The ports cannot be listed.
    """
    import mido

    _check_system()
    try:
        return mido.get_input_names(), mido.get_output_names()
    except Exception as error:  # mido's backends raise errors of any type
        raise ControlError(f"the MIDI ports of this machine cannot be listed: {error}") from error


class Source(Protocol):
    """A source of messages. All methods are called in one thread, except `send`, `interrupt` and the first `open`."""

    name: str

    def open(self) -> None:
        """Prepare to listen. Raises ControlError if the port does not exist or cannot be opened."""

    def listen(self, found: Callable[[], None]) -> None:
        """Receive messages until the device is gone, which may also raise an error.

        Args:
            found: Called as soon as a device is connected.
        """

    def send(self, message: "Message") -> None:
        """Send a message to the device, if one is connected."""

    def interrupt(self) -> None:
        """End a `listen` that does not check the event `closed` itself."""

    def close(self) -> None:
        """Close the port; `open` may follow."""


def source_of(port: Any, receive: Receive, closed: threading.Event, sends: bool) -> Source:
    """Return the source of messages that a port stands for.

    Args:
        port: As for Listener.
        receive: Called with each message.
        closed: Set when listening is to end.
        sends: Whether `Source.send` will be used.

    Raises:
        ControlError: `port` cannot be a MIDI port.
    """
    if port is not None and not isinstance(port, str):
        usable = hasattr(port, "callback") or hasattr(port, "poll") or hasattr(port, "__iter__")
        if not usable or isinstance(port, bytes | list | tuple | set | dict):  # these yield, but no messages
            raise ControlError(f"{port!r} is not a MIDI port; give a name, host:port, or an open port of mido")
        return _Object(port, receive, closed)
    address = re.fullmatch(r"(?P<host>[^\s:/]*|\[[^\s/]+\]):(?P<port>\d+)", port or "")
    if address is None:
        return _Device(port, receive, closed, sends)
    host, number = address["host"].strip("[]"), int(address["port"])
    if not 0 < number < 1 << 16:
        raise ControlError(f"{port}: {number} is not a network port; give 1 to 65535")
    return Client(host, number, receive) if host else Server(number, receive, closed)


class _Device:
    """A port of this machine, through mido's backend: python-rtmidi, unless MIDO_BACKEND names another."""

    def __init__(self, name: str | None, receive: Receive, closed: threading.Event, sends: bool) -> None:
        self._wanted, self._receive, self._closed, self._sends = name, receive, closed, sends
        self.name = name or ""
        self._input: Any = None
        self._output: Any = None

    def open(self) -> None:
        import mido

        inputs, outputs = port_names()
        found = next(_matching(self._wanted, inputs), None)
        if found is None:
            meant = did_you_mean(self._wanted, inputs) if self._wanted else ""
            wanted = f"no MIDI port {self._wanted!r}{meant}" if self._wanted else "no MIDI device"
            there = f"the ports are {', '.join(inputs)}" if inputs else "this machine has no MIDI ports"
            raise ControlError(f"{wanted}: {there}; plug a device in, or give host:port")
        self.name = found
        try:
            self._input = mido.open_input(found, callback=self._receive)
            # Input and output may have nothing in common but the part of the name that the user gave.
            names = [found, self._wanted] if self._wanted else [found]
            back = next((b for name in names for b in _matching(name, outputs)), None) if self._sends else None
            self._output = back and mido.open_output(back)
        except Exception as error:  # mido's backends raise errors of any type
            self.close()
            raise ControlError(f"MIDI port {found} cannot be opened: {error}") from error
        self._wanted = self._wanted or found

    def listen(self, found: Callable[[], None]) -> None:
        import mido

        found()
        # mido would open a new client of the system for each list; RtMidi's port can list the ports itself.
        port = getattr(self._input, "_rt", None)
        while not self._closed.wait(RETRY_INTERVAL_S):
            if self.name not in (port.get_ports() if port else mido.get_input_names()):
                return

    def send(self, message: "Message") -> None:
        if self._output is not None:
            self._output.send(message)

    def interrupt(self) -> None:
        pass

    def close(self) -> None:
        for port in self._input, self._output:
            if port is not None:
                port.close()
        self._input = self._output = None


def _matching(wanted: str | None, names: list[str]) -> Iterator[str]:
    """Yield the names that match, the best match first."""
    if wanted is None:
        yield from (name for name in names if ALSA_THROUGH not in name)
        return
    yield from (name for name in names if name == wanted)
    # ALSA ends names with numbers, "nanoKONTROL2 MIDI 1 24:0", which may change when a device is plugged in again.
    yield from (name for name in names if _without_numbers(name) == _without_numbers(wanted))
    yield from (name for name in names if _without_numbers(wanted).lower() in name.lower())


def _without_numbers(name: str) -> str:
    return re.sub(r" \d+:\d+$", "", name)


def _check_system() -> None:
    """Raise ControlError if mido's default backend cannot work, with a clearer reason than its own."""
    import mido

    try:
        mido.backend.load()
    except ImportError as error:
        if chosen := os.environ.get("MIDO_BACKEND"):
            raise ControlError(
                f"MIDO_BACKEND={chosen} cannot be loaded ({error}); correct it, or leave it out"
            ) from error
        raise ControlError(
            f"MIDI ports need python-rtmidi ({error}): {install_extra('midi')}, or give host:port"
        ) from error
    alsa = mido.backend.name == "mido.backends.rtmidi" and mido.backend.api in (None, "LINUX_ALSA")
    if alsa and sys.platform == "linux" and not os.access(ALSA_SEQUENCER, os.R_OK | os.W_OK):
        exists = os.path.exists(ALSA_SEQUENCER)
        why = "may not be opened by you: join the group audio" if exists else "does not exist: load snd-seq"
        raise ControlError(
            f"MIDI ports of this machine need ALSA's sequencer, but {ALSA_SEQUENCER} {why}, or give host:port"
        )


class _Object:
    """A port that the caller has opened and will close."""

    def __init__(self, port: Any, receive: Receive, closed: threading.Event) -> None:
        self._port, self._receive, self._closed = port, receive, closed
        self._ended = False
        self.name = str(getattr(port, "name", None) or type(port).__name__)

    def open(self) -> None:
        if self._gone():
            raise ControlError(f"MIDI port {self.name} is closed; give an open one")

    def listen(self, found: Callable[[], None]) -> None:
        found()
        if hasattr(self._port, "callback"):
            self._port.callback = self._receive
            while not self._closed.wait(RETRY_INTERVAL_S) and not self._gone():
                pass
        elif hasattr(self._port, "poll"):
            while not self._closed.is_set() and not self._gone():
                while (message := self._port.poll()) is not None and not self._closed.is_set():
                    self._receive(message)
                self._closed.wait(POLL_INTERVAL_S)
        else:
            for message in self._port:
                if self._closed.is_set():
                    return
                self._receive(message)
            self._ended = True

    def _gone(self) -> bool:
        return self._ended or bool(getattr(self._port, "closed", False))

    def send(self, message: "Message") -> None:
        if getattr(self._port, "is_output", hasattr(self._port, "send")):
            self._port.send(message)

    def interrupt(self) -> None:
        pass

    def close(self) -> None:
        if hasattr(self._port, "callback") and not self._gone():
            self._port.callback = None
