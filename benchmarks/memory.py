"""Resident memory over time, time to import, sizes of wheel, installation and bundle.

python benchmarks/memory.py [--seconds 60] [--wheel FILE | --build-wheel] [--json FILE]

Memory is that of `bailando-live --demo --loop` as a process of its own, sampled once a second; growth is the
difference of the medians of its last and its second quarter. `benchmarks/soak.py` watches it for hours.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from install_size import installed_mb
from measure import write_json

from bailando.engine.dancer import default_bundle_path

IMPORTS = 5
ROOT = Path(__file__).parents[1]


def import_ms(module: str) -> float:
    """Return the median time of a fresh interpreter that imports `module`, less that of one that does not."""
    spent: dict[str, list[float]] = {"pass": [], f"import {module}": []}
    for _ in range(IMPORTS):
        for code, times in spent.items():
            started_s = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            times.append(1000 * (time.perf_counter() - started_s))
    bare, full = (float(np.median(times)) for times in spent.values())
    return full - bare


def resident_mb(seconds: float) -> list[float]:
    """Return the resident memory of the running demo, one value a second, MB."""
    command = [sys.executable, "-m", "bailando.cli.live", "--demo", "--loop", "--json"]
    with subprocess.Popen([*command, "--duration", str(seconds)], stdout=subprocess.PIPE, text=True) as live:
        process = psutil.Process(live.pid)
        assert live.stdout is not None
        # One status line a second, the last when it ends.
        samples = [_resident_mb(process) for _ in live.stdout]
    if live.returncode:
        sys.exit(f"bailando-live ended with exit code {live.returncode}; its message is above")
    return [value for value in samples if value]


def _resident_mb(process: psutil.Process) -> float:
    """Return the resident memory of a process, MB; 0 if it has ended."""
    if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
        return 0.0
    return float(process.memory_info().rss / 1e6)


def built_wheel_mb() -> float:
    """Build the wheel as `pip wheel` does and return its size, MB."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*command, folder, str(ROOT)], check=True)
        return next(Path(folder).glob("*.whl")).stat().st_size / 1e6


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--wheel", type=Path, help="a built wheel to weigh too")
    parser.add_argument("--build-wheel", action="store_true", help="build one and weigh it; a minute")
    parser.add_argument("--json", type=Path, help="write the figures as one JSON object")
    options = parser.parse_args()
    memory = resident_mb(options.seconds)
    quarter = max(1, len(memory) // 4)
    bundle = Path(default_bundle_path())
    results = {
        "resident_peak_mb": max(memory),
        "resident_growth_mb": float(np.median(memory[-quarter:]) - np.median(memory[quarter : 2 * quarter])),
        "import_bailando_ms": import_ms("bailando"),
        "import_engine_ms": import_ms("bailando.engine.dancer"),
        "bundle_mb": sum(p.stat().st_size for p in bundle.rglob("*") if p.is_file()) / 1e6,
        "install_mb": sum(installed_mb().values()),
    }
    if options.wheel or options.build_wheel:
        results["wheel_mb"] = options.wheel.stat().st_size / 1e6 if options.wheel else built_wheel_mb()
    for name, value in results.items():
        print(f"{name:24}{value:10.1f}")
    write_json(options.json, "memory", {"results": results, "resident_mb": memory})


if __name__ == "__main__":
    main()
