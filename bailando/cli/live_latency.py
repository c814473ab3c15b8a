"""``bailando-live --latency-test``: from a click to the first packet that it moved."""

from __future__ import annotations

import argparse
import json

from bailando.cli.backend_options import open_dancer
from bailando.cli.live_dancers import delay_ms
from bailando.errors import ConfigError


def run_latency_test(options: argparse.Namespace) -> int:
    """Measure through the devices asked for and print percentiles.

    Raises
    ------
    BailandoError
        If a device is not given or not there, or no click comes back.
    """
    if options.audio_device is None or options.audio_out is None:
        raise ConfigError(
            "--latency-test needs --audio-out, which plays clicks, and --audio-device, which hears them: a "
            "cable between both, or the output's monitor"
        )
    from bailando.engine.devices import DeviceSource
    from bailando.engine.latency_test import measure_latency

    source = DeviceSource(options.audio_device)
    dancer = open_dancer(options, delay_ms=delay_ms(options))
    if not (options.json or options.quiet):
        print(f"clicks from {options.audio_out} to {source.name}, about 25 s; let nothing else play")
    result = measure_latency(dancer, source, options.audio_out, delay_ms(options), seed=options.seed)
    percentiles = result.percentiles()
    moved = len(result.parts["total"])
    if options.json:
        counts = {"clicks": result.clicks, "heard": result.heard, "moved": moved}
        print(json.dumps({**counts, "unit": "ms", "latency": percentiles}))
        return 0
    print(f"{result.clicks} clicks, {result.heard} came back, {moved} changed the dance")
    print(f"{'ms':20}{'p50':>8}{'p90':>8}{'max':>8}")
    for part, row in percentiles.items():
        print(f"{part:20}{row['p50']:8.1f}{row['p90']:8.1f}{row['max']:8.1f}")
    return 0
