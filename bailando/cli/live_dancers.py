"""Several dancers of one live run: their sessions, places and destinations."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from bailando.cli.body_options import body_config
from bailando.cli.sink_options import sink_requests
from bailando.errors import ConfigError

if TYPE_CHECKING:
    from bailando.engine.dancer import Dancer
    from bailando.engine.session import Session
    from bailando.engine.sinks import Sink
    from bailando.motion.skeleton import Skeleton

MAX_DANCERS = 32
_DELAY_PER_DANCER_MS = 8.0
SPACING_M = 2.5
_CROWD_RADIUS_M = 1.2


def add_dancer_options(group: argparse._ArgumentGroup) -> None:
    """Add how many dance, and whether alike."""
    group.add_argument(
        "--dancers",
        type=int,
        default=1,
        metavar="N",
        help="each its own seed, --in-sync: one; VMC ports and /dancer/N count up",
    )
    group.add_argument("--in-sync", action="store_true", help=argparse.SUPPRESS)  # told with --dancers


def delay_ms(options: argparse.Namespace) -> float:
    """Return ``--delay``, or what covers the computation of so many dancers."""
    from bailando.engine.runner import LiveOptions

    if options.delay is not None:
        return float(options.delay)
    further: int = max(0, options.dancers - 1)
    return LiveOptions.delay_ms + _DELAY_PER_DANCER_MS * further


def open_sessions(options: argparse.Namespace, dancer: Dancer) -> list[Session]:
    """Return a session for each dancer, side by side, styles taken in turn from ``--style A,B``.

    Raises
    ------
    ConfigError
        If the number or an option of the dance is out of range.
    """
    from bailando.engine.session import FLOOR

    count: int = options.dancers
    if not 1 <= count <= MAX_DANCERS:
        raise ConfigError(f"--dancers is {count}; give 1 to {MAX_DANCERS}")
    styles, refinement = options.style.split(","), body_config(options)
    return [
        dancer.session(
            options.seed if options.in_sync else options.seed + number,
            styles[0 if options.in_sync else number % len(styles)],
            options.temperature,
            energy=options.energy,
            groove=options.groove,
            refinement=refinement,
            place_m=((number - (count - 1) / 2) * SPACING_M, 0.0),
            floor_radius_m=FLOOR.radius_m if count == 1 else _CROWD_RADIUS_M,
        )
        for number in range(count)
    ]


def dancer_sinks(options: argparse.Namespace, skeleton: Skeleton) -> list[list[Sink]]:
    """Return the sinks of each dancer, resolved but not open.

    Raises
    ------
    BailandoError
        If a destination or a setting cannot be used.
    """
    requests = sink_requests(options)
    if options.dancers == 1:
        return [[request.build(skeleton) for request in requests]]
    return [
        [request.for_dancer(number).build(skeleton) for request in requests]
        for number in range(options.dancers)
    ]
