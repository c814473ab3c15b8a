"""The dance over WebSocket: for the viewer and for any page or program of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bailando.engine.frame import Frame
from bailando.engine.sinks.base import SinkCounters
from bailando.engine.sinks.destination import Destination
from bailando.engine.viewer.server import ViewerServer
from bailando.engine.viewer.wire import pack_frame
from bailando.errors import ConfigError

LOOPBACK = "127.0.0.1"


def parse_listen_address(text: str) -> tuple[str, int]:
    """Read where to listen: PORT on this machine alone, or HOST:PORT.

    Returns
    -------
    host : str
    port : int

    Raises
    ------
    ConfigError
        If the text is neither or the port is out of range.
    OutputError
        If the host or its port cannot be read.
    """
    if ":" in text:
        listen = Destination.parse(text)
        return listen.host, listen.port
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise ConfigError(f"'{text}' is no port; write PORT (1 to 65535) or HOST:PORT, for example 8060")
    return LOOPBACK, int(text)


class WebSocketSink:
    """Hands every frame to the viewers of a server.

    A slow, silent or broken viewer costs the caller nothing: each has a queue of its own that loses
    its oldest frames, and the server sends from its own thread.

    Parameters
    ----------
    server : ViewerServer
        Started by `open` and stopped by `close`.
    """

    def __init__(self, server: ViewerServer) -> None:
        self.name = f"ws {server.url}"
        self.counters = SinkCounters()
        self.server = server

    def open(self) -> None:
        """Listen for viewers.

        Raises
        ------
        OutputError
            If the port is taken or the address is not one of this machine.
        """
        self.server.start()
        self.name = f"ws {self.server.url}"

    def send(self, frame: Frame) -> None:
        """Hand over one frame; nothing is packed while nobody watches."""
        self.counters.frames += 1
        viewers = self.server.client_count
        if viewers:
            self.server.publish_frame(pack_frame(frame))
            self.counters.datagrams += viewers
        self.counters.failures = self.server.dropped_frames

    def send_status(self, status: Mapping[str, Any]) -> None:
        """Hand over tempo, level, latency and whatever else changes now and then (docs/websocket.md)."""
        self.server.publish_status(status)

    def close(self) -> None:
        """Let the viewers go and free the port; closing twice is harmless."""
        self.server.stop()
