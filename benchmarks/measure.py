"""What the benchmarks share: taking turns, percentiles, the machine, one JSON object a run.

Candidates take turns within one run, so that a busy machine slows all alike. Where one thread computes,
the clock is that thread's processor time: on an idle machine it is the elapsed time, on a busy one it
leaves out the turns of other programs.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from time import thread_time_ns
from typing import Any

import numpy as np
import onnxruntime as ort
import psutil
from numpy.typing import ArrayLike, NDArray

from bailando.engine.huge_pages import in_huge_pages

PERCENTS = (50.0, 95.0, 99.0, 99.9)
VERSIONS_OF = ("numpy", "onnxruntime", "torch", "librosa", "soxr")
BANDWIDTH_BYTES = 256 << 20


def take_turns(
    candidates: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    warm_up: int = 2,
    inner: int = 1,
    clock_ns: Callable[[], int] = thread_time_ns,
) -> dict[str, NDArray[np.float64]]:
    """Call the candidates in turn and return milliseconds of each call, ``[rounds * inner]``.

    Each turn begins with one call that does not count: it brings the candidate's data back into the
    processor's caches, which the others have used meanwhile.
    """
    spent: dict[str, list[int]] = {name: [] for name in candidates}
    for _ in range(warm_up):
        for work in candidates.values():
            work()
    for _ in range(rounds):
        for name, work in candidates.items():
            work()
            for _ in range(inner):
                started_ns = clock_ns()
                work()
                spent[name].append(clock_ns() - started_ns)
    return {name: np.array(values) / 1e6 for name, values in spent.items()}


def percentiles(values: ArrayLike) -> dict[str, float]:
    """Return p50, p95, p99, p99.9 and the largest of some values."""
    array = np.asarray(values, dtype=np.float64)
    row = {f"p{percent:g}": float(np.percentile(array, percent)) for percent in PERCENTS}
    return row | {"max": float(array.max())}


def show(unit: str, rows: Mapping[str, Mapping[str, float]]) -> None:
    """Print rows of the same columns as a table."""
    columns = list(next(iter(rows.values())))
    width = max(len(unit), *(len(name) for name in rows)) + 2
    print(f"{unit:{width}}" + "".join(f"{column:>11}" for column in columns))
    for name, row in rows.items():
        print(f"{name:{width}}" + "".join(f"{row[column]:11.3f}" for column in columns), flush=True)


def read_bandwidth() -> Callable[[], object]:
    """Return a function that reads `BANDWIDTH_BYTES` once, as fast as one thread here can.

    A dot product over two long arrays: of the ways to read in numpy and torch the fastest here.
    """
    values = np.ones(BANDWIDTH_BYTES // 4, np.float32)
    first, second = np.split(values, 2)
    return lambda: np.dot(first, second)


def open_session(model: bytes, threads: int = 1) -> ort.InferenceSession:
    """Open a graph with the settings of the deployed backend (`bailando.engine.backend_ort`)."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    with in_huge_pages():
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def stolen_s() -> float:
    """Return what a hypervisor has taken from this machine so far, all cores together, where it is told."""
    return float(getattr(psutil.cpu_times(), "steal", 0.0))


def cpu_model() -> str:
    """Return the processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def environment() -> dict[str, Any]:
    """Return what the figures depend on: commit, time, machine, load, versions."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    versions = {}
    for name in VERSIONS_OF:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "commit": commit.stdout.strip(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.machine(),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions,
    }


def write_json(path: Path | None, benchmark: str, record: Mapping[str, Any]) -> None:
    """Write one JSON object: the benchmark's name, its figures and the environment. None writes nothing.

    Raises
    ------
    ValueError
        If a figure has the name of something that the environment tells.
    """
    if path is None:
        return
    about = {"benchmark": benchmark, **environment()}
    if clash := sorted(about.keys() & record.keys()):
        raise ValueError(
            f"the record of {benchmark} has {clash}, which tell of the machine; name them otherwise"
        )
    path.write_text(json.dumps(about | record) + "\n", "utf-8")
