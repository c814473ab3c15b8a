"""Does `bailando-live --demo` keep its deadlines, and what does it cost?

python benchmarks/live_demo.py [--seconds 120] [--model BUNDLE] [--json FILE]

Runs the command as a user does and reads its own JSON lines; memory and processor time are the
system's figures for that process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from measure import write_json


def run(seconds: float, model: str | None) -> dict[str, Any]:
    """Run the demo and return its last status and what it cost."""
    with tempfile.TemporaryDirectory() as folder:
        telemetry = Path(folder) / "telemetry.jsonl"
        command = [sys.executable, "-m", "bailando.cli.live", "--demo", "--loop", "--json"]
        command += ["--duration", str(seconds), "--telemetry", str(telemetry)]
        command += ["--model", model] if model else []
        started_s = time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as live:
            assert live.stdout is not None
            process = psutil.Process(live.pid)
            last, first_status_s, peak_bytes, cpu_s, cpu_start = "{}", 0.0, 0, 0.0, None
            for line in live.stdout:
                first_status_s = first_status_s or time.monotonic() - started_s
                last = line
                if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                    times = process.cpu_times()
                    cpu_s = times.user + times.system
                    cpu_start = cpu_s if cpu_start is None else cpu_start
                    peak_bytes = max(peak_bytes, process.memory_info().rss)
    status: dict[str, Any] = json.loads(last)
    return {
        "exit_code": live.returncode,
        "seconds": status["time_s"],
        "frames": status["frames"],
        "deadlines_missed": status["late_frames"],
        "latency_p50_ms": status["latency_p50_ms"],
        "latency_p99_ms": status["latency_p99_ms"],
        "compute_p50_ms": status["compute_p50_ms"],
        "compute_p99_ms": status["compute_p99_ms"],
        "compute_max_ms": status["compute_max_ms"],
        # The first status line comes one second after the first frame's time begins.
        "ready_s": first_status_s - 1.0,
        "startup_cpu_s": cpu_start,
        "cpu_percent_of_one_core": 100 * (cpu_s - (cpu_start or 0.0)) / max(status["time_s"] - 1.0, 1.0),
        "peak_rss_mb": peak_bytes / 2**20,
    }


def main() -> None:
    """Print the figures; the exit code tells whether a deadline was missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--model", help="bundle; default: the shipped one")
    parser.add_argument("--json", type=Path, help="write the figures as one JSON object")
    options = parser.parse_args()
    load = psutil.getloadavg()[0]
    results = run(options.seconds, options.model) | {"load_before": load}
    for name, value in results.items():
        print(f"{name:26}{value:>12.2f}" if isinstance(value, float) else f"{name:26}{value:>12}")
    write_json(options.json, "live_demo", {"results": results})
    sys.exit(results["exit_code"] != 0 or results["deadlines_missed"] > 0)


if __name__ == "__main__":
    main()
