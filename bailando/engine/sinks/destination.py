"""Where datagrams go: HOST:PORT as users write it, and as the network knows it."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass

from bailando.errors import OutputError


@dataclass(frozen=True)
class Destination:
    """A host name or address, and a UDP port.

    Raises
    ------
    OutputError
        If the port lies outside 1 to 65535 or the host is empty.
    """

    host: str
    port: int

    def __post_init__(self) -> None:
        if not self.host:
            raise OutputError(
                "the host of a destination is empty; write HOST:PORT, for example 127.0.0.1:9000"
            )
        if not 1 <= self.port <= 65535:
            raise OutputError(f"port {self.port} is out of range; choose one from 1 to 65535")

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str, default_port: int | None = None) -> Destination:
        """Read HOST:PORT, [IPV6]:PORT or, with a default port, HOST alone.

        Raises
        ------
        OutputError
            If the text is none of these or the port is out of range.
        """
        host, colon, port = text.strip().rpartition(":")
        bare_ipv6 = ":" in host and not host.startswith("[")
        if not colon or bare_ipv6 or text.endswith("]"):
            host, port = text.strip(), "" if default_port is None else str(default_port)
        if not port.isascii() or not port.isdigit():
            raise OutputError(f"'{text}' is no destination; write HOST:PORT, for example 127.0.0.1:9000")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))

    def resolve(self) -> Endpoint:
        """Look the host up.

        Raises
        ------
        OutputError
            If no such host is known.
        """
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a host name"
            raise OutputError(f"cannot find host '{self.host}' ({reason}); check the name") from None
        # IPv4 first: receivers of VMC and OSC commonly listen on it alone, also for 'localhost'.
        family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
        return Endpoint(family, str(address[0]), self.port)


@dataclass(frozen=True)
class Endpoint:
    """A numeric address that a socket can be connected to."""

    family: socket.AddressFamily
    address: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether datagrams stay on this machine, where one bundle of any size arrives whole."""
        return ipaddress.ip_address(self.address.partition("%")[0]).is_loopback

    def connect(self) -> socket.socket:
        """Open a non-blocking UDP socket towards this endpoint.

        Raises
        ------
        OutputError
            If the system has no route to it.
        """
        try:
            opened = socket.socket(self.family, socket.SOCK_DGRAM)
        except OSError as error:
            raise OutputError(f"cannot open a UDP socket ({error.strerror})") from None
        try:
            opened.setblocking(False)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            opened.connect((self.address, self.port))
        except OSError as error:
            opened.close()
            raise OutputError(
                f"cannot send to {self.address}:{self.port} ({error.strerror}); check address and network"
            ) from None
        return opened
