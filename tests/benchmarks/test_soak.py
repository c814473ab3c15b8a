"""The verdict of the long runs: what must fail does."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults import account
from soak import dance_fast, dance_parts, failures, slope_per_hour

from bailando.engine.dancer import Dancer
from bailando.engine.telemetry import Status
from tests.engine.synthetic_bundle import write_synthetic_bundle

SONG = Path(__file__).parents[1] / "data" / "music" / "panic_on_meadow.ogg"
GOOD: dict[str, Any] = {
    "hours": 8.0,
    "watched_h": 6.4,
    "frames_missing": 0,
    "frames_broken": 0,
    "root_farthest_m": 2.9,
    "root_drift_m": 0.3,
    "rss_growth_mb_per_h": 0.4,
    "token_ms_median_first_tenth": 7.0,
    "token_ms_median_last_tenth": 7.2,
}
LIVE: dict[str, Any] = {
    "frames": 36000,
    "frames_wanted": 36000,
    "exit_code": 0,
    "watched_h": 0.13,
    "latency_p50_ms_first_third": 20.0,
    "latency_p50_ms_at_the_end": 21.0,
    "rss_growth_mb_per_h": 2.0,
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_synthetic_bundle(tmp_path_factory.mktemp("soak") / "bundle")


def test_run_that_held_passes() -> None:
    assert failures([GOOD], LIVE, 8.0) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"frames_missing": 1}, "frames_missing"),
        ({"frames_broken": 2}, "frames_broken"),
        ({"root_farthest_m": 3.1}, "3.10 m away"),
        ({"root_drift_m": 1.6}, "drifted 1.60 m"),
        ({"rss_growth_mb_per_h": 1.3}, "memory grows"),
        ({"token_ms_median_last_tenth": 11.0}, "ever longer"),
        ({"hours": 7.0}, "7.00 of 8 h"),
    ],
)
def test_each_fault_of_the_long_dance_is_told(change: dict[str, float], words: str) -> None:
    (line,) = failures([GOOD | change], LIVE, 8.0)
    assert words in line


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"frames": 35999}, "35999 of 36000"),
        ({"exit_code": 1}, "code 1"),
        ({"latency_p50_ms_at_the_end": 25.0}, "latency grows"),
        ({"rss_growth_mb_per_h": 12.0}, "memory grows"),
    ],
)
def test_each_fault_in_real_time_is_told(change: dict[str, float], words: str) -> None:
    (line,) = failures([GOOD], LIVE | change, 8.0)
    assert words in line


def test_growth_is_that_after_the_warm_up() -> None:
    hours = np.linspace(0.1, 8.0, 80)
    values = np.where(hours < 1.0, 50 * hours, 50 + 0.5 * hours)
    assert slope_per_hour(hours, values) == pytest.approx(0.5, abs=1e-6)


def test_short_dance_has_every_frame_and_is_watched(bundle: Path) -> None:
    part = dance_fast(Dancer.open(bundle, "cpu"), SONG, 70 / 3600, lambda: False, lambda _: None)
    assert part["frames"] == pytest.approx(70 * 60, abs=8)
    assert (part["frames_missing"], part["frames_broken"], part["late_tokens"]) == (0, 0, 0)
    assert part["token_ms_median_last_tenth"] > 0.0


def test_dance_that_was_ended_goes_on_where_it_was(bundle: Path, tmp_path: Path) -> None:
    progress = tmp_path / "progress.jsonl"
    progress.write_text(json.dumps(GOOD | {"hours": 7.995}) + "\n")
    options = argparse.Namespace(hours=8.0, progress=progress, model=bundle)
    parts = dance_parts(options, SONG)
    assert sum(part["hours"] for part in parts) == pytest.approx(8.0, abs=1e-3)
    assert len(progress.read_text().splitlines()) == 2
    assert dance_parts(options, SONG) == [json.loads(line) for line in progress.read_text().splitlines()]


STATUS = Status(**{name: 0 for name in Status.__dataclass_fields__ if name not in ("title", "connected")})


@pytest.mark.parametrize(
    ("numbers", "changes", "held"),
    [
        (range(3600), {"reconnects": 2}, True),
        (range(3599), {"reconnects": 2}, False),
        (range(3599), {"reconnects": 2, "dropped_frames": 1}, True),
        ([*range(3600), 3599], {"reconnects": 2}, False),
        ([1, 0, *range(2, 3600)], {"reconnects": 2}, False),
        (range(3600), {"reconnects": 0}, False),
    ],
)
def test_every_frame_number_arrived_or_was_counted(numbers: Any, changes: dict[str, int], held: bool) -> None:
    status = replace(STATUS, **changes)
    results = account(list(numbers), status, Counter({"unplug": 3}), minutes=1.0)
    assert results["all_accounted_for"] is held
