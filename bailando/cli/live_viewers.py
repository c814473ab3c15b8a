"""The viewers of a live run: their sinks, their commands, and what they are told of the run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bailando.engine.overheard import overheard
from bailando.engine.sinks.websocket import WebSocketSink, parse_listen_address
from bailando.engine.viewer import Command, Hello, ViewerServer
from bailando.engine.viewer.server import VIEWER_PORT
from bailando.engine.waveform import Waveform

if TYPE_CHECKING:
    from bailando.engine.control import Controls
    from bailando.engine.sources import Source
    from bailando.engine.telemetry import Status
    from bailando.motion.skeleton import Skeleton

STATUS_INTERVAL_S = 0.2


class LiveViewers:
    """WebSocket sinks of one live run, with or without the page.

    Parameters
    ----------
    controls : Controls
        Where commands go.
    skeleton : Skeleton
    source : Source
        What plays; `source` of this object takes its place, so that viewers see its waveform.
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
        controls: Controls,
        skeleton: Skeleton,
        source: Source,
        addresses: list[str],
        pages: bool,
    ) -> None:
        self._controls = controls
        self._waveform = Waveform(source.sample_rate_hz)
        self.source = overheard(source, self._waveform.hear)
        self._title = _shown(source.name)
        hello = Hello(skeleton, styles=controls.styles, title=self._title)
        addresses = addresses or ([str(VIEWER_PORT)] if pages else [])
        self.sinks: list[WebSocketSink] = []
        for number, text in enumerate(addresses):
            host, port = parse_listen_address(text)
            server = ViewerServer(hello, port, host, self.carry_out, pages=pages and number == 0)
            self.sinks.append(WebSocketSink(server))

    def publish(self, status: Status) -> None:
        """Tell all viewers how the run goes, and what was asked of the first dancer."""
        wish = self._controls.wishes[0]
        told = {
            "bpm": status.bpm,
            "level": status.level,
            "fps": status.fps,
            "late_frames": status.late_frames,
            "latency_ms": {"p50": status.latency_p50_ms, "p99": status.latency_p99_ms},
            "style": wish.style,
            "energy": wish.energy,
            "running": wish.running,
            "title": _shown(status.title) or self._title,
        } | self._waveform.report()
        for sink in self.sinks:
            sink.send_status(told)

    def carry_out(self, command: Command) -> None:
        """Do what a viewer asks, from the next token on; called on the server's thread.

        Raises
        ------
        ConfigError
            If the value is out of range or this run cannot do it.
        """
        self._controls.submit(command.name, command.value)


def _shown(title: str) -> str:
    """Return the name of a song without its folder and suffix; the name of a device as it is."""
    path = Path(title)
    return path.stem if path.is_file() else title
