"""OSCQuery: tells programs on the network which OSC addresses there are (Vidvox' OSCQueryProposal).

A tree of addresses as JSON over HTTP, found through multicast DNS (package zeroconf). The packages that
do both, such as python-oscquery, listen on every interface, which we never do unasked.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from bailando.engine.control import CONTROLS, MAX_DELAY_MS, MAX_TEMPERATURE, MIN_DELAY_MS
from bailando.engine.energy import MAX_ENERGY
from bailando.engine.groove import MAX_GROOVE
from bailando.engine.sinks.channels import MUSIC_CHANNELS
from bailando.engine.sinks.destination import Destination
from bailando.engine.sinks.osc import NAMESPACE
from bailando.errors import ConfigError, OutputError
from bailando.motion.skeleton import JOINT_NAMES

NAME = "bailando"
READ, WRITE = 1, 2
_NUMBERS_OF_POSE = 7 * len(JOINT_NAMES)
_RANGES = {
    "energy": (0.0, MAX_ENERGY),
    "groove": (0.0, MAX_GROOVE),
    "temperature": (0.0, MAX_TEMPERATURE),
    "delay": (MIN_DELAY_MS, MAX_DELAY_MS),
    "tempo": (0.0, 240.0),
}
_TAGS = {"style": "s", "seed": "i", **dict.fromkeys(_RANGES, "f")}
_BUTTON = "i"

Node = dict[str, Any]


def address_tree(controls: bool) -> Node:
    """Return the root of the tree of addresses.

    Parameters
    ----------
    controls : bool
        Whether the addresses that change the dance are there; what is sent is there in any case.
    """
    root: Node = {"FULL_PATH": "/", "ACCESS": 0, "CONTENTS": {}}
    for address, tags in _sent().items():
        _add(root, address, {"TYPE": tags, "ACCESS": READ})
    for name in CONTROLS if controls else ():
        node: Node = {"TYPE": _TAGS.get(name, _BUTTON), "ACCESS": WRITE}
        if name in _RANGES:
            lowest, highest = _RANGES[name]
            node["RANGE"] = [{"MIN": lowest, "MAX": highest}]
        _add(root, f"{NAMESPACE}/control/{name}", node)
    return root


def _sent() -> dict[str, str]:
    """Return the type tags of every address that plain OSC carries."""
    addresses = {f"{NAMESPACE}/frame": "i", f"{NAMESPACE}/time": "f"}
    for place in ("root", *(f"joint/{name}" for name in JOINT_NAMES)):
        addresses |= {f"{NAMESPACE}/{place}/pos": "fff", f"{NAMESPACE}/{place}/rot": "ffff"}
    addresses[f"{NAMESPACE}/pose"] = "if" + _NUMBERS_OF_POSE * "f"
    return addresses | {f"{NAMESPACE}/{name}": "i" if name == "beat" else "f" for name in MUSIC_CHANNELS}


def _add(root: Node, address: str, attributes: Mapping[str, Any]) -> None:
    node, path = root, ""
    for part in address.strip("/").split("/"):
        path += f"/{part}"
        node = node.setdefault("CONTENTS", {}).setdefault(part, {"FULL_PATH": path, "ACCESS": 0})
    node.update(attributes)


class OscQueryServer:
    """Serves the tree and makes itself known on the network.

    Parameters
    ----------
    address : Destination
        Where to listen for HTTP, TCP.
    control_port : int, optional
        UDP port on which controls are taken; None if they are not.

    Raises
    ------
    ConfigError
        If the package zeroconf is missing.
    OutputError
        If the port is taken.
    """

    def __init__(self, address: Destination, control_port: int | None = None) -> None:
        try:
            import zeroconf
        except ImportError:
            raise ConfigError("--oscquery needs zeroconf; run: pip install 'bailando[oscquery]'") from None
        host = address.resolve().address
        tree, info = address_tree(control_port is not None), _host_info(host, control_port)
        handler = type("Handler", (_Handler,), {"tree": tree, "host_info": info})
        try:
            self._server = ThreadingHTTPServer((host, address.port), handler)
        except OSError as error:
            raise OutputError(
                f"cannot serve OSCQuery on {address} ({error.strerror}); choose another --oscquery PORT"
            ) from None
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="bailando-oscquery", daemon=True
        )
        everywhere = host in ("0.0.0.0", "::")
        self._zeroconf = zeroconf.Zeroconf(interfaces=zeroconf.InterfaceChoice.All if everywhere else [host])
        addresses = None if everywhere else [host]
        services = [("_oscjson._tcp.local.", address.port)]
        if control_port is not None:
            services.append(("_osc._udp.local.", control_port))
        self._services = [
            zeroconf.ServiceInfo(
                kind, f"{NAME}.{kind}", port, parsed_addresses=addresses, server=f"{NAME}.local."
            )
            for kind, port in services
        ]

    def start(self) -> None:
        """Begin to answer and to be found."""
        self._thread.start()
        for service in self._services:
            self._zeroconf.register_service(service, allow_name_change=True)

    def close(self) -> None:
        """Take leave of the network and stop; closing twice is harmless."""
        if self._thread.is_alive():
            self._zeroconf.unregister_all_services()
            self._server.shutdown()
            self._thread.join(timeout=2.0)
        self._zeroconf.close()
        self._server.server_close()


def _host_info(host: str, control_port: int | None) -> Node:
    info: Node = {
        "NAME": NAME,
        "EXTENSIONS": {"ACCESS": True, "RANGE": True, "VALUE": False, "LISTEN": False},
    }
    if control_port is not None:
        info |= {"OSC_IP": host, "OSC_PORT": control_port, "OSC_TRANSPORT": "UDP"}
    return info


class _Handler(BaseHTTPRequestHandler):
    """Answers GET with a node, one attribute of it, or what the host is."""

    tree: Node
    host_info: Node
    timeout = 5.0

    def do_GET(self) -> None:  # named by the base class
        """Look the address up."""
        wanted = urlsplit(self.path)
        if wanted.query.upper() == "HOST_INFO":
            self._answer(200, self.host_info)
            return
        node: Node | None = self.tree
        for part in unquote(wanted.path).strip("/").split("/"):
            if part and node is not None:
                node = node.get("CONTENTS", {}).get(part)
        if node is None:
            self._answer(404, None)
        elif not wanted.query:
            self._answer(200, node)
        elif wanted.query.upper() in node:
            self._answer(200, {wanted.query.upper(): node[wanted.query.upper()]})
        else:
            self._answer(204, None)

    def _answer(self, code: int, content: Node | None) -> None:
        body = b"" if content is None else json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing: the terminal belongs to the show."""
