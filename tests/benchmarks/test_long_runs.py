"""What is kept of long runs: cost by position, jitter by second, stages in other precisions."""

from __future__ import annotations

import gc
import itertools
import threading
from pathlib import Path

import cache_vs_recompute
import numpy as np
import pytest
from bundles import in_precision
from cache_vs_recompute import cost_by_position, flatness, marks_up_to
from jitter import by_second, collect_garbage, side_by_side
from step_latency import STAGES, measure

from bailando.engine.bundle import Bundle
from bailando.engine.dancer import default_bundle_path


def test_positions_are_marked_evenly_on_a_logarithmic_axis() -> None:
    assert marks_up_to(1000) == [20, 50, 100, 200, 500, 1000]
    assert marks_up_to(100_000)[-1] == 100_000
    assert marks_up_to(0) == []


def test_a_step_that_grows_with_its_position_is_not_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    spent_ns = [0]
    monkeypatch.setattr(cache_vs_recompute, "thread_time_ns", lambda: spent_ns[0])
    positions = itertools.count()

    def growing() -> None:
        spent_ns[0] += 1000 * next(positions)

    def even() -> None:
        spent_ns[0] += 1000

    assert flatness(cost_by_position(growing, 1000)) == pytest.approx(950 / 150, rel=0.01)
    assert flatness(cost_by_position(even, 1000)) == 1.0
    assert flatness({"20": 1.0}) is None


def test_the_worst_interval_of_each_second_is_kept() -> None:
    deviation_ms = np.zeros(150)
    deviation_ms[[3, 130]] = 5.0, 7.0
    assert by_second(deviation_ms) == [5.0, 0.0, 7.0]


def test_a_busy_interpreter_collects_garbage() -> None:
    before, rounds = gc.get_stats()[2]["collections"], iter([False, False, True])
    thread = threading.Thread(target=collect_garbage, args=(lambda: next(rounds),))
    thread.start()
    thread.join(timeout=30.0)
    assert gc.get_stats()[2]["collections"] >= before + 2


def test_both_senders_reach_their_receivers_side_by_side() -> None:
    arrivals = side_by_side(30, busy=False)
    # A machine that is taken away for a while may cost frames, which come too late to be sent.
    assert 24 <= len(arrivals["native"].times_ns) == len(arrivals["native"].held) <= 30
    assert 0 < len(arrivals["python"].deviation_ms) <= 29


def test_in_a_busy_interpreter_native_frames_arrive() -> None:
    assert len(side_by_side(30, busy=True)["native"].times_ns) >= 24


def test_a_token_in_another_precision_is_its_stages(tmp_path: Path) -> None:
    bundle = in_precision(Bundle.open(default_bundle_path()), "int8-dynamic", tmp_path)
    assert bundle.manifest.graphs["gpt_step"].precision == "int8-dynamic"
    spent = measure(bundle, "cpu", 1, 3, lambda: None)
    assert [len(spent[stage]) for stage in STAGES] == [4] * len(STAGES)
    parts = np.sum([spent[stage] for stage in STAGES[:-1]], axis=0)
    np.testing.assert_allclose(parts, spent["token"], rtol=1e-9)
    assert spent["gpt"].min() > 0.0
    assert spent["decoder"].min() > 0.0
