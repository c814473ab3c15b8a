"""Work in several processes that can be interrupted: what is finished is noted beside its result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from bailando.music.beats import TRACKER_REVISION
from bailando.music.features import FeatureSpec
from bailando.training.dataset import VERSION

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")


def run_jobs(work: Callable[[_Job], _Result], jobs: Iterable[_Job], workers: int, what: str) -> list[_Result]:
    """Return the results of `work` on all jobs, in order, with a progress bar called `what`."""
    jobs = list(jobs)
    if workers <= 1:
        return [work(job) for job in tqdm(jobs, desc=what, unit="")]
    with ProcessPoolExecutor(workers) as pool:
        return list(tqdm(pool.map(work, jobs), desc=what, unit="", total=len(jobs)))


def key_of(*parts: Any) -> str:
    """Return what tells this work from any other: a hash of its inputs' ``repr``."""
    return hashlib.sha256(repr((VERSION, FeatureSpec(), TRACKER_REVISION, parts)).encode()).hexdigest()


def finished(note: Path, key: str) -> dict[str, Any] | None:
    """Return what an earlier run noted, if it was made from the same input."""
    if not note.is_file():
        return None
    try:
        noted = json.loads(note.read_text(encoding="utf-8"))
        return noted["result"] if noted["key"] == key else None
    except (ValueError, KeyError, TypeError):
        return None  # cut off while it was written: the work is done again


def finish(note: Path, key: str, result: dict[str, Any]) -> dict[str, Any]:
    """Note that work is finished, and return its result."""
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps({"key": key, "result": result}), encoding="utf-8")
    return result
