"""What runs beside a live run: the OSC control listener, the figures for Prometheus, the played sound."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailando.engine.control import Controls
    from bailando.engine.runner import SoundCallback
    from bailando.engine.sinks.destination import Destination
    from bailando.engine.sources import Source
    from bailando.engine.telemetry import Status


def add_service_options(group: argparse._ArgumentGroup) -> None:
    """Add where to listen."""
    group.add_argument("--control", metavar="[HOST:]PORT", help="OSC control while it runs, docs/control.md")
    group.add_argument("--control-host", metavar="HOST", help=argparse.SUPPRESS)  # the same as HOST:PORT
    group.add_argument("--link", action="store_true", help="take the beat from Ableton Link, docs/control.md")
    group.add_argument("--audio-out", metavar="NAME", help="play the sound there, as late as the motion")
    group.add_argument("--latency-test", action="store_true", help=argparse.SUPPRESS)  # docs/live.md
    group.add_argument("--prometheus", type=int, metavar="PORT", help="serve the figures on this machine")


def control_address(options: argparse.Namespace) -> Destination:
    """Return where ``--control`` listens: on this machine unless it, or ``--control-host``, names a host.

    Raises
    ------
    OutputError
        If the address cannot be read.
    """
    from bailando.engine.control_osc import parse_control_address

    host: str | None = options.control_host
    return parse_control_address(options.control if host is None else f"{host}:{options.control}")


@contextmanager
def services(options: argparse.Namespace, controls: Controls) -> Iterator[Callable[[Status], None]]:
    """Run the services asked for while the block runs.

    Yields
    ------
    callable
        To be called with each new status.

    Raises
    ------
    BailandoError
        If a port is taken or a package missing.
    """
    publishers: list[Callable[[Status], None]] = []
    with ExitStack() as stack:
        if options.control is not None:
            from bailando.engine.control_osc import OscControl

            listener = OscControl(control_address(options), controls)
            stack.callback(listener.close)
            listener.start()
        if options.link:
            from bailando.engine.link import LinkFollower

            follower = LinkFollower(controls)
            stack.callback(follower.close)
            follower.start()
        if options.prometheus is not None:
            from bailando.engine.metrics_endpoint import MetricsEndpoint

            endpoint = MetricsEndpoint(options.prometheus)
            stack.callback(endpoint.close)
            publishers.append(endpoint.publish)

        def publish(status: Status) -> None:
            for publisher in publishers:
                publisher(status)

        yield publish


@contextmanager
def played_sound(options: argparse.Namespace, source: Source) -> Iterator[SoundCallback | None]:
    """Play the sound of a source through the device asked for while the block runs.

    Yields
    ------
    callable or None
        What the runner gives the sound to.

    Raises
    ------
    DeviceError
        If the device is not there or does not open.
    """
    if options.audio_out is None:
        yield None
        return
    from bailando.engine.audio_out import AudioOutput

    output = AudioOutput(options.audio_out, source.sample_rate_hz)
    output.start()
    try:
        yield output.play
    finally:
        output.close()
