"""Does `bailando-live --demo` keep its deadlines, and what does it cost?

python benchmarks/live_demo.py [--seconds 120] [--dancers 1] [--runs 1] [--model BUNDLE] [--json FILE]

Runs the command as a user does and reads its own JSON lines; memory and processor time are the system's
figures for that process. Of several runs the median of each figure is told, beside those of each run. Time
stolen is what a hypervisor took from this machine meanwhile, all cores together: no program can use it, and
frames that it delays say nothing of this one. Of each second it is noted how much was stolen and how many
deadlines were missed: the median theft of seconds with a missed one stands beside that of the others.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from measure import stolen_s, write_json

Figures = dict[str, float]

# Of the last status line; the first four are the kinds of missed deadlines.
COUNTERS = (
    "sent_late",
    "repeated_frames",
    "dropped_frames",
    "extrapolated_frames",
    "late_tokens",
    "delay_ms",
    "latency_p50_ms",
    "latency_p99_ms",
    "compute_p50_ms",
    "compute_p99_ms",
    "compute_max_ms",
)


def run(seconds: float, dancers: int, model: str | None) -> Figures:
    """Run the demo and return its last status and what it cost."""
    stolen_before_s, load = stolen_s(), psutil.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        telemetry = Path(folder) / "telemetry.jsonl"
        command = [sys.executable, "-m", "bailando.cli.live", "--demo", "--loop", "--json"]
        command += ["--duration", str(seconds), "--telemetry", str(telemetry), "--dancers", str(dancers)]
        command += ["--model", model] if model else []
        started_s = time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as live:
            assert live.stdout is not None
            process = psutil.Process(live.pid)
            last, first_status_s, peak_bytes, cpu_s, cpu_start = "{}", 0.0, 0, 0.0, None
            lost: list[Lost] = []
            for line in live.stdout:
                first_status_s = first_status_s or time.monotonic() - started_s
                last = line
                lost.append(Lost(json.loads(line)["late_frames"], 1e3 * stolen_s()))
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
        **{name: status[name] for name in COUNTERS},
        # The first status line comes one second after the first frame's time begins.
        "ready_s": first_status_s - 1.0,
        "startup_cpu_s": cpu_start or 0.0,
        "cpu_percent_of_one_core": 100 * (cpu_s - (cpu_start or 0.0)) / max(status["time_s"] - 1.0, 1.0),
        "peak_rss_mb": peak_bytes / 2**20,
        "stolen_ms": 1e3 * (stolen_s() - stolen_before_s),
        **theft(lost),
        "load_before": load,
    }


class Lost(NamedTuple):
    """Deadlines missed and time stolen up to a second."""

    deadlines: int
    stolen_ms: float


def theft(lost: Sequence[Lost]) -> Figures:
    """Return what was stolen, ms, in the median second with a missed deadline and in that without one."""
    each = [Lost(*(now - before for now, before in zip(b, a, strict=True))) for a, b in pairwise(lost)]
    missed = [second.stolen_ms for second in each if second.deadlines]
    kept = [second.stolen_ms for second in each if not second.deadlines]
    return {
        "seconds_missed": len(missed),
        "stolen_ms_when_missed": statistics.median(missed or [0.0]),
        "stolen_ms_when_kept": statistics.median(kept or [0.0]),
    }


def medians(runs: Sequence[Figures]) -> Figures:
    """Return the median of each figure over the runs; of the exit codes the largest."""
    middle = {name: statistics.median(figures[name] for figures in runs) for name in runs[0]}
    return middle | {"exit_code": max(figures["exit_code"] for figures in runs)}


def show(runs: Sequence[Figures]) -> None:
    """Print a row for each figure: its median, then that of each run."""
    middle = medians(runs)
    columns = [middle] if len(runs) == 1 else [middle, *runs]
    names = ["median", *(f"run {number}" for number in range(1, len(runs) + 1))] if len(runs) > 1 else [""]
    print(f"{'':26}" + "".join(f"{name:>12}" for name in names))
    for name in middle:
        cells = (f"{c[name]:>12.2f}" if isinstance(c[name], float) else f"{c[name]:>12}" for c in columns)
        print(f"{name:26}" + "".join(cells))


def main() -> None:
    """Print the figures; the exit code tells whether a deadline was missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--dancers", type=int, default=1)
    parser.add_argument("--runs", type=int, default=1, help="one after another; the medians are told")
    parser.add_argument("--model", help="bundle; default: the shipped one")
    parser.add_argument("--json", type=Path, help="write the figures as one JSON object")
    options = parser.parse_args()
    if options.runs < 1:
        parser.error(f"--runs is {options.runs}; give 1 or more")
    runs = [run(options.seconds, options.dancers, options.model) for _ in range(options.runs)]
    show(runs)
    write_json(
        options.json, "live_demo", {"dancers": options.dancers, "results": medians(runs), "runs": runs}
    )
    sys.exit(any(figures["exit_code"] != 0 or figures["deadlines_missed"] > 0 for figures in runs))


if __name__ == "__main__":
    main()
