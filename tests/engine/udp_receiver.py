"""A UDP receiver that reads the project's packets with python-osc."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from pythonosc.osc_packet import OscPacket


class Message(NamedTuple):
    address: str
    params: list[object]


class Receiver:
    """Listens on a free port of this machine."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(2.0)
        self.port: int = self._socket.getsockname()[1]

    def datagram(self) -> bytes:
        return self._socket.recv(65536)

    def waiting(self) -> list[bytes]:
        """All datagrams that are here by now."""
        found = []
        self._socket.setblocking(False)
        try:
            while True:
                found.append(self._socket.recv(65536))
        except BlockingIOError:
            return found
        finally:
            self._socket.settimeout(2.0)

    def close(self) -> None:
        self._socket.close()


@contextmanager
def receiver() -> Iterator[Receiver]:
    opened = Receiver()
    try:
        yield opened
    finally:
        opened.close()


def decode(datagram: bytes) -> list[Message]:
    """The messages of a datagram as python-osc reads them, in order."""
    return [Message(m.message.address, list(m.message.params)) for m in OscPacket(datagram).messages]
