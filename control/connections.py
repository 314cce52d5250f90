"""MIDI over a network: the bytes of messages in a TCP connection, as mido.sockets sends them."""

import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

from ..core.errors import ControlError

if TYPE_CHECKING:
    from mido import Message

Receive = Callable[["Message"], None]

CONNECT_TIMEOUT_S = 2.0
SYSTEM_RESET = b"\xff"  # it may come in the middle of another message
RECEIVE_BYTES = 96  # read at a time; few, so that a flood of messages gives audio threads a chance to run
# With these options, a machine that vanishes without closing the connection is noticed after about ten seconds.
KEEPALIVE_OPTIONS = {"TCP_KEEPIDLE": 4, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 10_000}


class Client:
    """A connection to a server, as a `Source` of ports.py.

    Args:
        host: Name or address of the server.
        number: Its port.
        receive: Called with each message.
    """

    def __init__(self, host: str, number: int, receive: Receive) -> None:
        self._address, self._receive = (host, number), receive
        self.name = f"{host}:{number}"
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Connect.

        Raises:
            ControlError: The server does not answer.
        """
        try:
            self._socket = socket.create_connection(self._address, CONNECT_TIMEOUT_S)
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or error
            raise ControlError(f"MIDI port {self.name}: {why}; is its server running?") from error

    def listen(self, found: Callable[[], None]) -> None:
        """Receive messages until the other end closes the connection.

        Args:
            found: Called at the beginning.
        """
        connection = self._socket
        assert connection is not None
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE_OPTIONS.items():
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        found()
        parser = Parser()
        try:
            while data := connection.recv(RECEIVE_BYTES):
                for k, piece in enumerate(data.split(SYSTEM_RESET)):
                    if k:
                        self._receive(_decoded(*SYSTEM_RESET))
                    for message in parser.feed(piece):
                        self._receive(message)
        finally:
            _shut(connection)  # wakes a thread that waits in `send`

    def send(self, message: "Message") -> None:
        """Send a message to the other end, if it is connected."""
        if self._socket is not None:
            self._socket.sendall(message.bin())

    def interrupt(self) -> None:
        """Make `listen` and `send` return in other threads."""
        _shut(self._socket)

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Server(Client):
    """A server that accepts one connection at a time, such as one from mido-connect.

    Args:
        number: Port of the server.
        receive: Called with each message.
        closed: Set when the server is to stop.
    """

    def __init__(self, number: int, receive: Receive, closed: threading.Event) -> None:
        super().__init__("", number, receive)
        self._door: socket.socket | None = None
        self._closed = closed

    def open(self) -> None:
        """Start to accept connections, until `close` is called with the event `closed` set.

        Raises:
            ControlError: The port cannot be opened, for example because another program uses it.
        """
        if self._door is not None:
            return
        try:
            self._door = socket.create_server(self._address, backlog=1)
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else error
            raise ControlError(f"MIDI port {self.name}: {why}; choose another port") from error

    def listen(self, found: Callable[[], None]) -> None:
        """Wait for a connection, and receive messages until the other end closes it.

        Args:
            found: Called as soon as there is a connection.
        """
        assert self._door is not None
        self._socket, _ = self._door.accept()
        if not self._closed.is_set():
            super().listen(found)

    def interrupt(self) -> None:
        """Make `listen` and `send` return in other threads."""
        _shut(self._door)
        super().interrupt()

    def close(self) -> None:
        """Close the connection, and the server too if the event `closed` is set."""
        super().close()
        if self._closed.is_set() and self._door is not None:
            self._door.close()


def _shut(connection: socket.socket | None) -> None:
    """Wake all threads that wait for a socket."""
    if connection is not None:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


class Parser:
    """Finds the channel messages in a stream of MIDI bytes, and skips everything else.

    mido's parser is not used, because a message without an end fills its memory, a clock tick inside a message stops
    it, and it does not know running status, which leaves out repeated status bytes.
    """

    def __init__(self) -> None:
        self._status = 0
        self._data: list[int] = []

    def feed(self, data: bytes) -> "list[Message]":
        """Return the messages that these bytes complete."""
        messages = []
        for byte in data:
            if byte >= 0xF8:  # a real-time message, which may come inside another message
                continue
            if byte >= 0x80:
                self._status = byte if byte < 0xF0 else 0
                self._data = []
            elif self._status:
                self._data.append(byte)
                if len(self._data) == (1 if self._status >> 4 in (0xC, 0xD) else 2):
                    messages.append(_decoded(self._status, *self._data))
                    self._data = []
        return messages


@lru_cache(1024)
def _decoded(*data: int) -> "Message":
    """Return a message. It is cached, because messages repeat and creating one is the slowest step."""
    from mido import Message

    return Message.from_bytes(data)
