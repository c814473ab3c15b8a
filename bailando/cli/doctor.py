"""``bailando-doctor``: what this machine has, what is wrong with it, and what to do about it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from bailando.cli.common import new_parser, run_command
from bailando.cli.sink_options import add_sink_options, sink_requests

if TYPE_CHECKING:
    from bailando.engine.checkup import Check, Finding

PROG = "bailando-doctor"
_FAILED = 1
_VIEWER_PORT, _CONTROL_PORT = 8060, 39540
_SIGNS = {"ok": " ok ", "warning": "WARN", "failure": "FAIL"}
_EXAMPLES = """\
examples:
  bailando-doctor                                          all checks; poses to VMC and OSC here
  bailando-doctor --to vseeface@192.168.1.20 --pose 10     ten seconds of T-pose, ten of waving
  bailando-doctor --audio-device USB --pose 0              levels of a device; no poses
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run_command(PROG, _doctor, arguments)


def doctor_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = new_parser(
        PROG, "Check devices, levels, ports, speed and the receiver's axes; advise on each.", _EXAMPLES
    )
    group = parser.add_argument_group("what to check")
    group.add_argument("--model", metavar="BUNDLE", help="default: the shipped one")
    group.add_argument("--audio-device", metavar="NAME|INDEX", help="default: the system's")
    group.add_argument("--no-audio", action="store_true", help="leave the sound devices alone")
    group.add_argument(
        "--pose", type=float, default=3.0, metavar="S", help="seconds of T-pose and of waving (default 3)"
    )
    add_sink_options(parser.add_argument_group("receivers"))
    return parser


def _doctor(arguments: Sequence[str]) -> int:
    from bailando.engine.checkup import run_checks

    options = doctor_parser().parse_args(arguments)
    marks = []
    for finding in run_checks(_checks(options)):
        _print(finding)
        marks.append(finding.mark)
    warnings, failures = marks.count("warning"), marks.count("failure")
    print(f"{len(marks)} findings, {warnings} warnings, {failures} failures")
    return _FAILED if failures else 0


def _checks(options: argparse.Namespace) -> list[Check]:
    from bailando.engine import checkup
    from bailando.engine.dancer import Dancer

    requests = sink_requests(options)

    def check_backend() -> Iterator[Finding]:
        yield from checkup.check_backend(Dancer.open(options.model))

    def show_poses() -> Iterator[Finding]:
        skeleton = Dancer.open(options.model).skeleton
        yield from checkup.show_poses(
            [request.build(skeleton) for request in requests], skeleton, options.pose
        )

    checks: list[Check] = [checkup.check_versions, checkup.check_clock, check_backend]
    if not options.no_audio:
        checks.append(partial(checkup.check_devices, options.audio_device))
    checks.append(partial(checkup.check_ports, [_VIEWER_PORT], [_CONTROL_PORT]))
    checks += [partial(checkup.check_listener, request.destination) for request in requests]
    if options.pose > 0 and requests:
        checks.append(show_poses)
    return checks


def _print(finding: Finding) -> None:
    print(f"[{_SIGNS[finding.mark]}] {finding.text}", flush=True)
    if finding.advice:
        print(f"       -> {finding.advice}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
