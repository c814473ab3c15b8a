"""``bailando-live``: a song or a sound device in, a dance out at 60 frames a second."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from bailando.cli.common import add_dance_options, new_parser, run_command
from bailando.cli.live_recording import add_recording_options, recording
from bailando.cli.sink_options import add_sink_options, open_sinks
from bailando.errors import InputError

if TYPE_CHECKING:
    from bailando.cli.live_viewers import LiveViewers
    from bailando.engine.dancer import Dancer
    from bailando.engine.runner import LiveRunner
    from bailando.engine.session import Session
    from bailando.engine.sources import Source
    from bailando.engine.telemetry import Status, StatusPrinter, TelemetryFile

PROG = "bailando-live"
_EXAMPLES = """\
examples:
  bailando-live --demo                                     the shipped song, to this machine
  bailando-live --input song.mp3 --loop --to vseeface --to touchdesigner@192.168.1.20
  bailando-live --audio-device "USB" --delay 120 --osc 127.0.0.1:7000 --no-vmc
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run_command(PROG, _live, arguments)


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(PROG, "Music in, full-body dance out over VMC and OSC, live.", _EXAMPLES)
    source = parser.add_argument_group("sound (one of them)").add_mutually_exclusive_group(required=True)
    source.add_argument("--demo", action="store_true", help="the song that comes with the package")
    source.add_argument("--input", metavar="SONG", help="wav, flac, ogg or mp3, paced in real time")
    source.add_argument("--audio-device", metavar="NAME|INDEX", help="a device that records")
    source.add_argument("--list-devices", action="store_true", help="print those devices and exit")
    output = parser.add_argument_group("output (repeatable)")
    add_sink_options(output)
    output.add_argument("--ws", action="append", metavar="[HOST:]PORT", help="WebSocket for your own page")
    output.add_argument("--view", action="store_true", help="a stage in the browser, 127.0.0.1:8060")
    add_recording_options(output)
    add_dance_options(parser)
    run = parser.add_argument_group("run")
    run.add_argument("--delay", type=float, default=60.0, metavar="MS", help="sound to motion (default 60)")
    run.add_argument("--duration", type=float, metavar="S", help="stop after so many seconds")
    run.add_argument("--loop", action="store_true", help="start the song again at its end")
    run.add_argument("--telemetry", metavar="FILE", help="JSON lines, one a second")
    run.add_argument("--json", action="store_true", help="print JSON lines instead of the status line")
    run.add_argument("--quiet", action="store_true", help="print nothing but errors")
    run.add_argument("--no-color", action="store_true", help="no colours in the status line")
    return parser


def _live(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    if options.list_devices:
        return _list_devices()
    from bailando.engine.dancer import Dancer
    from bailando.engine.runner import LiveOptions, LiveRunner

    live_options = LiveOptions(options.delay, options.duration)
    source = _open_source(options)
    try:
        dancer = Dancer.open(options.model)
        session = dancer.session(options.seed, options.style, options.temperature, energy=options.energy)
        viewers = _open_viewers(options, dancer, session, source.name)
        sinks = open_sinks(options, dancer.skeleton) + (list(viewers.sinks) if viewers else [])
        with recording(options, dancer.skeleton, source) as recorder:
            if recorder is not None:
                source, sinks = recorder.source, [*sinks, recorder.sink]
            runner = LiveRunner(dancer, session, source, sinks, live_options)
            if not (options.quiet or options.json):
                names = ", ".join(sink.name for sink in sinks) or "nowhere"
                print(f"{source.name} -> {dancer.manifest.name} on {dancer.backend.name} -> {names}", flush=True)
            return _run(runner, options, viewers)
    finally:
        source.close()


def _run(runner: LiveRunner, options: argparse.Namespace, viewers: LiveViewers | None) -> int:
    """Run until the end or a signal; both end well."""
    from bailando.engine.telemetry import StatusPrinter, TelemetryFile

    printer = StatusPrinter(sys.stdout, not options.no_color, options.json)
    record = TelemetryFile(options.telemetry) if options.telemetry else None
    show = _status_callback(None if options.quiet else printer, printer.interval_s, record, viewers)
    interval_s = min(printer.interval_s, 1.0 if record else printer.interval_s)
    if viewers is not None:
        from bailando.cli.live_viewers import STATUS_INTERVAL_S

        interval_s = min(interval_s, STATUS_INTERVAL_S)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: runner.stop())
    try:
        last = runner.run(show, interval_s)
        if record:
            record.write(last)
    finally:
        printer.close()
        if record:
            record.close()
    if not options.quiet and not options.json:
        print(
            f"{last.frames} frames in {last.time_s:.1f} s, {last.late_frames} late; "
            f"compute per token p50 {last.compute_p50_ms:.1f} p99 {last.compute_p99_ms:.1f} ms"
        )
    elif options.json and not options.quiet:
        print(last.to_json())
    return 0


def _status_callback(
    printer: StatusPrinter | None,
    printer_interval_s: float,
    record: TelemetryFile | None,
    viewers: LiveViewers | None,
) -> Callable[[Status], None]:
    """Return a callback that serves printer, telemetry file and viewers at their own intervals."""
    shown_s, recorded_s = [0.0], [0.0]

    def show(status: Status) -> None:
        now_s = monotonic()
        if viewers is not None:
            viewers.publish(status)
        if record is not None and now_s - recorded_s[0] >= 0.99:
            record.write(status)
            recorded_s[0] = now_s
        if printer is not None and now_s - shown_s[0] >= 0.99 * printer_interval_s:
            printer.show(status)
            shown_s[0] = now_s

    return show


def _open_source(options: argparse.Namespace) -> Source:
    from bailando.engine.sources import FileSource

    if options.audio_device is not None:
        from bailando.engine.devices import DeviceSource

        return DeviceSource(options.audio_device)
    return FileSource(demo_song_path() if options.demo else options.input, options.loop)


def _open_viewers(
    options: argparse.Namespace, dancer: Dancer, session: Session, title: str
) -> LiveViewers | None:
    """Return the viewers asked for, or None; only then is the web server imported."""
    if not (options.view or options.ws):
        return None
    from bailando.cli.live_viewers import LiveViewers

    styles = tuple(dancer.manifest.styles)
    return LiveViewers(session, dancer.skeleton, styles, title, options.ws or [], options.view)


def _list_devices() -> int:
    from bailando.engine.devices import list_input_devices

    devices = list_input_devices()
    for device in devices:
        mark = "*" if device.is_default else " "
        print(
            f"{mark} {device.index:3d}  {device.name}  "
            f"({device.host_api}, {device.channels} channels, {device.sample_rate_hz} Hz)"
        )
    if not devices:
        print("no device that records was found; plug one in, or use --input SONG")
    return 0


def demo_song_path() -> Path:
    """Return the song that comes with the package.

    Raises
    ------
    InputError
        If the installation lacks it.
    """
    song = Path(str(files("bailando"))) / "assets" / "demo" / "demo.ogg"
    if not song.is_file():
        raise InputError(f"{song}: the demo song is missing; install the package again, or use --input SONG")
    return song


if __name__ == "__main__":
    sys.exit(main())
