"""Receive the messages of a MIDI port in a thread."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

from ..core.errors import ControlError, error_text
from ..core.log import report_safely, say
from .connections import CONNECT_TIMEOUT_S, Receive
from .ports import RETRY_INTERVAL_S, source_of

if TYPE_CHECKING:
    from mido import Message


class Listener:
    """Receives the messages of a port between `start` and `close`. A port that vanishes or fails is opened again.

    Args:
        port: Name of a port of this machine, or a part of it; "host:port" to connect to a server of mido.sockets;
            ":port" to be such a server; an open port of mido, or an object like it, which stays open; or None for this
            machine's first device.
        receive: Called with each message, in a thread of the port.
        connected: Called whenever a device connects.
        report: Called with a line when the port vanishes, fails or is back, and about the first error of each type from
            `receive`, `connected`, `disconnected` or `send`. These errors do not stop the listener.
        disconnected: Called whenever the device disconnects or the port is closed.
        sends: Whether `send` will be used.

    Raises:
        ControlError: The port does not exist or cannot be opened.
    """

    def __init__(
        self,
        port: Any,
        receive: Receive,
        connected: Callable[[], None] = lambda: None,
        report: Callable[[str], None] | None = None,
        *,
        disconnected: Callable[[], None] = lambda: None,
        sends: bool = False,
    ) -> None:
        self._receive, self._connected, self._disconnected = receive, connected, disconnected
        self._report = report or say
        self._closed = threading.Event()
        self._lost = False
        self._reported: set[str] = set()
        self._sending = threading.Lock()  # so that the port is not closed while a message is sent
        self._source = source_of(port, self._received, self._closed, sends)
        self._source.open()
        self._thread = threading.Thread(target=self._run, name=f"MIDI {self.name}", daemon=True)

    @property
    def name(self) -> str:
        """Full name of the port."""
        return self._source.name

    def start(self) -> None:
        """Start listening."""
        self._thread.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, message: "Message") -> None:
        """Send a message to the device. If no device is connected, the message is lost."""
        with self._sending, self._going_on("sending"), suppress(OSError, ValueError):
            self._source.send(message)  # ValueError: a mido port that was closed

    def close(self) -> None:
        """Stop listening."""
        self._closed.set()
        self._source.interrupt()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(CONNECT_TIMEOUT_S)

    def _run(self) -> None:
        while not self._closed.is_set():
            began = time.monotonic()
            event = "is gone; it will be opened again when it returns"
            try:
                self._source.listen(self._found)
            except OSError:  # the connection broke
                pass
            except Exception as error:  # a driver may raise anything
                event = f"failed ({error_text(error)}); it will be opened again"
            self._close_source()
            with self._going_on("disconnecting"):
                self._disconnected()
            if self._closed.is_set():
                return
            self._lost = True
            self._report_event(event)
            # Wait, so that a port that fails at once is not retried in a tight loop.
            self._closed.wait(began + RETRY_INTERVAL_S - time.monotonic())
            while not self._reopened():
                if self._closed.wait(RETRY_INTERVAL_S):
                    return
        self._close_source()

    def _close_source(self) -> None:
        with self._sending, self._going_on("closing"):
            self._source.close()

    def _received(self, message: "Message") -> None:
        with self._going_on("receiving"):
            self._receive(message)

    def _found(self) -> None:
        if self._lost:
            self._lost = False
            self._report_event("is back")
        with self._going_on("connecting"):
            self._connected()

    @contextmanager
    def _going_on(self, doing: str) -> Iterator[None]:
        """Report an error in the block, once for each type, so that a flood of messages is not a flood of lines."""
        try:
            yield
        except Exception as error:
            kind = f"{doing} {type(error).__name__}"
            if kind not in self._reported:
                self._reported.add(kind)
                self._report_event(f"goes on after an error while {doing} ({error_text(error)})")

    def _report_event(self, event: str) -> None:
        report_safely(self._report, f"MIDI port {self.name} {event}")

    def _reopened(self) -> bool:
        """Try to open the port; return whether it is open."""
        opened = False
        with self._going_on("opening"), suppress(ControlError):  # it is not there yet
            self._source.open()
            opened = True
        return opened
