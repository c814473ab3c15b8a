"""Destinations as users write them."""

from __future__ import annotations

import socket
import sys

import pytest

from bailando.engine.sinks.destination import Destination
from bailando.errors import OutputError


@pytest.mark.parametrize(
    ("text", "default_port", "expected"),
    [
        ("127.0.0.1:39539", None, ("127.0.0.1", 39539)),
        ("stage-left.local:9000", None, ("stage-left.local", 9000)),
        ("[::1]:9000", None, ("::1", 9000)),
        ("10.0.0.7", 39539, ("10.0.0.7", 39539)),
        ("::1", 39539, ("::1", 39539)),
        ("[fe80::1]", 39539, ("fe80::1", 39539)),
        ("host:1", 39539, ("host", 1)),
    ],
)
def test_reads(text: str, default_port: int | None, expected: tuple[str, int]) -> None:
    destination = Destination.parse(text, default_port)
    assert (destination.host, destination.port) == expected


@pytest.mark.parametrize(
    "text", ["", "host", "host:", ":9000", "host:port", "host:-1", "host:0", "host:65536"]
)
def test_refuses_with_one_line(text: str) -> None:
    with pytest.raises(OutputError) as caught:
        Destination.parse(text)
    assert "\n" not in str(caught.value)


def test_unknown_host_is_one_line() -> None:
    with pytest.raises(OutputError, match=r"cannot find host 'no-such-host\.invalid'.*check the name"):
        Destination("no-such-host.invalid", 9000).resolve()


def test_impossible_host_name_is_one_line() -> None:
    with pytest.raises(OutputError, match="cannot find host"):
        Destination("a" * 70 + ".invalid", 9000).resolve()


def test_localhost_resolves_to_ipv4_loopback() -> None:
    endpoint = Destination("localhost", 9000).resolve()
    assert (endpoint.family, endpoint.address, endpoint.is_loopback) == (socket.AF_INET, "127.0.0.1", True)


def test_network_address_is_not_loopback() -> None:
    assert not Destination("192.0.2.1", 9000).resolve().is_loopback


def test_written_form_reads_back() -> None:
    for text in ("127.0.0.1:9000", "[::1]:9000"):
        assert str(Destination.parse(text)) == text


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="other systems have no broadcast on loopback"
)
def test_broadcast_addresses_reach_whoever_listens() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("0.0.0.0", 0))
        listener.settimeout(5.0)
        with Destination("127.255.255.255", listener.getsockname()[1]).resolve().connect() as sender:
            sender.send(b"to all")
        assert listener.recv(100) == b"to all"


def test_multicast_addresses_reach_the_group() -> None:
    group = "239.255.77.1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("0.0.0.0", 0))
        listener.settimeout(5.0)
        member = socket.inet_aton(group) + socket.inet_aton("0.0.0.0")
        try:
            listener.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        except OSError:
            pytest.skip("this machine has no network with multicast")
        with Destination(group, listener.getsockname()[1]).resolve().connect() as sender:
            sender.send(b"to the group")
        assert listener.recv(100) == b"to the group"
