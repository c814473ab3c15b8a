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

from bailando.cli.backend_options import open_dancer
from bailando.cli.common import run_command
from bailando.cli.config_file import with_config
from bailando.cli.live_dancers import dancer_sinks, delay_ms, open_sessions
from bailando.cli.live_options import PROG, live_parser
from bailando.cli.live_oscquery import advertised
from bailando.cli.live_recording import recording
from bailando.cli.live_services import played_sound, services
from bailando.errors import ConfigError, InputError

if TYPE_CHECKING:
    from bailando.cli.live_viewers import LiveViewers
    from bailando.engine.control import Controls
    from bailando.engine.dancer import Dancer
    from bailando.engine.runner import LiveRunner
    from bailando.engine.sources import AtEnd, Source
    from bailando.engine.telemetry import Status, StatusPrinter, TelemetryFile


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run_command(PROG, _live, arguments)


def _live(arguments: Sequence[str]) -> int:
    parser = live_parser()
    options = parser.parse_args(with_config(parser, arguments))
    if options.list_devices:
        return _list_devices()
    if options.latency_test:
        from bailando.cli.live_latency import run_latency_test

        return run_latency_test(options)
    from bailando.engine.performance import new_controls
    from bailando.engine.runner import LiveOptions, LiveRunner

    live_options = LiveOptions(delay_ms(options), options.duration, options.silence_threshold)
    source = _open_source(options)
    try:
        dancer = open_dancer(options, True, live_options.delay_ms)
        sessions = open_sessions(options, dancer)
        controls = new_controls(sessions, dancer.manifest.styles, options.audio_device is None)
        viewers = _open_viewers(options, dancer, controls, source)
        sinks = dancer_sinks(options, dancer.skeleton)
        if viewers is not None:
            source = viewers.source
            sinks[0] += viewers.sinks
        with (
            recording(options, dancer.skeleton, source) as recorder,
            services(options, controls) as publish,
            advertised(options),
            played_sound(options, source) as on_sound,
        ):
            if recorder is not None:
                source = recorder.source
                for own, record in zip(sinks, recorder.sinks, strict=True):
                    own.append(record)
            runner = LiveRunner(dancer, sessions, source, sinks, live_options, controls, on_sound)
            if not (options.quiet or options.json):
                names = ", ".join(sink.name for own in sinks for sink in own) or "nowhere"
                print(f"{source.name} -> {dancer.manifest.name} on {dancer.backend.name} -> {names}")
                print(f"backend {dancer.backend.name}: {dancer.backend.reason}", flush=True)
            return _run(runner, options, viewers, publish)
    finally:
        source.close()


def _run(
    runner: LiveRunner,
    options: argparse.Namespace,
    viewers: LiveViewers | None,
    publish: Callable[[Status], None],
) -> int:
    """Run until the end or a signal; both end well."""
    from bailando.engine.telemetry import StatusPrinter, TelemetryFile

    printer = StatusPrinter(sys.stdout, not options.no_color, options.json)
    record = TelemetryFile(options.telemetry) if options.telemetry else None
    show = _status_callback(None if options.quiet else printer, printer.interval_s, record, viewers, publish)
    interval_s = min(printer.interval_s, 1.0)
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
    publish: Callable[[Status], None],
) -> Callable[[Status], None]:
    """Return a callback that serves printer, telemetry file, viewers and services at their own intervals."""
    shown_s, recorded_s = [0.0], [0.0]

    def show(status: Status) -> None:
        now_s = monotonic()
        publish(status)
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
    """Return the source asked for, not yet started."""
    if options.audio_device is not None:
        from bailando.engine.devices import DeviceSource
        from bailando.engine.portaudio import forget_devices
        from bailando.engine.reconnect import ReconnectingSource

        return ReconnectingSource(lambda: DeviceSource(options.audio_device), forget_devices)
    from bailando.engine.playlist import read_playlist
    from bailando.engine.sources import FileSource

    if options.loop and options.at_end not in (None, "loop"):
        raise ConfigError(f"--loop and --at-end {options.at_end} exclude each other; give one of them")
    at_end: AtEnd = "loop" if options.loop else options.at_end or "stop"
    if options.playlist is not None:
        return FileSource(read_playlist(options.playlist), at_end)
    return FileSource(demo_song_path() if options.demo else options.input, at_end)


def _open_viewers(
    options: argparse.Namespace, dancer: Dancer, controls: Controls, source: Source
) -> LiveViewers | None:
    """Return the viewers asked for, or None; only then is the web server imported."""
    if not (options.view or options.ws):
        return None
    from bailando.cli.live_viewers import LiveViewers

    return LiveViewers(controls, dancer.skeleton, source, options.ws or [], options.view)


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
