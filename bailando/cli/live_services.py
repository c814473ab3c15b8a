"""What runs beside a live run: the OSC control listener and the figures for Prometheus."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailando.engine.control import Controls
    from bailando.engine.telemetry import Status


def add_service_options(group: argparse._ArgumentGroup) -> None:
    """Add where to listen."""
    group.add_argument("--control", metavar="[HOST:]PORT", help="OSC control while it runs, docs/control.md")
    group.add_argument("--prometheus", type=int, metavar="PORT", help="serve the figures on this machine")


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
            from bailando.engine.control_osc import OscControl, parse_control_address

            listener = OscControl(parse_control_address(options.control), controls)
            stack.callback(listener.close)
            listener.start()
        if options.prometheus is not None:
            from bailando.engine.metrics_endpoint import MetricsEndpoint

            endpoint = MetricsEndpoint(options.prometheus)
            stack.callback(endpoint.close)
            publishers.append(endpoint.publish)

        def publish(status: Status) -> None:
            for publisher in publishers:
                publisher(status)

        yield publish
