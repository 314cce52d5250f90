"""MIDI ports: those of this machine, those over a network, and objects that look like mido's."""

import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from ..core.errors import ControlError
from ..core.extras import install_extra
from .connections import Client, Receive, Server

if TYPE_CHECKING:
    from mido import Message

RETRY = 1.0  # seconds between two looks for a port
POLL = 0.001  # seconds between two looks for a message, where a port can only be polled
SEQUENCER = "/dev/snd/seq"  # of ALSA; without it ALSA writes a line of its own to stderr
THROUGH = "Midi Through"  # ALSA's own, which no device is behind


def port_names() -> tuple[list[str], list[str]]:
    """The MIDI inputs and the outputs of this machine. Raises ControlError if it has no MIDI."""
    import mido

    _check_system()
    try:
        return mido.get_input_names(), mido.get_output_names()
    except Exception as error:  # a backend of mido raises what it likes
        raise ControlError(f"the MIDI ports of this machine cannot be listed: {error}") from error


class Source(Protocol):
    """Where messages come from. One thread calls all of this, except send, interrupt and the first open."""

    name: str

    def open(self) -> None:
        """Be ready to listen. Raises ControlError if the port is not there."""

    def listen(self, found: Callable[[], None]) -> None:
        """Call `found` once a device is there, and `receive` for each message. Return, or raise, when it is gone."""

    def send(self, message: "Message") -> None: ...
    def interrupt(self) -> None:
        """End `listen`, where the event that says so is not looked at."""

    def close(self) -> None: ...


def source_of(port: Any, receive: Receive, closed: threading.Event, sends: bool) -> Source:
    if port is not None and not isinstance(port, str):
        usable = hasattr(port, "callback") or hasattr(port, "poll") or hasattr(port, "__iter__")
        if not usable or isinstance(port, bytes | list | tuple | set | dict):  # these yield, but no messages
            raise ControlError(f"{port!r} is no MIDI port; give a name, host:port, or an open port of mido")
        return _Object(port, receive, closed)
    address = re.fullmatch(r"(?P<host>[^\s:/]*|\[[^\s/]+\]):(?P<port>\d+)", port or "")
    if address is None:
        return _Device(port, receive, closed, sends)
    host, number = address["host"].strip("[]"), int(address["port"])
    if not 0 < number < 1 << 16:
        raise ControlError(f"{port}: {number} is no port of a network; give 1 to 65535")
    return Client(host, number, receive) if host else Server(number, receive, closed)


class _Device:
    """A port of this machine, through mido's backend, which is python-rtmidi if MIDO_BACKEND does not say another."""

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
            there = f"there are {', '.join(inputs)}" if inputs else "there is none; plug one in, or give host:port"
            raise ControlError(f"no MIDI port {self._wanted!r}: {there}" if self._wanted else f"no MIDI port: {there}")
        self.name = found
        try:
            self._input = mido.open_input(found, callback=self._receive)
            also = [self._wanted] if self._wanted else []  # the two may share no more than what was asked for
            back = next((b for name in (found, *also) for b in _matching(name, outputs)), None) if self._sends else None
            self._output = back and mido.open_output(back)
        except Exception as error:  # a backend of mido raises what it likes
            self.close()
            raise ControlError(f"MIDI port {found} cannot be opened: {error}") from error
        self._wanted = self._wanted or found

    def listen(self, found: Callable[[], None]) -> None:
        import mido

        found()
        # mido lists ports through a new client of the system each time; RtMidi's own port can list them as it is.
        port = getattr(self._input, "_rt", None)
        while not self._closed.wait(RETRY):
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
    """The names that may be meant, the best first."""
    if wanted is None:
        yield from (name for name in names if THROUGH not in name)
        return
    yield from (name for name in names if name == wanted)
    # What is plugged in again may have other numbers, by which ALSA ends a name: "nanoKONTROL2 MIDI 1 24:0".
    yield from (name for name in names if _without_numbers(name) == _without_numbers(wanted))
    yield from (name for name in names if _without_numbers(wanted).lower() in name.lower())


def _without_numbers(name: str) -> str:
    return re.sub(r" \d+:\d+$", "", name)


def _check_system() -> None:
    """Raise ControlError where mido's default backend cannot work, and say why better than it would."""
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
    if alsa and sys.platform == "linux" and not os.access(SEQUENCER, os.R_OK | os.W_OK):
        why = (
            "is not for you to use: join the group audio" if os.path.exists(SEQUENCER) else "is not there: load snd-seq"
        )
        raise ControlError(
            f"MIDI ports of this machine need ALSA's sequencer, and {SEQUENCER} {why}; or give host:port"
        )


class _Object:
    """A port that somebody else has opened, and will close."""

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
            while not self._closed.wait(RETRY) and not self._gone():
                pass
        elif hasattr(self._port, "poll"):
            while not self._closed.is_set() and not self._gone():
                while (message := self._port.poll()) is not None and not self._closed.is_set():
                    self._receive(message)
                self._closed.wait(POLL)
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
