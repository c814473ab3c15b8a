"""The viewers of a live run: their sinks, their commands, and what they are told of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailando.engine.sinks.websocket import WebSocketSink, parse_listen_address
from bailando.engine.viewer import Command, Hello, ViewerServer
from bailando.engine.viewer.server import VIEWER_PORT
from bailando.errors import ConfigError

if TYPE_CHECKING:
    from bailando.engine.session import Session
    from bailando.engine.telemetry import Status
    from bailando.motion.skeleton import Skeleton

STATUS_INTERVAL_S = 0.2


class LiveViewers:
    """WebSocket sinks of one live run, with or without the page.

    Parameters
    ----------
    session : Session
        The dance that commands change, from the next token on.
    skeleton : Skeleton
    styles : tuple of str
    title : str
        What plays.
    addresses : list of str
        ``[HOST:]PORT`` of each socket.
    pages : bool
        Whether the first socket serves the viewer's page too; without an address it gets the default
        port of this machine.

    Raises
    ------
    ConfigError, OutputError
        If an address cannot be read.
    """

    def __init__(
        self,
        session: Session,
        skeleton: Skeleton,
        styles: tuple[str, ...],
        title: str,
        addresses: list[str],
        pages: bool,
    ) -> None:
        self._session = session
        self._title = title
        self._energy = session.options.energy
        self._running = True
        hello = Hello(skeleton, styles=styles, title=title)
        addresses = addresses or ([str(VIEWER_PORT)] if pages else [])
        self.sinks: list[WebSocketSink] = []
        for number, text in enumerate(addresses):
            host, port = parse_listen_address(text)
            server = ViewerServer(hello, port, host, self.carry_out, pages=pages and number == 0)
            self.sinks.append(WebSocketSink(server))

    def publish(self, status: Status) -> None:
        """Tell all viewers how the run goes."""
        told = {
            "bpm": status.bpm,
            "level": status.level,
            "fps": status.fps,
            "late_frames": status.late_frames,
            "latency_ms": {"p50": status.latency_p50_ms, "p99": status.latency_p99_ms},
            "style": self._session.options.style,
            "energy": self._energy,
            "running": self._running,
            "title": self._title,
        }
        for sink in self.sinks:
            sink.send_status(told)

    def carry_out(self, command: Command) -> None:
        """Do what a viewer asks; called on the server's thread.

        Raises
        ------
        ConfigError
            If the value is out of range or this run cannot do it.
        """
        if command.name == "style":
            self._session.configure(style=command.value)
        elif command.name == "energy":
            self._energy = float(command.value or 0.0)
            if self._running:
                self._session.configure(energy=self._energy)
        elif command.name in ("start", "stop"):
            self._running = command.name == "start"
            self._session.configure(energy=self._energy if self._running else 0.0)
        else:
            raise ConfigError(f"this run cannot do {command.name!r}; it knows style, energy, start and stop")
