"""MIDI over a network: the bytes of the messages in a connection, as mido.sockets sends them."""

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

CONNECT = 2.0  # seconds in which a connection must stand
RESET = b"\xff"  # system reset; it may come in the middle of another message
PIECE = 96  # bytes read at a time, so that a flood lets go of the interpreter often, and audio goes on
# A machine that vanished without a word is missed after about ten seconds.
KEEPALIVE = {"TCP_KEEPIDLE": 4, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 10_000}


class Client:
    """A connection to a server; a source of messages as ports.py has them."""

    def __init__(self, host: str, number: int, receive: Receive) -> None:
        self._address, self._receive = (host, number), receive
        self.name = f"{host}:{number}"
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Connect. Raises ControlError if nobody answers."""
        try:
            self._socket = socket.create_connection(self._address, CONNECT)
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or error
            raise ControlError(f"MIDI port {self.name}: {why}; is its server running?") from error

    def listen(self, found: Callable[[], None]) -> None:
        """Call `found`, and `receive` for each message, until the other end is gone."""
        connection = self._socket
        assert connection is not None
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE.items():
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        found()
        parser = Parser()
        try:
            while data := connection.recv(PIECE):
                for k, piece in enumerate(data.split(RESET)):
                    if k:
                        self._receive(_decoded(*RESET))
                    for message in parser.feed(piece):
                        self._receive(message)
        finally:
            _shut(connection)  # for whoever waits to send

    def send(self, message: "Message") -> None:
        """Send a message to the other end, if it is there."""
        if self._socket is not None:
            self._socket.sendall(message.bin())

    def interrupt(self) -> None:
        """End `listen`, and `send`."""
        _shut(self._socket)

    def close(self) -> None:
        """Give the connection up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Server(Client):
    """A server that takes one connection at a time, as mido-connect makes them."""

    def __init__(self, number: int, receive: Receive, closed: threading.Event) -> None:
        super().__init__("", number, receive)
        self._door: socket.socket | None = None
        self._closed = closed

    def open(self) -> None:
        """Let others connect, from now on until all is closed. Raises ControlError if the port is taken."""
        if self._door is not None:
            return
        try:
            self._door = socket.create_server(self._address, backlog=1)
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else error
            raise ControlError(f"MIDI port {self.name}: {why}; choose another port") from error

    def listen(self, found: Callable[[], None]) -> None:
        """Wait for a connection, and listen to it."""
        assert self._door is not None
        self._socket, _ = self._door.accept()
        if not self._closed.is_set():
            super().listen(found)

    def interrupt(self) -> None:
        """End `listen`, and `send`."""
        _shut(self._door)
        super().interrupt()

    def close(self) -> None:
        """Give the connection up, and at the end the port."""
        super().close()
        if self._closed.is_set() and self._door is not None:
            self._door.close()


def _shut(connection: socket.socket | None) -> None:
    """Wake whoever waits for a socket."""
    if connection is not None:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


class Parser:
    """The channel messages in a stream of MIDI's bytes; what lies between them is passed over.

    mido has a parser too, but one whose memory a message without end fills, which a clock's tick in a message stops,
    and which expects each message's first byte even where it may be left out.
    """

    def __init__(self) -> None:
        self._status = 0
        self._data: list[int] = []

    def feed(self, data: bytes) -> "list[Message]":
        """The messages that these bytes complete."""
        messages = []
        for byte in data:
            if byte >= 0xF8:  # real time, which comes at any moment
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
