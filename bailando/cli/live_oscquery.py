"""``--oscquery``: make the addresses of a live run known on the network."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from bailando.cli.live_services import control_address


def add_oscquery_option(group: argparse._ArgumentGroup) -> None:
    """Add ``--oscquery``, which the page of ``--help-output`` describes."""
    group.add_argument("--oscquery", metavar="[HOST:]PORT", help=argparse.SUPPRESS)


@contextmanager
def advertised(options: argparse.Namespace) -> Iterator[None]:
    """Serve OSCQuery while the block runs, if asked to.

    Raises
    ------
    BailandoError
        If the port is taken or the package zeroconf is missing.
    """
    if options.oscquery is None:
        yield
        return
    from bailando.engine.control_osc import parse_control_address
    from bailando.engine.oscquery import OscQueryServer

    control_port = None if options.control is None else control_address(options).port
    server = OscQueryServer(parse_control_address(options.oscquery), control_port)
    try:
        server.start()
        yield
    finally:
        server.close()
