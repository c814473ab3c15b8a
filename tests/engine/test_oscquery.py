"""OSCQuery as a program on the network finds and reads it."""

from __future__ import annotations

import importlib.util
import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from bailando.engine.control import CONTROLS
from bailando.engine.oscquery import OscQueryServer, address_tree
from bailando.engine.sinks import Destination, OscSink
from bailando.errors import OutputError
from tests.engine.udp_receiver import decode

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("zeroconf") is None, reason="zeroconf is not installed"
)


def free_tcp_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def port() -> Iterator[int]:
    number = free_tcp_port()
    server = OscQueryServer(Destination("127.0.0.1", number), 9010)
    server.start()
    yield number
    server.close()
    server.close()


def get(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return json.loads(answer.read() or "null")


def leaves(node: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = {node["FULL_PATH"]: node} if "TYPE" in node else {}
    for child in node.get("CONTENTS", {}).values():
        found |= leaves(child)
    return found


def test_tree_holds_exactly_what_is_sent_with_its_types() -> None:
    sent = [m for packet in OscSink(Destination("127.0.0.1", 9)).packets for m in decode(packet.data)]
    tree = leaves(address_tree(controls=False))
    assert set(tree) == {message.address for message in sent}
    tags = {int: "i", float: "f"}
    for message in sent:
        assert tree[message.address]["TYPE"] == "".join(tags[type(value)] for value in message.params)
        assert tree[message.address]["ACCESS"] == 1


def test_controls_are_writable_and_all_there() -> None:
    tree = leaves(address_tree(controls=True))
    writable = {path.rpartition("/")[2] for path, node in tree.items() if node["ACCESS"] == 2}
    assert writable == set(CONTROLS)
    for name in ("energy", "groove"):
        assert tree[f"/bailando/control/{name}"]["RANGE"] == [{"MIN": 0.0, "MAX": 2.0}]


def test_nodes_attributes_and_host_are_served(port: int) -> None:
    assert get(port, "/?HOST_INFO")["OSC_PORT"] == 9010
    assert get(port, "/bailando/joint/left_wrist")["CONTENTS"]["pos"]["TYPE"] == "fff"
    assert get(port, "/bailando/beat?TYPE") == {"TYPE": "i"}
    assert get(port, "/bailando/beat?VALUE") is None
    with pytest.raises(urllib.error.HTTPError, match="404") as caught:
        get(port, "/bailando/nothing")
    caught.value.close()


def test_browser_of_the_network_finds_both_services(port: int) -> None:
    import zeroconf

    found: dict[str, int | None] = {}
    both = threading.Event()

    class Listener(zeroconf.ServiceListener):
        def add_service(self, zc: zeroconf.Zeroconf, type_: str, name: str) -> None:
            service = zc.get_service_info(type_, name)
            if service is not None and service.port in (port, 9010):
                found[type_] = service.port
            if len(found) == 2:
                both.set()

        def update_service(self, *_: object) -> None: ...

        def remove_service(self, *_: object) -> None: ...

    browser = zeroconf.Zeroconf(interfaces=["127.0.0.1"])
    zeroconf.ServiceBrowser(browser, ["_oscjson._tcp.local.", "_osc._udp.local."], Listener())
    seen = both.wait(10)
    browser.close()
    assert seen
    assert found == {"_oscjson._tcp.local.": port, "_osc._udp.local.": 9010}


def test_taken_port_is_one_line() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = Destination("127.0.0.1", holder.getsockname()[1])
        with pytest.raises(OutputError, match="choose another --oscquery PORT"):
            OscQueryServer(taken)
